"""The head's turn: how far every point of the painting moves when the sitter turns a few degrees."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.pack import Box
from appliance.portrait.landmarks import Landmarks
from appliance.portrait.sampling import Array, bilinear, blur, smoothstep

# Nodes of the field lie this part of half a face apart, and at least so many pixels.
_STEP: Final = 1 / 14
_LEAST_STEP: Final = 6
_OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# The face's sides, where it meets the background: they stay, and depth counts from them.
_SIDES: Final = (127, 234, 93, 132, 58, 356, 454, 323, 361, 288)
# Beyond the oval the turn fades to nothing, from and to these multiples of its radius: to the
# sides, where the background begins, above, over forehead and hair, and below, over the neck.
_FADE_SIDE: Final = (0.42, 1.06)
_FADE_UP: Final = (0.42, 1.35)
_FADE_DOWN: Final = (0.6, 1.75)
# What lies deeper than the sides hardly moves.
_DEEP: Final = 0.35
# A face as flat as this, else the far eye, between a nose that moves and a cheek that stays, is squeezed.
_RELIEF: Final = 0.82
_SMOOTHING: Final = 0.6
_RING: Final = 48
_SECTOR: Final = math.radians(5)
# The turn also fades towards the picture's edge, over this part of half the face's width.
_EDGE: Final = 0.35
_BLOCK: Final = 2048
# A field too steep at a turn of so many degrees is blurred, more and more, in half faces.
_WIDEST: Final = 8.0
_SQUEEZE: Final = 0.58
_LEAST: Final = 0.52
_SOFTER: Final = 0.04
_SOFTEST: Final = 0.16


@dataclass(frozen=True, slots=True)
class Head:
    """The field of a head's turn on nodes `step` pixels apart, bilinear between them.

    `box` is the rectangle that can move, in whole picture pixels; nodes begin at its upper left
    corner and its sides are multiples of `step` unless the picture ends. `depth` is (rows, columns)
    in pixels: a turn by the angle psi moves a point by sin(psi) * depth along the face, `tilt`
    radians clockwise of the picture's rows, to picture right for a turn to picture right.
    """

    box: Box
    depth: Array
    tilt: float
    step: int

    def sources(self, turn: float) -> tuple[Array, Array]:
        """Return where in the painting every node's content comes from, x and y in pixels.

        Parameters
        ----------
        turn : of the head to picture right, in degrees
        """
        x, y = self.nodes()
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        shift = moved = math.sin(math.radians(turn)) * self.depth
        for _ in range(5):  # the field is known where content comes from, so it is inverted step by step
            shift = self._between(moved, x - shift * c, y - shift * s)
        return x - shift * c, y - shift * s

    def nodes(self) -> tuple[Array, Array]:
        """Return the nodes' own x and y in picture pixels."""
        rows, columns = self.depth.shape
        x, y = np.meshgrid(np.arange(columns) * self.step, np.arange(rows) * self.step)
        return x + float(self.box[0]), y + float(self.box[1])

    def squeeze(self, turn: float) -> float:
        """Return the least Jacobian of a turn in degrees: 1 moves rigidly, 0 folds."""
        down, across = np.gradient(self.depth, self.step)
        along = across * math.cos(self.tilt) + down * math.sin(self.tilt)
        return float((1 + math.sin(math.radians(turn)) * along).min())

    def widest(self) -> float:
        """Return the turn in degrees up to which nothing is squeezed too much, to either side."""
        least = min(self.squeeze(_WIDEST), self.squeeze(-_WIDEST))
        return _WIDEST * (1 - _LEAST) / max(1 - least, 1e-6)

    def moves(self, x: Array, y: Array, turn: float) -> Array:
        """Return how far points of the painting move along the face, in pixels."""
        return math.sin(math.radians(turn)) * self._between(self.depth, x, y)

    def _between(self, values: Array, x: Array, y: Array) -> Array:
        # bilinear() has its samples at half pixels, a node is a corner.
        return bilinear(values, (x - self.box[0]) / self.step + 0.5, (y - self.box[1]) / self.step + 0.5)


def build_head(face: Landmarks, width: int, height: int) -> Head:
    """Build the field from the mesh's depth, for a picture of that size in pixels.

    The mesh's depth over the plane through the face's sides is drawn smooth by a thin-plate spline
    (Bookstein, "Principal Warps", 1989) and fades to nothing before the background begins.
    """
    c, s = math.cos(face.tilt), math.sin(face.tilt)
    along = face.mesh[:, :2] @ np.array([[c, -s], [s, c]])
    oval = along[list(_OVAL)]
    low, high = oval.min(0), oval.max(0)
    middle, half = (low + high) / 2, float(high[0] - low[0]) / 2
    points = (along - middle) / half
    rim = _Rim(points)
    centre = np.array([[c, -s], [s, c]]) @ middle
    reach = half * np.array([points[list(_OVAL)] * 1.8]).max(1).ravel()
    reach = np.maximum(reach, half * np.array([1.2, 1.2]))
    step = max(round(half * _STEP), _LEAST_STEP)
    box = _box(centre, float(np.hypot(*reach)), reach, face.tilt, width, height)
    x, y = np.meshgrid(
        np.arange(box[0], box[2] + step, step, dtype=float),
        np.arange(box[1], box[3] + step, step, dtype=float),
    )
    there = np.stack(
        [(x - centre[0]) * c + (y - centre[1]) * s, (y - centre[1]) * c - (x - centre[0]) * s], -1
    )
    there /= half
    depth = np.zeros(x.shape)
    fade = rim.fade(there) * _inside(x, y, width, height, _EDGE * half)
    near = fade > 0
    depth[near] = half * _Plate(points, _depths(face.mesh[:, 2] / half, points))(there[near])
    faded, soft = depth * fade, 0.0
    while True:
        field = blur(faded, soft * half / step) * smoothstep(fade / 0.1) if soft else faded
        head = Head(box, field, face.tilt, step)
        if soft >= _SOFTEST or min(head.squeeze(_WIDEST), head.squeeze(-_WIDEST)) > _SQUEEZE:
            return _trimmed(head)
        soft += _SOFTER


def _depths(z: Array, points: Array) -> Array:
    """Return each mesh point's depth over the plane through the face's sides, in half faces."""
    sides = list(_SIDES)
    plane = np.column_stack([np.ones(len(points)), points])
    over = -z - plane @ np.linalg.lstsq(plane[sides], -z[sides], rcond=None)[0]
    return _RELIEF * np.where(over < 0, _DEEP * over, over)


class _Plate:
    """A smoothed thin-plate spline through depths at mesh points, zero on a ring around the face."""

    def __init__(self, points: Array, depths: Array) -> None:
        turn = np.linspace(0, 2 * np.pi, _RING, endpoint=False)
        low, high = points.min(0), points.max(0)
        ring = np.column_stack([1.6 * np.cos(turn), np.where(np.sin(turn) < 0, -low[1], high[1])])
        ring[:, 1] *= 1.6 * np.sin(turn)
        self._points = np.concatenate([points, ring])
        count = len(self._points)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _bend(self._points, self._points) + _SMOOTHING * np.eye(count)
        system[:count, count] = system[count, :count] = 1
        system[:count, count + 1 :], system[count + 1 :, :count] = self._points, self._points.T
        self._weights = np.linalg.solve(system, np.r_[depths, np.zeros(_RING + 3)])

    def __call__(self, there: Array) -> Array:
        """Evaluate at points (n, 2), a block at a time: the kernel of all would fill the memory."""
        count = len(self._points)
        flat = [
            _bend(part, self._points) @ self._weights[:count] + part @ self._weights[count + 1 :]
            for part in np.array_split(there, math.ceil(len(there) / _BLOCK))
        ]
        values: Array = np.concatenate(flat) + self._weights[count]
        return values


class _Rim:
    """The face's outline seen from its middle, and how the turn fades beyond it."""

    def __init__(self, points: Array) -> None:
        # The farthest point in every direction, for in a three-quarter view the nose may be the
        # outline; then only the outline's roundest parts, or the turn would fade in lumps.
        turn, radius = np.arctan2(points[:, 1], points[:, 0]), np.hypot(points[:, 0], points[:, 1])
        centres = np.linspace(-np.pi, np.pi, 73)[:-1]
        near = abs((turn[:, None] - centres + np.pi) % (2 * np.pi) - np.pi) < _SECTOR
        farthest = (near * radius[:, None]).max(0)
        self._waves = np.linalg.lstsq(_waves(centres), farthest, rcond=None)[0]

    def fade(self, there: Array) -> Array:
        """Return 1 within the face, falling to 0 beyond it, at points (..., 2) in half faces."""
        x, y = there[..., 0], there[..., 1]
        rho, turn = np.hypot(x, y), np.arctan2(y, x)
        radius = _waves(turn) @ self._waves
        up, down = (np.maximum(sign * np.sin(turn), 0) ** 4 for sign in (-1, 1))
        first, last = (
            _FADE_SIDE[i] + up * (_FADE_UP[i] - _FADE_SIDE[i]) + down * (_FADE_DOWN[i] - _FADE_SIDE[i])
            for i in (0, 1)
        )
        return 1 - smoothstep((rho / radius - first) / (last - first))


def _waves(turn: Array) -> Array:
    """Return the first Fourier terms of angles, along a last axis of 7."""
    terms = [np.ones(turn.shape)]
    for order in (1, 2, 3):
        terms += [np.cos(order * turn), np.sin(order * turn)]
    return np.stack(terms, -1)


def _bend(points: Array, others: Array) -> Array:
    squared = np.square(points[:, None] - others).sum(-1)
    kernel: Array = 0.5 * squared * np.log(squared + 1e-12)
    return kernel


def _inside(x: Array, y: Array, width: int, height: int, margin: float) -> Array:
    """Return 0 at the picture's edge, rising to 1 at `margin` pixels from it."""
    left, right = smoothstep((x - 2) / margin), smoothstep((width - 2 - x) / margin)
    return left * right * smoothstep((y - 2) / margin) * smoothstep((height - 2 - y) / margin)


def _box(centre: Array, far: float, reach: Array, tilt: float, width: int, height: int) -> Box:
    c, s = abs(math.cos(tilt)), abs(math.sin(tilt))
    across = min(reach[0] * c + reach[1] * s, far)
    down = min(reach[0] * s + reach[1] * c, far)
    return (
        max(math.floor(centre[0] - across), 0),
        max(math.floor(centre[1] - down), 0),
        min(math.ceil(centre[0] + across), width),
        min(math.ceil(centre[1] + down), height),
    )


def _trimmed(head: Head) -> Head:
    """Cut away what never moves, but for a node on every side."""
    rows, columns = (np.flatnonzero((head.depth != 0).any(axis)) for axis in (1, 0))
    if not len(rows):
        return head
    top, left = max(int(rows[0]) - 1, 0), max(int(columns[0]) - 1, 0)
    bottom, right = (int(i[-1]) + 2 for i in (rows, columns))
    depth = head.depth[top : bottom + 1, left : right + 1]
    x0, y0 = head.box[0] + left * head.step, head.box[1] + top * head.step
    right, bottom = x0 + (depth.shape[1] - 1) * head.step, y0 + (depth.shape[0] - 1) * head.step
    box = x0, y0, min(right, head.box[2]), min(bottom, head.box[3])
    return Head(box, depth, head.tilt, head.step)
