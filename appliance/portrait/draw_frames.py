"""Drawing the frames: head's turn, lids and eyes together, so that the painting is resampled only once."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.pack import Box
from appliance.portrait.eye_layers import PaintedEye
from appliance.portrait.head_motion import HeadMotion, box_around, cells_touching
from appliance.portrait.prepared_sitters import PreparedSitter
from appliance.portrait.sampling import Array

_MARGIN: Final = 2  # still pixels around what changes, on each side of the patch
_STILL: Final = 1e-3  # a node that moves less than this, in pixels, is left in place
_LEVEL_CELL: Final = 1  # nodes to a side of a cell that is drawn at once in the level row
# The same in the other rows: larger cells take a third less time and move the skin by less than half a pixel
# (measured).
_CELL: Final = 2
_AIR: Final = 4  # pixels that the cubic kernel needs beyond the head's box


def patch_box(sitter: PreparedSitter) -> Box:
    """Return the rectangle of the picture that changes in any frame, (x0, y0, x1, y1) in whole pixels."""
    height, width = sitter.pixels.shape[:2]
    boxes = [_eye_box(sitter, eye) for eye in sitter.eyes]
    if any(sitter.plan.turns) or any(sitter.plan.nods):
        boxes.append(_head_box(sitter))
    x0, y0, x1, y1 = _around(boxes)
    return max(x0 - _MARGIN, 0), max(y0 - _MARGIN, 0), min(x1 + _MARGIN, width), min(y1 + _MARGIN, height)


def _head_box(sitter: PreparedSitter) -> Box:
    """Return the rectangle in which the head's motion changes the frames."""
    return sitter.head.moving_box(turns=any(sitter.plan.turns), nods=any(sitter.plan.nods))


def eyes_box(sitter: PreparedSitter) -> Box:
    """Return a rectangle around both eyes, for a close-up, (x0, y0, x1, y1) in whole pixels."""
    return _around([_eye_box(sitter, eye) for eye in sitter.eyes])


def _around(boxes: list[Box]) -> Box:
    """Return the smallest rectangle around all boxes."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def draw_patches(sitter: PreparedSitter, box: Box) -> Iterator[Image.Image]:
    """Draw the rectangle that changes for every frame, in the order of the grid's numbers.

    They are RGB pictures of the box's size; the resting frame is the painting bit for bit.
    """
    x0, y0, x1, y1 = box
    painting, turner = sitter.pixels[y0:y1, x0:x1], _Turner(sitter.pixels, sitter.head, _head_box(sitter))
    plan, grid = sitter.plan, sitter.grid(box)
    eye_boxes = [_eye_box(sitter, eye) for eye in sitter.eyes]
    for frame in range(grid.count):
        if frame == grid.rest:
            yield Image.fromarray(painting)
            continue
        row, column = grid.place(frame)
        turn, nod, drop = plan.turns[column], plan.nods[row], plan.drops[row]
        patch = painting.copy()
        nodes, cell = sitter.head.source_nodes(turn, nod), _LEVEL_CELL
        if row != plan.level_row:
            nodes, cell = (_every_second(nodes[0]), _every_second(nodes[1])), _CELL
        if turn or nod:
            turner.draw(nodes, patch, (x0, y0), cell)
        ways = zip(sitter.eyes, eye_boxes, plan.shifts[column].tolist(), strict=True)
        for eye, (left, top, right, bottom), shift in ways:
            part = patch[top - y0 : bottom - y0, left - x0 : right - x0]
            _draw_eye(sitter, eye, (shift, drop), nodes, part, (left, top))
        yield Image.fromarray(patch)


class _Turner:
    """Draws the turned head, cell by cell between its nodes, in Pillow's C.

    Colours go through floating point one by one: Pillow's cubic on bytes rounds down, which darkens
    every frame but the resting one by half a grey level.
    """

    def __init__(self, pixels: Pixels, head: HeadMotion, box: Box) -> None:
        height, width = pixels.shape[:2]
        x0, y0, x1, y1 = box
        self._head, self._box = head, box
        self._corner = max(x0 - _AIR, 0), max(y0 - _AIR, 0)
        part = pixels[self._corner[1] : min(y1 + _AIR, height), self._corner[0] : min(x1 + _AIR, width)]
        self._colours = [Image.fromarray(part[..., i].astype(np.float32)) for i in range(3)]

    def draw(self, nodes: tuple[Array, Array], patch: Pixels, corner: tuple[int, int], cell: int) -> None:
        """Draw into a patch whose upper left pixel is `corner` of the painting; still cells stay.

        `cell` is how many nodes' distances a cell is wide and high.
        """
        head, box, step = self._head, self._box, self._head.step
        away = np.hypot(*(there - here for there, here in zip(nodes, head.nodes(), strict=True))) > _STILL
        rows, columns = (np.array([*range(0, count - 1, cell), count - 1]) for count in away.shape)
        at = np.ix_(rows, columns)
        moves = cells_touching(away[at])
        size = box[2] - box[0], box[3] - box[1]
        quads = np.stack([nodes[0][at] - self._corner[0], nodes[1][at] - self._corner[1]], -1)
        quads = np.concatenate([quads[:-1, :-1], quads[1:, :-1], quads[1:, 1:], quads[:-1, 1:]], -1)
        x, y = columns * step + head.box[0] - box[0], rows * step + head.box[1] - box[1]
        row, column = np.nonzero(moves)
        places = np.stack([x[column], y[row], x[column + 1], y[row + 1]], -1)
        cells = [
            (tuple(place), quad)
            for place, quad in zip(places.tolist(), quads[row, column].tolist(), strict=True)
            if place[2] <= size[0] and place[3] <= size[1]
        ]
        drawn = np.zeros((size[1], size[0]), bool)
        for (c, r, right, bottom), _ in cells:
            drawn[r:bottom, c:right] = True
        left, top = box[0] - corner[0], box[1] - corner[1]
        part = patch[top : top + size[1], left : left + size[0]]
        for i, colour in enumerate(self._colours):
            turned = np.asarray(colour.transform(size, Image.Transform.MESH, cells, Image.Resampling.BICUBIC))
            np.copyto(part[..., i], np.clip(turned + 0.5, 0, 255).astype(np.uint8), where=drawn)


def _draw_eye(
    sitter: PreparedSitter,
    eye: PaintedEye,
    way: tuple[float, float],
    nodes: tuple[Array, Array],
    part: Pixels,
    corner: tuple[int, int],
) -> None:
    """Draw an eye into the part of a frame whose upper left pixel is `corner` of the painting.

    `way` is the iris's to picture right and down.
    """
    rows, columns = np.mgrid[0 : part.shape[0], 0 : part.shape[1]] + 0.5
    x, y = columns + corner[0], rows + corner[1]
    moved = np.stack([there - here for there, here in zip(nodes, sitter.head.nodes(), strict=True)], -1)
    shift = sitter.head.interpolate(moved, x, y)
    x, y = x + shift[..., 0], y + shift[..., 1]  # where the points of the frame come from
    changes = eye.can_change(x, y, bool(way[1]))
    drawn = eye.draw(sitter.pixels, x[changes], y[changes], *way)
    part[changes] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def _every_second(nodes: Array) -> Array:
    """Return coordinates of nodes of which every second one lies half way between its neighbours."""
    out = nodes.copy()
    for axis in (0, 1):
        lines = np.moveaxis(out, axis, 0)
        lines[1:-1:2] = (lines[:-2:2] + lines[2::2]) / 2
    return out


def _eye_box(sitter: PreparedSitter, eye: PaintedEye) -> Box:
    """Return the whole pixels in which an eye can change in any frame, inside the picture."""
    head, plan = sitter.head, sitter.plan
    x, y = eye.corners(any(plan.drops))
    ends = product((0.0, plan.turns[0], plan.turns[-1]), {0.0, plan.nods[0], plan.nods[-1]})
    shifts = np.array([head.picture_shifts(x, y, *end) for end in ends]) * 1.2
    ways = (x, shifts[:, 0]), (y, shifts[:, 1])
    x, y = (np.array([at.min() + way.min(), at.max() + way.max()]) for at, way in ways)
    height, width = sitter.pixels.shape[:2]
    return box_around(x, y, 0, width, height)
