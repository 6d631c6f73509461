"""One eye seen upright along the face, in units of its own width: where iris and lids are sought."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.camera.averaging import Pixels
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
