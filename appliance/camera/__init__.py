"""Where pictures come from: the Pi camera, a folder, or a simulated gallery."""
