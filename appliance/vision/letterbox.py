"""How a picture of any shape meets a model's square input."""

import functools

import numpy as np
from numpy.typing import NDArray

from appliance.camera.averaging import Floats, Region
from appliance.camera.base import RgbPicture


@functools.lru_cache(maxsize=16)
def letterbox(width: int, height: int) -> Region:
    """Return the smallest square around a whole picture, centred on it; its border reads as black."""
    side = max(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    return Region(x, y, x + side, y + side)


class PointSampledPicture(RgbPicture):
    """A picture read as MediaPipe reads it, so that detections can be compared with its own.

    One bilinear sample per input pixel, corner pixel on corner pixel: at 640 to 128 that looks at 4
    pixels of 25, moves points by 2 pixels and has more noise than the mean that cameras are read with.
    """

    def read(self, region: Region, out: Floats) -> None:
        """Sample a region into `out`, float32 (rows, columns, 3), RGB in [-1, 1]; border black."""
        padded = np.pad(self.pixels, ((1, 1), (1, 1), (0, 0)))
        rows, down = _neighbours(region.y0, region.height / out.shape[0], out.shape[0], self.height)
        columns, across = _neighbours(region.x0, region.width / out.shape[1], out.shape[1], self.width)
        upper, lower = padded[rows][:, columns], padded[rows + 1][:, columns]
        right = np.s_[:, columns + 1]
        across, down = across[None, :, None], down[:, None, None]
        upper = upper + (padded[rows][right] - upper.astype(np.float32)) * across
        lower = lower + (padded[rows + 1][right] - lower.astype(np.float32)) * across
        out[...] = np.rint(upper + (lower - upper) * down) / 127.5 - 1


def _neighbours(start: float, step: float, count: int, size: int) -> tuple[NDArray[np.intp], Floats]:
    """Return, for each sample, the pixel before it in an axis padded by one, and its share of the next."""
    places = np.clip(start + np.arange(count) * step, -1.0, float(size)) + 1
    before = np.minimum(places.astype(np.intp), size)
    return before, (places - before).astype(np.float32)
