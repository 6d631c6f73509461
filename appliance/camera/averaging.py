"""Reading a region of an image, averaged down to a small size: the one hot copy on the road."""

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

# An output pixel may be n / m image pixels wide: 48 * 255 * 4 still fits the sums' 16 bits.
_MAX_N: Final = 48
_MAX_M: Final = 4


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
    border : what is written to pixels of `out` that reach beyond the image

    The mean is exact (box filter) where the region lies on whole pixels and n of them make m of
    `out`, both small (640 to 128 is 5 to 1, 640 to 192 is 10 to 3, 64 to 128 is 1 to 2); Pillow's box
    filter elsewhere.
    """
    plan = _plan(image.shape[0], image.shape[1], region, out.shape[0], out.shape[1])
    for beyond in plan.border:
        out[beyond] = border
    place = out[plan.target]
    if not place.size:
        return
    target = place if place.flags.c_contiguous else np.empty(place.shape, np.float32)
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
class _Plan:
    """Which pixels of an image make which of the output.

    `source` are the pixels read, `box` the part of them that counts (x0, y0, x1, y1), `ratio` (n, m).
    """

    border: tuple[_Slices, ...]
    target: _Slices
    source: _Slices
    box: tuple[float, float, float, float]
    ratio: tuple[int, int] | None


@functools.lru_cache(maxsize=64)
def _plan(height: int, width: int, region: Region, rows: int, columns: int) -> _Plan:
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
    return _Plan(
        border=tuple(strip for strip in strips if _size(strip, rows, columns)),
        target=(slice(top, bottom), slice(left, right)),
        source=(slice(y, math.ceil(y1)), slice(x, math.ceil(x1))),
        box=(x0 - x, y0 - y, x1 - x, y1 - y),
        ratio=ratio,
    )


def _size(slices: _Slices, rows: int, columns: int) -> int:
    return len(range(*slices[0].indices(rows))) * len(range(*slices[1].indices(columns)))


def _covered(start: float, step: float, count: int, size: int) -> tuple[int, int]:
    """Return the range of output pixels that lie wholly on the image."""
    first = math.ceil(-start / step - 1e-6)
    last = math.floor((size - start) / step + 1e-6)
    return min(max(0, first), count), max(0, min(count, last))


def _ratio(k: float) -> tuple[int, int] | None:
    """Return `k` as n input pixels for every m output pixels, both small; None where it is not."""
    for m in range(1, _MAX_M + 1):
        n = round(k * m)
        if (m <= n <= _MAX_N or n == 1) and math.isclose(k * m, n, rel_tol=1e-9):
            return n, m
    return None


def _repeat(part: Pixels, times: int, out: Floats, scale: float, offset: float) -> None:
    """Let every pixel make one of `out`, or `times` x `times` of them."""
    if times == 1:
        out[...] = part  # three plain passes are faster than one that converts as it multiplies
        out *= np.float32(scale)
    else:
        rows, _, channels = part.shape
        wide = part.reshape(-1, channels).astype(np.float32) @ _weights(1, times, channels, scale)
        out.reshape(rows, times, -1)[...] = wide.reshape(rows, 1, -1)
    out += np.float32(offset)


def _average_blocks(part: Pixels, n: int, m: int, out: Floats, scale: float, offset: float) -> None:
    """Average blocks of n x n pixels over m x m.

    Rows are summed as 16 bit integers; then one matrix product sums the columns, scales, and lands in
    the model's input: one pass over the region, no float copy of it.
    """
    weights = _weights(n, m, part.shape[2], scale)
    sums = _row_sums(part, n, m)
    shift = n * offset / scale
    early = m == 1 and shift.is_integer() and abs(shift) <= n * 128
    if early:  # in 16 bits the offset costs half of what it costs after
        sums = sums.view(np.int16)
        sums += np.int16(shift)
    flat = sums.astype(np.float32).reshape(-1, len(weights))
    target = out.reshape(len(flat), -1)
    np.matmul(flat, weights, out=target)
    if not early:
        target += np.float32(offset)


def _row_sums(part: Pixels, n: int, m: int) -> NDArray[np.uint16]:
    """Sum every n rows into m, each row weighted by m times the share of it that falls there."""
    if m == 1:
        total = part[::n].astype(np.uint16)
        for i in range(1, n):
            total += part[i::n]
        return total
    sums = np.empty((len(part) // n, m, *part.shape[1:]), np.uint16)
    for j, shares in enumerate(_shares(n, m)):
        out = sums[:, j]
        whole = [part[i::n] for i in range(n) if shares[i] == m]
        out[...] = whole[0] if whole else 0
        for rows in whole[1:]:
            out += rows
        out *= np.uint16(m)
        for i in range(n):
            if 0 < shares[i] < m:
                out += part[i::n] if shares[i] == 1 else np.multiply(part[i::n], shares[i], dtype=np.uint16)
    return sums


@functools.lru_cache(maxsize=64)
def _shares(n: int, m: int) -> list[list[int]]:
    """Return how much of each of n input pixels falls into each of m output pixels, in 1/m pixels."""
    return [[max(0, min(m * i + m, n * j + n) - max(m * i, n * j)) for i in range(n)] for j in range(m)]


@functools.lru_cache(maxsize=64)
def _weights(n: int, m: int, channels: int, scale: float) -> Floats:
    shares = np.array(_shares(n, m), np.float32).T * np.float32(scale / (n * n))
    return np.kron(shares, np.eye(channels, dtype=np.float32))


def _average_any(
    part: Pixels, box: tuple[float, float, float, float], out: Floats, scale: float, offset: float
) -> None:
    rows, columns, channels = out.shape
    source = Image.fromarray(np.ascontiguousarray(part[..., 0] if channels == 1 else part))
    small = np.asarray(source.resize((columns, rows), Image.Resampling.BOX, box=box))
    np.multiply(small.reshape(out.shape), np.float32(scale), out=out)
    out += np.float32(offset)
