"""From a painting to a pack of frames, offline."""
