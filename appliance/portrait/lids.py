"""One eye seen upright, and the opening between its lids."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.camera.sampling import Pixels
from appliance.portrait.sampling import LUMA, Array, gaussian_blur, sample_bilinear, sample_cubic


@dataclass(frozen=True, slots=True)
class EyeRaster:
    """The grid of samples of an upright image of one eye, in eye widths from the eye's middle.

    `density` is samples per eye width; `reach_u` and `reach_v` are half the image's width and height.
    """

    density: int
    reach_u: float
    reach_v: float

    def columns(self) -> Array:
        """Return the u of the columns."""
        return self._centres(self.reach_u)

    def rows(self) -> Array:
        """Return the v of the rows."""
        return self._centres(self.reach_v)

    def mesh(self, part: tuple[slice, slice] = (slice(None), slice(None))) -> tuple[Array, Array]:
        """Return u and v of all samples, or of a part (rows, columns), each of shape (rows, columns)."""
        u, v = np.meshgrid(self.columns()[part[1]], self.rows()[part[0]])
        return u, v

    def window(self, across: tuple[float, float], down: tuple[float, float]) -> tuple[slice, slice]:
        """Return the rows and columns between two u (`across`) and two v (`down`)."""
        first, last = np.searchsorted(self.columns(), across)
        top, below = np.searchsorted(self.rows(), down)
        return slice(int(top), int(below)), slice(int(first), int(last))

    def place(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Return column and row of points of the eye; the centre of the first sample lies at 0.5."""
        return (u + self.reach_u) * self.density, (v + self.reach_v) * self.density

    def sample(self, image: Array, u: Array, v: Array) -> Array:
        """Return an image of this raster at points of the eye, linearly interpolated."""
        return sample_bilinear(image, *self.place(u, v))

    def _centres(self, reach: float) -> Array:
        return (np.arange(round(2 * reach * self.density)) + 0.5) / self.density - reach


# Blur (sigma) of the light in which iris and lids are looked for, in eye widths, because brushwork misleads
# the search (by eye).
VIEW_BLUR: Final = 0.012
# The raster of the painting's eyes: it holds lids, corners and the skin next to them.
EYE_VIEW_RASTER: Final = EyeRaster(256, 0.85, 0.6)


@dataclass(frozen=True, slots=True)
class EyeAxes:
    """An eye's own coordinates: u along the face to picture right, v down the face.

    The origin (`x`, `y`) is the eye's centre and `width` the eye's width, both in picture pixels; u and v are
    in eye widths; `tilt` is the angle of u against the picture's rows in radians, clockwise.
    """

    x: float
    y: float
    width: float
    tilt: float

    def to_picture(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Return the picture coordinates of points of the eye, in pixels."""
        c, s = math.cos(self.tilt) * self.width, math.sin(self.tilt) * self.width
        return self.x + u * c - v * s, self.y + u * s + v * c

    def to_eye(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the eye's coordinates of points of the picture, in eye widths."""
        c, s = math.cos(self.tilt) / self.width, math.sin(self.tilt) / self.width
        dx, dy = x - self.x, y - self.y
        return dx * c + dy * s, dy * c - dx * s


@dataclass(frozen=True, slots=True)
class EyeView:
    """The picture around one eye, resampled along its axes.

    `colour` is RGB (rows, columns, 3) in grey levels; `light` is its slightly smoothed luminance,
    scaled so that the eye's dark is 0 and its bright is 1; `contrast` is between them in grey levels.
    """

    axes: EyeAxes
    colour: Array
    light: Array
    contrast: float

    def at(self, image: Array, u: Array, v: Array) -> Array:
        """Sample an image of this view's shape at points of the eye."""
        return EYE_VIEW_RASTER.sample(image, u, v)

    def near(self, image: Array, u: Array, v: Array) -> Array:
        """Return an image of this view's rows and columns at the nearest samples.

        Faster than `at`, because the search for the iris asks for a million points of a smooth image.
        """
        places = zip(EYE_VIEW_RASTER.place(u, v), image.shape[::-1], strict=True)
        column, row = (np.clip(place, 0, count - 1).astype(np.intp) for place, count in places)
        nearest: Array = image[row, column]
        return nearest


def smooth_view(values: Array, width: float) -> Array:
    """Blur an image or a row of a view by a Gaussian of `width` eye widths."""
    return gaussian_blur(values, width * EYE_VIEW_RASTER.density)


def resample_eye(pixels: Pixels, axes: EyeAxes) -> EyeView:
    """Look at one eye of a picture, RGB uint8 of shape (height, width, 3)."""
    u, v = EYE_VIEW_RASTER.mesh()
    colour = sample_cubic(pixels, *axes.to_picture(u, v))
    light = smooth_view(colour @ LUMA, VIEW_BLUR)
    dark, bright = np.percentile(light[(abs(u) < 0.6) & (abs(v) < 0.3)], [5, 95])
    contrast = max(float(bright - dark), 8.0)  # otherwise a blank wall would be stretched into an eye
    return EyeView(axes, colour, (light - dark) / contrast, contrast)


# Chosen by eye unless another origin is given; lengths are in eye widths.

# Shifts of the upper lid: first and last tried, the one expected and its scatter. On paintings the models put
# it too low; an error outwards is harmless, because what is near a lid sticks to it.
_UPPER: Final = (-0.12, 0.05, -0.03, 0.06)
_LOWER: Final = (-0.03, 0.08, 0.015, 0.035)  # the same of the lower lid
_STEP: Final = 0.005  # step between the shifts tried
_COLUMN: Final = 0.02  # distance of the columns in which a lid is looked for
_LINE: Final = 0.018  # an edge is the difference of light this far above and below it
# The upper lid ends up this far outside its edge, so that the iris's rim along it can be painted over.
_BEYOND_UPPER: Final = 0.01
_BEYOND_LOWER: Final = 0.03  # the same of the lower lid


@dataclass(frozen=True, slots=True)
class Eyelids:
    """The edges of the lids in eye widths: `upper` and `lower` are v over the view's columns.

    `left` and `right` are the u of the corners at picture left and picture right.
    """

    upper: Array
    lower: Array
    left: float
    right: float

    @property
    def middle(self) -> float:
        """The u half way between the corners."""
        return (self.left + self.right) / 2

    @property
    def half(self) -> float:
        """Half the distance of the corners."""
        return (self.right - self.left) / 2

    def at(self, u: Array) -> tuple[Array, Array]:
        """Return v of the upper and the lower lid at u."""
        columns = EYE_VIEW_RASTER.columns()
        return np.interp(u, columns, self.upper), np.interp(u, columns, self.lower)


def lids_from_contours(upper: Array, lower: Array) -> Eyelids:
    """Draw smooth lids through contour points.

    `upper` and `lower` are (points, 2), u and v in eye widths, from picture left to picture right.
    """
    u = EYE_VIEW_RASTER.columns()
    curves = [smooth_view(np.interp(u, points[:, 0], points[:, 1]), 0.02) for points in (upper, lower)]
    return Eyelids(curves[0], curves[1], float(lower[0, 0]), float(lower[-1, 0]))


def fit_lids(view: EyeView, rough: Eyelids) -> Eyelids:
    """Move rough lids onto the edges seen in the picture, from bright skin to the eye's darker rim."""
    upper = rough.upper + _offsets(view, rough, rough.upper, -1, *_UPPER) - _BEYOND_UPPER
    lower = rough.lower + _offsets(view, rough, rough.lower, 1, *_LOWER) + _BEYOND_LOWER
    return Eyelids(upper, np.maximum(lower, upper + 0.01), rough.left, rough.right)


def _offsets(
    view: EyeView,
    rough: Eyelids,
    lid: Array,
    outwards: int,
    first: float,
    last: float,
    mean: float,
    scatter: float,
) -> Array:
    """Return how far to move a lid at each column of the view, in eye widths, by dynamic programming.

    `lid` is v over the view's columns. `outwards` is -1 for the upper lid, 1 for the lower. For the others
    see `_UPPER`.
    """
    u = np.arange(rough.left + _COLUMN, rough.right, _COLUMN)
    offsets = np.arange(first, last, _STEP)
    v = np.interp(u, EYE_VIEW_RASTER.columns(), lid)[:, None] + offsets
    wide = np.broadcast_to(u[:, None], v.shape)
    edge = view.at(view.light, wide, v + outwards * _LINE) - view.at(view.light, wide, v - outwards * _LINE)
    # Towards the corners lashes and folds mislead, so trust the edge less and stay near the contour.
    inside = np.clip(np.minimum(u - rough.left, rough.right - u) / 0.12, 0.15, 1)[:, None]
    cost = -1.6 * np.clip(edge, -0.2, 0.5) * inside
    cost += 0.125 * ((offsets - mean) / scatter) ** 2 + 0.2 * (offsets / 0.03) ** 2 * (1 - inside)
    bend = 0.25 * ((offsets[:, None] - offsets) / 0.012) ** 2
    path = offsets[_cheapest(cost, bend)]
    return smooth_view(np.interp(EYE_VIEW_RASTER.columns(), u, path), 0.04)


def _cheapest(cost: Array, bend: Array) -> list[int]:
    """Return the cheapest path: a column of each row of `cost`; a step from i to j costs `bend[i, j]`."""
    total, back = cost[0], []
    for row in cost[1:]:
        ways = total[:, None] + bend
        best = ways.argmin(0)
        back.append(best)
        total = ways[best, np.arange(len(best))] + row
    path = [int(total.argmin())]
    for best in reversed(back):
        path.append(int(best[path[-1]]))
    return path[::-1]
