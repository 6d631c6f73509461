"""The loop that joins the rooms, and what it tells systemd and the technician."""
