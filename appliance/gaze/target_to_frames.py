"""The gaze target over time (followed, held, returned to rest, idle gaze), and the frames that show it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.config import TrackingConfig
from appliance.gaze.geometry import Direction, direction_from_sitter, fractional_index
from appliance.pack import FrameGrid, PackInfo
from appliance.tracking.filters import apply_hysteresis, ease_in_out, prediction_time
from appliance.tracking.viewer_position import Viewer

SACCADE_TIME: Final = 0.25  # duration of a saccade to another viewer, in seconds (chosen by eye)
# Idle gaze: duration of the movement aside, and of that back, in seconds (chosen by eye).
_IDLE_MOVE_TIME: Final = 1.5
_IDLE_STAY_TIME: Final = 2.0  # idle gaze: time for which the eyes stay there, in seconds (chosen by eye)
# Idle gaze: largest angle as a fraction of the outermost frames' angles (chosen by eye).
_IDLE_REACH: Final = 0.6
# Speed of the eyes at which hysteresis is 0, in degrees per second: five frames a second.
_MOVING_SPEED: Final = 10.0
# Distance past the middle between two rows from which the row changes, in rows: more than between columns,
# because a nodding head moves the viewer's eyes up and down (measured: bench gaze, living visitors).
ROW_HYSTERESIS: Final = 0.3
CONTACT_TIME: Final = 0.8  # duration of the transition to eye contact and back, in seconds (required: 0.8)


@dataclass(frozen=True, slots=True)
class GazeTarget:
    """The direction in which the sitters should look: the newest estimate, smoothed.

    Angles are degrees to picture right and pitches degrees up, both as seen by the sitter with the largest
    face. Moments are seconds on the monotonic clock.

    Parameters
    ----------
    viewer : who was seen in the newest picture, None if nobody
    identity : of the track that the sitters look at, None if they look at nobody
    angle, pitch : of the gaze, None until somebody was seen; the mapping "original" has no pitch
    seen : when the viewer was last measured
    captured : when the newest picture was taken
    speed, rise : how fast angle and pitch change, degrees per second
    ahead_mm : distance of the viewer's eyes from the wall
    visitors : how many people are in view
    saccade_from, saccade_at : a saccade goes from these directions, one for each sitter, from that moment on
    eye_height_mm, elevation : how far the viewer's eyes are above the sitter's, and the pitch at which they
        are seen from there; both not smoothed, None until measured, which the mapping "original" does not do
    contact_from, contact_to, contact_at : eye contact takes this fraction of both angles away, so that a
        standing viewer feels looked at; it changes from one to the other, beginning at that moment
    """

    viewer: Viewer | None
    angle: float | None
    seen: float
    captured: float
    speed: float = 0.0
    pitch: float | None = None
    rise: float = 0.0
    ahead_mm: float = math.inf
    visitors: int = 0
    saccade_from: tuple[Direction, ...] = ()
    saccade_at: float = -math.inf
    eye_height_mm: float | None = None
    elevation: float | None = None
    identity: int | None = None
    contact_from: float = 0.0
    contact_to: float = 0.0
    contact_at: float = -math.inf


def eye_contact_share(target: GazeTarget, now: float) -> float:
    """Return the fraction of the angles that eye contact takes away at a moment, 0 to 1."""
    part = ease_in_out((now - target.contact_at) / CONTACT_TIME)
    return target.contact_from + (target.contact_to - target.contact_from) * part


def gaze_direction_at(
    target: GazeTarget | None,
    now: float,
    grid: FrameGrid,
    tracking: TrackingConfig,
    sitter: int = 0,
    apart: tuple[float, float] = (0.0, 0.0),
) -> Direction:
    """Return where a sitter looks: at the viewer, after a loss at their last position, then back at rest.

    Since the newest measurement the viewer's motion is predicted, ever more slowly. The pitch stays within
    that of the grid's rows.

    Parameters
    ----------
    target : the newest estimate, None before the first
    now : the moment light will leave the screen, seconds on the monotonic clock
    grid : the sitter's frames
    sitter : number of the sitter
    apart : how far the sitter's eyes are to picture right of the first sitter's, and above them, in mm
    """
    row, column = grid.resting
    rest, level = grid.angles[column], grid.pitches[row]
    if target is None or target.angle is None:
        return rest, level
    motion = prediction_time(now - target.seen, tracking.prediction)
    pitch = level if target.pitch is None else target.pitch + target.rise * motion
    direction = target.angle + target.speed * motion, pitch
    angle, pitch = direction_from_sitter(direction, target.ahead_mm, apart)
    away = 1 - eye_contact_share(target, now)
    angle *= away
    pitch = min(max(pitch * away, grid.pitches[-1]), grid.pitches[0])
    back = ease_in_out((now - target.seen - tracking.hold) / tracking.return_time)
    angle += (rest - angle) * back
    pitch += (level - pitch) * back
    if sitter >= len(target.saccade_from):
        return angle, pitch
    left = 1 - min(max((now - target.saccade_at) / SACCADE_TIME, 0.0), 1.0)
    # Like real eyes: fast at once, and slowing down all the way.
    from_angle, from_pitch = target.saccade_from[sitter]
    return angle + (from_angle - angle) * left**3, pitch + (from_pitch - pitch) * left**3


def idle_gaze(empty: float, every: float) -> tuple[float, float]:
    """Return where the sitter looks in an empty room: straight to a point and back, every now and then.

    As fractions of the range from -`_IDLE_REACH` to `_IDLE_REACH`, 0 being at rest: to picture right, and up.
    `empty` is the time since the sitter came to rest, and `every` that from one movement, which takes 5
    seconds, to the next, in seconds; 0 for none.
    """
    every = max(every, 2 * _IDLE_MOVE_TIME + _IDLE_STAY_TIME) if every > 0 else math.inf
    if empty < every:
        return 0.0, 0.0
    number, into = divmod(empty, every)
    # Multiples of the golden ratio and of the root of 2 are spread evenly and look random.
    aside = math.cos(2 * math.pi * 0.618034 * number) * _IDLE_REACH
    up = math.cos(2 * math.pi * 0.414214 * number) * _IDLE_REACH
    back = into - _IDLE_MOVE_TIME - _IDLE_STAY_TIME
    part = ease_in_out(into / _IDLE_MOVE_TIME) - ease_in_out(back / _IDLE_MOVE_TIME)
    return aside * part, up * part


def frames_for(
    target: GazeTarget | None,
    now: float,
    shown: Sequence[int],
    tracking: TrackingConfig,
    pack: PackInfo,
    apart: Sequence[tuple[float, float]] = (),
) -> tuple[int, ...]:
    """Return the number of the frame to show of each sitter, where the frames `shown` are on the screen.

    `now` is the moment at which light will leave the screen, in seconds on the monotonic clock. `apart` is
    how far each sitter's eyes are to picture right of the first one's, and above them, in mm; (0, 0) for a
    sitter without an entry.
    """
    # Moving eyes need no hysteresis; with it they would lag behind the viewer.
    still = 1 - min(abs(target.speed) / _MOVING_SPEED, 1.0) if target else 1.0
    level = 1 - min(math.hypot(target.speed, target.rise) / _MOVING_SPEED, 1.0) if target else 1.0
    slack = ROW_HYSTERESIS * level, tracking.hysteresis * still
    looks = gaze_directions_at(target, now, tracking, pack, apart)
    together = zip(looks, pack.sitters, shown, strict=True)
    return tuple(nearest_frame(look, grid, number, slack) for look, grid, number in together)


def nearest_frame(direction: Direction, grid: FrameGrid, shown: int, slack: tuple[float, float]) -> int:
    """Return the number of the frame nearest to a direction.

    `slack` is the hysteresis in rows and in columns, with which `apply_hysteresis` keeps the frame `shown`.
    """
    angle, pitch = direction
    before, column = grid.place(shown)
    last = len(grid.pitches) - 1
    row = apply_hysteresis(last - fractional_index(pitch, grid.pitches[::-1]), before, slack[0], last + 1)
    step = grid.steps[row]
    angles = grid.angles[::step]
    position = fractional_index(angle, angles)
    if column % step:  # the frame shown is in a finer row
        place = math.floor(position + 0.5)
    else:
        place = apply_hysteresis(position, column // step, slack[1], len(angles))
    return grid.number(row, place * step)


def gaze_directions_at(
    target: GazeTarget | None,
    now: float,
    tracking: TrackingConfig,
    pack: PackInfo,
    apart: Sequence[tuple[float, float]] = (),
) -> tuple[Direction, ...]:
    """Return where each sitter looks, at a viewer or into an empty room; `apart` as for `frames_for`."""
    aside = up = 0.0
    if target is not None and tracking.wander_every:
        empty = now - max(target.seen, 0.0) - tracking.hold - tracking.return_time
        aside, up = idle_gaze(empty, tracking.wander_every)
    looks = []
    for sitter, grid in enumerate(pack.sitters):
        place = apart[sitter] if sitter < len(apart) else (0.0, 0.0)
        angle, pitch = gaze_direction_at(target, now, grid, tracking, sitter, place)
        side = grid.angles[-1] if aside > 0 else -grid.angles[0]
        reach = grid.pitches[0] if up > 0 else -grid.pitches[-1]
        looks.append((angle + aside * side, pitch + up * reach))
    return tuple(looks)
