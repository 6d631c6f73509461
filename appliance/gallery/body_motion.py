"""The motion of simulated people: smooth paths, swaying bodies, heads that turn and nod.

All lengths are in eye distances (63 mm in an adult), from the middle between the eyes of the photograph, x to
picture right and y down. The head is modelled as a smooth relief with a nose, which turns about a vertical
axis behind the eyes. Its sizes are those of a mean head in Farkas, "Anthropometry of the Head and Face",
1994.

The amplitudes were chosen so that BlazeFace's eye points scatter as they do on film: see
`appliance.bench.gaze_methods`. Blinking and talking are not simulated, because nothing here depends on them.
"""

import functools
import math
import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class MonotoneCurve:
    """A value over time, in seconds, that passes through its keys without a jump or a kink.

    Between two keys it stays between their values. So a person stands still between two equal keys, and does
    not overshoot when they stop.

    Source: Fritsch and Butland, "A Method for Constructing Local Monotone Piecewise Cubic
    Interpolants", SIAM J. Sci. Stat. Comput. 5, 1984.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]

    @classmethod
    def through(cls, times: tuple[float, ...], values: tuple[float, ...]) -> Self:
        """Lay a curve through two keys or more; `times` rise."""
        steps = [b - a for a, b in pairwise(times)]
        rises = [(b - a) / h for (a, b), h in zip(pairwise(values), steps, strict=True)]
        inner = [_slope(*h, *r) for h, r in zip(pairwise(steps), pairwise(rises), strict=True)]
        return cls(times, values, (rises[0], *inner, rises[-1]))

    def value_at(self, time: float) -> tuple[float, float]:
        """Return the value and its change per second; the ends' values hold beyond the ends."""
        if not self.times[0] <= time <= self.times[-1]:
            return (self.values[0] if time < self.times[0] else self.values[-1]), 0.0
        k = min(bisect_right(self.times, time), len(self.times) - 1) - 1
        h = self.times[k + 1] - self.times[k]
        u = (time - self.times[k]) / h
        a, b = self.values[k], self.values[k + 1]
        p, q = self.slopes[k] * h, self.slopes[k + 1] * h
        # Cubic Hermite, in powers of u.
        c2, c3 = 3 * (b - a) - 2 * p - q, 2 * (a - b) + p + q
        return a + u * (p + u * (c2 + u * c3)), (p + u * (2 * c2 + u * 3 * c3)) / h


def _slope(before: float, after: float, rise: float, next_rise: float) -> float:
    """Return the slope at a key: a weighted harmonic mean, zero where the motion turns or rests."""
    if rise * next_rise <= 0:
        return 0.0
    share = (before + 2 * after) / (3 * (before + after))
    return rise * next_rise / (share * next_rise + (1 - share) * rise)


_Floats = NDArray[np.float64]

# Distance of the eyes before the axis (Farkas).
_EYES_AHEAD: Final = 1.2
# Depth of the relief before the axis in the middle of the face: to the sides it falls off as
# exp(-|x / _RELIEF_WIDTH| ** _RELIEF_POWER).
_RELIEF_DEPTH: Final = 1.3
# Chosen with `_RELIEF_POWER` so that the relief passes through the eyes and is 0.4 deep at the ears.
_RELIEF_WIDTH: Final = 1.253
# See `_RELIEF_WIDTH`.
_RELIEF_POWER: Final = 2.75
# Height above which the relief falls off towards the crown: the brow.
_BROW_Y: Final = -0.3
# Spread of the Gaussian by which it falls off there, so that it is 0.5 deep at the crown.
_FOREHEAD_SPREAD: Final = 1.9
# Height of the nose's tip (Farkas).
_NOSE_Y: Final = 0.7
# Height of the nose above the relief, 0.7 before the eyes. BlazeFace's nose then moves by 0.35 to 0.55 eye
# distances times the tangent of the yaw; on film by 0.53 to 0.68, because there the shading turns as well. A
# longer nose would hide a part of the cheek, which a warp cannot show.
_NOSE_DEPTH: Final = 0.6
# Spread of the nose to the sides (chosen by eye).
_NOSE_WIDTH: Final = 0.38
# Spread of the nose upwards and downwards (chosen by eye).
_NOSE_HEIGHT: Final = 0.4
# Height of the joint on top of the spine, about which a head nods (Farkas).
_JOINT_Y: Final = 0.6
# Height of the chin, below which the picture follows the head less and less (Farkas).
_CHIN_Y: Final = 1.9
# Height of the collar, from which on the picture stays in place (chosen by eye).
_COLLAR_Y: Final = 3.2
# Distance of the ears from the middle, beyond which the picture follows the head less and less (Farkas).
_EARS_X: Final = 1.5
# Distance from the middle from which on the picture stays in place (chosen by eye).
_STILL_X: Final = 2.4
# Columns in which the warp is computed, from the middle between the turned eyes; it is interpolated in
# between. They are denser at the eyes, which then lie within 0.3 mm of the exact place, and at the nose.
_GRID_COLUMNS: Final = (
    -2.9,
    -1.7,
    -1.25,
    -0.85,
    -0.6,
    -0.45,
    -0.3,
    -0.15,
    0.0,
    0.15,
    0.3,
    0.45,
    0.6,
    0.85,
    1.25,
    1.7,
    2.9,
)
# Rows in which the warp is computed, chosen in the same way.
_GRID_ROWS: Final = (-2.5, -1.9, -1.3, -0.7, -0.3, 0.0, 0.25, 0.5, 0.7, 0.9, 1.15, 1.5, 1.9, 2.4, 3.3)
# Iterations of Newton's method (origin unknown).
_ITERATIONS: Final = 3


@dataclass(frozen=True, slots=True)
class HeadPose:
    """A head's turn to picture right and nod downwards, relative to its photograph, in degrees.

    The warp is valid up to 28 degrees of yaw and 10 of pitch; beyond that it would fold.
    """

    yaw: float = 0.0
    pitch: float = 0.0

    def mirrored(self) -> "HeadPose":
        """Return the pose with picture left and right exchanged."""
        return HeadPose(-self.yaw, self.pitch)

    def eyes(self) -> tuple[float, float]:
        """Return how far the middle between the eyes moves, in eye distances to picture right and down."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        ahead = _EYES_AHEAD * math.cos(yaw)
        return _EYES_AHEAD * math.sin(yaw), _JOINT_Y * (1 - math.cos(pitch)) + ahead * math.sin(pitch)


FACING_CAMERA: Final = HeadPose()


def turn_head(
    image: Image.Image, eyes: tuple[float, float], eye_distance: float, pose: HeadPose
) -> Image.Image:
    """Return a photograph with the head turned; the body stays as it is.

    Parameters
    ----------
    image : premultiplied RGBA
    eyes : the middle between the eyes in the photograph, in pixels, continuous coordinates
    eye_distance : in pixels
    """
    right, down = pose.eyes()
    columns = _pixels(_GRID_COLUMNS, eyes[0] + right * eye_distance, eye_distance, image.width)
    rows = _pixels(_GRID_ROWS, eyes[1] + down * eye_distance, eye_distance, image.height)
    x, y = np.meshgrid((columns - eyes[0]) / eye_distance, (rows - eyes[1]) / eye_distance)
    x, y = _source(x, y, pose)
    corners = np.stack([x * eye_distance + eyes[0], y * eye_distance + eyes[1]], -1)
    # North-west, south-west, south-east and north-east of every cell.
    quads = np.concatenate([corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], -1)
    left, top = int(columns[0]), int(rows[0])
    xs, ys = (columns - left).tolist(), (rows - top).tolist()
    mesh = [
        ((x0, y0, x1, y1), quad)
        for (y0, y1), line in zip(pairwise(ys), quads.tolist(), strict=True)
        for (x0, x1), quad in zip(pairwise(xs), line, strict=True)
    ]
    head = image.transform((xs[-1], ys[-1]), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    out = image.copy()
    out.paste(head, (left, top))
    return out


def _pixels(places: tuple[float, ...], middle: float, scale: float, length: int) -> NDArray[np.int64]:
    """Return the whole pixels nearest to places along one side of an image."""
    pixels = np.rint(np.array(places) * scale + middle).clip(0, length)
    whole: NDArray[np.int64] = np.unique(pixels.astype(np.int64))
    return whole


def _source(across: _Floats, down: _Floats, pose: HeadPose) -> tuple[_Floats, _Floats]:
    """Return the places in the photograph that the turned head shows at (across, down)."""
    share = _fading(np.abs(across), _EARS_X, _STILL_X) * _fading(down, _CHIN_Y, _COLLAR_Y)
    yaw, pitch = (np.radians(angle) * share for angle in (pose.yaw, pose.pitch))
    sin, cos = np.sin(yaw), np.cos(yaw)
    x, y = across - _EYES_AHEAD * sin, down
    for _ in range(_ITERATIONS):  # Newton's method across; down, where the angles are small, plain iteration
        side, forehead = np.abs(x / _RELIEF_WIDTH), np.minimum(y - _BROW_Y, 0) / _FOREHEAD_SPREAD
        front = _RELIEF_DEPTH * np.exp(-(side**_RELIEF_POWER) - forehead**2)
        nose = _NOSE_DEPTH * np.exp(-((x / _NOSE_WIDTH) ** 2) - ((y - _NOSE_Y) / _NOSE_HEIGHT) ** 2)
        depth = front + nose
        slope = -_RELIEF_POWER * side ** (_RELIEF_POWER - 1) * np.sign(x) / _RELIEF_WIDTH * front
        slope -= 2 * x / _NOSE_WIDTH**2 * nose
        x = x - (x * cos + depth * sin - across) / (cos + slope * sin)
        y = _JOINT_Y + (down - _JOINT_Y - (depth * cos - x * sin) * np.sin(pitch)) / np.cos(pitch)
    return x, y


def _fading(place: _Floats, full: float, none: float) -> _Floats:
    """Return 1 up to `full`, 0 from `none` on, and a smooth transition in between."""
    part = np.clip((none - place) / (none - full), 0, 1)
    return part * part * (3 - 2 * part)


# Sway of the body from side to side: amplitude in mm, and radians per second.
_SWAY: Final = (9.0, 1.1)
# Continuous turning of the head: waves of (degrees, radians per second).
_YAW_WAVES: Final = ((1.4, 1.7), (0.8, 4.3))
# Continuous nodding of the head: waves of (degrees, radians per second).
_PITCH_WAVES: Final = ((1.2, 1.3), (0.6, 3.7))
# Angle of a turn aside, to the left and right alternately, in degrees.
TURN_DEGREES: Final = 25.0
# Duration of turning aside, and of turning back, in seconds.
TURN_SECONDS: Final = 0.5
# Time for which the head stays turned, in seconds.
_TURN_HOLD_SECONDS: Final = 0.8
# Time from one turn to the next, in seconds.
_TURN_EVERY: Final = 14.0
# Angle of a nod, in degrees.
_NOD: Final = 6.0
# Duration of two nods, in seconds.
_NOD_SECONDS: Final = 1.2
# Time from one pair of nods to the next, in seconds.
_NOD_EVERY: Final = 7.0


def body_sway(who: str, time: float) -> float:
    """Return the sway of a body to picture right at a time in seconds, in mm."""
    reach, rate = _SWAY
    return reach * math.sin(rate * time + _phases(who)[0])


def head_turn_at(who: str, time: float, amount: float) -> HeadPose:
    """Return the pose of a head at a time in seconds.

    Everybody moves in the same way but with other phases, which depend on `who`. `amount` scales all angles.
    """
    phases = _phases(who)
    yaw = _waves(_YAW_WAVES, phases[1:3], time)
    pitch = _waves(_PITCH_WAVES, phases[3:5], time)
    turn, into = divmod(time + phases[5] / math.tau * 2 * _TURN_EVERY, _TURN_EVERY)
    back = into - TURN_SECONDS - _TURN_HOLD_SECONDS
    aside = smooth_rise(into / TURN_SECONDS) - smooth_rise(back / TURN_SECONDS)
    yaw += (math.copysign(TURN_DEGREES, turn % 2 - 0.5) - yaw) * aside
    into = (time + phases[6] / math.tau * _NOD_EVERY) % _NOD_EVERY
    if into < _NOD_SECONDS:
        pitch += _NOD * math.sin(math.tau * into / _NOD_SECONDS) ** 2
    return HeadPose(amount * yaw, amount * pitch)


def smooth_rise(part: float) -> float:
    """Return 0 before 0, 1 after 1, and a smooth rise between them."""
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)


def _waves(waves: tuple[tuple[float, float], ...], phases: tuple[float, ...], time: float) -> float:
    return sum(
        reach * math.sin(rate * time + phase) for (reach, rate), phase in zip(waves, phases, strict=True)
    )


@functools.cache
def _phases(who: str) -> tuple[float, ...]:
    rng = random.Random(who)
    return tuple(rng.uniform(0, math.tau) for _ in range(7))
