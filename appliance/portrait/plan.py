"""Who looks where in which frame: the gaze angles, how far each iris goes, and how far the head turns."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.portrait.eyes import LEVER, Eye
from appliance.portrait.landmarks import Landmarks
from appliance.portrait.sampling import Array

# Half the distance between a person's eyes, and a human iris's radius, in millimetres.
_HALF_EYES_MM: Final = 31.5
_IRIS_MM: Final = 5.85
# The lids' corners lie this far in front of the point the eye turns about.
_CORNERS_MM: Final = 6.0
# The farthest the irises go to a side of where they look to the front, in eye widths; a side with
# less room lends to the other, up to the second.
_FARTHEST: Final = 0.14
_LENT: Final = 0.2
# A gaze found this near to the viewer's is taken to meet it: painted eyes say no more.
_MEETS: Final = 14.0
# Weaker irises move less: from this score in full, at the other by the least part.
_CLEAR, _DIM, _LEAST = 0.22, 0.10, 0.4


@dataclass(frozen=True, slots=True)
class Plan:
    """What each frame shows.

    `angles` is the sitter's gaze in degrees, rising in equal steps, 0 towards a viewer in front and
    positive to picture right; `turns` is the head's turn in degrees; `shifts` is (frames, 2), the
    way of the iris of the eye at picture left and at picture right in pixels along the face.
    `resting` is the frame that is the painting, `own_gaze` the angle in degrees it looks at as
    measured, and `room` how far (left, right) the irises can go, in eye widths.
    """

    angles: tuple[float, ...]
    resting: int
    turns: tuple[float, ...]
    shifts: Array
    own_gaze: float
    room: tuple[float, float]

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.angles)


def make_plan(
    face: Landmarks, eyes: tuple[Eye, Eye], frames: int, yaw: float, distance_mm: float, travel: float
) -> Plan:
    """Plan the frames.

    Parameters
    ----------
    frames : how many, at least 3
    yaw : the head's turn in the outermost frames, degrees; the eyes turn in addition
    distance_mm : of the viewer, on whom both eyes converge
    travel : part of the usual travel, less than 1 for doubtful pictures
    """
    scales = _scales(eyes)
    width = (eyes[0].view.axes.width + eyes[1].view.axes.width) / 2
    rooms = [min(eye.room[side] / k for eye, k in zip(eyes, scales, strict=True)) / width for side in (0, 1)]
    score = min(eye.iris.score for eye in eyes)
    part = travel * min(max((score - _DIM) / (_CLEAR - _DIM), _LEAST), 1.0)
    lever = LEVER * eyes[0].radius
    own = own_gaze(face, eyes)
    rest = 0.0 if abs(own) < _MEETS else math.radians(own)
    ends = _ends(rooms[0], rooms[1], -lever / width * math.sin(rest))
    reach = [
        abs(math.asin(min(max(math.sin(rest) + part * end * width / lever, -0.95), 0.95)) - rest)
        for end in ends
    ]
    # The head's part of every turn is the same, so that both go in equal steps.
    most, turn = max(reach), math.radians(yaw)
    reach = [way + turn * (way / most if most else 1.0) for way in reach]
    headed = turn / max(most + turn, 1e-9)
    resting, step = _steps(reach[0], reach[1], frames)
    away = step * (np.arange(frames) - resting)
    shifts = np.zeros((frames, 2))
    for i, k in enumerate(scales if most else ()):
        turned = _converged(rest + away, rest, (-1, 1)[i], distance_mm) - headed * away
        shifts[:, i] = lever * k * (np.sin(rest + turned) - math.sin(rest))
    return Plan(
        angles=tuple(float(a) for a in np.degrees(rest + away)),
        resting=resting,
        turns=tuple(float(a) for a in np.degrees(headed * away)),
        shifts=shifts,
        own_gaze=own,
        room=(rooms[0], rooms[1]),
    )


def own_gaze(face: Landmarks, eyes: tuple[Eye, Eye]) -> float:
    """Measure where the painted sitter looks: degrees to picture right of the onlooker.

    An eye that looks at the onlooker has its iris over the point it turns about, which lies behind
    the middle of its corners: in a turned face those are displaced to the side it is turned to.
    """
    turned = math.sin(math.radians(face.yaw))
    away = [eye.iris.u * eye.view.axes.width + _CORNERS_MM / _IRIS_MM * eye.radius * turned for eye in eyes]
    lever = LEVER * eyes[0].radius
    return math.degrees(math.asin(min(max(sum(away) / 2 / lever, -0.9), 0.9)))


def _scales(eyes: tuple[Eye, Eye]) -> tuple[float, float]:
    """Return each eye's share of the travel: a far eye, seen foreshortened, moves less."""
    first, second = (eye.view.axes.width for eye in eyes)
    mean = (first + second) / 2
    return math.sqrt(first / mean), math.sqrt(second / mean)


def _ends(left: float, right: float, middle: float) -> tuple[float, float]:
    """Return how far the irises go to both sides of rest, in eye widths, 0 or less and 0 or more.

    Parameters
    ----------
    left, right : room there
    middle : where, against rest, the sitter looks at a viewer in front: the travel's middle
    """
    # What one side of the middle lacks, the other lends, and to a sitter who looks far aside also more.
    lacks = [max(_FARTHEST + middle - right, 0.0), max(_FARTHEST - middle - left, 0.0)]
    low, high = (min(_FARTHEST + lack, _LENT) for lack in lacks)
    first, last = max(middle - low, -left), min(middle + high, right)
    first, last = min(first, 0.0), max(last, 0.0)
    if middle > 0:
        first = max(min(first, last - 2 * _FARTHEST), -left)
    elif middle < 0:
        last = min(max(last, first + 2 * _FARTHEST), right)
    return first, last


def _steps(left: float, right: float, frames: int) -> tuple[int, float]:
    """Return the resting frame and the step, so that equal steps fill the reach to both sides best."""
    last = frames - 1
    resting = round(last * left / max(left + right, 1e-9))
    if abs(left - right) < 0.1 * max(left, right):
        resting = frames // 2
    sides = [side / count for side, count in ((left, resting), (right, last - resting)) if count]
    return resting, min(sides)


def _converged(angles: Array, rest: float, side: int, distance_mm: float) -> Array:
    """Return the turn of one eye that looks at a point in the direction of `angles`, against rest."""
    x = side * _HALF_EYES_MM

    def towards(angle: Array) -> Array:
        return np.arctan2(distance_mm * np.sin(angle) - x, distance_mm * np.cos(angle))

    turned: Array = towards(angles) - towards(np.full(1, rest))
    return turned
