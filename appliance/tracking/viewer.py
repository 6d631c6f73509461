"""Whom to follow, and where that viewer stands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.camera.base import Picture
from appliance.camera.lens import Lens
from appliance.vision.blazeface import Face

# Mean interpupillary distance of adults. Source: Dodgson, "Variation and extrema of human
# interpupillary distance", SPIE 5291, 2004.
INTERPUPILLARY_MM: Final = 63.0


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person the sitter looks at, as last seen.

    `x`, `y` is the middle between the eyes and `eye_distance` their distance, in picture pixels.
    `x_mm`, `y_mm`, `z_mm` is the same point in the camera's frame: x to picture right, y down, z
    away from the lens. `captured` is the moment of exposure on the monotonic clock, in seconds.
    """

    x: float
    y: float
    eye_distance: float
    x_mm: float
    y_mm: float
    z_mm: float
    captured: float
    confidence: float

    @property
    def distance_mm(self) -> float:
        """Distance from the lens in millimetres."""
        return math.hypot(self.x_mm, self.y_mm, self.z_mm)


def choose(faces: Sequence[Face], previous: Face | None, stickiness: float) -> Face | None:
    """Choose the face to follow: the largest, but the present one until another is clearly larger.

    Parameters
    ----------
    faces : the faces of one picture
    previous : the face followed in the last picture, if any
    stickiness : how many times larger a newcomer's face must be, >= 1
    """
    if not faces:
        return None
    largest = max(faces, key=lambda face: face.width)
    if previous is None:
        return largest
    present = min(faces, key=lambda face: math.dist(face.eye_midpoint, previous.eye_midpoint))
    # From one picture to the next a walker moves by a fraction of a face.
    if math.dist(present.eye_midpoint, previous.eye_midpoint) > previous.width:
        return largest
    return largest if largest.width > stickiness * present.width else present


def locate(face: Face, picture: Picture, horizontal_fov: float) -> Viewer:
    """Place a face in the room from its eyes, for a pinhole camera.

    Parameters
    ----------
    face : in pixels of `picture`
    horizontal_fov : angle of view across the picture's width, degrees
    """
    focal = Lens(picture.width, picture.height, horizontal_fov).focal
    x, y = face.eye_midpoint
    eye_distance = max(face.eye_distance, 1.0)
    z_mm = focal * INTERPUPILLARY_MM / eye_distance
    x_mm = (x - picture.width / 2) * z_mm / focal
    y_mm = (y - picture.height / 2) * z_mm / focal
    return Viewer(x, y, eye_distance, x_mm, y_mm, z_mm, picture.captured, face.score)
