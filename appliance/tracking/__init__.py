"""Tracking: from the faces in each picture to the viewer, the person whom the sitter looks at."""
