"""From a viewer's place to the frame that looks at them."""
