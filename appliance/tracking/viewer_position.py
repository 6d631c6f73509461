"""Locate the viewer: from their eyes in the picture to a position in millimetres."""

import math
from dataclasses import dataclass
from typing import Final

from appliance.camera.lens import Lens
from appliance.tracking.tracker import Track, head_yaw_tangent

# Mean of adults. Source: Dodgson, "Variation and extrema of human interpupillary distance", SPIE 5291, 2004.
INTERPUPILLARY_MM: Final = 63.0
# Distance of the eyes before the axis about which a head turns, in eye distances (after Farkas,
# "Anthropometry of the Head and Face", 1994).
_EYES_AHEAD: Final = 1.2
# Tangent of the yaw up to which a head counts as facing the camera, because faces are not symmetrical.
_FACING_YAW: Final = 0.25


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person the sitter looks at, as last seen.

    In picture pixels: `x`, `y` is the middle between the eyes; `head_x`, `head_y` is where it would be if the
    head faced the camera, and `eye_distance` what the eyes' distance would be then. `x_mm`, `y_mm`, `z_mm` is
    the point at `head_x`, `head_y` in the camera's frame: x to picture right, y down, z away from the lens.
    `captured` is the middle of the exposure in seconds on the monotonic clock, `confidence` the face's score.
    """

    x: float
    y: float
    head_x: float
    head_y: float
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


def locate_viewer(
    track: Track, moment: float, size: tuple[int, int], horizontal_fov: float, distortion: float
) -> Viewer:
    """Return a person's position from their eyes, as expected at a moment.

    The distance follows from the eyes' distance in the picture, corrected for the head's yaw. When a head
    turns, its eyes move to the side although the person stays in place; so above 14 degrees of yaw the eyes
    are turned back about the head's axis.

    Parameters
    ----------
    size : (width, height) of the picture in pixels
    horizontal_fov : angle of view across the picture's width, degrees
    distortion : the lens's first radial coefficient
    """
    lens = Lens(*size, horizontal_fov, distortion)
    face = track.face
    (x, y), (now_x, now_y) = face.eye_midpoint, track.position_at(moment)
    x, y = x + now_x - track.face_at[0], y + now_y - track.face_at[1]
    eye_distance = max(track.eye_distance, 1.0)
    yaw = head_yaw_tangent(face)
    beyond = math.atan(yaw) - math.atan(math.copysign(min(abs(yaw), _FACING_YAW), yaw))
    shift = _EYES_AHEAD * eye_distance * math.sin(beyond)
    dx, dy = face.left_eye[0] - face.right_eye[0], face.left_eye[1] - face.right_eye[1]
    length = max(math.hypot(dx, dy), 1e-9)
    head_x, head_y = x - shift * dx / length, y - shift * dy / length
    across, down = lens.ray(head_x, head_y)
    z_mm = lens.focal * INTERPUPILLARY_MM / eye_distance
    return Viewer(x, y, head_x, head_y, eye_distance, across * z_mm, down * z_mm, z_mm, moment, face.score)
