"""A painting taken apart, ready to be drawn in any frame, and the pixels that each sitter owns.

A pixel belongs to at most one sitter, so that frames of several can be shown together in any order. Faces
come before all that moves around them, hair and neck; among faces, and then among what moves around them, the
larger face comes first. The head of a sitter stays still where a pixel belongs to another, and its movement
fades out before that.
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
from appliance.portrait.eye_layers import PaintedEye, fit_eyes
from appliance.portrait.frame_motions import USUAL_YAW, FrameMotions, add_pitch_rows, plan_level_row
from appliance.portrait.head_motion import HeadMotion, build_head_motion
from appliance.portrait.landmarks import OUTLINE_DIRECTIONS, FaceLandmarker, FaceLandmarks
from appliance.portrait.sampling import Array, Mask
from appliance.portrait.suitability import check_face_suitable, check_gaze_range, check_iris_contrast
from appliance.vision.blazeface import Face

# Iris, lids and the skin around them lie within this distance of an eye's middle, also in a turned head, in
# eye widths: the corner of what changes lies 0.75 away, and the head carries it 0.25.
_EYE: Final = 1.0
# An eye is hidden if another face owns a point at this distance from its middle, in eye widths (by eye).
_HIDDEN: Final = 0.6


class PixelOwners:
    """The owner of every pixel: the number of a face, from 1, or 0 where nobody moves."""

    def __init__(self, faces: Mapping[int, FaceLandmarks], width: int, height: int) -> None:
        """Give each face its own pixels.

        `faces` has the landmarks by the faces' numbers, in the order of priority; `width` and `height` are
        the picture's in pixels.
        """
        picture = Image.new("L", (width, height))
        draw = ImageDraw.Draw(picture)
        last_first = list(faces.items())[::-1]
        for number, face in last_first:
            points = face.mesh[:, :2]
            outline = points[(points @ OUTLINE_DIRECTIONS).argmax(0)]  # corners of the area around all points
            draw.polygon([(x, y) for x, y in outline.tolist()], fill=number)
        for number, face in last_first:
            for eye in face.eyes:
                (x, y), r = eye.middle.tolist(), _EYE * eye.width
                draw.ellipse((x - r, y - r, x + r, y + r), fill=number)
        self._map = np.array(picture)

    def belongs_to_others(self, number: int, x: Array, y: Array) -> Mask:
        """Return which points belong to another face than that of the number.

        `x` and `y` are in picture pixels, any shape.
        """
        height, width = self._map.shape
        column, row = np.floor(x).astype(int), np.floor(y).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        owner = self._map[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        others: Mask = inside & (owner != 0) & (owner != number)
        return others

    def hides_an_eye(self, number: int, face: FaceLandmarks) -> bool:
        """Return whether an eye of a face lies in the face of another."""
        circles = (eye.middle[:, None] + eye.width * (_HIDDEN * OUTLINE_DIRECTIONS) for eye in face.eyes)
        return any(self.belongs_to_others(number, *circle).any() for circle in circles)

    def claim_head_pixels(self, number: int, head: HeadMotion) -> None:
        """Give a face those pixels that its head moves and that belong to nobody yet."""
        x0, y0, x1, y1 = head.box
        moves = np.repeat(np.repeat(head.moving_cells(), head.step, 0), head.step, 1)[: y1 - y0, : x1 - x0]
        part = self._map[y0 : y0 + moves.shape[0], x0 : x0 + moves.shape[1]]
        part[moves & (part == 0)] = number

    def others_in_box(self, number: int, box: Box) -> Mask:
        """Return which pixels of a box belong to another face than that of the number, (rows, columns)."""
        x0, y0, x1, y1 = box
        owner = self._map[y0:y1, x0:x1]
        others: Mask = (owner != 0) & (owner != number)
        return others


def make_others_transparent(patches: Iterable[Image.Image], others: Mask) -> Iterator[Image.Image]:
    """Yield patches as RGBA, transparent where pixels belong to others."""
    alpha = Image.fromarray(np.where(others, 0, 255).astype(np.uint8))
    for patch in patches:
        holed = patch.copy()
        holed.putalpha(alpha)
        yield holed


VIEWER_DISTANCE_MM: Final = 2000.0  # distance of the viewer on whom the eyes converge, in millimetres


@dataclass(frozen=True, slots=True)
class RequestedMotion:
    """The motion that is asked of a portrait.

    `frames` is the number of columns; `yaw` is how far the head turns to either side in degrees, 0 for the
    eyes alone; `eyes` is the fraction of the usual travel that the irises take, 0 for the head alone;
    `distance_mm` is that of the viewer, on whom both eyes converge; `rows` is the number of rows of gaze up
    and down, one of them level.
    """

    frames: int
    yaw: float = USUAL_YAW
    eyes: float = 1.0
    distance_mm: float = VIEWER_DISTANCE_MM
    rows: int = 1


@dataclass(frozen=True, slots=True)
class PreparedSitter:
    """A sitter ready to be drawn; `pixels` is the painting, RGB uint8 (height, width, 3).

    All else is in its pixels. `number` is the face's, from 1 at picture left.
    """

    pixels: Pixels
    face: FaceLandmarks
    head: HeadMotion
    eyes: tuple[PaintedEye, PaintedEye]
    plan: FrameMotions
    doubts: tuple[str, ...] = ()
    number: int = 1

    def grid(self, box: Box) -> FrameGrid:
        """Return the grid of the frames, whose changes lie in `box`."""
        plan = self.plan
        resting = plan.level_row, plan.resting_column
        return FrameGrid(box, self.middle, plan.angles, plan.pitches, plan.coarse, resting)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle between the eyes, (x, y) in picture pixels."""
        first, second = (eye.view.axes for eye in self.eyes)
        return round((first.x + second.x) / 2, 2), round((first.y + second.y) / 2, 2)


@dataclass(frozen=True, slots=True)
class SitterGroup:
    """The sitters of one painting, the largest face first.

    `unfit` says why faces cannot follow, by their numbers; `owners` is None for a single face.
    """

    sitters: tuple[PreparedSitter, ...]
    unfit: dict[int, UnfitPortrait]
    owners: PixelOwners | None


def prepare_sitters(
    landmarker: FaceLandmarker,
    pixels: Pixels,
    faces: Mapping[int, Face],
    motion: RequestedMotion,
    scale: float = 1.0,
) -> SitterGroup:
    """Take a painting apart and plan the frames of all its sitters.

    Where the movements of two sitters would meet, a pixel belongs to one of them, see `PixelOwners`: the
    larger face comes first. Faces that cannot follow rest, and nobody's movement reaches into them, except
    where the faces themselves overlap.

    `pixels` is the painting as it will be shown, RGB uint8 of shape (height, width, 3); `scale` is its scale
    against the original picture. `faces` says roughly where the faces are in it, by their numbers. Raises
    `UnfitPortrait`, with the reasons of all faces, if none can be brought to life.
    """
    marks: dict[int, FaceLandmarks] = {}
    seen: dict[int, tuple[tuple[PaintedEye, PaintedEye], list[str]]] = {}
    unfit: dict[int, UnfitPortrait] = {}
    for number, found in faces.items():
        marks[number] = face = landmarker.read_landmarks(pixels, found)
        try:
            doubts = check_face_suitable(face, scale)
            eyes = fit_eyes(pixels, face)
            seen[number] = eyes, doubts + check_iris_contrast(eyes)
        except UnfitPortrait as error:
            unfit[number] = error
    order = sorted(marks, key=lambda number: (number in unfit, -marks[number].size))
    height, width = pixels.shape[:2]
    ranked = {number: marks[number] for number in order}
    owners = PixelOwners(ranked, width, height) if len(order) > 1 else None
    sitters = []
    for number in order[: len(seen)]:
        try:
            sitters.append(_planned(pixels, marks[number], *seen[number], motion, number, owners))
        except UnfitPortrait as error:
            unfit[number] = error
    if not sitters:
        if len(unfit) == 1:
            raise next(iter(unfit.values()))
        raise UnfitPortrait("; ".join(f"face {number}: {error}" for number, error in sorted(unfit.items())))
    return SitterGroup(tuple(sitters), dict(sorted(unfit.items())), owners)


def _planned(
    pixels: Pixels,
    face: FaceLandmarks,
    eyes: tuple[PaintedEye, PaintedEye],
    doubts: list[str],
    motion: RequestedMotion,
    number: int,
    owners: PixelOwners | None,
) -> PreparedSitter:
    """Plan the frames of one sitter, and let the head claim the pixels that nobody owns yet."""
    height, width = pixels.shape[:2]
    if owners is None:
        head = build_head_motion(face, width, height)
    else:
        if owners.hides_an_eye(number, face):
            raise UnfitPortrait("an eye lies within the face of a larger sitter; choose one with --face N")
        head = build_head_motion(face, width, height, partial(owners.belongs_to_others, number))
    yaw = min(motion.yaw, head.widest_turn())
    if yaw < 0.8 * motion.yaw:
        doubts.append(f"the head turns only {yaw:.1f} degrees: more would fold the face")
    plan = plan_level_row(face, eyes, motion.frames, yaw, motion.distance_mm, motion.eyes)
    plan = add_pitch_rows(plan, eyes, motion.rows, motion.yaw, head.highest_nod(yaw), motion.eyes)
    if motion.yaw >= USUAL_YAW and motion.eyes >= 1:  # otherwise a smaller range was asked for
        doubts += check_gaze_range(plan)
    if owners is not None:
        owners.claim_head_pixels(number, head)
    return PreparedSitter(pixels, face, head, eyes, plan, tuple(doubts), number)
