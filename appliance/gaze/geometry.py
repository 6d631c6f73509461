"""Directions from the sitters' eyes to a viewer, and where an angle falls among the frames.

Angles are degrees seen from the sitter's eyes, 0 straight ahead and positive to picture right: the
side that is right for the visitor in front of the screen, and left in the camera's picture. Elevations
are degrees above the level of the sitter's eyes. Points are millimetres in the camera's frame: x to
picture right, y down, z away from the lens, along the direction it looks in.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from appliance.config import GazeConfig

# A gaze: degrees to picture right and degrees up.
Direction = tuple[float, float]
# Largest angle from which a point is computed, in degrees, because the tangent is infinite at 90.
_MAX_ANGLE: Final = 89.0


def relative_to_sitter(
    x_mm: float, y_mm: float, z_mm: float, place: GazeConfig
) -> tuple[float, float, float]:
    """Return how far a point in the camera's frame lies to the right, above and ahead of the sitter's eyes.

    In millimetres in the room: to the right as the visitor sees it, straight up, straight out of the wall.
    """
    pitch = math.radians(place.camera_pitch)
    right = place.camera_right - (-x_mm if place.mirrored else x_mm)
    up = z_mm * math.sin(pitch) - y_mm * math.cos(pitch) + place.camera_up
    ahead = z_mm * math.cos(pitch) + y_mm * math.sin(pitch) + place.camera_forward
    return right, up, ahead


def gaze_angle_to(x_mm: float, y_mm: float, z_mm: float, place: GazeConfig) -> float:
    """Return the gaze angle towards a point in the camera's frame, in degrees, with gain and limits."""
    right, _, ahead = relative_to_sitter(x_mm, y_mm, z_mm, place)
    angle = math.degrees(math.atan2(right, max(ahead, 1.0))) * place.gain
    return min(max(angle, place.limit_left), place.limit_right)


def elevation_of_point(x_mm: float, y_mm: float, z_mm: float, place: GazeConfig) -> float:
    """Return the elevation of a point in the camera's frame, seen from the sitter's eyes, in degrees."""
    right, up, ahead = relative_to_sitter(x_mm, y_mm, z_mm, place)
    return math.degrees(math.atan2(up, math.hypot(right, max(ahead, 1.0))))


def gaze_pitch_to(x_mm: float, y_mm: float, z_mm: float, place: GazeConfig) -> float:
    """Return the gaze pitch towards a point in the camera's frame, in degrees, with gain and limits."""
    pitch = elevation_of_point(x_mm, y_mm, z_mm, place) * place.gain
    return min(max(pitch, place.limit_down), place.limit_up)


def direction_from_sitter(direction: Direction, ahead_mm: float, apart: tuple[float, float]) -> Direction:
    """Return the direction in which another sitter looks at the same point.

    Parameters
    ----------
    direction : in which one sitter looks at the point
    ahead_mm : how far the point is from the wall; infinite where that is not known
    apart : how far the other sitter's eyes are to picture right of that sitter's, and above them, in mm
    """
    if apart == (0.0, 0.0) or math.isinf(ahead_mm):
        return direction
    angle, pitch = (math.radians(min(max(part, -_MAX_ANGLE), _MAX_ANGLE)) for part in direction)
    ahead = max(ahead_mm, 1.0)
    right = ahead * math.tan(angle)
    up = math.hypot(right, ahead) * math.tan(pitch) - apart[1]
    right -= apart[0]
    return math.degrees(math.atan2(right, ahead)), math.degrees(math.atan2(up, math.hypot(right, ahead)))


def frame_of_original_piece(x: float, width: float, frames: int) -> int:
    """Return the frame of the original piece of 2020, which had 33, by the eyes' x alone.

    `x` is the eye midpoint in a picture of that `width`, both in pixels.
    """
    last = frames - 1
    return min(max(math.floor(last * (1 - x / width)), 0), last)


def fractional_index(angle: float, angles: Sequence[float]) -> float:
    """Return the fractional index of an angle among rising angles, clamped to the first and last."""
    if angle <= angles[0]:
        return 0.0
    if angle >= angles[-1]:
        return len(angles) - 1.0
    i = bisect_right(angles, angle) - 1
    return i + (angle - angles[i]) / (angles[i + 1] - angles[i])
