"""Reading images between their pixels, blurring them, and the soft steps by which layers are blended.

Coordinates are continuous: the centre of the first pixel lies at 0.5.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Floating-point numbers, an image of any channels, and a mask; shapes are told where they matter.
Array = NDArray[np.floating[Any]]
Image2D = NDArray[Any]
Mask = NDArray[np.bool_]

# The luminance of an RGB colour is `colour @ LUMA` (ITU-R BT.601).
LUMA: Final = np.array([0.299, 0.587, 0.114])
# Sigma, in samples, above which a Gaussian is drawn by running means, because it would take too long.
_WIDE: Final = 6.0


def smoothstep(x: Array) -> Array:
    """Rise from 0 at x = 0 to 1 at x = 1, flat at both ends."""
    t: Array = np.clip(x, 0, 1)
    return t * t * (3 - 2 * t)


def soft_edge(distance: Array, sigma: float) -> Array:
    """Rise from 0 to 1 across an edge blurred by `sigma`; 0.5 at distance 0, in units of `sigma`.

    The logistic curve nearest to the normal distribution's.
    """
    risen: Array = 1 / (1 + np.exp(-np.clip(1.702 / sigma * distance, -40, 40)))
    return risen


def sample_bilinear(image: Image2D, x: Array, y: Array) -> Array:
    """Sample linearly; shape of `x`, then the image's channels; beyond the border its edge continues."""
    return _sample(image, x, y, _linear)


def sample_cubic(image: Image2D, x: Array, y: Array) -> Array:
    """Sample by Catmull-Rom splines, which keep the grain and return a pixel's own value at its centre.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981 (a = -1/2).
    """
    return _sample(image, x, y, _catmull_rom)


def sample_sharp(image: Image2D, x: Array, y: Array) -> Array:
    """Sample by the sharper cubic (a = -1) that Pillow's `transform` uses, to lie beside its pixels."""
    return _sample(image, x, y, _sharp)


def gaussian_blur(image: Array, sigma: float) -> Array:
    """Blur rows and columns by a Gaussian of `sigma` pixels; the edge continues beyond the border."""
    if sigma > _WIDE:
        return _boxes(image, sigma)
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    weights /= weights.sum()
    for axis in range(min(image.ndim, 2)):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (reach, reach)
        wide, size = np.moveaxis(np.pad(image, pad, "edge"), axis, 0), image.shape[axis]
        total = weights[0] * wide[:size]
        for i, weight in enumerate(weights[1:], 1):
            total += weight * wide[i : i + size]
        image = np.moveaxis(total, 0, axis)
    return image


def dilate(values: Image2D, reach: int) -> Image2D:
    """Return the greatest value within `reach` samples across and down of each; a mask is widened."""
    for axis in (0, 1):
        padded = np.pad(values, [(reach, reach) if i == axis else (0, 0) for i in (0, 1)], "edge")
        values = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis).max(-1)
    return values


def _boxes(image: Array, sigma: float) -> Array:
    """Blur by three running means, as good as a Gaussian and as quick for any `sigma`."""
    half = max(round((math.sqrt(4 * sigma * sigma + 1) - 1) / 2), 1)
    for axis in range(min(image.ndim, 2)):
        wide = np.moveaxis(image, axis, 0)
        for _ in range(3):
            padded = np.pad(wide, [(half + 1, half)] + [(0, 0)] * (wide.ndim - 1), "edge").cumsum(0)
            wide = (padded[2 * half + 1 :] - padded[: -2 * half - 1]) / (2 * half + 1)
        image = np.moveaxis(wide, 0, axis)
    return image


def _linear(t: Array) -> list[Array]:
    return [1 - t, t]


def _catmull_rom(t: Array) -> list[Array]:
    return [
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    ]


def _sharp(t: Array) -> list[Array]:
    return [
        ((2 - t) * t - 1) * t,
        (t - 2) * t * t + 1,
        ((1 - t) * t + 1) * t,
        (t - 1) * t * t,
    ]


def _sample(image: Image2D, x: Array, y: Array, kernel: Callable[[Array], list[Array]]) -> Array:
    """Sample an image by a separable kernel, which returns the weights of its taps."""
    height, width = image.shape[:2]
    flat = image.reshape(height * width, -1)
    x, y = np.asarray(x) - 0.5, np.asarray(y) - 0.5
    column, row = np.floor(x), np.floor(y)
    across, down = kernel(x - column), kernel(y - row)
    before = len(across) // 2 - 1
    columns = [np.clip(column + i - before, 0, width - 1).astype(np.intp) for i in range(len(across))]
    out = np.zeros((*x.shape, flat.shape[1]))
    for i, weight in enumerate(down):
        start = np.clip(row + i - before, 0, height - 1).astype(np.intp) * width
        # Sum a row of taps before weighting it: this takes a third fewer passes over the points.
        line = np.zeros(out.shape)
        for other, where in zip(across, columns, strict=True):
            line += other[..., None] * flat.take(start + where, 0)
        out += weight[..., None] * line
    return out.reshape(x.shape + image.shape[2:])
