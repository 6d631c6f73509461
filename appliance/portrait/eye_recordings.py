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
from appliance.portrait.eye_layers import PaintedEye
from appliance.portrait.lids import EyeRaster
from appliance.portrait.prepared_sitters import PreparedSitter
from appliance.portrait.sampling import LUMA, Array, Mask, sample_bilinear, sample_cubic

# The part of the iris that is matched, in radii: its middle, away from lids and white (by eye).
_INNER: Final = 0.62
# A difference counts no more than this many standard deviations of the template: beyond it something covers
# the sample (by eye).
_COVERED: Final = 1.2
_SKIN: Final = 0.4  # side of a piece of skin that is matched, in eye widths (by eye)


def match_iris_along_face(painting: Pixels, frame: Pixels, eye: PaintedEye, near: float = 0.0) -> float:
    """Return the shift in pixels along the face at which a frame's inner iris matches best.

    `painting` and `frame` are RGB uint8 (height, width, 3). `near` is where the search begins, in pixels; it
    goes a third of the eye's width to either side.
    """
    u, v, template = _inner_iris(painting, eye)
    axes, best = eye.view.axes, near / eye.view.axes.width
    for step, count in ((0.02, 16), (0.002, 12)):
        shifts = best + step * np.arange(-count, count + 1)
        errors = [_unlike(sample_cubic(frame, *axes.to_picture(u + d, v)) @ LUMA, template) for d in shifts]
        best = float(shifts[int(np.argmin(errors))])
    return best * axes.width


def match_iris(painting: Pixels, frame: Pixels, eye: PaintedEye, near: Array) -> tuple[float, float]:
    """Return the way along and down the face, in pixels, at which a frame's inner iris matches best.

    `painting` and `frame` are RGB uint8 (height, width, 3). `near` is (2,), where the search begins, in
    pixels; it goes 0.3 eye widths across, 0.15 up and down.
    """
    return _best_way(frame, eye, *_inner_iris(painting, eye), near, (10, 5))


def match_eye_socket(painting: Pixels, frame: Pixels, eye: PaintedEye, near: Array) -> tuple[float, float]:
    """Return the way along and down the face of the skin around an eye, in pixels: a median of four pieces.

    `painting` and `frame` are RGB uint8 (height, width, 3). `near` is (2,), where the search begins, in
    pixels; it goes 0.12 eye widths to each side.
    """
    ways = []
    a, b = (side.ravel() for side in np.meshgrid(*2 * [np.linspace(-_SKIN / 2, _SKIN / 2, 13)]))
    for u, v in product((-0.35, 0.35), (-0.55, 0.5)):
        template = sample_cubic(painting, *eye.view.axes.to_picture(u + a, v + b)) @ LUMA
        ways.append(_best_way(frame, eye, u + a, v + b, template, near, (4, 4)))
    along, down = np.median(ways, axis=0).tolist()
    return along, down


def _best_way(
    frame: Pixels, eye: PaintedEye, u: Array, v: Array, template: Array, near: Array, reach: tuple[int, int]
) -> tuple[float, float]:
    """Return where samples of an eye's surroundings match best in a frame, along and down, in pixels."""
    axes, best = eye.view.axes, near / eye.view.axes.width
    for step, (across, down) in ((0.03, reach), (0.006, (5, 5))):
        steps = product(range(-across, across + 1), range(-down, down + 1))
        ways = [best + step * np.array(way) for way in steps]
        errors = [
            _unlike(sample_cubic(frame, *axes.to_picture(u + way[0], v + way[1])) @ LUMA, template)
            for way in ways
        ]
        best = ways[int(np.argmin(errors))]
    return float(best[0] * axes.width), float(best[1] * axes.width)


def _inner_iris(painting: Pixels, eye: PaintedEye) -> tuple[Array, Array, Array]:
    """Return u and v of the samples of the inner iris that are matched, and their luminance as painted."""
    reach = _INNER * eye.iris.radius
    across = np.linspace(-reach, reach, 17)
    u, v = np.meshgrid(eye.iris.u + across, eye.iris.v + across * 0.7)
    upper, lower = eye.lids.at(u)
    free = (v > upper + 0.08) & (v < lower - 0.05)
    # Leave out the catch-light, because it does not move with the iris.
    for light in eye.layers.lights:
        free &= light.at(u, v)[0].max(-1) < 4
    if free.sum() < 30:
        free = np.ones(u.shape, bool)
    u, v = u[free], v[free]
    return u, v, sample_cubic(painting, *eye.view.axes.to_picture(u, v)) @ LUMA


def match_painting_square(
    painting: Pixels, frame: Pixels, left: int, top: int, side: int, reach: int = 6
) -> float:
    """Return how far a square of the painting has moved in a frame along the rows, in pixels, 0 or more.

    Parameters
    ----------
    painting, frame : RGB uint8 (height, width, 3)
    left, top, side : of the square, in pixels; it must lie `reach` or more inside the picture
    reach : how far it is looked for to either side, in pixels
    """
    template = painting[top : top + side, left : left + side] @ LUMA
    strip = frame[top : top + side, left - reach : left + side + reach] @ LUMA
    errors = np.array([_unlike(strip[:, d : d + side], template) for d in range(2 * reach + 1)])
    best = int(errors.argmin())
    if not 0 < best < 2 * reach:
        return float(abs(best - reach))
    before, here, after = errors[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(abs(best - reach + (0.5 * (before - after) / bend if bend > 1e-9 else 0.0)))


def _unlike(seen: Array, template: Array) -> float:
    """Return the mean squared difference of two patches, without their difference in brightness.

    Samples that differ by far count no more than a limit: something covers them.
    """
    difference = seen - template
    away = np.abs(difference - np.median(difference))
    return float(np.square(np.minimum(away, _COVERED * template.std() + 2)).mean())


# The raster of an eye in a frame. It is coarser than the painting's (`lids.EYE_VIEW_RASTER`), because a
# verdict keeps it of every frame.
EYE_FRAME_RASTER: Final = EyeRaster(128, 0.72, 0.42)
# White and iris are read this far off the upper lid, in eye widths: lashes and the lid's shadow lie nearer
# (by eye).
_OFF_UPPER: Final = 0.07
_OFF_LOWER: Final = 0.05  # the same of the lower lid (by eye)
_OFF_CORNER: Final = 0.06  # the same of the corners, because of the flesh there (by eye)
_SUNK: Final = 1.0  # the fraction of an iris's way down over which the lower lid's wet rim may hide it


@dataclass(frozen=True, slots=True)
class EyeAlongRow:
    """One eye in all frames of a row.

    `colours` is RGB in grey levels (frames, rows, columns, 3), `painted_frame` the index of the frame that is
    the painting. Lengths are in eye widths, u to picture right and v down from the eye's middle: `iris` is
    (u, v, radius) as painted, `shifts` is how far the iris has moved in each frame, `upper` and `lower` are
    the lids' v at the columns, `corners` is the u of both corners.
    """

    colours: Array
    painted_frame: int
    iris: tuple[float, float, float]
    shifts: Array
    upper: Array
    lower: Array
    corners: tuple[float, float]

    def at(self, frame: int, u: Array, v: Array) -> Array:
        """Return a frame's colours at points of the eye, RGB (..., 3)."""
        return EYE_FRAME_RASTER.sample(self.colours[frame], u, v)

    def between_lids(self, u: Array, v: Array) -> Mask:
        """Return which points lie clearly between the lids and the corners."""
        upper, lower = (np.interp(u, EYE_FRAME_RASTER.columns(), lid) for lid in (self.upper, self.lower))
        inside: Mask = (v > upper + _OFF_UPPER) & (v < lower - _OFF_LOWER)
        return inside & (u > self.corners[0] + _OFF_CORNER) & (u < self.corners[1] - _OFF_CORNER)


class EyeRecorder:
    """Keeps both eyes of a row's frames while the patches pass through.

    In the level row the whole outermost frames are kept, too (`ends`, RGB uint8). In a row of gaze up or down
    the eyes are kept with the irises' way up or down taken back, and the painting comes last, for comparison.
    """

    def __init__(self, sitter: PreparedSitter, box: Box, row: int) -> None:
        """Begin a recording.

        `box` is where the patches lie in the picture. `row` is the row of the grid whose eyes are kept.
        """
        self.sitter, self.box, self._row = sitter, box, row
        self._grid = sitter.grid(box)
        self._columns = [*self._grid.columns(row)]
        self.step = self._grid.steps[row]
        # `_painted` are the samples' places in the painting, `_points` those in this row, whose irises moved.
        self._drops = [sitter.plan.drops[row] / eye.view.axes.width for eye in sitter.eyes]
        u, v = EYE_FRAME_RASTER.mesh()
        self._painted = [eye.view.axes.to_picture(u, v) for eye in sitter.eyes]
        moved = zip(sitter.eyes, self._drops, strict=True)
        self._points = [eye.view.axes.to_picture(u, v + drop) for eye, drop in moved]
        self._colours: list[list[Array]] = [[], []]
        self._rest: list[Array] = []
        self.ends: list[Pixels] = []

    def pass_through(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come, and keep what they show."""
        plan, grid = self.sitter.plan, self._grid
        level = grid.level_frames if self._row == grid.resting[0] else [-1]
        for frame, patch in enumerate(patches):
            row, column = grid.place(frame)
            if row == self._row:
                for kept, (x, y) in zip(self._colours, self._points, strict=True):
                    kept.append(self._upright(np.asarray(patch), x, y, plan.turns[column], plan.nods[row]))
            elif frame == grid.rest:
                self._rest = [self._upright(np.asarray(patch), x, y, 0.0, 0.0) for x, y in self._painted]
            if frame in (level[0], level[-1]):
                self.ends.append(np.asarray(patch))
            yield patch

    def eyes(self) -> tuple[EyeAlongRow, EyeAlongRow]:
        """Return the eye at picture left and the one at picture right, once all patches have passed."""
        first, second = (self._eye(number, eye) for number, eye in enumerate(self.sitter.eyes))
        return first, second

    def _upright(self, pixels: Pixels, x: Array, y: Array, turn: float, nod: float) -> Array:
        """Return an eye upright from a patch: its colours where points of the painting have moved."""
        right, down = self.sitter.head.picture_shifts(x, y, turn, nod)
        x, y = right + (x - self.box[0]), down + (y - self.box[1])
        # Only the eye's part of the patch is sampled, because a copy of the whole patch takes longer.
        left, top = max(math.floor(x.min()) - 1, 0), max(math.floor(y.min()) - 1, 0)
        part = pixels[top : math.ceil(y.max()) + 2, left : math.ceil(x.max()) + 2]
        colours: Array = sample_bilinear(part, x - left, y - top).astype(np.float32)
        return colours

    def _eye(self, number: int, eye: PaintedEye) -> EyeAlongRow:
        drop = self._drops[number]
        upper, lower = eye.lids_at(EYE_FRAME_RASTER.columns(), drop)
        # An iris that sinks behind the lower lid's wet rim is not cut.
        lower -= _SUNK * max(drop, 0.0)
        shifts = self.sitter.plan.shifts[self._columns, number] / eye.view.axes.width
        return EyeAlongRow(
            colours=np.stack([*self._colours[number], *self._rest[number : number + 1]]),
            painted_frame=len(shifts) if self._rest else self.sitter.plan.resting_column,
            iris=(eye.iris.u, eye.iris.v, eye.iris.radius),
            shifts=np.append(shifts, 0.0) if self._rest else shifts,
            upper=upper - drop,
            lower=lower - drop,
            corners=(eye.lids.left, eye.lids.right),
        )
