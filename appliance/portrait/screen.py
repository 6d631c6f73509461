"""Fitting a picture to a screen: filled edge to edge, the face in view and above the middle."""

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels, Region
from appliance.vision.blazeface import Face, Point

# Where the eyes come to lie if the picture has the room, as parts of the screen.
_EYES_ACROSS = 0.5
_EYES_DOWN = 0.36


def window(width: int, height: int, size: tuple[int, int], eyes: Point) -> Region:
    """Return the largest part of a picture that has the screen's shape, placed by the eyes.

    Parameters
    ----------
    width, height : of the picture in pixels
    size : (width, height) of the screen in pixels
    eyes : point between the eyes in picture pixels
    """
    scale = max(size[0] / width, size[1] / height)
    across, down = min(size[0] / scale, float(width)), min(size[1] / scale, float(height))
    x = min(max(eyes[0] - _EYES_ACROSS * across, 0), width - across)
    y = min(max(eyes[1] - _EYES_DOWN * down, 0), height - down)
    return Region(x, y, x + across, y + down)


def fitted(pixels: Pixels, face: Face, size: tuple[int, int]) -> tuple[Pixels, Face]:
    """Crop and resize a picture to a screen; return it and where the face lies in it.

    A picture that already has the screen's size is returned as it is.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels, face
    part = window(width, height, size, face.eye_midpoint)
    box = (part.x0, part.y0, part.x1, part.y1)
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, box)

    def moved(point: Point) -> Point:
        return (point[0] - part.x0) * size[0] / part.width, (point[1] - part.y0) * size[1] / part.height

    points = (face.right_eye, face.left_eye, face.nose, face.mouth, face.right_ear, face.left_ear)
    corners = moved((face.box[0], face.box[1])) + moved((face.box[2], face.box[3]))
    return np.array(resized), Face(face.score, corners, *map(moved, points))
