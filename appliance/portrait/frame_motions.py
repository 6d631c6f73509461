"""Planning the frames: each frame's gaze angle, how far each iris goes, and how far the head turns."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from appliance.errors import ConfigError
from appliance.portrait.eye_layers import IRIS_LEVER, LID_LIFT, PaintedEye
from appliance.portrait.landmarks import EyeLandmarks, FaceLandmarks
from appliance.portrait.sampling import Array

# Chosen by eye unless another origin is given.

_HALF_EYES_MM: Final = 31.5  # half the distance between a person's eyes, in millimetres (anatomy)
_IRIS_MM: Final = 5.85  # the radius of a human iris, in millimetres (anatomy)
# Distance of the lids' corners in front of the eye's centre of rotation, in millimetres (anatomy).
_CORNERS_MM: Final = 6.0
_FARTHEST: Final = 0.14  # maximum iris travel to each side of where it looks to the front, in eye widths
MAX_LOPSIDED: Final = 1.5  # the longer side of the range against the shorter one, at most
# The irises keep this travel to a side with room, in eye widths, because with less nobody sees the eyes move.
_KEPT: Final = 0.1
# A painted gaze nearer to the viewer than this, in degrees, is taken to meet them: painted eyes say no more.
_MEETS: Final = 14.0
# A gaze aside is believed if both eyes' readings differ by no more than this, in degrees (measured: two eyes
# that meet the viewer differ by up to 20 on paintings).
_ALIKE: Final = 15.0
# It is believed if it is turned against the head by no more than this, in degrees: people turn their eyes no
# farther.
_FROM_HEAD: Final = 30.0
# It is believed if model and picture place the iris within this of each other, in eye widths.
_SAME_IRIS: Final = 0.1
MIN_RANGE: Final = 8.0  # the range reaches at least this far to both sides of a viewer in front, in degrees
# The gaze goes this far up and down if the picture allows, in degrees: to a tall visitor and to a child 1.5 m
# before a portrait.
FULL_PITCH: Final = (10.0, 15.0)
_LEAST_HEIGHT: Final = 1.0  # with less than this up or down, in degrees, only the level row is planned
# The head's part of a gaze up or down: as much as of one to a side, 8 of 30 degrees at the usual turn.
_NOD: Final = 8 / 30
# The head's usual turn to either side, in degrees; with smaller turns it also nods less.
USUAL_YAW: Final = 8.0
# The eyes alone go this far up and down, in degrees: beyond this the lids look drawn (10 portraits).
_MOST_LIFTED: Final = (8.0, 12.0)
_CLOSED: Final = 0.2  # the lids may close by this fraction of the opening
_MOST_DOWN: Final = 0.12  # the irises go at most this far up or down, in eye widths
_UNEVEN: Final = 1.2  # the steps from row to row above and below the level row differ at most by this factor
# Outer rows have every n-th column of the level row, because they hold more than time and memory allow
# otherwise.
_COARSE: Final = 2
# Irises of this score or more take the full travel (measured: clear eyes score 0.22 and more).
_CLEAR: Final = 0.22
_DIM: Final = 0.10  # between this score and the one above the travel rises in proportion
_LEAST: Final = 0.4  # weaker irises take this fraction of the usual travel


@dataclass(frozen=True, slots=True)
class FrameMotions:
    """The motions of each frame.

    The columns: `angles` is the sitter's gaze in degrees, rising in equal steps, 0 towards a viewer in front
    and positive to picture right; `turns` is the head's turn in degrees; `shifts` is (columns, 2), the way in
    pixels along the face of the iris of the eye at picture left and of the one at picture right.
    `resting_column` is the one that is the painting in the level row, `painted_gaze` the angle in degrees at
    which the painted sitter looks as measured, and `room` how far (left, right) the irises can go, in eye
    widths.

    The rows: `pitches` is the gaze's pitch in degrees, falling, 0 as in the painting and positive upwards;
    `nods` is the head's in degrees; `drops` is the way of both irises down the face in pixels. A row has
    every `coarse[row]`-th column.
    """

    angles: tuple[float, ...]
    resting_column: int
    turns: tuple[float, ...]
    shifts: Array
    painted_gaze: float
    room: tuple[float, float]
    pitches: tuple[float, ...] = (0.0,)
    nods: tuple[float, ...] = (0.0,)
    drops: tuple[float, ...] = (0.0,)
    coarse: tuple[int, ...] = (1,)

    @property
    def level_row(self) -> int:
        """The row of level gaze."""
        return self.pitches.index(0.0)


def check_frame_count(frames: int) -> None:
    """Make sure that a level row can have that many frames; raises `ConfigError`."""
    if frames < 3 or frames % 2 == 0:
        raise ConfigError(f"frames = {frames}; expected an odd number from 3")


def plan_level_row(
    face: FaceLandmarks,
    eyes: tuple[PaintedEye, PaintedEye],
    frames: int,
    yaw: float,
    distance_mm: float,
    travel: float,
) -> FrameMotions:
    """Plan the level row with `frames` columns, at least 3.

    `yaw` is the head's turn in the outermost frames, in degrees; the eyes turn in addition. `distance_mm` is
    that of the viewer, on whom both eyes converge. `travel` is a fraction of the irises' usual travel, less
    than 1 for doubtful pictures.
    """
    scales = _scales(eyes)
    width = (eyes[0].view.axes.width + eyes[1].view.axes.width) / 2
    rooms = [
        min(eye.room_px[side] / k for eye, k in zip(eyes, scales, strict=True)) / width for side in (0, 1)
    ]
    part = travel * _clearness(eyes)
    lever = IRIS_LEVER * eyes[0].radius_px
    own, turn = painted_gaze(face, eyes), math.radians(yaw)
    kept = math.asin(min(part * _KEPT * width / lever, 0.95))
    for rest in (math.radians(own), 0.0) if painted_gaze_is_aside(face, eyes) else (0.0,):
        ways = _evened(_ways((rooms[0], rooms[1]), rest, part, width / lever), rest, turn, kept)
        reach = _reach(ways, turn)
        if _is_even(reach, rest):
            break
    if min(reach) < math.radians(MIN_RANGE) and rest == 0:
        # If the eyes have hardly any room, the head still turns all its way.
        reach = max(reach[0], ways[0] + turn), max(reach[1], ways[1] + turn)
    resting, step = _steps(reach, rest, frames)
    away = step * (np.arange(frames) - resting)
    headed = np.where(away < 0, *(1 - way / max(side, 1e-9) for way, side in zip(ways, reach, strict=True)))
    shifts = np.zeros((frames, 2))
    for i, k in enumerate(scales if max(ways) > 1e-9 else ()):
        turned = _converged(rest + away, rest, (-1, 1)[i], distance_mm) - headed * away
        shifts[:, i] = lever * k * (np.sin(rest + turned) - math.sin(rest))
    return FrameMotions(
        angles=tuple(float(a) for a in np.degrees(rest + away)),
        resting_column=resting,
        turns=tuple(float(a) for a in np.degrees(headed * away)),
        shifts=shifts,
        painted_gaze=own,
        room=(rooms[0], rooms[1]),
    )


def add_pitch_rows(
    plan: FrameMotions, eyes: tuple[PaintedEye, PaintedEye], rows: int, yaw: float, nod: float, travel: float
) -> FrameMotions:
    """Return a plan with rows of gaze up and down, or the plan itself if hardly anything can move up or down.

    Of `rows`, 1 or at least 3, one is the level row. `yaw` is the head's turn that was asked for, in degrees:
    0 keeps the head still; `nod` is the most that the head can nod. `travel` is as in `plan_level_row`.
    """
    lever, part = IRIS_LEVER * eyes[0].radius_px, travel * _clearness(eyes)
    most = _MOST_DOWN * min(eye.view.axes.width for eye in eyes)
    closed = min(_CLOSED / (LID_LIFT[0] - LID_LIFT[1]) * eye.opening_px for eye in eyes)
    heights = []
    for wanted, widest, way in zip(FULL_PITCH, _MOST_LIFTED, (most, min(most, closed)), strict=True):
        nods = min(_NOD * min(yaw / USUAL_YAW, 1) * wanted, nod)
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
    upwards, downwards = range(above, 0, -1), range(1, rows - above)
    return (*(rising * i for i in upwards), 0.0, *(-falling * i for i in downwards))


def painted_gaze(face: FaceLandmarks, eyes: tuple[PaintedEye, PaintedEye]) -> float:
    """Measure where the painted sitter looks, in degrees to picture right of the onlooker.

    An eye that looks at the onlooker has its iris in front of its centre of rotation, which lies behind the
    middle of its corners; in a turned face the corners are displaced to the side to which it is turned.
    """
    sines = [math.sin(math.radians(gaze)) for gaze in _gazes(face, eyes)]
    return math.degrees(math.asin(sum(sines) / 2))


def _gazes(face: FaceLandmarks, eyes: tuple[PaintedEye, PaintedEye]) -> tuple[float, float]:
    """Return where each eye looks, in degrees to picture right of the onlooker, up to 64."""
    turned, lever = math.sin(math.radians(face.yaw)), IRIS_LEVER * eyes[0].radius_px
    away = [
        eye.iris.u * eye.view.axes.width + _CORNERS_MM / _IRIS_MM * eye.radius_px * turned for eye in eyes
    ]
    first, second = (math.degrees(math.asin(min(max(way / lever, -0.9), 0.9))) for way in away)
    return first, second


def _off_model(eye: PaintedEye, marks: EyeLandmarks) -> float:
    """Return how far the model's iris lies across from the one found in the picture, in eye widths."""
    u, _ = eye.view.axes.to_eye(np.array(marks.iris[0]), np.array(marks.iris[1]))
    return abs(float(u) - eye.iris.u)


def painted_gaze_is_aside(face: FaceLandmarks, eyes: tuple[PaintedEye, PaintedEye]) -> bool:
    """Return whether both eyes, the head and the picture agree that the sitter looks past the onlooker.

    A wrong yes costs more than a wrong no, because it takes the range away from the visitors in front.
    """
    first, second = _gazes(face, eyes)
    irises = zip(eyes, face.eyes, strict=True)
    return (
        abs(painted_gaze(face, eyes)) >= _MEETS
        and abs(first - second) <= _ALIKE
        and abs(painted_gaze(face, eyes) - face.yaw) <= _FROM_HEAD
        and all(eye.iris.score >= _CLEAR and _off_model(eye, marks) <= _SAME_IRIS for eye, marks in irises)
    )


def _clearness(eyes: tuple[PaintedEye, PaintedEye]) -> float:
    """Return the fraction of the usual travel that is safe for irises as clear as these."""
    score = min(eye.iris.score for eye in eyes)
    return min(max((score - _DIM) / (_CLEAR - _DIM), _LEAST), 1.0)


def _scales(eyes: tuple[PaintedEye, PaintedEye]) -> tuple[float, float]:
    """Return each eye's share of the travel: a far eye, seen foreshortened, moves less."""
    first, second = (eye.view.axes.width for eye in eyes)
    mean = (first + second) / 2
    return math.sqrt(first / mean), math.sqrt(second / mean)


def _ways(rooms: tuple[float, float], rest: float, part: float, unit: float) -> tuple[float, float]:
    """Return how far the eyes can turn to the left and to the right of `rest`, in radians, 0 or more.

    `rooms` are the iris's there, in eye widths. `rest` is where the painted eyes look, in radians to picture
    right. `part` is a fraction of the usual travel, `unit` an eye's width against the iris's distance from
    the point it turns about.
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

    It becomes `MAX_LOPSIDED` times the shorter one, but the eyes' own way to that side at least `kept`.
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
    return max(sides) <= MAX_LOPSIDED * min(sides) + 1e-9


def _steps(reach: tuple[float, float], rest: float, frames: int) -> tuple[int, float]:
    """Return the resting frame and the step, so that equal steps fill the reach to both sides best.

    An even range that goes far enough to both sides remains one.
    """
    last, (left, right) = frames - 1, reach

    def worth(resting: int) -> tuple[bool, bool, float, int]:
        ways = (left, resting), (right, last - resting)
        step = min(side / count for side, count in ways if count)
        sides = resting * step, (last - resting) * step
        enough = min(sides[0] - rest, sides[1] + rest) >= math.radians(MIN_RANGE) - 1e-9
        return _is_even(sides, rest), enough, step, resting

    exact = last * left / max(left + right, 1e-9)
    nearest = {math.floor(exact), math.ceil(exact)}
    if abs(left - right) < 0.1 * max(left, right):
        nearest = {last // 2}
    *_, step, resting = max(map(worth, nearest))
    return resting, step


def _converged(angles: Array, rest: float, side: int, distance_mm: float) -> Array:
    """Return how far one eye turns from rest to look at a point in the direction of `angles`, in radians."""
    x = side * _HALF_EYES_MM

    def towards(angle: Array) -> Array:
        return np.arctan2(distance_mm * np.sin(angle) - x, distance_mm * np.cos(angle))

    turned: Array = towards(angles) - towards(np.full(1, rest))
    return turned
