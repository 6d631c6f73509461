"""Drawing the frames: the head's turn, the lids and the eyes, sampled from the painting once."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.pack import Box
from appliance.portrait.eye_layers import Eye
from appliance.portrait.head import Head
from appliance.portrait.sampling import Array, bilinear
from appliance.portrait.sitter import Sitter

_MARGIN: Final = 2
# What moves less than this, in pixels, is left as it is.
_STILL: Final = 1e-3
# Nodes to a side of a cell that is drawn at once, in the level row and in others: larger cells take a third
# less time, and move the skin by less than half a pixel.
_LEVEL_CELL: Final = 1
_CELL: Final = 2
# What the cubic needs beyond the head's box, in pixels.
_AIR: Final = 4


def patch_box(sitter: Sitter) -> Box:
    """Return the rectangle that changes, in whole pixels."""
    height, width = sitter.pixels.shape[:2]
    boxes = [_eye_box(sitter, eye) for eye in sitter.eyes]
    if any(sitter.plan.turns) or any(sitter.plan.nods):
        boxes.append(_head_box(sitter))
    x0, y0 = (max(min(box[i] for box in boxes) - _MARGIN, 0) for i in (0, 1))
    x1, y1 = (max(box[i] for box in boxes) + _MARGIN for i in (2, 3))
    return x0, y0, min(x1, width), min(y1, height)


def _head_box(sitter: Sitter) -> Box:
    """Return the rectangle in which the head's motion changes the frames."""
    return sitter.head.reach(turns=any(sitter.plan.turns), nods=any(sitter.plan.nods))


def eye_region(sitter: Sitter) -> Box:
    """Return a rectangle around both eyes, for a close-up, in whole pixels."""
    boxes = [_eye_box(sitter, eye) for eye in sitter.eyes]
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def draw_patches(sitter: Sitter, box: Box) -> Iterator[Image.Image]:
    """Draw the rectangle that changes for every frame; the resting one is the painting itself."""
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
        nodes, cell = sitter.head.sources(turn, nod), _LEVEL_CELL
        if row != plan.level:
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

    def __init__(self, pixels: Pixels, head: Head, box: Box) -> None:
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
        moves = away[at][:-1, :-1] | away[at][1:, :-1] | away[at][:-1, 1:] | away[at][1:, 1:]
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
    sitter: Sitter,
    eye: Eye,
    way: tuple[float, float],
    nodes: tuple[Array, Array],
    part: Pixels,
    corner: tuple[int, int],
) -> None:
    """Draw an eye into the part of a frame whose upper left pixel is `corner` of the painting.

    `way` is the iris's to picture right and down.
    """
    rows, columns = np.mgrid[0 : part.shape[0], 0 : part.shape[1]] + 0.5
    x, y = _sources(sitter.head, nodes, columns + corner[0], rows + corner[1])
    changes = eye.reaches(x, y, bool(way[1]))
    drawn = eye.draw(sitter.pixels, x[changes], y[changes], *way)
    part[changes] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def _every_second(nodes: Array) -> Array:
    """Return coordinates of nodes of which every second one lies half way between its neighbours."""
    out = nodes.copy()
    for axis in (0, 1):
        lines = np.moveaxis(out, axis, 0)
        lines[1:-1:2] = (lines[:-2:2] + lines[2::2]) / 2
    return out


def _sources(head: Head, nodes: tuple[Array, Array], x: Array, y: Array) -> tuple[Array, Array]:
    """Return where points of a frame come from, between the nodes."""
    column, row = (x - head.box[0]) / head.step + 0.5, (y - head.box[1]) / head.step + 0.5
    own = head.nodes()
    moved = np.stack([there - here for there, here in zip(nodes, own, strict=True)], -1)
    shift = bilinear(moved, column, row)
    return x + shift[..., 0], y + shift[..., 1]


def _eye_box(sitter: Sitter, eye: Eye) -> Box:
    """Return the whole pixels in which an eye can change in any frame, inside the picture."""
    head, plan = sitter.head, sitter.plan
    x, y = eye.corners(any(plan.drops))
    ends = product((0.0, plan.turns[0], plan.turns[-1]), {0.0, plan.nods[0], plan.nods[-1]})
    shifts = np.array([head.shifts(x, y, *end) for end in ends]) * 1.2
    dx, dy = ((float(s.min()), float(s.max())) for s in (shifts[:, 0], shifts[:, 1]))
    height, width = sitter.pixels.shape[:2]
    return (
        max(math.floor(x.min() + dx[0]), 0),
        max(math.floor(y.min() + dy[0]), 0),
        min(math.ceil(x.max() + dx[1]), width),
        min(math.ceil(y.max() + dy[1]), height),
    )
