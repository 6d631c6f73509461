"""From a picture to the faces in it."""
