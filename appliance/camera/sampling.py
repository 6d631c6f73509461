"""Read a region of a picture, averaged down to a model's input.

This is the only copy of a picture between camera and model, so it is written for speed.
"""

import functools
import math
import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

PER_GREY_LEVEL: Final = 1 / 127.5  # factor from grey levels 0 to 255 to the models' input -1 to 1
# Largest n where n image pixels make m output pixels: the sums, up to n * 255 * m, must fit 16 bits.
_MAX_N: Final = 48
_MAX_M: Final = 4  # largest m of such a ratio
# Output rows that are averaged at a time: few, so that their sums stay in the cache and need little memory
# (measured on x86-64 with 1 MB of cache: 32 to 96 rows take the same time, 4 to 16 take more).
_BLOCK_ROWS: Final = 48
# Output pixels that one row of the matrix product makes: with two it takes two thirds of the time (measured).
_PIXELS_PER_PRODUCT: Final = 2


class _Buffers(threading.local):
    """Memory that each thread keeps, so that reading the next picture allocates nothing."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
        """Return an array of any content, which is valid until the same name is asked for again."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = self._held[name] = np.empty(size, np.uint8)
        return held[:size].view(dtype).reshape(shape)


_buffers = _Buffers()


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


def average_region(
    image: Pixels, region: Region, out: Floats, scale: float, offset: float, border: float
) -> None:
    """Average a region of `image` over the pixels of `out`; write `value * scale + offset`.

    `image` is uint8 of shape (height, width, channels), and `region` in its pixels. `out` is float32 of shape
    (rows, columns, channels) with any strides; all of it is written, beyond the image with `border`.

    Where the region lies on whole pixels and n of them make m of `out`, both small, the mean is exact (640 to
    128 is 5 to 1, 640 to 192 is 10 to 3, 64 to 128 is 1 to 2). Elsewhere Pillow's box filter is used.
    """
    plan = _plan_copy(image.shape[0], image.shape[1], region, out.shape[0], out.shape[1])
    for beyond in plan.border:
        out[beyond] = border
    place = out[plan.target]
    if not place.size:
        return
    target = place if place.flags.c_contiguous else _buffers.array("target", place.shape, np.float32)
    if plan.ratio and plan.ratio[0] == 1:
        _repeat(image[plan.source], plan.ratio[1], target, scale, offset)
    elif plan.ratio:
        _average_blocks(image[plan.source], *plan.ratio, target, scale, offset)
    else:
        _average_any(image[plan.source], plan.box, target, scale, offset)
    if target is not place:
        place[...] = target


_Slices = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class _Copy:
    """The pixels of an image that make each pixel of the output.

    `border` are the parts of the output beyond the image and `target` the part on it. `source` are the pixels
    read, `box` is the part of them that counts, (x0, y0, x1, y1), and `ratio` is (n, m).
    """

    border: tuple[_Slices, ...]
    target: _Slices
    source: _Slices
    box: tuple[float, float, float, float]
    ratio: tuple[int, int] | None


@functools.lru_cache(maxsize=64)
def _plan_copy(height: int, width: int, region: Region, rows: int, columns: int) -> _Copy:
    kx, ky = region.width / columns, region.height / rows
    top, bottom = _covered(region.y0, ky, rows, height)
    left, right = _covered(region.x0, kx, columns, width)
    x0, x1 = max(region.x0 + left * kx, 0.0), min(region.x0 + right * kx, float(width))
    y0, y1 = max(region.y0 + top * ky, 0.0), min(region.y0 + bottom * ky, float(height))
    ratio = _ratio(kx) if math.isclose(kx, ky) else None
    if ratio:
        n, m = ratio
        whole = all(abs(edge - round(edge)) < 1e-6 for edge in (x0, y0))
        fits = (right - left) * n == round(x1 - x0) * m and (bottom - top) * n == round(y1 - y0) * m
        if whole and fits and (right - left) % m == (bottom - top) % m == 0:
            x0, y0, x1, y1 = round(x0), round(y0), round(x1), round(y1)
        else:
            ratio = None
    x, y = math.floor(x0), math.floor(y0)
    strips = (
        (slice(0, top), slice(None)),
        (slice(bottom, rows), slice(None)),
        (slice(top, bottom), slice(0, left)),
        (slice(top, bottom), slice(right, columns)),
    )
    return _Copy(
        border=tuple(strip for strip in strips if _pixel_count(strip, rows, columns)),
        target=(slice(top, bottom), slice(left, right)),
        source=(slice(y, math.ceil(y1)), slice(x, math.ceil(x1))),
        box=(x0 - x, y0 - y, x1 - x, y1 - y),
        ratio=ratio,
    )


def _pixel_count(slices: _Slices, rows: int, columns: int) -> int:
    return len(range(*slices[0].indices(rows))) * len(range(*slices[1].indices(columns)))


def _covered(start: float, step: float, count: int, size: int) -> tuple[int, int]:
    """Return the range of output pixels that lie wholly on the image."""
    first = math.ceil(-start / step - 1e-6)
    last = math.floor((size - start) / step + 1e-6)
    return min(max(0, first), count), max(0, min(count, last))


def _ratio(k: float) -> tuple[int, int] | None:
    """Return `k` as (n, m), n input pixels for m output pixels, both small; None if there are none."""
    for m in range(1, _MAX_M + 1):
        n = round(k * m)
        if (m <= n <= _MAX_N or n == 1) and math.isclose(k * m, n, rel_tol=1e-9):
            return n, m
    return None


def _repeat(part: Pixels, times: int, out: Floats, scale: float, offset: float) -> None:
    """Write each pixel to `times` x `times` pixels of `out`."""
    if times == 1:
        out[...] = part  # three simple passes are faster than one that also converts
        out *= np.float32(scale)
    else:
        rows, columns, channels = part.shape
        flat = _buffers.array("flat", part.shape, np.float32)
        flat[...] = part
        wide = _buffers.array("wide", (rows * columns, times * channels), np.float32)
        np.matmul(flat.reshape(-1, channels), _weights(1, times, channels, scale), out=wide)
        out.reshape(rows, times, -1)[...] = wide.reshape(rows, 1, -1)
    out += np.float32(offset)


def _average_blocks(part: Pixels, n: int, m: int, out: Floats, scale: float, offset: float) -> None:
    """Average blocks of n x n pixels over m x m.

    Rows are summed as 16-bit integers. Then one matrix product sums the columns, scales, and writes to the
    model's input. So there is one pass over the region, and no float copy of it.
    """
    columns = part.shape[1] // n
    pixels = _PIXELS_PER_PRODUCT if columns % _PIXELS_PER_PRODUCT == 0 else 1
    weights = _weights(n, m, part.shape[2], scale, pixels)
    shift = n * offset / scale
    early = m == 1 and shift.is_integer() and abs(shift) <= n * 128
    rows = max(1, _BLOCK_ROWS // m)
    for first in range(0, len(part) // n, rows):
        sums = _row_sums(part[first * n : (first + rows) * n], n, m)
        if early:  # adding the offset takes half the time in 16 bits
            sums = sums.view(np.int16)
            sums += np.int16(shift)
        flat = _buffers.array("flat", sums.shape, np.float32)
        flat[...] = sums
        target = out[first * m : (first + rows) * m].reshape(-1, weights.shape[1])
        np.matmul(flat.reshape(-1, len(weights)), weights, out=target)
        if not early:
            target += np.float32(offset)


def _row_sums(part: Pixels, n: int, m: int) -> NDArray[np.uint16]:
    """Sum every n rows into m, each row weighted by m times the fraction of it that falls there.

    The sums are (len(part) / n, m, columns, channels), and valid until the next call.
    """
    sums = _buffers.array("sums", (len(part) // n, m, *part.shape[1:]), np.uint16)
    if m == 1:
        total = sums[:, 0]
        total[...] = part[::n]
        for i in range(1, n):
            total += part[i::n]
        return sums
    wide = _buffers.array("wide", part.shape, np.uint16)  # sums of 16 bits with 8 convert in each
    wide[...] = part
    share_of_row = _buffers.array("share", (len(sums), *part.shape[1:]), np.uint16)
    for j, shares in enumerate(_shares(n, m)):
        out = sums[:, j]
        whole = [wide[i::n] for i in range(n) if shares[i] == m]
        out[...] = whole[0] if whole else 0
        for rows in whole[1:]:
            out += rows
        out *= np.uint16(m)
        for i in range(n):
            if shares[i] == 1:
                out += wide[i::n]
            elif 0 < shares[i] < m:
                out += np.multiply(wide[i::n], np.uint16(shares[i]), out=share_of_row)
    return sums


@functools.lru_cache(maxsize=64)
def _shares(n: int, m: int) -> list[list[int]]:
    """Return how much of each of n input pixels falls into each of m output pixels, in 1/m pixels."""
    return [[max(0, min(m * i + m, n * j + n) - max(m * i, n * j)) for i in range(n)] for j in range(m)]


@functools.lru_cache(maxsize=64)
def _weights(n: int, m: int, channels: int, scale: float, pixels: int = 1) -> Floats:
    """Return the matrix from `pixels` times n input pixels of a row to m output pixels each."""
    shares: Floats = np.array(_shares(n, m), np.float32).T * np.float32(scale / (n * n))
    several = np.kron(np.eye(pixels), shares)
    return np.kron(several, np.eye(channels)).astype(np.float32)


def _average_any(
    part: Pixels, box: tuple[float, float, float, float], out: Floats, scale: float, offset: float
) -> None:
    rows, columns, channels = out.shape
    source = Image.fromarray(np.ascontiguousarray(part[..., 0] if channels == 1 else part))
    small = np.asarray(source.resize((columns, rows), Image.Resampling.BOX, box=box))
    np.multiply(small.reshape(out.shape), np.float32(scale), out=out)
    out += np.float32(offset)


# BT.601 at full range (libcamera's "sYCC"): how much of Y, U and V (rows) is in R, G and B.
_RGB_FROM_YUV: Final = np.array([[1, 1, 1], [0, -0.344136, 1.772], [1.402, -0.714136, 0]], np.float32)
# Picture pixels for one pixel of the model's input in the crops around a viewer, which `_read_pairs` reads.
_PAIR_RATIOS: Final = (0.5, 1.0, 2.0)


def read_yuv_region(y: Pixels, u: Pixels, v: Pixels, region: Region, out: Floats) -> None:
    """Average a region of the planes down into `out`, as RGB in [-1, 1]; black beyond the picture.

    Parameters
    ----------
    y : uint8 of shape (height, width)
    u, v : uint8 of shape (height / 2, width / 2); any strides
    region : in pixels of `y`
    out : float32 of shape (rows, columns, 3)
    """
    if not _read_pairs(y, u, v, region, out):
        _read_planes(y, u, v, region, out)
        _clip(out)


def _read_pairs(y: Pixels, u: Pixels, v: Pixels, region: Region, out: Floats) -> bool:
    """Read the region if it lies in the picture and has one of `_PAIR_RATIOS`; return whether it was read.

    Two adjacent pixels of Y and the U and V that they share become 4, 2 or 1 pixels of `out`. One small
    matrix product does this and writes to the model's input.
    """
    side = int(region.width)
    left, top = int(region.x0), int(region.y0)
    n = side / out.shape[1]
    whole = (left, top, left + side, top + side) == (region.x0, region.y0, region.x1, region.y1)
    inside = 0 <= left <= y.shape[1] - side and 0 <= top <= y.shape[0] - side
    even = left % 2 == top % 2 == side % 4 == 0
    fits = n in _PAIR_RATIOS and out.shape[0] == out.shape[1] and out.flags.c_contiguous
    if not (whole and inside and even and fits):
        return False
    light: NDArray[np.uint8] | NDArray[np.uint16] = y[top : top + side, left : left + side]
    half = slice(top // 2, (top + side) // 2), None, slice(left // 2, (left + side) // 2)
    if n == 2:
        upper, lower = light[::2], light[1::2]
        light = _buffers.array("sums", upper.shape, np.uint16)
        np.add(upper, lower, out=light, dtype=np.uint16)
    pairs = _buffers.array("pairs", (side // 2, len(light) * 2 // side, side // 2, 5), np.float32)
    light = light.reshape(*pairs.shape[:2], side)
    pairs[..., 0], pairs[..., 1] = light[..., ::2], light[..., 1::2]
    pairs[..., 2], pairs[..., 3] = u[half], v[half]
    pairs[..., 4] = 1
    weights = _yuv_weights(n)
    if n == 0.5:
        wide = _buffers.array("wide", (side * side // 2, weights.shape[1]), np.float32)
        np.matmul(pairs.reshape(-1, len(weights)), weights, out=wide)
        rows = wide.reshape(side, 1, -1)
        _clip(rows)
        out.reshape(side, 2, -1)[...] = rows
    else:
        np.matmul(pairs.reshape(-1, len(weights)), weights, out=out.reshape(-1, weights.shape[1]))
        _clip(out.reshape(len(out), -1))
    return True


def _clip(values: Floats) -> None:
    """Limit values to [-1, 1] in place.

    The bounds are rows, because NumPy's loop is then fastest: scalar bounds take twice as long, and np.clip
    half as much again.
    """
    low, high = _bounds(values.shape[1:])
    np.minimum(np.maximum(values, low, out=values), high, out=values)


@functools.lru_cache
def _bounds(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    high = np.ones(shape, np.float32)
    return -high, high


@functools.lru_cache
def _yuv_weights(n: float) -> Floats:
    """Return the matrix from a pair (Y, Y, U, V, 1) to RGB; for `n` = 2 from two pairs, which is faster."""
    light = {0.5: np.eye(2).repeat(2, 1), 1.0: np.eye(2), 2.0: np.full((2, 1), 1 / 4)}[n]
    shares = np.vstack([light, np.ones((3, light.shape[1]))])
    luma, *chroma = _RGB_FROM_YUV.astype(np.float64) * PER_GREY_LEVEL
    colours = np.array([luma, luma, *chroma, -1 - 128 * sum(chroma)])
    weights = (shares[:, :, None] * colours[:, None]).reshape(len(colours), -1)
    return np.kron(np.eye(2 if n == 2 else 1), weights).astype(np.float32)


def _read_planes(y: Pixels, u: Pixels, v: Pixels, region: Region, out: Floats) -> None:
    rows, columns = out.shape[:2]
    half = Region(region.x0 / 2, region.y0 / 2, region.x1 / 2, region.y1 / 2)
    planes = _buffers.array("planes", (3, rows, columns), np.float32)
    average_region(y[..., None], region, planes[0, ..., None], PER_GREY_LEVEL, -1.0, border=-1.0)
    # If every pixel is read, four pixels share one U and V.
    step = 2 if region.width <= columns and rows % 2 == columns % 2 == 0 else 1
    small = _buffers.array("small", (rows // step, columns // step, 1), np.float32)
    for plane, colour in zip(planes[1:], (u, v), strict=True):
        average_region(colour[..., None], half, small, PER_GREY_LEVEL, -128 * PER_GREY_LEVEL, border=0.0)
        wide = small[..., 0].repeat(step, 1)
        for i in range(step):
            plane[i::step] = wide
    if out.flags.c_contiguous:
        np.matmul(planes.reshape(3, -1).T, _RGB_FROM_YUV, out=out.reshape(-1, 3))
    else:
        out[...] = (planes.reshape(3, -1).T @ _RGB_FROM_YUV).reshape(out.shape)
