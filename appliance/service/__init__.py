"""The app that joins camera, gaze and display, and what it tells systemd and the technician."""
