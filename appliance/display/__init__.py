"""The display: show the frames of a portrait on a screen."""
