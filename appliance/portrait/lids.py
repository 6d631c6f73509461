"""One eye seen upright, and the opening between its lids."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.camera.sampling import Pixels
from appliance.portrait.sampling import Array, bilinear, blur, cubic

# Samples per eye width, and how far the view reaches from the eye's centre.
_SAMPLES: Final = 256
_REACH_U: Final = 0.85
_REACH_V: Final = 0.6
_LUMA: Final = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True)
class Axes:
    """An eye's own coordinates: u along the face to picture right, v down the face.

    The origin (`x`, `y`) is the eye's centre and `width` the eye's width, both in picture pixels;
    u and v are in eye widths; `tilt` is the angle of u against the picture's rows in radians, clockwise.
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

    axes: Axes
    colour: Array
    light: Array
    contrast: float

    def at(self, image: Array, u: Array, v: Array) -> Array:
        """Sample an image of this view's shape at points of the eye."""
        return bilinear(image, (u + _REACH_U) * _SAMPLES, (v + _REACH_V) * _SAMPLES)

    def light_near(self, u: Array, v: Array) -> Array:
        """Return `light` at the nearest samples: it is smooth, and searches ask for it a million times."""
        return self.near(self.light, u, v)

    def near(self, image: Array, u: Array, v: Array) -> Array:
        """Return an image of this view's rows and columns at the nearest samples."""
        rows_, columns_ = image.shape
        column = np.clip((u + _REACH_U) * _SAMPLES, 0, columns_ - 1).astype(np.intp)
        row = np.clip((v + _REACH_V) * _SAMPLES, 0, rows_ - 1).astype(np.intp)
        nearest: Array = image[row, column]
        return nearest


def columns() -> Array:
    """Return the u of a view's columns."""
    return _centres(_REACH_U)


def rows() -> Array:
    """Return the v of a view's rows."""
    return _centres(_REACH_V)


def smooth(values: Array, width: float) -> Array:
    """Blur an image or a row of a view by a Gaussian of `width` eye widths."""
    return blur(values, width * _SAMPLES)


def view_eye(pixels: Pixels, axes: Axes) -> EyeView:
    """Look at one eye of a picture, RGB uint8 of shape (height, width, 3)."""
    u, v = np.meshgrid(columns(), rows())
    colour = cubic(pixels, *axes.to_picture(u, v))
    light = smooth(colour @ _LUMA, 0.012)
    dark, bright = np.percentile(light[(abs(u) < 0.6) & (abs(v) < 0.3)], [5, 95])
    contrast = max(float(bright - dark), 8.0)  # a blank wall must not become an eye
    return EyeView(axes, colour, (light - dark) / contrast, contrast)


def _centres(reach: float) -> Array:
    count = round(2 * reach * _SAMPLES)
    return (np.arange(count) + 0.5) / _SAMPLES - reach


# Offsets tried for each lid (from, to), the one expected and its scatter. On paintings the models
# put the upper lid too low; an error outwards is harmless, since what is near a lid sticks to it.
_UPPER: Final = (-0.12, 0.05, -0.03, 0.06)
_LOWER: Final = (-0.03, 0.08, 0.015, 0.035)
_STEP: Final = 0.005
_COLUMN: Final = 0.02
_LINE: Final = 0.018
# The lids end up this far outside their edges, so that the iris's rim along them can be painted out.
_BEYOND_UPPER: Final = 0.01
_BEYOND_LOWER: Final = 0.03


@dataclass(frozen=True, slots=True)
class Lids:
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
        return np.interp(u, columns(), self.upper), np.interp(u, columns(), self.lower)


def lids_through(upper: Array, lower: Array) -> Lids:
    """Draw smooth lids through contour points, (points, 2) each, from picture left to picture right."""
    u = columns()
    curves = [smooth(np.interp(u, points[:, 0], points[:, 1]), 0.02) for points in (upper, lower)]
    return Lids(curves[0], curves[1], float(lower[0, 0]), float(lower[-1, 0]))


def fit_lids(view: EyeView, rough: Lids) -> Lids:
    """Move rough lids onto the edges seen in the picture: from bright skin to the eye's darker rim."""
    upper = rough.upper + _offsets(view, rough, rough.upper, -1, *_UPPER) - _BEYOND_UPPER
    lower = rough.lower + _offsets(view, rough, rough.lower, 1, *_LOWER) + _BEYOND_LOWER
    return Lids(upper, np.maximum(lower, upper + 0.01), rough.left, rough.right)


def _offsets(
    view: EyeView,
    rough: Lids,
    lid: Array,
    outwards: int,
    first: float,
    last: float,
    mean: float,
    scatter: float,
) -> Array:
    """Return by how much to move a lid at each column: the cheapest path by dynamic programming."""
    u = np.arange(rough.left + _COLUMN, rough.right, _COLUMN)
    offsets = np.arange(first, last, _STEP)
    v = np.interp(u, columns(), lid)[:, None] + offsets
    wide = np.broadcast_to(u[:, None], v.shape)
    edge = view.at(view.light, wide, v + outwards * _LINE) - view.at(view.light, wide, v - outwards * _LINE)
    # Towards the corners lashes and folds mislead: trust the edge less and stay near the contour.
    inside = np.clip(np.minimum(u - rough.left, rough.right - u) / 0.12, 0.15, 1)[:, None]
    cost = -1.6 * np.clip(edge, -0.2, 0.5) * inside
    cost += 0.125 * ((offsets - mean) / scatter) ** 2 + 0.2 * (offsets / 0.03) ** 2 * (1 - inside)
    bend = 0.25 * ((offsets[:, None] - offsets) / 0.012) ** 2
    path = offsets[_cheapest(cost, bend)]
    return smooth(np.interp(columns(), u, path), 0.04)


def _cheapest(cost: Array, bend: Array) -> list[int]:
    """Return the column of each row of `cost` on the cheapest path; `bend` is what a change costs."""
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
