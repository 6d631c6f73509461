"""What happens to an iris as it moves: cut, its catch-light lost, or slid over the eye's corner."""

import math
from typing import Final

import numpy as np

from appliance.portrait.eye_frames import EyeFrames, columns, rows
from appliance.portrait.eyes import Eye
from appliance.portrait.landmarks import EyeMarks
from appliance.portrait.measure_rims import FEW, HOLE, LUMA
from appliance.portrait.sampling import Array

# An iris less than this darker than the white, in grey levels, has no edge that could be cut (a guess).
_LEAST_STEP: Final = 24.0
# Nearer to a corner than this, in eye widths, lids cover every iris.
_CORNER: Final = 0.14
# A catch-light is a spot of one of these radii, in eye widths, within this part of the iris's radius. It is
# one if it is brighter by this than what lies around it in every direction, at the third constant times its
# own radius, in grey levels: grain and brushwork reach 25.
_SPOTS: Final = (0.02, 0.035, 0.05)
_WITHIN: Final = 1.15
_AROUND: Final = 2.2
_STANDS_OUT: Final = 30.0
# It is sought so far off the upper and the lower lid at rest, and so far above and below its place then, in
# eye widths.
_OFF_LIDS: Final = (0.02, 0.03)
_ASIDE: Final = (-0.03, 0.0, 0.03)


def cut_iris(eye: EyeFrames) -> list[float]:
    """Return which part of the moved iris's outer half is missing in each frame, a mean over all directions.

    From the rim inwards to 0.45 of the radius, in directions 6 degrees apart, where the lids leave room and
    farther than 0.14 eye widths from the corners, all that is brighter than half way from the painted iris
    to the painted white is missing, up to the first dark sample; directions under a lid count as whole.
    What is missing in the painting at rest is not counted.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    away, opened = np.hypot(across - u, down - v), eye.opened(across, down)
    painted = eye.colours[eye.resting] @ LUMA
    iris, white = painted[opened & (away < 0.85 * radius)], painted[opened & (away > radius + HOLE)]
    if min(iris.size, white.size) < FEW or np.median(white) - np.median(iris) < _LEAST_STEP:
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
    """Return how far the catch-light stands out in each frame against the painting; 1 where it has none.

    It is the spot on the iris or its rim, between the lids, that stands out most from what lies around it
    in the direction where it does least; by less than 30 grey levels it is none. In a frame it is sought on
    the way from where it was to where the iris has taken it, and measured against the median around it.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    open_ = (down > eye.upper + _OFF_LIDS[0]) & (down < eye.lower - _OFF_LIDS[1])
    iris = open_ & (np.hypot(across - u, down - v) < _WITHIN * radius)
    if iris.sum() < FEW:
        return [1.0] * len(eye.shifts)
    x, y = across[iris], down[iris]
    clear = [_stands_out(eye, eye.resting, x, y, size).min(-1) for size in _SPOTS]
    best = int(np.argmax([one.max() for one in clear]))
    if clear[best].max() < _STANDS_OUT:
        return [1.0] * len(eye.shifts)
    size, spot = _SPOTS[best], int(clear[best].argmax())
    part, aside = (way.ravel() for way in np.meshgrid(np.linspace(0, 1, 9), _ASIDE))

    def strength(frame: int, shift: float) -> float:
        spots = _stands_out(eye, frame, x[spot] + part * shift, y[spot] + aside, size)
        return float(np.median(spots, axis=-1).max())

    painted = strength(eye.resting, 0.0)
    return [strength(frame, shift) / painted for frame, shift in enumerate(eye.shifts.tolist())]


def _stands_out(eye: EyeFrames, frame: int, u: Array, v: Array, size: float) -> Array:
    """Return how much brighter spots (n,) are than what lies around them in 12 directions, (n, 12)."""
    turn = np.arange(12) * math.pi / 6
    rings = [
        eye.at(frame, u[:, None] + r * size * np.cos(turn), v[:, None] + r * size * np.sin(turn)) @ LUMA
        for r in (0.4, 0.8, _AROUND)
    ]
    middle = eye.at(frame, u, v) @ LUMA
    # The middle, and rings that stand for so much of the disc.
    mean = 0.04 * middle + 0.32 * rings[0].mean(-1) + 0.64 * rings[1].mean(-1)
    brighter: Array = mean[:, None] - rings[2]
    return brighter


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
