"""Cameras: the Raspberry Pi camera, a folder of pictures, and a simulated gallery."""
