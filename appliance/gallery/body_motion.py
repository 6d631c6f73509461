"""How simulated people move: smooth paths, swaying bodies, heads that turn and nod.

All lengths are in eye distances (63 mm in an adult), from the middle between the eyes of the photograph,
x to picture right and y down. The head is a smooth relief with a nose, and turns about an upright axis
behind the eyes. The sizes are those of a mean head, after Farkas, "Anthropometry of the Head and Face", 1994.

The sizes were chosen so that BlazeFace's eye points scatter as on film: see `appliance.bench.gaze_rules`.
Nobody blinks or talks; nothing here needs it.
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
class Curve:
    """A value over time, in seconds, that passes through its keys without a jump or a kink.

    Between keys it never leaves their values, so that who stands between two equal keys stands
    still, and who stops does not swing over.

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

    def at(self, time: float) -> tuple[float, float]:
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


Floats = NDArray[np.float64]

# How far before the axis the eyes are.
_EYES_AHEAD: Final = 1.2
# The relief before the axis: the middle, and how it falls off to both sides, exp(-|x / width| ** power).
# It passes through the eyes, and is 0.4 at the ears.
_MIDDLE: Final = 1.3
_WIDTH: Final = 1.253
_POWER: Final = 2.75
# Above the brow it falls off as a Gaussian of this spread, to 0.5 at the crown.
_BROW: Final = -0.3
_HEIGHT: Final = 1.9
# The nose's tip: below the eyes, and before the rest of the relief, so 0.7 before the eyes; and the spread of
# the nose to each side, and up and down. BlazeFace's nose then moves by 0.35 to 0.55 eye distances times
# the tangent of the yaw; on film by 0.53 to 0.68, because there the shading turns as well. A higher nose
# would hide a part of the cheek, which a warp cannot.
_TIP: Final = 0.7
_NOSE: Final = 0.6
_NOSE_WIDTH: Final = 0.38
_NOSE_HEIGHT: Final = 0.4
# A head nods about the joint on top of the spine: below the eyes.
_JOINT: Final = 0.6
# From the chin downwards to the collar less and less takes part; and to the sides, from the ears outwards.
_CHIN: Final = 1.9
_COLLAR: Final = 3.2
_EARS: Final = 1.5
_BESIDE: Final = 2.4
# Where the warp is computed, from the turned eyes' middle; between these places it is interpolated. They
# are close to each other at the eyes, which then lie within 0.3 mm of the truth, and at the nose.
_COLUMNS: Final = (
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
_ROWS: Final = (-2.5, -1.9, -1.3, -0.7, -0.3, 0.0, 0.25, 0.5, 0.7, 0.9, 1.15, 1.5, 1.9, 2.4, 3.3)
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Pose:
    """How far a head is turned to picture right and nods downwards from where the photograph shows it.

    Both in degrees. The warp holds to 28 degrees of yaw and 10 of pitch; beyond, it would fold.
    """

    yaw: float = 0.0
    pitch: float = 0.0

    def mirrored(self) -> "Pose":
        """Return the pose with picture left and right exchanged."""
        return Pose(-self.yaw, self.pitch)

    def eyes(self) -> tuple[float, float]:
        """Return where the middle between the eyes goes, in eye distances to picture right and down."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        ahead = _EYES_AHEAD * math.cos(yaw)
        return _EYES_AHEAD * math.sin(yaw), _JOINT * (1 - math.cos(pitch)) + ahead * math.sin(pitch)


FACING: Final = Pose()


def turned(image: Image.Image, eyes: tuple[float, float], eye_distance: float, pose: Pose) -> Image.Image:
    """Return a photograph with the head turned; the body stays as it is.

    Parameters
    ----------
    image : premultiplied RGBA
    eyes : the middle between the eyes in the photograph, in pixels, continuous coordinates
    eye_distance : in pixels
    """
    right, down = pose.eyes()
    columns = _pixels(_COLUMNS, eyes[0] + right * eye_distance, eye_distance, image.width)
    rows = _pixels(_ROWS, eyes[1] + down * eye_distance, eye_distance, image.height)
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


def _source(across: Floats, down: Floats, pose: Pose) -> tuple[Floats, Floats]:
    """Return where in the photograph that lies which the turned head shows at (across, down)."""
    share = _fading(np.abs(across), _EARS, _BESIDE) * _fading(down, _CHIN, _COLLAR)
    yaw, pitch = (np.radians(angle) * share for angle in (pose.yaw, pose.pitch))
    sin, cos = np.sin(yaw), np.cos(yaw)
    x, y = across - _EYES_AHEAD * sin, down
    for _ in range(_ROUNDS):  # Newton's method across; down, where the angles are small, plain iteration
        front = _MIDDLE * np.exp(-(np.abs(x / _WIDTH) ** _POWER) - (np.minimum(y - _BROW, 0) / _HEIGHT) ** 2)
        nose = _NOSE * np.exp(-((x / _NOSE_WIDTH) ** 2) - ((y - _TIP) / _NOSE_HEIGHT) ** 2)
        depth = front + nose
        slope = -_POWER * np.abs(x / _WIDTH) ** (_POWER - 1) * np.sign(x) / _WIDTH * front
        slope -= 2 * x / _NOSE_WIDTH**2 * nose
        x = x - (x * cos + depth * sin - across) / (cos + slope * sin)
        y = _JOINT + (down - _JOINT - (depth * cos - x * sin) * np.sin(pitch)) / np.cos(pitch)
    return x, y


def _fading(place: Floats, full: float, none: float) -> Floats:
    """Return 1 up to `full`, 0 from `none` on, smooth in between."""
    part = np.clip((none - place) / (none - full), 0, 1)
    return part * part * (3 - 2 * part)


# Sway of the body from side to side: millimetres, and radians per second.
_SWAY: Final = (9.0, 1.1)
# What the head always does, turning and nodding: (degrees, radians per second).
_STIR_YAW: Final = ((1.4, 1.7), (0.8, 4.3))
_STIR_PITCH: Final = ((1.2, 1.3), (0.6, 3.7))
# A turn aside, to either side by turns: degrees, and seconds there, from one to the next, and on the way.
TURN: Final = 25.0
TURNING: Final = 0.5
_TURN_STAY: Final = 0.8
_TURN_EVERY: Final = 14.0
# Two nods: degrees, and seconds for both, and from one pair to the next.
_NOD: Final = 6.0
_NODDING: Final = 1.2
_NOD_EVERY: Final = 7.0


def sway(who: str, time: float) -> float:
    """Return how far a body sways to picture right at a time in seconds, in mm."""
    reach, rate = _SWAY
    return reach * math.sin(rate * time + _phases(who)[0])


def stirring(who: str, time: float, amount: float) -> Pose:
    """Return how a head is held at a time in seconds.

    Everybody moves alike, but not at the same time: `who` says when. `amount` scales all angles.
    """
    phases = _phases(who)
    yaw = _waves(_STIR_YAW, phases[1:3], time)
    pitch = _waves(_STIR_PITCH, phases[3:5], time)
    turn, into = divmod(time + phases[5] / math.tau * 2 * _TURN_EVERY, _TURN_EVERY)
    aside = smooth(into / TURNING) - smooth((into - TURNING - _TURN_STAY) / TURNING)
    yaw += (math.copysign(TURN, turn % 2 - 0.5) - yaw) * aside
    into = (time + phases[6] / math.tau * _NOD_EVERY) % _NOD_EVERY
    if into < _NODDING:
        pitch += _NOD * math.sin(math.tau * into / _NODDING) ** 2
    return Pose(amount * yaw, amount * pitch)


def smooth(part: float) -> float:
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
