"""Who looks where in which frame: the gaze angles, how far each iris goes, and how far the head turns."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from appliance.portrait.eye_layers import LEVER, LIFT, Eye
from appliance.portrait.landmarks import EyeMarks, Landmarks
from appliance.portrait.sampling import Array

# Half the distance between a person's eyes, and a human iris's radius, in millimetres.
_HALF_EYES_MM: Final = 31.5
_IRIS_MM: Final = 5.85
# The lids' corners lie this far in front of the point the eye turns about.
_CORNERS_MM: Final = 6.0
# The farthest that the irises go to a side of where they look to the front, in eye widths.
_FARTHEST: Final = 0.14
# The longer side of the range against the shorter one, at most; but the irises keep this way in eye
# widths to a side with room, because with less of it nobody sees the eyes move.
EVEN: Final = 1.5
_KEPT: Final = 0.1
# A gaze found this near to the viewer's, in degrees, is taken to meet it: painted eyes say no more.
_MEETS: Final = 14.0
# A gaze aside is believed when the eyes' readings differ by no more than this, in degrees (two eyes
# that meet the viewer differ by up to 20 on paintings), ...
_ALIKE: Final = 15.0
# ... when it is turned against the head by no more than people turn their eyes, in degrees, ...
_FROM_HEAD: Final = 30.0
# ... and when model and picture place the iris within this part of the eye's width of each other.
_SAME_IRIS: Final = 0.1
# The range must reach this far to both sides of a viewer in front, in degrees.
REACH: Final = 8.0
# How far the gaze goes up and down, in degrees, if the picture allows: to a tall visitor and to a child
# 1.5 m before a portrait. With less than the last number, up or down, a single level row is planned.
HEIGHT: Final = (10.0, 15.0)
_LEAST_HEIGHT: Final = 1.0
# The head's part of it: as much of a gaze up or down as of one to a side, 8 of 30 degrees at the usual turn.
_NOD: Final = 8 / 30
_USUAL_TURN: Final = 8.0
# How far the eyes go up and down alone, in degrees: beyond it the lids look drawn (judged on ten portraits).
_MOST_LIFTED: Final = (8.0, 12.0)
# The lids may close by this part of the opening, and the iris go this far, in eye widths.
_CLOSED: Final = 0.2
_MOST_DOWN: Final = 0.12
# Steps from row to row differ by this factor at most.
_UNEVEN: Final = 1.2
# Columns of the level row for one of the others, which hold more than time and memory allow otherwise.
_COARSE: Final = 2
# Weaker irises move less: from this score in full, at the other by the least part.
_CLEAR, _DIM, _LEAST = 0.22, 0.10, 0.4


@dataclass(frozen=True, slots=True)
class Plan:
    """What each frame shows.

    `angles` is the sitter's gaze in degrees, rising in equal steps, 0 towards a viewer in front and
    positive to picture right; `turns` is the head's turn in degrees; `shifts` is (frames, 2), the
    way of the iris of the eye at picture left and at picture right in pixels along the face.
    `resting` is the column that is the painting in the row of level gaze, `own_gaze` the angle in
    degrees it looks at as measured, and `room` how far (left, right) the irises can go, in eye widths.

    These are the columns of a grid. `pitches` is the gaze's pitch in each row in degrees, falling, 0 as
    in the painting and positive upwards; `nods` is the head's in degrees, `drops` is the way of both
    irises down the face in pixels, and a row has every `coarse[row]`-th column.
    """

    angles: tuple[float, ...]
    resting: int
    turns: tuple[float, ...]
    shifts: Array
    own_gaze: float
    room: tuple[float, float]
    pitches: tuple[float, ...] = (0.0,)
    nods: tuple[float, ...] = (0.0,)
    drops: tuple[float, ...] = (0.0,)
    coarse: tuple[int, ...] = (1,)

    @property
    def frames(self) -> int:
        """How many frames the row of level gaze has."""
        return len(self.angles)

    @property
    def level(self) -> int:
        """The row of level gaze."""
        return self.pitches.index(0.0)


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
    part = travel * _clearness(eyes)
    lever = LEVER * eyes[0].radius
    own, turn, kept = (
        own_gaze(face, eyes),
        math.radians(yaw),
        math.asin(min(part * _KEPT * width / lever, 0.95)),
    )
    for rest in (math.radians(own), 0.0) if gaze_is_aside(face, eyes) else (0.0,):
        ways = _evened(_ways((rooms[0], rooms[1]), rest, part, width / lever), rest, turn, kept)
        reach = _reach(ways, turn)
        if _is_even(reach, rest):
            break
    if min(reach) < math.radians(REACH) and rest == 0:
        # Where the eyes have hardly any room, the head goes its full way alone.
        reach = max(reach[0], ways[0] + turn), max(reach[1], ways[1] + turn)
    resting, step = _steps(reach, rest, frames)
    away = step * (np.arange(frames) - resting)
    headed = np.where(away < 0, *(1 - way / max(side, 1e-9) for way, side in zip(ways, reach, strict=True)))
    shifts = np.zeros((frames, 2))
    for i, k in enumerate(scales if max(ways) > 1e-9 else ()):
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


def with_rows(plan: Plan, eyes: tuple[Eye, Eye], rows: int, yaw: float, nod: float, travel: float) -> Plan:
    """Return a plan with rows of gaze up and down; with one row if hardly anything can move up or down.

    Parameters
    ----------
    rows : how many, 1 or at least 3; the level row is one of them
    yaw : the head's turn that was asked for, degrees: 0 keeps the head still
    nod : the most that the head can nod, degrees
    travel : as in `make_plan`
    """
    lever, part = LEVER * eyes[0].radius, travel * _clearness(eyes)
    most = _MOST_DOWN * min(eye.view.axes.width for eye in eyes)
    closed = min(_CLOSED / (LIFT[0] - LIFT[1]) * eye.opening for eye in eyes)
    heights = []
    for wanted, widest, way in zip(HEIGHT, _MOST_LIFTED, (most, min(most, closed)), strict=True):
        nods = min(_NOD * min(yaw / _USUAL_TURN, 1) * wanted, nod)
        turned = min(wanted - nods, widest, math.degrees(math.asin(min(way / lever, 1.0))))
        heights.append(np.array([nods, part * turned]))
    up, down = heights
    if rows < 3 or min(up.sum(), down.sum()) < _LEAST_HEIGHT:
        return plan
    pitches = _row_pitches(rows, float(up.sum()), float(down.sum()))
    turns = np.array([up / up.sum() * p if p > 0 else down / down.sum() * p for p in pitches])
    return replace(
        plan,
        pitches=pitches,
        nods=tuple(turns[:, 0].tolist()),
        drops=tuple((-lever * np.sin(np.radians(turns[:, 1]))).tolist()),
        coarse=tuple(_COARSE if pitch else 1 for pitch in pitches),
    )


def _row_pitches(rows: int, up: float, down: float) -> tuple[float, ...]:
    """Return the pitches of rows, falling: equal steps up and down from 0, alike within `_UNEVEN`."""

    def steps(above: int) -> tuple[float, float]:
        rising, falling = up / above, down / (rows - 1 - above)
        return min(rising, _UNEVEN * falling), min(falling, _UNEVEN * rising)

    def whole(above: int) -> float:
        rising, falling = steps(above)
        return above * rising + (rows - 1 - above) * falling

    above = max(range(1, rows - 1), key=whole)
    rising, falling = steps(above)
    return (
        *(rising * i for i in range(above, 0, -1)),
        0.0,
        *(-falling * i for i in range(1, rows - above)),
    )


def own_gaze(face: Landmarks, eyes: tuple[Eye, Eye]) -> float:
    """Measure where the painted sitter looks: degrees to picture right of the onlooker.

    An eye that looks at the onlooker has its iris over the point it turns about, which lies behind
    the middle of its corners: in a turned face those are displaced to the side it is turned to.
    """
    sines = [math.sin(math.radians(gaze)) for gaze in _gazes(face, eyes)]
    return math.degrees(math.asin(sum(sines) / 2))


def _gazes(face: Landmarks, eyes: tuple[Eye, Eye]) -> tuple[float, float]:
    """Return where each eye looks, in degrees to picture right of the onlooker, up to 64."""
    turned, lever = math.sin(math.radians(face.yaw)), LEVER * eyes[0].radius
    away = [eye.iris.u * eye.view.axes.width + _CORNERS_MM / _IRIS_MM * eye.radius * turned for eye in eyes]
    first, second = (math.degrees(math.asin(min(max(way / lever, -0.9), 0.9))) for way in away)
    return first, second


def _off_model(eye: Eye, marks: EyeMarks) -> float:
    """Return how far across the model sees the iris from where the picture has it, in eye widths."""
    u, _ = eye.view.axes.to_eye(np.array(marks.iris[0]), np.array(marks.iris[1]))
    return abs(float(u) - eye.iris.u)


def gaze_is_aside(face: Landmarks, eyes: tuple[Eye, Eye]) -> bool:
    """Return whether both eyes, the head and the picture agree that the sitter looks past the onlooker.

    A wrong belief costs more than a wrong doubt: it takes the range away from the visitors in front.
    """
    first, second = _gazes(face, eyes)
    irises = zip(eyes, face.eyes, strict=True)
    return (
        abs(own_gaze(face, eyes)) >= _MEETS
        and abs(first - second) <= _ALIKE
        and abs(own_gaze(face, eyes) - face.yaw) <= _FROM_HEAD
        and all(eye.iris.score >= _CLEAR and _off_model(eye, marks) <= _SAME_IRIS for eye, marks in irises)
    )


def _clearness(eyes: tuple[Eye, Eye]) -> float:
    """Return the part of the usual travel that irises as clear as these take."""
    score = min(eye.iris.score for eye in eyes)
    return min(max((score - _DIM) / (_CLEAR - _DIM), _LEAST), 1.0)


def _scales(eyes: tuple[Eye, Eye]) -> tuple[float, float]:
    """Return each eye's share of the travel: a far eye, seen foreshortened, moves less."""
    first, second = (eye.view.axes.width for eye in eyes)
    mean = (first + second) / 2
    return math.sqrt(first / mean), math.sqrt(second / mean)


def _ways(rooms: tuple[float, float], rest: float, part: float, unit: float) -> tuple[float, float]:
    """Return how far the eyes can turn to the left and to the right of `rest`, in radians, 0 or more.

    Parameters
    ----------
    rooms : for the iris there, in eye widths
    rest : where the painted eyes look, in radians to picture right
    part : of the usual travel
    unit : an eye's width against the iris's distance from the point it turns about
    """
    front = -math.sin(rest) / unit  # where the iris lies when the sitter looks at a viewer in front
    ends = max(min(front - _FARTHEST, 0.0), -rooms[0]), min(max(front + _FARTHEST, 0.0), rooms[1])
    sines = [min(max(math.sin(rest) + part * end * unit, -0.95), 0.95) for end in ends]
    left, right = (abs(math.asin(sine) - rest) for sine in sines)
    return left, right


def _reach(ways: tuple[float, float], turn: float) -> tuple[float, float]:
    """Return how far head and eyes turn to both sides; the head's part is the same in every turn."""
    most = max(ways)
    left, right = (way + turn * (way / most if most else 1.0) for way in ways)
    return left, right


def _evened(ways: tuple[float, float], rest: float, turn: float, kept: float) -> tuple[float, float]:
    """Return the eyes' ways with the longer reach, seen from a viewer in front, shortened.

    It becomes `EVEN` times the shorter one, but the eyes' own way to that side at least `kept`.
    """
    while not _is_even(reach := _reach(ways, turn), rest):
        longer = 0 if reach[0] - rest > reach[1] + rest else 1
        if ways[longer] <= kept:
            break
        ways = (0.99 * ways[0], ways[1]) if longer == 0 else (ways[0], 0.99 * ways[1])
    return ways


def _is_even(reach: tuple[float, float], rest: float) -> bool:
    """Return whether a reach to the left and right of `rest` lies about a viewer in front."""
    sides = reach[0] - rest, reach[1] + rest
    return max(sides) <= EVEN * min(sides) + 1e-9


def _steps(reach: tuple[float, float], rest: float, frames: int) -> tuple[int, float]:
    """Return the resting frame and the step, so that equal steps fill the reach to both sides best.

    An even range that goes far enough to both sides remains one.
    """
    last, (left, right) = frames - 1, reach

    def worth(resting: int) -> tuple[bool, bool, float, int]:
        ways = (left, resting), (right, last - resting)
        step = min(side / count for side, count in ways if count)
        sides = resting * step, (last - resting) * step
        enough = min(sides[0] - rest, sides[1] + rest) >= math.radians(REACH) - 1e-9
        return _is_even(sides, rest), enough, step, resting

    exact = last * left / max(left + right, 1e-9)
    nearest = {math.floor(exact), math.ceil(exact)}
    if abs(left - right) < 0.1 * max(left, right):
        nearest = {last // 2}
    *_, step, resting = max(map(worth, nearest))
    return resting, step


def _converged(angles: Array, rest: float, side: int, distance_mm: float) -> Array:
    """Return the turn of one eye that looks at a point in the direction of `angles`, against rest."""
    x = side * _HALF_EYES_MM

    def towards(angle: Array) -> Array:
        return np.arctan2(distance_mm * np.sin(angle) - x, distance_mm * np.cos(angle))

    turned: Array = towards(angles) - towards(np.full(1, rest))
    return turned
