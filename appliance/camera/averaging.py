"""Reading a region of an image, averaged down to a small size: the one hot copy on the road."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a picture in pixels, continuous coordinates; it may reach beyond the picture."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y1 - self.y0


def average(image: Pixels, region: Region, out: Floats, scale: float, offset: float, border: float) -> None:
    """Average a region of `image` over the pixels of `out`; write `value * scale + offset`.

    Parameters
    ----------
    image : uint8 of shape (height, width, channels)
    region : in pixels of `image`
    out : float32 of shape (rows, columns, channels), any strides; written whole
    border : what is written where the region reaches beyond the image

    The mean is exact (box filter) where the region lies on whole pixels at a whole ratio, and
    Pillow's box filter elsewhere.
    """
    rows, columns = out.shape[:2]
    kx, ky = region.width / columns, region.height / rows
    height, width = image.shape[:2]
    # The part of `out` that the image covers; the rest is border.
    top, bottom = _covered(region.y0, ky, rows, height)
    left, right = _covered(region.x0, kx, columns, width)
    if (top, left, bottom, right) != (0, 0, rows, columns):
        out[...] = border
    if bottom <= top or right <= left:
        return
    inner = Region(
        max(region.x0 + left * kx, 0.0),
        max(region.y0 + top * ky, 0.0),
        min(region.x0 + right * kx, float(width)),
        min(region.y0 + bottom * ky, float(height)),
    )
    target = out[top:bottom, left:right]
    n, x, y = round(kx), round(inner.x0), round(inner.y0)
    whole = kx == ky == n and 1 <= n <= 16 and (x, y) == (inner.x0, inner.y0)
    if whole and (inner.width, inner.height) == (n * (right - left), n * (bottom - top)):
        part = image[y : y + n * (bottom - top), x : x + n * (right - left)]
        _average_whole(part, n, target, scale / (n * n), offset)
    else:
        _average_any(image, inner, target, scale, offset)


def _covered(start: float, step: float, count: int, size: int) -> tuple[int, int]:
    """Return the range of output pixels whose centre the image covers."""
    first = int(np.ceil(-start / step - 0.5))
    last = int(np.ceil((size - start) / step - 0.5))
    return max(0, first), min(count, last)


def _average_whole(part: Pixels, n: int, out: Floats, scale: float, offset: float) -> None:
    """Average blocks of n x n pixels.

    Rows are summed as uint16; then one matrix product sums the columns, scales, and lands in the
    model's input: one pass over the region, no float copy of it.
    """
    rows, columns, channels = out.shape
    sums: NDArray[Any] = part
    if n > 1:
        sums = np.add(part[0::n], part[1::n], dtype=np.uint16)
        for i in range(2, n):
            sums += part[i::n]
    flat = sums.astype(np.float32).reshape(rows * columns, n * channels)
    weights = _weights(n, channels, scale)
    if out.flags.c_contiguous:
        target = out.reshape(rows * columns, channels)
        np.matmul(flat, weights, out=target)
        target += np.float32(offset)
    else:
        np.add((flat @ weights).reshape(out.shape), np.float32(offset), out=out)


@functools.lru_cache(maxsize=64)
def _weights(n: int, channels: int, scale: float) -> Floats:
    return np.tile(np.eye(channels, dtype=np.float32) * np.float32(scale), (n, 1))


def _average_any(image: Pixels, region: Region, out: Floats, scale: float, offset: float) -> None:
    x, y = int(region.x0), int(region.y0)
    part = image[y : int(np.ceil(region.y1)), x : int(np.ceil(region.x1))]
    box = (region.x0 - x, region.y0 - y, region.x1 - x, region.y1 - y)
    rows, columns, channels = out.shape
    source = Image.fromarray(np.ascontiguousarray(part[..., 0] if channels == 1 else part))
    small = np.asarray(source.resize((columns, rows), Image.Resampling.BOX, box=box))
    np.multiply(small.reshape(out.shape), np.float32(scale), out=out)
    out += np.float32(offset)
