"""Stands in for PiDNG, which Debian lacks: picamera2 imports it for raw pictures only."""
