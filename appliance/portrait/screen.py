"""Fitting a picture to a screen: filled edge to edge, the head in view and the eyes above the middle."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels, Region
from appliance.vision.blazeface import Face, Point

# Where the eyes come to lie if the picture has the room, as parts of the screen.
_EYES_ACROSS: Final = 0.5
_EYES_DOWN: Final = 0.36
# How much of a face's width and height must stay in view: hair and chin, and some air.
_HEAD_ACROSS: Final = 1.7
_HEAD_DOWN: Final = 2.0
# What a picture leaves of the screen takes the mean colour of its border, darkened.
_MAT: Final = 0.5


def window(width: int, height: int, size: tuple[int, int], eyes: Point, head: Point = (0.0, 0.0)) -> Region:
    """Return the part of a picture to show: of the screen's shape, as large as it goes, placed by the eyes.

    Where cropping to the screen's shape would cut the head, it reaches beyond the picture instead.

    Parameters
    ----------
    width, height : of the picture in pixels
    size : (width, height) of the screen in pixels
    eyes : point between the eyes in picture pixels
    head : width and height that must stay in view, in picture pixels
    """
    scale = max(size[0] / width, size[1] / height)
    least = min(size[0] / min(head[0], width), size[1] / min(head[1], height)) if min(head) > 0 else scale
    scale = min(scale, least)
    across, down = size[0] / scale, size[1] / scale
    x = _placed(eyes[0] - _EYES_ACROSS * across, width - across)
    y = _placed(eyes[1] - _EYES_DOWN * down, height - down)
    return Region(x, y, x + across, y + down)


def fitted(pixels: Pixels, faces: Sequence[Face], size: tuple[int, int]) -> tuple[Pixels, list[Face]]:
    """Crop or pad a picture to a screen's shape and resize it; return it and where the faces lie in it.

    All heads stay in view. A picture that already has the screen's size is returned as it is.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels, list(faces)
    x0, y0, x1, y1 = _heads(faces)
    eyes = x0 + _EYES_ACROSS * (x1 - x0), y0 + _EYES_DOWN * (y1 - y0)
    part = window(width, height, size, eyes, (x1 - x0, y1 - y0))
    inside = (max(part.x0, 0.0), max(part.y0, 0.0), min(part.x1, float(width)), min(part.y1, float(height)))

    def moved(point: Point) -> Point:
        return (point[0] - part.x0) * size[0] / part.width, (point[1] - part.y0) * size[1] / part.height

    left, top = (round(v) for v in moved(inside[:2]))
    right, bottom = (round(v) for v in moved(inside[2:]))
    shown = (max(right - left, 1), max(bottom - top, 1))
    resized = Image.fromarray(pixels).resize(shown, Image.Resampling.LANCZOS, inside)
    if shown != size:
        canvas = Image.new("RGB", size, _mat(pixels))
        canvas.paste(resized, (left, top))
        resized = canvas
    placed = []
    for face in faces:
        points = (face.right_eye, face.left_eye, face.nose, face.mouth, face.right_ear, face.left_ear)
        corners = moved((face.box[0], face.box[1])) + moved((face.box[2], face.box[3]))
        placed.append(Face(face.score, corners, *map(moved, points)))
    return np.array(resized), placed


def _heads(faces: Sequence[Face]) -> tuple[float, float, float, float]:
    """Return the rectangle around all heads, (x0, y0, x1, y1); each has its eyes where a screen has them."""
    corners = []
    for face in faces:
        x, y = face.eye_midpoint
        across, down = _HEAD_ACROSS * face.width, _HEAD_DOWN * (face.box[3] - face.box[1])
        x, y = x - _EYES_ACROSS * across, y - _EYES_DOWN * down
        corners.append((x, y, x + across, y + down))
    left, top, right, bottom = zip(*corners, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _placed(wanted: float, room: float) -> float:
    """Return where a window begins: as wanted inside the picture, or so that the picture is inside it."""
    return min(max(wanted, min(room, 0.0)), max(room, 0.0))


def _mat(pixels: Pixels) -> tuple[int, int, int]:
    border = np.concatenate([pixels[[0, -1]].reshape(-1, 3), pixels[:, [0, -1]].reshape(-1, 3)])
    red, green, blue = (border.mean(0) * _MAT).astype(int).tolist()
    return red, green, blue
