"""A picture in bands of rows, reduced as they pass: never held whole."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

# What a band takes in memory, in bytes, while four of them go for a pixel.
BAND: Final = 4_000_000
# Wider pictures are no paintings, and a row of theirs is a band by itself.
WIDEST: Final = BAND // 4
# Rows of the reduced picture that are computed at a time, and how many of its rows Lanczos reaches beyond.
_BLOCK: Final = 64
_REACH: Final = 3


@dataclass(frozen=True, slots=True)
class Banded:
    """A picture as its file holds it: (width, height), its bands from the top, and how to turn it upright.

    The bands have its width and any mode; `orientation` is EXIF's, 1 to 8.
    """

    size: tuple[int, int]
    bands: Iterator[Image.Image]
    orientation: int


def rows_per_band(width: int) -> int:
    """Return how many rows of a picture of this width make a band."""
    return max(1, BAND // (4 * width))


def cut(image: Image.Image) -> Iterator[Image.Image]:
    """Cut a picture that is held whole into bands; its pixels are let go with the last."""
    rows = rows_per_band(image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        band.info = image.info  # which colour is transparent
        yield band
    image.close()


def reduce(bands: Iterable[Image.Image], full: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """Reduce a picture by Pillow's Lanczos filter, across as its bands pass, then down.

    Parameters
    ----------
    bands : RGB, of any heights, from the top
    full, size : (width, height) in pixels, before and after; `full` is nowhere smaller

    Returns
    -------
    RGB of `size`; the same whatever the bands' heights
    """
    width, height = size
    step = full[1] / height
    out = Image.new("RGB", size)
    held = np.empty((0, width, 3), np.uint8)
    top = done = 0

    def window(row: int) -> tuple[int, int, int]:
        """Return the last row of the block that begins at `row`, and the rows of the picture it needs."""
        last = min(row + _BLOCK, height)
        low, high = math.floor((row - _REACH) * step) - 1, math.ceil((last + _REACH) * step) + 1
        return last, max(low, 0), min(high, full[1])

    for band in bands:
        across = band.resize((width, band.height), Image.Resampling.LANCZOS)
        held = np.concatenate([held, np.asarray(across)])
        while done < height:
            last, low, high = window(done)
            if high > top + len(held):
                break
            box = (0, done * step - low, width, min(last * step, full[1]) - low)
            part = Image.fromarray(held[low - top : high - top])
            out.paste(part.resize((width, last - done), Image.Resampling.LANCZOS, box), (0, done))
            done = last
        low = window(done)[1]
        held, top = held[max(low - top, 0) :], max(low, top)
    return out
