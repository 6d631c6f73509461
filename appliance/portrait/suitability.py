"""Suitability: which pictures are refused, and which get a warning (a doubt), one sentence each."""

import math
from typing import Final

from appliance.errors import UnfitPortrait
from appliance.portrait.eye_layers import PaintedEye
from appliance.portrait.frame_motions import FULL_PITCH, MAX_LOPSIDED, MIN_RANGE, FrameMotions
from appliance.portrait.landmarks import FaceLandmarks

# Chosen by eye unless another origin is given.

# Least distance from iris to iris, in pixels of the original picture: paintings with 32 to 57 can hang at
# 1080x1920; at half their size, with 18 to 29, irises are 4 pixels wide and become stains.
_NEAREST: Final = 30.0
_NEAR: Final = 40.0  # below this distance, in the same pixels, eyes are soft (judged on the same)
_PROFILE: Final = 48.0  # the head's own turn in degrees from which on it is a profile
_LYING: Final = 50.0  # the most that a head may be tilted, in degrees
_MESH: Final = 0.75  # least confidence of the mesh model, 0 to 1
_MESH_SURE: Final = 0.9  # below this confidence the face is called unusual
# Least opening between the lids, in eye widths (measured: 0.27 and more on open eyes, 0.10 and less on closed
# ones).
_CLOSED: Final = 0.13
# Least score of the iris (measured: 0.22 and more on clear eyes, less behind spectacles, 0.05 on none).
_FLAT: Final = 0.1
_FAINT: Final = 0.2  # below this score the irises are called faint (measured on the same)
# Greatest scatter of the iris model's answers, in eye widths (measured: 0.015 and less on clear eyes, 0.03
# and more on none).
_SCATTERED: Final = 0.035
_SCATTER_DOUBTED: Final = 0.022  # above this scatter the irises are called unsure (measured on the same)
_SHORT: Final = 12.0  # a range that ends nearer to a viewer in front than this, in degrees, gets a doubt
_LOW: Final = 0.8  # a range up or down below this fraction of the full one gets a doubt
_ASIDE: Final = 28.0  # a gaze measured farther aside than this, in degrees, yet not believed, gets a doubt
# A doubt begins with one of these four texts, by which the verdict tells remarks from reasons.
SOFT_EYES: Final = "the eyes are only"  # small eyes
UNSURE_IRISES: Final = "the irises are read unsurely"  # irises whose readings scatter
FAINT_IRISES: Final = "the irises are faint"  # irises that hardly stand out
GAZE_RANGE: Final = "the gaze goes"  # a short or lopsided range
# The refusal of eyes without a visible iris; takes what was measured.
_HIDDEN: Final = (
    "no iris stands out in the eyes ({}): hidden behind spectacles, in shadow, or painted flat; "
    "use a picture in which iris and white are seen"
)


def check_face_suitable(face: FaceLandmarks, scale: float) -> list[str]:
    """Check that a face can be brought to life, before its eyes are taken apart.

    `scale` is that of the fitted picture, in whose pixels the face is given, against the original. Returns
    a sentence for each doubt. Raises `UnfitPortrait`, with the reason and what to do, if it cannot.
    """
    if face.confidence < _MESH:
        raise UnfitPortrait(
            f"the face found is no human face as the model knows it (confidence {face.confidence:.2f}, "
            f"expected {_MESH}); use a painted or photographed person, upright and in normal colours"
        )
    if abs(math.degrees(face.tilt)) > _LYING:
        raise UnfitPortrait(
            f"the head is tilted by {math.degrees(face.tilt):.0f} degrees, expected at most {_LYING:.0f}; "
            "turn the picture upright"
        )
    if abs(face.yaw) > _PROFILE:
        raise UnfitPortrait(
            f"the head is turned by {abs(face.yaw):.0f} degrees, a profile; expected at most "
            f"{_PROFILE:.0f}: both eyes must be in view"
        )
    apart = math.dist(face.eyes[0].iris, face.eyes[1].iris) / scale
    if apart < _NEAREST:
        raise UnfitPortrait(
            f"the eyes are {apart:.0f} pixels apart in the original picture, expected at least "
            f"{_NEAREST:.0f}; use a larger reproduction, or one closer to the face"
        )
    opening = min(marks.opening for marks in face.eyes)
    if opening < _CLOSED:
        raise UnfitPortrait(
            f"the eyes are closed (open by {opening:.2f} of their width, expected {_CLOSED}); "
            "use a picture with open eyes"
        )
    spread = max(marks.spread for marks in face.eyes)
    if spread > _SCATTERED:
        raise UnfitPortrait(_HIDDEN.format(f"readings scatter by {spread:.3f}, expected {_SCATTERED}"))
    doubts = []
    if apart < _NEAR:
        doubts.append(f"{SOFT_EYES} {apart:.0f} pixels apart in the original picture: expect them soft")
    if face.confidence < _MESH_SURE:
        doubts.append(f"the face is unusual (confidence {face.confidence:.2f}): look at the contact sheet")
    if spread > _SCATTER_DOUBTED:
        doubts.append(f"{UNSURE_IRISES} (scatter {spread:.3f})")
    return doubts


def check_iris_contrast(eyes: tuple[PaintedEye, PaintedEye]) -> list[str]:
    """Check that irises stand out in the eyes; return doubts or raise `UnfitPortrait`, as above."""
    score = min(eye.iris.score for eye in eyes)
    if score < _FLAT:
        raise UnfitPortrait(_HIDDEN.format(f"contrast {score:.2f}, expected {_FLAT}"))
    if score < _FAINT:
        return [f"{FAINT_IRISES} (contrast {score:.2f}: dark, in shadow or behind glass): they move less"]
    return []


def check_gaze_range(plan: FrameMotions) -> list[str]:
    """Check that the frames reach visitors on both sides; return doubts or raise `UnfitPortrait`."""
    sides = -plan.angles[0], plan.angles[-1]
    side = sides.index(min(sides))
    goes = (
        f"{GAZE_RANGE} from {plan.angles[0]:.0f} to {plan.angles[-1]:.0f} degrees, with room for the irises "
        f"of {100 * plan.room[side]:.0f} % of the eyes' width to picture {('left', 'right')[side]}"
    )
    if min(sides) < MIN_RANGE - 0.01:
        raise UnfitPortrait(
            f"{goes}; expected at least {MIN_RANGE:.0f} degrees to either side of a viewer in front; "
            "use a picture in which white is seen on both sides of the irises"
        )
    doubts = []
    if min(sides) < _SHORT or max(sides) > MAX_LOPSIDED * min(sides):
        doubts.append(f"{goes}; visitors farther to that side are not met")
    height = plan.pitches[0], -plan.pitches[-1]
    if len(plan.pitches) > 1 and any(h < _LOW * most for h, most in zip(height, FULL_PITCH, strict=True)):
        doubts.append(
            f"the gaze goes {height[0]:.0f} degrees up and {height[1]:.0f} down; expected "
            f"{FULL_PITCH[0]:.0f} and {FULL_PITCH[1]:.0f}: children and tall visitors near the portrait are "
            "not met"
        )
    if abs(plan.painted_gaze) > _ASIDE and not plan.angles[plan.resting_column]:
        doubts.append(
            f"the sitter seems to look {abs(plan.painted_gaze):.0f} degrees to picture "
            f"{'right' if plan.painted_gaze > 0 else 'left'}, but eyes, head and picture do not agree: "
            "planned as if it looked to the front; look at the contact sheet"
        )
    return doubts
