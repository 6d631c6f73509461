"""The gaze: from the position of a viewer to the frame that looks at them."""
