"""Which of several sitters each pixel of a painting belongs to.

A pixel belongs to at most one sitter, so that frames of several can be shown together in any order.
Faces come before all that moves around them, hair and neck; among faces, and then among what moves
around them, the larger face comes first. The head of a sitter stays still where a pixel belongs to
another, and its movement fades out before that.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from appliance.grid import Box
from appliance.portrait.head import Head
from appliance.portrait.landmarks import Landmarks
from appliance.portrait.sampling import Array, Mask

# An eye's iris, lids and the skin around them lie within this distance of its middle, also when the head
# has turned, in eye widths (the corner of what changes lies 0.75 away, and the head carries it 0.25).
_EYE: Final = 1.0
# An eye that belongs to another face within this distance of its middle is hidden by it, in eye widths.
_HIDDEN: Final = 0.6
# Directions in which a mesh's outermost points are looked for: its outline within a hundredth.
_DIRECTIONS: Final = 72


class Owners:
    """The owner of every pixel, by the number of its face; from 1, and 0 where nobody moves."""

    def __init__(self, faces: Mapping[int, Landmarks], width: int, height: int) -> None:
        """Give each face its own pixels.

        Parameters
        ----------
        faces : the landmarks by the faces' numbers, in the order of priority
        width, height : of the picture in pixels
        """
        picture = Image.new("L", (width, height))
        draw = ImageDraw.Draw(picture)
        last_first = list(faces.items())[::-1]
        for number, face in last_first:
            draw.polygon([(x, y) for x, y in _outline(face.mesh[:, :2]).tolist()], fill=number)
        for number, face in last_first:
            for (x, y), width_ in _eyes(face):
                r = _EYE * width_
                draw.ellipse((x - r, y - r, x + r, y + r), fill=number)
        self._map = np.array(picture)

    def others(self, number: int, x: Array, y: Array) -> Mask:
        """Return which points, in picture pixels, belong to another face than that of the number."""
        height, width = self._map.shape
        column, row = np.floor(x).astype(int), np.floor(y).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        owner = self._map[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        others: Mask = inside & (owner != 0) & (owner != number)
        return others

    def hides(self, number: int, face: Landmarks) -> bool:
        """Return whether an eye of a face lies in the face of another."""
        turn = np.linspace(0, 2 * np.pi, _DIRECTIONS)
        around = _HIDDEN * np.stack([np.cos(turn), np.sin(turn)])
        return any(
            self.others(number, x + width * around[0], y + width * around[1]).any()
            for (x, y), width in _eyes(face)
        )

    def give(self, number: int, head: Head) -> None:
        """Give a face what its head moves, as far as it belongs to nobody yet."""
        x0, y0, x1, y1 = head.box
        moves = np.repeat(np.repeat(head.moving_cells(), head.step, 0), head.step, 1)[: y1 - y0, : x1 - x0]
        part = self._map[y0 : y0 + moves.shape[0], x0 : x0 + moves.shape[1]]
        part[moves & (part == 0)] = number

    def elsewhere(self, number: int, box: Box) -> Mask:
        """Return which pixels of a box belong to another face than that of the number."""
        x0, y0, x1, y1 = box
        owner = self._map[y0:y1, x0:x1]
        others: Mask = (owner != 0) & (owner != number)
        return others


def with_holes(patches: Iterable[Image.Image], others: Mask) -> Iterator[Image.Image]:
    """Yield patches as RGBA, clear where pixels belong to others."""
    alpha = Image.fromarray(np.where(others, 0, 255).astype(np.uint8))
    for patch in patches:
        holed = patch.copy()
        holed.putalpha(alpha)
        yield holed


def _outline(points: Array) -> Array:
    """Return the corners of the smallest convex area around points (n, 2), in order."""
    turn = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
    ways = np.stack([np.cos(turn), np.sin(turn)])
    corners: Array = points[(points @ ways).argmax(0)]
    return corners


def _eyes(face: Landmarks) -> list[tuple[tuple[float, float], float]]:
    """Return the middle of each eye and its width, in picture pixels."""
    eyes = []
    for marks in face.eyes:
        x, y = ((marks.lower[0] + marks.lower[-1]) / 2).tolist()
        eyes.append(((x, y), marks.width))
    return eyes
