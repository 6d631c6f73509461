"""The eyes of a portrait in a row of its frames, and how far details in them have moved."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.pack import Box
from appliance.portrait.eye_layers import Eye
from appliance.portrait.sampling import Array, Mask, bilinear, cubic
from appliance.portrait.sitter import Sitter

# The part of the iris that is matched, in radii: its middle, away from lids and white.
_INNER: Final = 0.62
_COVERED: Final = 1.2
# Side of a piece of skin that is matched, in eye widths.
_SKIN: Final = 0.4
_LUMA: Final = np.array([0.299, 0.587, 0.114])


def iris_shift(painting: Pixels, frame: Pixels, eye: Eye, near: float = 0.0) -> float:
    """Return the shift in pixels along the face at which a frame's inner iris matches best.

    Parameters
    ----------
    near : where the search begins, in pixels; it goes a third of the eye's width to either side
    """
    u, v, template = _inner_iris(painting, eye)
    axes, best = eye.view.axes, near / eye.view.axes.width
    for step, count in ((0.02, 16), (0.002, 12)):
        shifts = best + step * np.arange(-count, count + 1)
        errors = [_unlike(cubic(frame, *axes.to_picture(u + d, v)) @ _LUMA, template) for d in shifts]
        best = float(shifts[int(np.argmin(errors))])
    return best * axes.width


def iris_way(painting: Pixels, frame: Pixels, eye: Eye, near: Array) -> tuple[float, float]:
    """Return the way along and down the face, in pixels, at which a frame's inner iris matches best.

    Parameters
    ----------
    near : (2,), where the search begins, in pixels; it goes .3 of the eye's width across, .15 up and down
    """
    return _best_way(frame, eye, *_inner_iris(painting, eye), near, (10, 5))


def socket_way(painting: Pixels, frame: Pixels, eye: Eye, near: Array) -> tuple[float, float]:
    """Return the way along and down the face, in pixels, of the skin around an eye: the median of four.

    Parameters
    ----------
    near : (2,), where the search begins, in pixels; it goes .12 of the eye's width to each side
    """
    ways = []
    a, b = (side.ravel() for side in np.meshgrid(*2 * [np.linspace(-_SKIN / 2, _SKIN / 2, 13)]))
    for u, v in product((-0.35, 0.35), (-0.55, 0.5)):
        template = cubic(painting, *eye.view.axes.to_picture(u + a, v + b)) @ _LUMA
        ways.append(_best_way(frame, eye, u + a, v + b, template, near, (4, 4)))
    along, down = np.median(ways, axis=0).tolist()
    return along, down


def _best_way(
    frame: Pixels, eye: Eye, u: Array, v: Array, template: Array, near: Array, reach: tuple[int, int]
) -> tuple[float, float]:
    """Return where samples of an eye's surroundings match best in a frame, along and down, in pixels."""
    axes, best = eye.view.axes, near / eye.view.axes.width
    for step, (across, down) in ((0.03, reach), (0.006, (5, 5))):
        steps = product(range(-across, across + 1), range(-down, down + 1))
        ways = [best + step * np.array(way) for way in steps]
        errors = [
            _unlike(cubic(frame, *axes.to_picture(u + way[0], v + way[1])) @ _LUMA, template) for way in ways
        ]
        best = ways[int(np.argmin(errors))]
    return float(best[0] * axes.width), float(best[1] * axes.width)


def _inner_iris(painting: Pixels, eye: Eye) -> tuple[Array, Array, Array]:
    """Return u and v of the samples of the inner iris that are matched, and their luminance as painted."""
    reach = _INNER * eye.iris.radius
    across = np.linspace(-reach, reach, 17)
    u, v = np.meshgrid(eye.iris.u + across, eye.iris.v + across * 0.7)
    upper, lower = eye.lids.at(u)
    free = (v > upper + 0.08) & (v < lower - 0.05)
    # The catch-light stays where the lamp shows it: it is no part of the iris.
    for light in eye.layers.lights:
        free &= light.at(u, v)[0].max(-1) < 4
    if free.sum() < 30:
        free = np.ones(u.shape, bool)
    u, v = u[free], v[free]
    return u, v, cubic(painting, *eye.view.axes.to_picture(u, v)) @ _LUMA


def moved_by(painting: Pixels, frame: Pixels, left: int, top: int, side: int, reach: int = 6) -> float:
    """Return how far a square of the painting has moved in a frame along the rows, in pixels.

    Parameters
    ----------
    left, top, side : of the square, in pixels; it must lie `reach` or more inside the picture
    """
    template = painting[top : top + side, left : left + side] @ _LUMA
    strip = frame[top : top + side, left - reach : left + side + reach] @ _LUMA
    errors = np.array([_unlike(strip[:, d : d + side], template) for d in range(2 * reach + 1)])
    best = int(errors.argmin())
    if not 0 < best < 2 * reach:
        return float(abs(best - reach))
    before, here, after = errors[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(abs(best - reach + (0.5 * (before - after) / bend if bend > 1e-9 else 0.0)))


def _unlike(seen: Array, template: Array) -> float:
    """Return how unlike two patches are, but for brightness; what is quite different counts as covered."""
    difference = seen - template
    away = np.abs(difference - np.median(difference))
    return float(np.square(np.minimum(away, _COVERED * template.std() + 2)).mean())


# Samples per eye width, and how far they reach from the eye's middle across and down, in eye widths.
SAMPLES: Final = 128
_REACH: Final = (0.72, 0.42)
# White and iris are read so far off the upper lid, the lower lid and the corners, in eye widths: lashes,
# the lids' shadow and the corner's flesh lie nearer.
_OFF_UPPER: Final = 0.07
_OFF_LOWER: Final = 0.05
_OFF_CORNER: Final = 0.06
# The part of an iris's way down over which the lower lid's wet rim may hide it.
_SUNK: Final = 1.0


@dataclass(frozen=True, slots=True)
class EyeFrames:
    """One eye in all frames of a row.

    `colours` is RGB in grey levels (frames, rows, columns, 3), `resting` the frame that is the
    painting. Lengths are in eye widths, u to picture right and v down from the eye's middle: `iris`
    is (u, v, radius) as painted, `shifts` is how far the iris has moved in each frame, `upper` and
    `lower` are the lids' v at the columns, `corners` is the u of both corners.
    """

    colours: Array
    resting: int
    iris: tuple[float, float, float]
    shifts: Array
    upper: Array
    lower: Array
    corners: tuple[float, float]

    def at(self, frame: int, u: Array, v: Array) -> Array:
        """Return a frame's colours at points of the eye, RGB."""
        return bilinear(self.colours[frame], (u + _REACH[0]) * SAMPLES, (v + _REACH[1]) * SAMPLES)

    def opened(self, u: Array, v: Array) -> Mask:
        """Return which points lie between the lids and the corners, and off all four."""
        upper, lower = (np.interp(u, columns(), lid) for lid in (self.upper, self.lower))
        inside: Mask = (v > upper + _OFF_UPPER) & (v < lower - _OFF_LOWER)
        return inside & (u > self.corners[0] + _OFF_CORNER) & (u < self.corners[1] - _OFF_CORNER)


def columns() -> Array:
    """Return the u of the columns."""
    return (np.arange(round(2 * _REACH[0] * SAMPLES)) + 0.5) / SAMPLES - _REACH[0]


def rows() -> Array:
    """Return the v of the rows."""
    return (np.arange(round(2 * _REACH[1] * SAMPLES)) + 0.5) / SAMPLES - _REACH[1]


class EyeRecorder:
    """Keeps the eyes of a row's frames, and the whole outermost frames of the level row, as patches pass by.

    In a row of gaze up or down the eyes are kept with the irises' way up or down taken back, and the
    painting comes last, to compare with.
    """

    def __init__(self, sitter: Sitter, box: Box, row: int | None = None) -> None:
        """Begin a recording.

        Parameters
        ----------
        box : where the patches lie in the picture
        row : which is kept; the level one by default
        """
        self.sitter, self.box = sitter, box
        self._grid = sitter.grid(box)
        self._row = self._grid.resting[0] if row is None else row
        self._columns = [*self._grid.columns(self._row)]
        self.step = self._grid.steps[self._row]
        # What the patches show when the iris has not moved, and when it has.
        drops = [sitter.plan.drops[self._row] / eye.view.axes.width for eye in sitter.eyes]
        u, v = np.meshgrid(columns(), rows())
        self._painted = [eye.view.axes.to_picture(u, v) for eye in sitter.eyes]
        self._points = [
            eye.view.axes.to_picture(u, v + drop) for eye, drop in zip(sitter.eyes, drops, strict=True)
        ]
        self._drops = drops
        self._colours: list[list[Array]] = [[], []]
        self._rest: list[Array] = []
        self.ends: list[Pixels] = []

    def passing(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come, and keep what they show."""
        plan, grid = self.sitter.plan, self._grid
        ends = [grid.number(grid.resting[0], column) for column in (0, plan.frames - 1)]
        for frame, patch in enumerate(patches):
            row, column = grid.place(frame)
            if row == self._row:
                for kept, (x, y) in zip(self._colours, self._points, strict=True):
                    kept.append(self._upright(np.asarray(patch), x, y, plan.turns[column], plan.nods[row]))
            elif frame == grid.rest:
                self._rest = [self._upright(np.asarray(patch), x, y, 0.0, 0.0) for x, y in self._painted]
            if frame in ends:
                self.ends.append(np.asarray(patch))
            yield patch

    def eyes(self) -> tuple[EyeFrames, EyeFrames]:
        """Return both eyes, the one at picture left first, once all patches have passed."""
        first, second = (self._eye(number, eye) for number, eye in enumerate(self.sitter.eyes))
        return first, second

    def _upright(self, pixels: Pixels, x: Array, y: Array, turn: float, nod: float) -> Array:
        right, down = self.sitter.head.shifts(x, y, turn, nod)
        x, y = right + (x - self.box[0]), down + (y - self.box[1])
        # Only the eye's part of the patch is sampled, because a copy of the whole patch takes longer.
        left, top = max(math.floor(x.min()) - 1, 0), max(math.floor(y.min()) - 1, 0)
        part = pixels[top : math.ceil(y.max()) + 2, left : math.ceil(x.max()) + 2]
        colours: Array = bilinear(part, x - left, y - top).astype(np.float32)
        return colours

    def _eye(self, number: int, eye: Eye) -> EyeFrames:
        drop = self._drops[number]
        upper, lower = eye.lids_at(columns(), drop)
        # An iris that sinks behind the lower lid's wet rim is not cut.
        lower -= _SUNK * max(drop, 0.0)
        shifts = self.sitter.plan.shifts[self._columns, number] / eye.view.axes.width
        return EyeFrames(
            colours=np.stack([*self._colours[number], *self._rest[number : number + 1]]),
            resting=len(shifts) if self._rest else self.sitter.plan.resting,
            iris=(eye.iris.u, eye.iris.v, eye.iris.radius),
            shifts=np.append(shifts, 0.0) if self._rest else shifts,
            upper=upper - drop,
            lower=lower - drop,
            corners=(eye.lids.left, eye.lids.right),
        )
