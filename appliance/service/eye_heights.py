"""Which eye heights the camera sees and the sitter meets, and how to tilt it for children and tall people."""

import math
from dataclasses import dataclass, replace
from typing import Final

from appliance.camera.lens import Lens
from appliance.config import GazeConfig
from appliance.grid import FrameGrid

# A face counts as in view when so much above and below its eyes is in the picture, in mm. Measured on the
# gallery's figures at the picture's edges, 0.7 to 2 m away: 20 above and 110 below were enough.
ABOVE_EYES: Final = 50.0
BELOW_EYES: Final = 120.0
# Eye heights above the floor that the camera should see, in mm: a child of eight or somebody small in a
# wheelchair, and a man taller than most. Chosen by hand.
CHILD: Final = 1150.0
TALL: Final = 1850.0
# Distances from the portrait that are reported, in mm.
DISTANCES: Final = (1000.0, 1500.0, 2000.0)
# Up to this distance both should stay in view, since a viewer is followed so far; in mm.
FARTHEST: Final = 5000.0
# Angle across the picture of the wide Camera Module 3, in degrees.
WIDE: Final = 102.0
# Steepest direction reckoned with, in degrees, because the tangent has no bounds at 90.
_STEEPEST: Final = 89.0


@dataclass(frozen=True, slots=True)
class UprightView:
    """What a camera sees of people who stand straight in front of the portrait.

    Heights are millimetres above the floor, distances millimetres along the floor from the sitter's eyes.

    Parameters
    ----------
    lens_height : of the lens
    lens_forward : how far the lens is in front of the sitter's eyes
    pitch : tilt of the camera in degrees, above 0 if it looks up
    half_angle : from the picture's middle to its upper or lower edge, degrees
    """

    lens_height: float
    lens_forward: float
    pitch: float
    half_angle: float

    def eyes_in_view(self, distance: float) -> tuple[float, float]:
        """Return the lowest and highest eyes whose face is in view; lowest > highest if there are none."""
        away = distance - self.lens_forward
        if away <= 0:
            return math.inf, -math.inf
        lowest = self.lens_height + away * self._slope(-self.half_angle) + BELOW_EYES
        return lowest, self.lens_height + away * self._slope(self.half_angle) - ABOVE_EYES

    def distances_in_view(self, eyes: float) -> tuple[float, float]:
        """Return where a face is in view, from nearest to farthest; nearest > farthest if it never is."""
        nearest, farthest = 0.0, math.inf
        # The upper edge must have risen, and the lower one fallen, by so much: needed <= slope * away.
        for needed, slope in (
            (eyes + ABOVE_EYES - self.lens_height, self._slope(self.half_angle)),
            (self.lens_height - (eyes - BELOW_EYES), -self._slope(-self.half_angle)),
        ):
            if slope > 0:
                nearest = max(nearest, needed / slope)
            elif slope < 0:
                farthest = min(farthest, needed / slope)
            elif needed > 0:
                farthest = -math.inf
        return nearest + self.lens_forward, farthest + self.lens_forward

    def pitches_for_all(self, distance: float) -> tuple[float, float]:
        """Return the lowest and highest pitch at which child and tall man are in view up to the farthest.

        Parameters
        ----------
        distance : from which on they should be in view

        Returns
        -------
        Degrees; lowest > highest if no pitch does.
        """
        if distance <= self.lens_forward:
            return math.inf, -math.inf
        lowest, highest = -math.inf, math.inf
        for away in (distance - self.lens_forward, FARTHEST - self.lens_forward):
            top = math.degrees(math.atan2(TALL + ABOVE_EYES - self.lens_height, away))
            bottom = math.degrees(math.atan2(CHILD - BELOW_EYES - self.lens_height, away))
            lowest, highest = max(lowest, top - self.half_angle), min(highest, bottom + self.half_angle)
        return lowest, highest

    def _slope(self, from_middle: float) -> float:
        """Return how much a ray rises per millimetre ahead; it starts so many degrees above the middle."""
        return math.tan(math.radians(min(max(self.pitch + from_middle, -_STEEPEST), _STEEPEST)))


def upright_view(lens: Lens, gaze: GazeConfig, sitter_eyes: float) -> UprightView:
    """Return what a camera sees; `sitter_eyes` is the height of the sitter's eyes above the floor in mm."""
    half_angle = math.degrees(math.atan(lens.ray(lens.width / 2, lens.height)[1]))
    return UprightView(sitter_eyes + gaze.camera_up, gaze.camera_forward, gaze.camera_pitch, half_angle)


def report(lens: Lens, gaze: GazeConfig, sitter_eyes: float) -> list[str]:
    """Say in sentences which eye heights are in view, and what brings more of them into view.

    Parameters
    ----------
    sitter_eyes : height of the sitter's eyes above the floor, mm
    """
    view = upright_view(lens, gaze, sitter_eyes)
    wide = upright_view(replace(lens, horizontal_fov=max(lens.horizontal_fov, WIDE)), gaze, sitter_eyes)
    heights = "; ".join(f"at {d / 1000:g} m {_heights(*view.eyes_in_view(d))}" for d in DISTANCES)
    return [
        f"Eyes in view, by their height above the floor: {heights}. A face counts as in view from "
        f"{BELOW_EYES:.0f} mm below the eyes to {ABOVE_EYES:.0f} mm above them.",
        f"A child with eyes at {CHILD / 1000:.2f} m is {_absence(*view.distances_in_view(CHILD))}.",
        f"A tall man with eyes at {TALL / 1000:.2f} m is {_absence(*view.distances_in_view(TALL))}.",
        *_advice(view, wide),
    ]


def heights_met(grid: FrameGrid, gaze: GazeConfig, sitter_eyes: float) -> list[str]:
    """Say in a sentence which eye heights the sitter meets, if the frames look up and down.

    Parameters
    ----------
    sitter_eyes : height of the sitter's eyes above the floor, mm
    """
    if len(grid.pitches) == 1:
        return []
    lowest = max(grid.pitches[-1], gaze.limit_down) / gaze.gain
    highest = min(grid.pitches[0], gaze.limit_up) / gaze.gain
    low, high = (
        math.tan(math.radians(min(max(angle, -_STEEPEST), _STEEPEST))) for angle in (lowest, highest)
    )
    met = "; ".join(
        f"at {d / 1000:g} m {_heights(sitter_eyes + d * low, sitter_eyes + d * high)}" for d in DISTANCES
    )
    return [f"Eyes that the sitter meets: {met}. Lower and higher ones are looked over and under."]


def _heights(lowest: float, highest: float) -> str:
    lowest = max(lowest, 0.0)
    return f"{lowest / 1000:.2f} to {highest / 1000:.2f} m" if lowest <= highest else "none"


def _absence(nearest: float, farthest: float) -> str:
    if nearest > min(farthest, FARTHEST):
        return "never in view"
    ends = [f"nearer than {nearest / 1000:.2f} m"] if nearest > 0 else []
    ends += [f"farther than {farthest / 1000:.2f} m"] if farthest < FARTHEST else []
    return f"out of view {' and '.join(ends)}" if ends else "in view at every distance"


def _advice(view: UprightView, wide: UprightView) -> list[str]:
    """Say which tilt brings child and tall man into view, and what else is needed where no tilt does."""
    said = []
    distance, change = _best_tilt(view)
    if change:
        way = f"{'down' if change < 0 else 'up'} by {abs(change)} degree{'s' * (abs(change) > 1)}"
        said.append(f"Tilt the camera {way} and calibrate again: both are then in view {_from(distance)}.")
    elif distance < math.inf:
        said.append(f"The tilt is right: both are in view {_from(distance)}.")
    if distance > DISTANCES[0]:
        wanted = DISTANCES[0] if distance < math.inf else DISTANCES[-1]
        helps = "is needed" if _best_tilt(wide)[0] <= wanted else "does not help either"
        remedy = f"a wide lens ({WIDE:g} degrees) {helps}"
        said.append(f"No tilt brings both into view {_from(wanted)}: {remedy}.")
    return said


def _from(distance: float) -> str:
    return f"from {distance / 1000:g} to {FARTHEST / 1000:g} m"


def _best_tilt(view: UprightView) -> tuple[float, int]:
    """Return the nearest distance from which a tilt shows child and tall man, and that tilt's change.

    Returns
    -------
    One of `DISTANCES` in mm, infinite if there is none; whole degrees, since nobody tilts a camera finer.
    """
    for distance in DISTANCES:
        lowest, highest = view.pitches_for_all(distance)
        if lowest > highest:
            continue
        change = 0 if lowest <= view.pitch <= highest else round((lowest + highest) / 2 - view.pitch)
        if lowest <= view.pitch + change <= highest:
            return distance, change
    return math.inf, 0
