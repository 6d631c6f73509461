"""Reading arrays at any point, and the soft steps that layers are blended with.

Coordinates are continuous: the centre of the first pixel lies at 0.5.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Image2D = NDArray[Any]
Mask = NDArray[np.bool_]


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


def bilinear(image: Image2D, x: Array, y: Array) -> Array:
    """Sample linearly; shape of `x`, then the image's channels; beyond the border its edge goes on."""
    return _sample(image, x, y, _linear)


def cubic(image: Image2D, x: Array, y: Array) -> Array:
    """Sample by Catmull-Rom splines, which keep the grain and return a pixel's own value at its centre.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981 (a = -1/2).
    """
    return _sample(image, x, y, _catmull_rom)


def crisp(image: Image2D, x: Array, y: Array) -> Array:
    """Sample by the sharper cubic (a = -1) that Pillow's `transform` uses, to lie beside its pixels."""
    return _sample(image, x, y, _sharp)


def blur(image: Array, sigma: float) -> Array:
    """Blur rows and columns by a Gaussian of `sigma` pixels; the edge goes on beyond the border."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    weights /= weights.sum()
    for axis in range(min(image.ndim, 2)):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (reach, reach)
        wide, size = np.pad(image, pad, "edge"), image.shape[axis]
        image = sum(
            (w * wide.take(range(i, i + size), axis) for i, w in enumerate(weights)), np.zeros_like(image)
        )
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
        # A row of taps is summed before its weight: a third fewer passes over the points.
        line = np.zeros(out.shape)
        for other, where in zip(across, columns, strict=True):
            line += other[..., None] * flat.take(start + where, 0)
        out += weight[..., None] * line
    return out.reshape(x.shape + image.shape[2:])
