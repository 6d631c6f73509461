"""A painting taken apart, ready to be drawn in any frame."""

from dataclasses import dataclass
from typing import Final

from appliance.camera.averaging import Pixels
from appliance.grid import Box, FrameGrid
from appliance.portrait.eyes import Eye, fit_eyes
from appliance.portrait.fitness import check_eyes, check_face, check_plan
from appliance.portrait.head import Head, build_head
from appliance.portrait.landmarks import Landmarker, Landmarks
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
    """A painting taken apart: `pixels` is RGB uint8 (height, width, 3), the rest lies in its pixels."""

    pixels: Pixels
    face: Landmarks
    head: Head
    eyes: tuple[Eye, Eye]
    plan: Plan
    doubts: tuple[str, ...] = ()

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


def sit(landmarker: Landmarker, pixels: Pixels, found: Face, motion: Motion, scale: float = 1.0) -> Sitter:
    """Take a painting apart and plan its frames.

    Parameters
    ----------
    pixels : the painting as it will be shown, RGB uint8 of shape (height, width, 3)
    found : roughly where the face is in it
    scale : of `pixels` against the original picture

    Raises
    ------
    UnfitPortrait
        If it cannot be brought to life.
    """
    face = landmarker.landmarks(pixels, found)
    doubts = check_face(face, scale)
    eyes = fit_eyes(pixels, face)
    doubts += check_eyes(eyes)
    head = build_head(face, pixels.shape[1], pixels.shape[0])
    yaw = min(motion.yaw, head.widest())
    if yaw < 0.8 * motion.yaw:
        doubts.append(f"the head turns only {yaw:.1f} degrees: more would fold the face")
    plan = make_plan(face, eyes, motion.frames, yaw, motion.distance_mm, motion.eyes)
    plan = with_rows(plan, eyes, motion.rows, motion.yaw, head.highest(yaw), motion.eyes)
    if motion.yaw >= YAW and motion.eyes >= 1:  # a smaller range than the usual one was not asked for
        doubts += check_plan(plan)
    return Sitter(pixels, face, head, eyes, plan, tuple(doubts))
