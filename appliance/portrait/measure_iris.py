"""What happens to an iris as it moves: cut, its catch-light lost, or slid over the eye's corner."""

from typing import Final

import numpy as np

from appliance.portrait.eye_frames import EyeFrames, columns, rows
from appliance.portrait.eyes import Eye
from appliance.portrait.landmarks import EyeMarks
from appliance.portrait.measure_rims import FEW, HOLE, LUMA
from appliance.portrait.sampling import Array

# An iris less than twice this darker than the white, in grey levels, has no edge that could be cut.
_LEAST_STEP: Final = 12.0
# Nearer to a corner than this, in eye widths, lids cover every iris.
_CORNER: Final = 0.14
# The catch-light is the brightest part of the iris within this part of its radius, and of its area; it is
# one if it is brighter by this than the median, in grey levels: grain and brushwork are up to 55.
_WITHIN: Final = 0.85
_BRIGHTEST: Final = 0.03
_STANDS_OUT: Final = 60.0
# It is read so far off the upper and the lower lid, in eye widths.
_OFF_LIDS: Final = (0.02, 0.03)


def cut_iris(eye: EyeFrames) -> list[float]:
    """Return which part of the moved iris's radius is missing in each frame, a mean over all directions.

    From the rim inwards, in directions 6 degrees apart, where the lids leave room and farther than 0.14
    eye widths from the corners, all that is brighter than half way from the painted iris to the painted
    white is missing, up to the first dark sample. What is missing in the painting at rest is not counted.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    away, opened = np.hypot(across - u, down - v), eye.opened(across, down)
    painted = eye.colours[eye.resting] @ LUMA
    iris, white = painted[opened & (away < 0.85 * radius)], painted[opened & (away > radius + HOLE)]
    if min(iris.size, white.size) < FEW or np.median(white) - np.median(iris) < 2 * _LEAST_STEP:
        return [0.0] * len(eye.shifts)
    limit = (np.median(iris) + np.median(white)) / 2
    direction = np.radians(np.arange(-180, 180, 6))[:, None]
    reach = np.linspace(radius - 0.03, 0.45 * radius, 14)

    def missing(frame: int, shift: float) -> Array:
        x, y = u + shift + reach * np.cos(direction), v + reach * np.sin(direction)
        seen = eye.opened(x, y) & (x > eye.corners[0] + _CORNER) & (x < eye.corners[1] - _CORNER)
        bright = (eye.at(frame, x, y) @ LUMA > limit) | ~seen
        gone: Array = (np.cumprod(bright, axis=1) * seen).mean(1)
        return gone

    usual = missing(eye.resting, 0.0)
    return [
        float(np.maximum(missing(frame, shift) - usual, 0).mean())
        for frame, shift in enumerate(eye.shifts.tolist())
    ]


def catch_lights(eye: EyeFrames) -> list[float]:
    """Return how bright the catch-light is in each frame against the painting; 1 where it has none.

    Read is the moved iris up to 0.85 of its radius, between the lids. The catch-light is the mean of its
    brightest 3 %, less its median. It counts as one if that is 60 grey levels or more at rest.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    open_ = (down > eye.upper + _OFF_LIDS[0]) & (down < eye.lower - _OFF_LIDS[1])

    def strength(frame: int, shift: float) -> float:
        iris = open_ & (np.hypot(across - u - shift, down - v) < _WITHIN * radius)
        light = np.sort((eye.colours[frame] @ LUMA)[iris])
        if light.size < FEW:
            return 0.0
        return float(light[-max(round(_BRIGHTEST * light.size), 1) :].mean() - np.median(light))

    painted = strength(eye.resting, 0.0)
    if painted < _STANDS_OUT:
        return [1.0] * len(eye.shifts)
    return [strength(frame, shift) / painted for frame, shift in enumerate(eye.shifts.tolist())]


def over_corner(frames: EyeFrames, eye: Eye, marks: EyeMarks) -> list[float]:
    """Return how far each frame's iris lies over a corner of the eye, in eye widths; 0 where it does not.

    The corners are those that the face's landmarks have, not those that the engine found in the picture:
    these may be too wide where white and skin are alike, and an iris that goes there looks crossed. As
    far as the painted iris lies over a corner at rest is no fault.
    """
    (first, last), _ = eye.view.axes.to_eye(*marks.lower[[0, -1]].T)
    u, _, radius = frames.iris
    middles = u + frames.shifts
    over = np.maximum(np.maximum(first - middles + radius, middles + radius - last), 0)
    return [float(way) for way in np.maximum(over - over[frames.resting], 0)]
