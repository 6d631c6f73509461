"""YUV 4:2:0 planes into a model's input: averaging and conversion are linear, so they are one."""

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.camera.averaging import Floats, Pixels, Region, average

# BT.601 at full range (libcamera's "sYCC"): how much of Y, U and V (rows) is in R, G and B.
_RGB_FROM_YUV: Final = np.array([[1, 1, 1], [0, -0.344136, 1.772], [1.402, -0.714136, 0]], np.float32)
_UNIT: Final = 1 / 127.5
# Pixels of a picture to one of the model's input, in the crops around a viewer.
_RATIOS: Final = (0.5, 1.0, 2.0)


def read_yuv(y: Pixels, u: Pixels, v: Pixels, region: Region, out: Floats) -> None:
    """Average a region of the planes down into `out`, as RGB in [-1, 1]; beyond the picture black.

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
    """Read a crop within the picture whose pixels make 2, 1 or 1/2 of `out` each way, if it is one.

    Two pixels of Y side by side and the U and V they share become 4, 2 or 1 of `out`: all in one
    small matrix product that lands in the model's input.
    """
    side = int(region.width)
    left, top = int(region.x0), int(region.y0)
    n = side / out.shape[1]
    whole = (left, top, left + side, top + side) == (region.x0, region.y0, region.x1, region.y1)
    inside = 0 <= left <= y.shape[1] - side and 0 <= top <= y.shape[0] - side
    even = left % 2 == top % 2 == side % 4 == 0
    fits = n in _RATIOS and out.shape[0] == out.shape[1] and out.flags.c_contiguous
    if not (whole and inside and even and fits):
        return False
    light: NDArray[np.uint8] | NDArray[np.uint16] = y[top : top + side, left : left + side]
    half = slice(top // 2, (top + side) // 2), None, slice(left // 2, (left + side) // 2)
    if n == 2:
        light = light[::2] + light[1::2].astype(np.uint16)
    pairs = np.empty((side // 2, len(light) * 2 // side, side // 2, 5), np.float32)
    light = light.reshape(*pairs.shape[:2], side)
    pairs[..., 0], pairs[..., 1] = light[..., ::2], light[..., 1::2]
    pairs[..., 2], pairs[..., 3] = u[half], v[half]
    pairs[..., 4] = 1
    weights = _weights(n)
    if n == 0.5:
        wide = (pairs.reshape(-1, len(weights)) @ weights).reshape(side, 1, -1)
        _clip(wide)
        out.reshape(side, 2, -1)[...] = wide
    else:
        np.matmul(pairs.reshape(-1, len(weights)), weights, out=out.reshape(-1, weights.shape[1]))
        _clip(out.reshape(len(out), -1))
    return True


def _clip(values: Floats) -> None:
    """Limit values to [-1, 1] in place: against a row of bounds numpy's loop is the fast one.

    A single bound takes twice that, np.clip half as much again.
    """
    low, high = _bounds(values.shape[1:])
    np.minimum(np.maximum(values, low, out=values), high, out=values)


@functools.lru_cache
def _bounds(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    high = np.ones(shape, np.float32)
    return -high, high


@functools.lru_cache
def _weights(n: float) -> Floats:
    """Return what a pair (Y, Y, U, V, 1) becomes; for `n` = 2 what two pairs become, which is faster."""
    light = {0.5: np.eye(2).repeat(2, 1), 1.0: np.eye(2), 2.0: np.full((2, 1), 1 / 4)}[n]
    shares = np.vstack([light, np.ones((3, light.shape[1]))])
    luma, *chroma = _RGB_FROM_YUV.astype(np.float64) * _UNIT
    colours = np.array([luma, luma, *chroma, -1 - 128 * sum(chroma)])
    weights = (shares[:, :, None] * colours[:, None]).reshape(len(colours), -1)
    return np.kron(np.eye(2 if n == 2 else 1), weights).astype(np.float32)


def _read_planes(y: Pixels, u: Pixels, v: Pixels, region: Region, out: Floats) -> None:
    """Read any region, plane by plane."""
    rows, columns = out.shape[:2]
    half = Region(region.x0 / 2, region.y0 / 2, region.x1 / 2, region.y1 / 2)
    planes = np.empty((3, rows, columns), np.float32)
    average(y[..., None], region, planes[0, ..., None], _UNIT, -1.0, border=-1.0)
    # Where the picture is read pixel by pixel there is one colour for four of them.
    step = 2 if region.width <= columns and rows % 2 == columns % 2 == 0 else 1
    small = np.empty((rows // step, columns // step, 1), np.float32)
    for plane, colour in zip(planes[1:], (u, v), strict=True):
        average(colour[..., None], half, small, _UNIT, -128 * _UNIT, border=0.0)
        wide = small[..., 0].repeat(step, 1)
        for i in range(step):
            plane[i::step] = wide
    if out.flags.c_contiguous:
        np.matmul(planes.reshape(3, -1).T, _RGB_FROM_YUV, out=out.reshape(-1, 3))
    else:
        out[...] = (planes.reshape(3, -1).T @ _RGB_FROM_YUV).reshape(out.shape)
