"""A painting taken apart, ready to be drawn in any frame, for one sitter or for several together."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from appliance.camera.averaging import Pixels
from appliance.errors import UnfitPortrait
from appliance.grid import Box, FrameGrid
from appliance.portrait.eyes import Eye, fit_eyes
from appliance.portrait.fitness import check_eyes, check_face, check_plan
from appliance.portrait.head import Head, build_head
from appliance.portrait.landmarks import Landmarker, Landmarks
from appliance.portrait.owners import Owners
from appliance.portrait.plan import Plan, make_plan, with_rows
from appliance.vision.blazeface import Face

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
