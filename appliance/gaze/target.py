"""The gaze target over time: held, eased back to rest, wandering; and the frames that show it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.config import TrackingConfig
from appliance.gaze.geometry import Direction, position_of, seen_from
from appliance.pack import FrameGrid, PackInfo
from appliance.tracking.filters import ease, lead, settle
from appliance.tracking.viewer_position import Viewer

# How long the eyes take to go to another viewer, in seconds.
GLANCE: Final = 0.25
# A glance into the empty room: there, a while, and back, in seconds and as a share of the outermost angles.
_WANDER_MOVE: Final = 1.5
_WANDER_STAY: Final = 2.0
_WANDER_REACH: Final = 0.6


# Hysteresis falls to nothing at this speed of the eyes, in degrees per second: five frames a second.
_MOVING: Final = 10.0
# How far past the middle between two rows the gaze must go to change the row, in rows: more than between
# columns, because a head that nods moves the eyes up and down (measured: `bench gaze`, living visitors).
ROW_HYSTERESIS: Final = 0.3
# Seconds in which contact comes and goes (asked for: .8).
CONTACT_TIME: Final = 0.8


@dataclass(frozen=True, slots=True)
class GazeTarget:
    """Where the sitters should look: the newest estimate, smoothed.

    `viewer` is who was seen in the newest picture, None if nobody; `identity` is the track that the eyes
    are on, None when they are on nobody. `angle` is degrees to picture right and `pitch` degrees up, as seen
    by the sitter with the largest face; `angle` is None until somebody was seen, and `pitch` until then and
    in the mapping "original", which has none. `seen` is when that was and `captured` when the newest
    picture was taken, in seconds on the monotonic clock. `speed` is how fast the angle changes and `rise` how
    fast the pitch does, degrees per second. `ahead_mm` is how far the viewer's eyes are from the wall.
    `visitors` is how many people are in view.
    `eye_height_mm` is how far the viewer's eyes are above the sitter's, `elevation` how many degrees up
    they are seen from there; both of the last measurement, not smoothed, and None before the first one
    (the mapping "original" measures none). After a change of viewer the eyes go over from the directions
    `glance_from`, one for each sitter, beginning at the moment `glance_at`. From the moment `contact_at` the
    share of both angles that is taken away goes from `contact_from` to `contact_to`, so that a viewer who
    stands feels looked at.
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
    glance_from: tuple[Direction, ...] = ()
    glance_at: float = -math.inf
    eye_height_mm: float | None = None
    elevation: float | None = None
    identity: int | None = None
    contact_from: float = 0.0
    contact_to: float = 0.0
    contact_at: float = -math.inf


def contact_of(target: GazeTarget, now: float) -> float:
    """Return the share of the angles that contact takes away at a moment, 0 to 1."""
    part = ease((now - target.contact_at) / CONTACT_TIME)
    return target.contact_from + (target.contact_to - target.contact_from) * part


def direction_at(
    target: GazeTarget | None,
    now: float,
    grid: FrameGrid,
    tracking: TrackingConfig,
    sitter: int = 0,
    apart: tuple[float, float] = (0.0, 0.0),
) -> Direction:
    """Return where a sitter looks: to the viewer, held a while after a loss, then eased back to rest.

    Since the newest sight of the viewer the motion goes on, ever more slowly. The pitch stays within that of
    the grid's rows.

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
    motion = lead(now - target.seen, tracking.prediction)
    pitch = level if target.pitch is None else target.pitch + target.rise * motion
    angle, pitch = seen_from((target.angle + target.speed * motion, pitch), target.ahead_mm, apart)
    away = 1 - contact_of(target, now)
    angle *= away
    pitch = min(max(pitch * away, grid.pitches[-1]), grid.pitches[0])
    back = ease((now - target.seen - tracking.hold) / tracking.return_time)
    angle += (rest - angle) * back
    pitch += (level - pitch) * back
    if sitter >= len(target.glance_from):
        return angle, pitch
    left = 1 - min(max((now - target.glance_at) / GLANCE, 0.0), 1.0)
    # As eyes do: off at once, and slowing down all the way.
    from_angle, from_pitch = target.glance_from[sitter]
    return angle + (from_angle - angle) * left**3, pitch + (from_pitch - pitch) * left**3


def wander(empty: float, every: float) -> tuple[float, float]:
    """Return where to look in an empty room, 0 being at rest.

    Parameters
    ----------
    empty : seconds since the sitter came to rest
    every : seconds from one glance to the next, which takes 5 of them; 0 for none

    Returns
    -------
    Parts of the range, from -`_WANDER_REACH` (picture left) to `_WANDER_REACH`, and the same down and up; the
    eyes go straight there and back.
    """
    every = max(every, 2 * _WANDER_MOVE + _WANDER_STAY) if every > 0 else math.inf
    if empty < every:
        return 0.0, 0.0
    number, into = divmod(empty, every)
    # Multiples of the golden ratio, and of the root of 2, spread evenly and look random.
    aside = math.cos(2 * math.pi * 0.618034 * number) * _WANDER_REACH
    up = math.cos(2 * math.pi * 0.414214 * number) * _WANDER_REACH
    part = ease(into / _WANDER_MOVE) - ease((into - _WANDER_MOVE - _WANDER_STAY) / _WANDER_MOVE)
    return aside * part, up * part


def frames_for(
    target: GazeTarget | None,
    now: float,
    shown: Sequence[int],
    tracking: TrackingConfig,
    pack: PackInfo,
    apart: Sequence[tuple[float, float]] = (),
) -> tuple[int, ...]:
    """Return the number of the frame to show of each sitter, while the frames `shown` are lit.

    Parameters
    ----------
    now : the moment light will leave the screen, seconds on the monotonic clock
    apart : how far each sitter's eyes are to picture right of the first one's, and above them, in mm; a
        sitter without an entry is treated as if in the first one's place
    """
    # Eyes that move need no hysteresis, and with it they would trail behind the viewer.
    still = 1 - min(abs(target.speed) / _MOVING, 1.0) if target else 1.0
    level = 1 - min(math.hypot(target.speed, target.rise) / _MOVING, 1.0) if target else 1.0
    slack = ROW_HYSTERESIS * level, tracking.hysteresis * still
    looks = looking_at(target, now, tracking, pack, apart)
    return tuple(
        frame_at(look, grid, number, slack)
        for look, grid, number in zip(looks, pack.sitters, shown, strict=True)
    )


def frame_at(direction: Direction, grid: FrameGrid, shown: int, slack: tuple[float, float]) -> int:
    """Return the number of the frame nearest to a direction, keeping row and column as `settle` does.

    Parameters
    ----------
    slack : how far past the middle between two of them the direction must go, in rows and in columns
    """
    angle, pitch = direction
    before, column = grid.place(shown)
    last = len(grid.pitches) - 1
    row = settle(last - position_of(pitch, grid.pitches[::-1]), before, slack[0], last + 1)
    step = grid.steps[row]
    angles = grid.angles[::step]
    position = position_of(angle, angles)
    if column % step:  # shown in a finer row
        place = math.floor(position + 0.5)
    else:
        place = settle(position, column // step, slack[1], len(angles))
    if (row, place * step) == (before, column):
        return shown
    return grid.number(row, place * step)


def looking_at(
    target: GazeTarget | None,
    now: float,
    tracking: TrackingConfig,
    pack: PackInfo,
    apart: Sequence[tuple[float, float]] = (),
) -> tuple[Direction, ...]:
    """Return where each sitter looks, at a viewer or about an empty room; `apart` as for `frames_for`."""
    aside = up = 0.0
    if target is not None and tracking.wander_every:
        empty = now - max(target.seen, 0.0) - tracking.hold - tracking.return_time
        aside, up = wander(empty, tracking.wander_every)
    looks = []
    for sitter, grid in enumerate(pack.sitters):
        place = apart[sitter] if sitter < len(apart) else (0.0, 0.0)
        angle, pitch = direction_at(target, now, grid, tracking, sitter, place)
        side = grid.angles[-1] if aside > 0 else -grid.angles[0]
        reach = grid.pitches[0] if up > 0 else -grid.pitches[-1]
        looks.append((angle + aside * side, pitch + up * reach))
    return tuple(looks)
