"""A picture in which one sitter appears several times, with heads that overlap, to be measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from appliance.grid import Box, FrameGrid
from appliance.pack import Pack, write_pack

# Boxes of neighbouring heads begin so far from each other, as a share of their size.
_STEP: Final = 0.8
# Columns to each side of rest that are "beside" it: with their neighbours they are all kept in memory.
_BESIDE: Final = 5


def write_sitters(pack: Pack, folder: Path, across: int, down: int, scale: float) -> Pack:
    """Write a pack of a picture with `across` times `down` sitters, and return it.

    Parameters
    ----------
    pack : whose largest sitter is taken, with all frames
    scale : how large a head is in it, as a share of that in `pack`
    """
    grid, base = pack.info.main, pack.base()
    x0, y0, x1, y1 = grid.box
    width, height = round(scale * (x1 - x0)), round(scale * (y1 - y0))
    boxes: list[Box] = []
    for number in range(across * down):
        left = round((number % across + (1 / _STEP - 1) / 2) * _STEP * width)
        top = round((number // across + (1 / _STEP - 1) / 2) * _STEP * height)
        boxes.append((left, top, left + width, top + height))
    grids = tuple(replace(grid, box=box, eyes=_middle(box)) for box in boxes)
    info = replace(pack.info, sitters=grids)
    masks = [_owned(boxes, sitter) for sitter in range(len(boxes))]

    def patches() -> Iterator[Image.Image]:
        for sitter, mask in enumerate(masks):
            for frame in range(grid.count):
                patch = pack.patch(frame).resize((width, height))
                if info.mode(sitter) == "RGBA":
                    patch.putalpha(mask)
                yield patch

    for each, mask in zip(grids, masks, strict=True):
        base.paste(pack.patch(grid.rest).resize((width, height)), each.box[:2], mask)
    write_pack(folder, info, base, patches())
    return Pack(folder)


def beside_rest(grid: FrameGrid) -> list[int]:
    """Return the frames of the resting row nearest rest, from one side to the other."""
    row, column = grid.resting
    return [grid.number(row, other) for other in grid.columns(row) if abs(other - column) <= _BESIDE]


def there_and_back(grid: FrameGrid) -> list[int]:
    """Return all frames of a grid in an order in which each is beside the one before."""
    frames: list[int] = []
    for row in range(len(grid.pitches)):
        columns = grid.columns(row) if row % 2 else reversed(grid.columns(row))
        frames += [grid.number(row, column) for column in columns]
    return frames


def _owned(boxes: list[Box], sitter: int) -> Image.Image:
    """Return where in a sitter's box the pixels are its own: where boxes overlap, the nearest middle's."""
    x0, y0, x1, y1 = boxes[sitter]
    across, down = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    distances = []
    for box in boxes:
        x, y = _middle(box)
        inside = (box[0] <= across) & (across < box[2]) & (box[1] <= down) & (down < box[3])
        distances.append(np.where(inside, np.hypot(across - x, down - y), np.inf))
    own = np.argmin(distances, axis=0) == sitter
    return Image.fromarray(own.astype(np.uint8) * 255)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
