"""A painting taken apart, ready to be drawn in any frame, and the pixels that each sitter owns.

A pixel belongs to at most one sitter, so that frames of several can be shown together in any order.
Faces come before all that moves around them, hair and neck; among faces, and then among what moves
around them, the larger face comes first. The head of a sitter stays still where a pixel belongs to
another, and its movement fades out before that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from appliance.camera.sampling import Pixels
from appliance.errors import UnfitPortrait
from appliance.pack import Box, FrameGrid
from appliance.portrait.eye_layers import Eye, fit_eyes
from appliance.portrait.head import Head, build_head
from appliance.portrait.landmarks import Landmarker, Landmarks
from appliance.portrait.plan import Plan, make_plan, with_rows
from appliance.portrait.sampling import Array, Mask
from appliance.portrait.suitability import check_eyes, check_face, check_plan
from appliance.vision.blazeface import Face

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


YAW: Final = 8.0
DISTANCE_MM: Final = 2000.0


@dataclass(frozen=True, slots=True)
class Motion:
    """How a portrait is asked to move.

    `frames` is how many; `yaw` is how far the head turns to either side in degrees, 0 for the eyes
    alone; `eyes` is the part of the usual travel the irises take, 0 for the head alone;
    `distance_mm` is that of the viewer, on whom both eyes converge; `rows` is how many rows of gaze up
    and down there are, one of them level.
    """

    frames: int
    yaw: float = YAW
    eyes: float = 1.0
    distance_mm: float = DISTANCE_MM
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Sitter:
    """A painting taken apart: `pixels` is RGB uint8 (height, width, 3), the rest lies in its pixels.

    `number` is the face's, from 1 at picture left.
    """

    pixels: Pixels
    face: Landmarks
    head: Head
    eyes: tuple[Eye, Eye]
    plan: Plan
    doubts: tuple[str, ...] = ()
    number: int = 1

    def grid(self, box: Box) -> FrameGrid:
        """Return the grid of the frames, whose changes lie in `box`."""
        plan = self.plan
        resting = plan.level, plan.resting
        return FrameGrid(box, self.middle, plan.angles, plan.pitches, plan.coarse, resting)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle between the eyes, (x, y) in picture pixels."""
        first, second = (eye.view.axes for eye in self.eyes)
        return round((first.x + second.x) / 2, 2), round((first.y + second.y) / 2, 2)


@dataclass(frozen=True, slots=True)
class Company:
    """The sitters of one painting, the largest face first.

    `resting` says of the faces that cannot follow why, by their numbers; `owners` is None for one sitter.
    """

    sitters: tuple[Sitter, ...]
    resting: dict[int, UnfitPortrait]
    owners: Owners | None


@dataclass(frozen=True, slots=True)
class _Seen:
    face: Landmarks
    eyes: tuple[Eye, Eye]
    doubts: list[str]


def sit(landmarker: Landmarker, pixels: Pixels, found: Face, motion: Motion, scale: float = 1.0) -> Sitter:
    """Take a painting of one sitter apart and plan its frames, as `sit_together`."""
    return sit_together(landmarker, pixels, {1: found}, motion, scale).sitters[0]


def sit_together(
    landmarker: Landmarker, pixels: Pixels, faces: Mapping[int, Face], motion: Motion, scale: float = 1.0
) -> Company:
    """Take a painting apart and plan the frames of all its sitters.

    Where what moves of two sitters would meet, it belongs to one of them, see `owners`: the larger face
    comes first. Faces that cannot follow rest, and nobody's movement reaches into them, except where the
    faces themselves overlap.

    Parameters
    ----------
    pixels : the painting as it will be shown, RGB uint8 of shape (height, width, 3)
    faces : roughly where the faces are in it, by their numbers
    scale : of `pixels` against the original picture

    Raises
    ------
    UnfitPortrait
        If no face can be brought to life: the reason of one face, or the reasons of all.
    """
    marks: dict[int, Landmarks] = {}
    seen: dict[int, _Seen] = {}
    resting: dict[int, UnfitPortrait] = {}
    for number, found in faces.items():
        marks[number] = face = landmarker.landmarks(pixels, found)
        try:
            doubts = check_face(face, scale)
            eyes = fit_eyes(pixels, face)
            seen[number] = _Seen(face, eyes, doubts + check_eyes(eyes))
        except UnfitPortrait as error:
            resting[number] = error
    order = sorted(marks, key=lambda number: (number in resting, -marks[number].size))
    height, width = pixels.shape[:2]
    owners = Owners({number: marks[number] for number in order}, width, height) if len(order) > 1 else None
    sitters = []
    for number in order[: len(seen)]:
        try:
            sitters.append(_planned(pixels, seen[number], motion, number, owners))
        except UnfitPortrait as error:
            resting[number] = error
    if not sitters:
        if len(resting) == 1:
            raise next(iter(resting.values()))
        raise UnfitPortrait("; ".join(f"face {number}: {error}" for number, error in sorted(resting.items())))
    return Company(tuple(sitters), dict(sorted(resting.items())), owners)


def _planned(pixels: Pixels, seen: _Seen, motion: Motion, number: int, owners: Owners | None) -> Sitter:
    """Plan the frames of one sitter, who gets of what nobody owns yet what the head moves."""
    face, eyes, doubts = seen.face, seen.eyes, list(seen.doubts)
    height, width = pixels.shape[:2]
    if owners is None:
        head = build_head(face, width, height)
    else:
        if owners.hides(number, face):
            raise UnfitPortrait("an eye lies within the face of a larger sitter; choose one with --face N")
        head = build_head(face, width, height, partial(owners.others, number))
    yaw = min(motion.yaw, head.widest())
    if yaw < 0.8 * motion.yaw:
        doubts.append(f"the head turns only {yaw:.1f} degrees: more would fold the face")
    plan = make_plan(face, eyes, motion.frames, yaw, motion.distance_mm, motion.eyes)
    plan = with_rows(plan, eyes, motion.rows, motion.yaw, head.highest(yaw), motion.eyes)
    if motion.yaw >= YAW and motion.eyes >= 1:  # a smaller range than the usual one was not asked for
        doubts += check_plan(plan)
    if owners is not None:
        owners.give(number, head)
    return Sitter(pixels, face, head, eyes, plan, tuple(doubts), number)
