"""From a frame number to light."""
