"""Face detection: from a picture to the faces in it."""
