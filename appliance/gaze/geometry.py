"""Where a viewer is, seen from the sitter's eyes: the angle to them, and that angle among the frames.

Angles are degrees seen from the sitter's eyes, 0 straight ahead and positive to picture right: the
side that is right for the visitor in front of the screen, and left in the camera's picture.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

from appliance.config import GazeConfig


def angle_to(x_mm: float, z_mm: float, place: GazeConfig) -> float:
    """Return the angle from the sitter's eyes to a point in the camera's frame, degrees."""
    right = place.camera_right - (-x_mm if place.mirrored else x_mm)
    ahead = z_mm + place.camera_forward
    angle = math.degrees(math.atan2(right, max(ahead, 1.0))) * place.gain
    return min(max(angle, place.limit_left), place.limit_right)


def original_frame(x: float, width: float, frames: int) -> int:
    """Return the frame of the 2020 piece: the eyes' x in the mirrored picture, and nothing else.

    Parameters
    ----------
    x : eye midpoint in picture pixels
    width : of the picture, pixels
    frames : number of frames; the piece had 33
    """
    last = frames - 1
    return min(max(math.floor(last * (1 - x / width)), 0), last)


def position_of(angle: float, angles: Sequence[float]) -> float:
    """Return where an angle falls among the frames' rising angles, in frames, clamped to them."""
    if angle <= angles[0]:
        return 0.0
    if angle >= angles[-1]:
        return len(angles) - 1.0
    i = bisect_right(angles, angle) - 1
    return i + (angle - angles[i]) / (angles[i + 1] - angles[i])
