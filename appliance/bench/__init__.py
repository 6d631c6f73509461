"""Speed, memory and gaze error, measured against a baseline in the same run."""
