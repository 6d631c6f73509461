"""The head's turn and nod: how far every point of the painting moves at a few degrees."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.pack import Box
from appliance.portrait.landmarks import OUTLINE_DIRECTIONS, FaceLandmarks
from appliance.portrait.sampling import Array, Mask, dilate, gaussian_blur, sample_bilinear, smoothstep

_STEP: Final = 1 / 14  # distance of the field's nodes, in half faces (by eye)
_LEAST_STEP: Final = 6  # least distance of the nodes, in pixels
# Mesh points of the face's outline.
_OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# Mesh points of its sides, where it meets the background: depth counts from the plane through them.
_SIDES: Final = (127, 234, 93, 132, 58, 356, 454, 323, 361, 288)
# Mesh points of the nose's ridge, down to the mouth.
_RIDGE: Final = (168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 13)
_WIDEST: Final = 12.0  # the turn, in degrees, at which the field must keep the least Jacobian
# The least Jacobian: if an area loses more than half of its width, skin looks pinched (15 portraits).
_LEAST: Final = 0.5
# The solver's own limit is lower by this factor, because resampling to a tilted grid steepens slopes.
_SPARE: Final = 0.95
# The slope down the face at which the nod's field is cut: 6 degrees of nod and 8 of turn together keep the
# least Jacobian where the turn's field is steepest.
_STEEPEST_NOD: Final = 2.3


class _Ends(NamedTuple):
    """The ends of a field, in multiples of the distance from the face's middle to its outline.

    `side` lies just inside the outline, where the background begins; `up` over hair, `down` over the neck. In
    between, the sine of the direction is taken to a power: the higher `dome` (upwards) and `narrow`
    (downwards), the closer the end keeps to the outline at the temples and the jaw.
    """

    side: float
    up: float
    down: float
    dome: float
    narrow: float


# Chosen by eye unless another origin is given; lengths are in half faces.

# The ends of the turn's field: at 8 degrees the painted edge beside the brow moves by 1 px, beside the jaw by
# 2 (medians of the most), and the background at 1.3 times the outline above by less than 1 (33 portraits at
# 1080x1920).
_TURN: Final = _Ends(side=0.95, up=1.22, down=1.4, dome=6, narrow=12)
# The ends of the nod's field: the chin moves against the neck and the forehead against the hair, which give
# way over a longer distance; at 6 degrees the background above moves by less than 1 px.
_NOD: Final = _Ends(side=0.95, up=1.26, down=1.65, dome=4, narrow=4)
# Ears and hair, which lie behind the plane through the sides, move by this fraction of its depth.
_DEEP: Final = 0.35
_SMOOTH: Final = 0.05  # sigma of the Gaussian that averages the mesh's depth: the mesh is rough on paintings
# Half axes of the ellipse in which an eye's socket is rigid, in eye widths across and down; the last blur is
# added.
_SOCKET: Final = (0.42, 0.3)
_SOCKET_FADE: Final = 1.2  # the socket is no longer rigid at this many times that ellipse
_FACE: Final = (0.55, 0.8)  # the face ends softly between these fractions of the way to where nothing moves
# Weight of slopes across the motion, against 1 for slopes along it (by the eyes' widths and the ways of
# hairline, nose and chin on 30 portraits).
_ACROSS_MOTION: Final = 2.0
_BEYOND: Final = 0.15  # weight of slopes beyond the face, where hair and neck may shear (30 portraits)
# Weight of slopes in an eye's socket: 150 keeps the far eye's width within 8 % at 8 degrees (30 portraits).
_STIFF: Final = 150.0
# Weight of slopes down the nose's ridge, so that its tip, its bridge and the lips move together (30
# portraits).
_STRAIGHT: Final = 60.0
_HELD: Final = 8.0  # weight of the depth itself in the face (30 portraits)
_RIDGE_WIDTH: Final = 0.15  # half the width of the nose's ridge
# Rounds that invert the field: each leaves at most half of the error, at the steepest place.
_INVERSIONS: Final = 12
_PENALTY: Final = 3.0  # penalty of the alternating direction method
_ROUNDS: Final = 60  # rounds of the alternating direction method: slopes end within 1 % of the limit
_LAST_BLUR: Final = 0.045  # blur (sigma) that rounds the field's creases; an average of slopes is no steeper


class Displacement(NamedTuple):
    """Shifts of points, in picture pixels: along the face to picture right, and down the face."""

    along: Array
    down: Array


@dataclass(frozen=True, slots=True)
class HeadMotion:
    """The fields of a head's turn and nod on nodes `step` pixels apart, bilinear between them.

    `box` is the rectangle that can move, in whole picture pixels. Nodes begin at its upper left corner, and
    its sides are multiples of `step` unless the picture ends. `depth` and `rise` are (rows, columns) in
    pixels: a turn by the angle psi to picture right moves a point by sin(psi) * depth along the face, which
    is `tilt` radians clockwise of the picture's rows; a nod by the angle phi upwards moves it by sin(phi) *
    rise up the face.
    """

    box: Box
    depth: Array
    rise: Array
    tilt: float
    step: int

    def source_nodes(self, turn: float, nod: float = 0.0) -> tuple[Array, Array]:
        """Return where in the painting every node's content comes from: x and y, (rows, columns) in pixels.

        `turn` and `nod` are the head's to picture right and up, in degrees.
        """
        x, y = self.nodes()
        turned, nodded = math.sin(math.radians(turn)), -math.sin(math.radians(nod))
        shift = moved = np.stack([turned * self.depth, nodded * self.rise], -1)
        for _ in range(_INVERSIONS):
            right, down = self._to_picture(shift[..., 0], shift[..., 1])
            shift = self.interpolate(moved, x - right, y - down)
        right, down = self._to_picture(shift[..., 0], shift[..., 1])
        return x - right, y - down

    def moving_box(self, turns: bool, nods: bool) -> Box:
        """Return the rectangle in which a head that turns, nods or both moves, in whole picture pixels."""
        moving = np.zeros(self.depth.shape, bool)
        for field, used in ((self.depth, turns), (self.rise, nods)):
            moving |= used & (field != 0)
        left, top, right, bottom = _around(moving)
        x0, y0, x1, y1 = self.box
        right, bottom = min(x0 + right * self.step, x1), min(y0 + bottom * self.step, y1)
        return x0 + left * self.step, y0 + top * self.step, right, bottom

    def nodes(self) -> tuple[Array, Array]:
        """Return the nodes' own x and y in picture pixels, each (rows, columns)."""
        rows, columns = self.depth.shape
        x, y = np.meshgrid(np.arange(columns) * self.step, np.arange(rows) * self.step)
        return x + float(self.box[0]), y + float(self.box[1])

    def least_jacobian(self, turn: float, nod: float = 0.0) -> float:
        """Return the least Jacobian of a turn and a nod in degrees: 1 moves rigidly, 0 folds."""
        return float(self._areas(math.sin(math.radians(turn)), math.sin(math.radians(nod))).min())

    def widest_turn(self) -> float:
        """Return the turn in degrees up to which the least Jacobian is 0.5 or more, to either side."""
        lost = 1 - min(self.least_jacobian(_WIDEST), self.least_jacobian(-_WIDEST))
        sine = math.sin(math.radians(_WIDEST)) * (1 - _LEAST) / max(lost, 1e-6)
        return math.degrees(math.asin(min(sine, 1.0)))

    def highest_nod(self, turn: float) -> float:
        """Return the nod in degrees, upwards and downwards, up to which the least Jacobian is 0.5 or more.

        This holds beside every turn of up to `turn` degrees to either side: at every point the Jacobian is
        linear in the sine of either angle, so that it is least at their ends.
        """
        most = 1.0
        for sine in (math.sin(math.radians(turn)), -math.sin(math.radians(turn))):
            level = self._areas(sine, 0.0)
            lost = abs(self._areas(sine, 1.0) - level)
            most = min(most, float(((level - _LEAST) / np.maximum(lost, 1e-6)).min()))
        return math.degrees(math.asin(max(most, 0.0)))

    def displacement(self, x: Array, y: Array, turn: float, nod: float = 0.0) -> Displacement:
        """Return how far points of the painting move along and down the face, in pixels.

        `x` and `y` are in picture pixels, of any shape; `turn` and `nod` are as in `source_nodes`.
        """
        along = math.sin(math.radians(turn)) * self.interpolate(self.depth, x, y)
        if not nod:
            return Displacement(along, np.zeros_like(along))
        return Displacement(along, -math.sin(math.radians(nod)) * self.interpolate(self.rise, x, y))

    def picture_shifts(self, x: Array, y: Array, turn: float, nod: float = 0.0) -> tuple[Array, Array]:
        """Return how far points move to picture right and down, in pixels; parameters as `displacement`."""
        return self._to_picture(*self.displacement(x, y, turn, nod))

    def interpolate(self, values: Array, x: Array, y: Array) -> Array:
        """Return the values of the nodes, (rows, columns, ...), at points in picture pixels."""
        # `sample_bilinear` has samples at pixel centres; nodes lie on pixel corners.
        column, row = (x - self.box[0]) / self.step + 0.5, (y - self.box[1]) / self.step + 0.5
        return sample_bilinear(values, column, row)

    def _to_picture(self, along: Array, down: Array) -> tuple[Array, Array]:
        """Return shifts to picture right and down, from those along and down the face."""
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        return along * c - down * s, along * s + down * c

    def _areas(self, turn: float, nod: float) -> Array:
        """Return the Jacobian at the corners of all cells, for the sines of a turn and a nod."""
        # Between four nodes the field is bilinear, so its slopes are extreme at the nodes.
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        areas: list[Array] = []
        for row, column in product((np.s_[:-1], np.s_[1:]), repeat=2):
            slopes = []
            for field in (turn * self.depth, -nod * self.rise):
                across = np.diff(field, axis=1)[row] / self.step
                down = np.diff(field, axis=0)[:, column] / self.step
                slopes.append((across * c + down * s, down * c - across * s))
            (along_u, along_v), (down_u, down_v) = slopes
            areas.append((1 + along_u) * (1 + down_v) - along_v * down_u)
        return np.stack(areas)

    def moving_cells(self) -> Mask:
        """Return which squares between four nodes the head can move, (rows - 1, columns - 1)."""
        return cells_touching((self.depth != 0) | (self.rise != 0))


def cells_touching(nodes: Mask) -> Mask:
    """Return which squares between four nodes have one of these nodes, (rows - 1, columns - 1)."""
    cells: Mask = nodes[:-1, :-1] | nodes[1:, :-1] | nodes[:-1, 1:] | nodes[1:, 1:]
    return cells


def build_head_motion(
    face: FaceLandmarks, width: int, height: int, others: Callable[[Array, Array], Mask] | None = None
) -> HeadMotion:
    """Build the fields of a face's turn and nod from its mesh, for a picture of that size in pixels.

    A rigid head moves by its depth, the background not at all. Each field follows the mesh's depth over the
    plane through the face's sides as closely as three conditions allow: it is zero from its ends on, nearly
    constant in the eyes' sockets, and nowhere steeper along the motion than a turn of 12 degrees permits, or
    a turn of 8 together with a nod of 6. `others` tells which points of the picture, x and y in pixels,
    belong to other sitters; these stay still, like all beyond the picture's edge.
    """
    c, s = math.cos(face.tilt), math.sin(face.tilt)
    upright = np.array([[c, -s], [s, c]])
    along = face.mesh[:, :2] @ upright
    oval = along[list(_OVAL)]
    low, high = oval.min(0), oval.max(0)
    middle, half = (low + high) / 2, float(high[0] - low[0]) / 2
    points = (along - middle) / half
    centre = upright @ middle
    sockets = [(np.stack([m.lower[0], m.lower[-1]]) @ upright - middle) / half for m in face.eyes]
    farthest = max(_TURN.up, _TURN.down, _NOD.up, _NOD.down)
    reach = np.array([1.0, farthest]) * abs(points).max(0)
    counts = [math.ceil(r / _STEP) + 4 for r in reach]
    u, v = np.meshgrid(*(np.arange(-count, count + 1) * _STEP for count in counts))
    there = np.stack([u, v], -1)
    x, y = centre[0] + half * (u * c - v * s), centre[1] + half * (u * s + v * c)
    edge = (2 * _STEP + 3 * _LAST_BLUR) * half
    inside = (x > edge) & (x < width - edge) & (y > edge) & (y < height - edge)
    depths = _depths(face.mesh[:, 2] / half, points)
    # 0 in the face's middle, 1 on the convex hull of its mesh, of which a nose in three-quarter view is part.
    outline = (there @ OUTLINE_DIRECTIONS / (points @ OUTLINE_DIRECTIONS).max(0)).max(-1)
    if others:
        inside &= ~dilate(others(x, y), math.ceil(edge / half / _STEP))
    outs = []
    for ends in (_TURN, _NOD):
        outs.append(np.where(inside, outline / _end(there, ends), 2.0))
        outs[-1][[0, -1]] = outs[-1][:, [0, -1]] = 2.0
    turns, nods = (out < 1 for out in outs)
    step = max(round(half * _STEP), _LEAST_STEP)
    if not turns.any():  # the picture's edge is too near on all sides
        still = np.zeros((2, 2))
        return HeadMotion((0, 0, min(step, width), min(step, height)), still, still, face.tilt, step)
    fields = [half * _relief(points, depths, sockets, there, out, nods=out is outs[1]) for out in outs]
    free = turns | nods
    box = box_around(x[free], y[free], math.ceil(2 * edge) + step, width, height)
    x, y = np.meshgrid(*(np.arange(box[i], box[i + 2] + step, step, dtype=float) for i in (0, 1)))
    x, y = x - centre[0], y - centre[1]
    over = (x * c + y * s) / half, (y * c - x * s) / half
    places = [(o - start) / _STEP + 0.5 for o, start in zip(over, there[0, 0], strict=True)]
    depth, rise = (sample_bilinear(field, *places) for field in fields)
    whole = HeadMotion(box, depth, rise, face.tilt, step)
    # Cut away what never moves, except one node on every side.
    left, top, right, bottom = _around((depth != 0) | (rise != 0))
    part = np.s_[top : bottom + 1, left : right + 1]
    return replace(whole, box=whole.moving_box(True, True), depth=depth[part], rise=rise[part])


def _depths(z: Array, points: Array) -> Array:
    """Return each mesh point's depth over the plane through the face's sides, in half faces."""
    sides = list(_SIDES)
    plane = np.column_stack([np.ones(len(points)), points])
    over = -z - plane @ np.linalg.lstsq(plane[sides], -z[sides], rcond=None)[0]
    deep: Array = np.where(over < 0, _DEEP * over, over)
    return deep


def _end(there: Array, ends: _Ends) -> Array:
    """Return where a field ends in the direction of points (..., 2), in multiples of the outline."""
    sine = there[..., 1] / np.maximum(np.hypot(there[..., 0], there[..., 1]), 1e-9)
    up, down = np.maximum(-sine, 0) ** ends.dome, np.maximum(sine, 0) ** ends.narrow
    end: Array = ends.side + up * (ends.up - ends.side) + down * (ends.down - ends.side)
    return end


def _relief(
    points: Array, depths: Array, sockets: list[Array], there: Array, out: Array, nods: bool
) -> Array:
    """Return the field at nodes `there`, in half faces.

    `points` and `depths` are the mesh's; `sockets` has the corners of each eye, (2, 2). `out` is how far out
    the nodes lie, 0 in the face's middle; the field is 0 from 1 on. With `nods` it moves points down the
    face, otherwise along it.
    """
    free = out < 1
    away = np.square(there[free][:, None] - points).sum(-1)
    near = np.exp(-away / (2 * _SMOOTH**2)) + 1e-12
    wanted = np.zeros(free.shape)
    wanted[free] = near @ depths / near.sum(1)
    face = 1 - smoothstep((out - _FACE[0]) / (_FACE[1] - _FACE[0]))
    ridge = np.exp(-np.square(there[..., None, :] - points[list(_RIDGE)]).sum(-1).min(-1) / _RIDGE_WIDTH**2)
    with_motion = _BEYOND + (1 - _BEYOND) * face
    across_motion = _BEYOND + (_ACROSS_MOTION - _BEYOND) * face
    # A nod may lengthen or shorten the nose, as a real one does; only a turn keeps its ridge straight.
    across, down = across_motion, with_motion
    if not nods:
        across, down = with_motion, across_motion + _STRAIGHT * ridge
    for corners in sockets:
        wide = math.dist(*corners.tolist())
        off = (there - corners.mean(0)) / (wide * np.array(_SOCKET) + _LAST_BLUR)
        rigid = 1 - smoothstep((np.hypot(off[..., 0], off[..., 1]) - 1) / (_SOCKET_FADE - 1))
        wanted += rigid * ((rigid * wanted).sum() / rigid.sum() - wanted)
        across, down = across + _STIFF * rigid, down + _STIFF * rigid
    held = _HELD * face
    if nods:
        return gaussian_blur(
            _solved(wanted.T, down.T, across.T, held.T, out.T, _STEEPEST_NOD).T, _LAST_BLUR / _STEP
        )
    steepest = _SPARE * (1 - _LEAST) / math.sin(math.radians(_WIDEST))
    return gaussian_blur(_solved(wanted, across, down, held, out, steepest), _LAST_BLUR / _STEP)


def _solved(wanted: Array, across: Array, down: Array, held: Array, out: Array, steepest: float) -> Array:
    """Return the field nearest to the wanted one whose slope along rows is nowhere over `steepest`.

    The weighted sum of squared differences in slope (`across` and `down`) and in value (`held`) is least;
    from `out` = 1 on the field is zero. Source: Boyd et al., "Distributed Optimization and Statistical
    Learning via the Alternating Direction Method of Multipliers", 2011.
    """
    free = out < 1
    count = int(free.sum())
    number = np.where(free, np.cumsum(free).reshape(free.shape) - 1, count)
    system, pull = np.zeros((count + 1, count + 1)), np.zeros(count + 1)
    system[range(count), range(count)] = held[free]
    pull[:count] = held[free] * wanted[free]
    rows = _Edges(number, wanted, across, out)
    for edges, penalty in ((_Edges(number.T, wanted.T, down.T, out.T), 0.0), (rows, _PENALTY)):
        edges.add_to(system, edges.weight + penalty)
        pull += edges.spread(edges.weight * edges.slope)
    inverse = np.linalg.inv(system[:count, :count])
    kept, off = np.clip(rows.slope, -steepest, steepest), np.zeros(len(rows.slope))
    for _ in range(_ROUNDS):
        found = inverse @ (pull + rows.spread(_PENALTY * (kept - off)))[:count]
        slope = rows.slopes(found)
        kept = np.clip(slope + off, -steepest, steepest)
        off += slope - kept
    field = np.zeros(free.shape)
    field[free] = found
    return field


class _Edges:
    """The edges along rows of a grid whose nodes are numbered; the highest number stays at 0.

    An edge that leaves the field is as long as to where `out` is 1, a fifth of the step at least.
    """

    def __init__(self, number: NDArray[np.intp], wanted: Array, weight: Array, out: Array) -> None:
        kept = number[:, :-1] != number[:, 1:]
        self._first, self._second = number[:, :-1][kept], number[:, 1:][kept]
        self._nodes = int(number.max()) + 1
        self.weight = (weight[:, :-1] + weight[:, 1:])[kept] / 2
        self.slope = np.diff(wanted, axis=1)[kept] / _STEP
        nearer, farther = (f(out[:, :-1], out[:, 1:])[kept] for f in (np.minimum, np.maximum))
        part = (1 - nearer) / np.maximum(farther - nearer, 1e-9)
        self._length = _STEP * np.where(farther < 1, 1.0, np.clip(part, 0.2, 1.0))

    def slopes(self, values: Array) -> Array:
        """Return the slope of every edge for the values of the nodes, without the one at 0."""
        all_values = np.append(values, 0.0)
        slopes: Array = (all_values[self._second] - all_values[self._first]) / self._length
        return slopes

    def spread(self, slopes: Array) -> Array:
        """Return what slopes pull at each node: the transpose of `slopes`."""
        pull = np.zeros(self._nodes)
        np.add.at(pull, self._second, slopes / self._length)
        np.add.at(pull, self._first, -slopes / self._length)
        return pull

    def add_to(self, system: Array, weight: Array) -> None:
        """Add the squared slopes of all edges, weighted, to a system's matrix."""
        first, second, squared = self._first, self._second, weight / self._length**2
        np.add.at(system, (np.r_[first, second], np.r_[first, second]), np.r_[squared, squared])
        np.add.at(system, (np.r_[first, second], np.r_[second, first]), -np.r_[squared, squared])


def box_around(x: Array, y: Array, margin: int, width: int, height: int) -> Box:
    """Return the rectangle of whole pixels around points, with a margin, inside a picture of that size."""
    x0, y0 = max(math.floor(x.min()) - margin, 0), max(math.floor(y.min()) - margin, 0)
    x1, y1 = min(math.ceil(x.max()) + margin, width), min(math.ceil(y.max()) + margin, height)
    return x0, y0, x1, y1


def _around(moving: Mask) -> tuple[int, int, int, int]:
    """Return the first and last column and row around what moves, with a still node on every side."""
    rows, columns = (np.flatnonzero(moving.any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, moving.shape[1] - 1, moving.shape[0] - 1
    bottom, right = (min(int(i[-1]) + 2, n - 1) for i, n in zip((rows, columns), moving.shape, strict=True))
    return max(int(columns[0]) - 1, 0), max(int(rows[0]) - 1, 0), right, bottom
