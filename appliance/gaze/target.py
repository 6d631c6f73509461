"""The gaze target over time: held, eased back to rest, wandering; and the frame that shows it."""

import math
from dataclasses import dataclass
from typing import Final

from appliance.config import TrackingConfig
from appliance.gaze.geometry import position_of
from appliance.pack import PackInfo
from appliance.tracking.smoothing import ease, lead, settle
from appliance.tracking.viewer import Viewer

# How long the eyes take to go to another viewer, in seconds.
GLANCE: Final = 0.25
# A glance into the empty room: there, a while, and back, in seconds and as a share of the outermost angle.
_WANDER_MOVE: Final = 1.5
_WANDER_STAY: Final = 2.0
_WANDER_REACH: Final = 0.6


@dataclass(frozen=True, slots=True)
class GazeTarget:
    """Where the sitter should look: the newest estimate, smoothed.

    `viewer` is who was seen in the newest picture, None if nobody. `angle` is degrees, None until
    somebody was seen; `seen` is when that was and `captured` when the newest picture was taken, in
    seconds on the monotonic clock. `speed` is how fast the angle changes, degrees per second.
    `visitors` is how many people are known. `eye_height_mm` is how far the viewer's eyes are above the
    sitter's, `elevation` how many degrees up they are seen from there; both as measured, not smoothed,
    and None while nobody's place was measured (the mapping "original" measures none). After a change
    of viewer the eyes go over from the angle `glance_from`, beginning at the moment `glance_at`.
    """

    viewer: Viewer | None
    angle: float | None
    seen: float
    captured: float
    speed: float = 0.0
    visitors: int = 0
    glance_from: float = 0.0
    glance_at: float = -math.inf
    eye_height_mm: float | None = None
    elevation: float | None = None


def aim_at(aim: GazeTarget | None, now: float, rest: float, tracking: TrackingConfig) -> float:
    """Return the angle to look at: the viewer's, held a while after a loss, then eased back to rest.

    Since the newest sight of the viewer the motion goes on, ever more slowly.

    Parameters
    ----------
    aim : the newest estimate, None before the first
    now : the moment light will leave the screen, seconds on the monotonic clock
    rest : the resting frame's angle, degrees
    """
    if aim is None or aim.angle is None:
        return rest
    angle = aim.angle + aim.speed * lead(now - aim.seen, tracking.prediction)
    back = ease((now - aim.seen - tracking.hold) / tracking.return_time)
    angle += (rest - angle) * back
    left = 1 - min(max((now - aim.glance_at) / GLANCE, 0.0), 1.0)
    # As eyes do: off at once, and slowing down all the way.
    return angle + (aim.glance_from - angle) * left**3


def wander(empty: float, every: float) -> float:
    """Return where to look in an empty room, from -1 (picture left) to 1, 0 being at rest.

    Parameters
    ----------
    empty : seconds since the sitter came to rest
    every : seconds from one glance to the next, which takes 5 of them; 0 for none
    """
    every = max(every, 2 * _WANDER_MOVE + _WANDER_STAY) if every > 0 else math.inf
    if empty < every:
        return 0.0
    number, into = divmod(empty, every)
    # The golden ratio's multiples are as even and as unforeseeable as a visitor needs.
    side = math.cos(2 * math.pi * 0.618034 * number) * _WANDER_REACH
    return side * (ease(into / _WANDER_MOVE) - ease((into - _WANDER_MOVE - _WANDER_STAY) / _WANDER_MOVE))


def frame_for(
    aim: GazeTarget | None, now: float, shown: int, tracking: TrackingConfig, pack: PackInfo
) -> int:
    """Return the frame to show, while `shown` is lit.

    `now` is the moment light will leave the screen, seconds on the monotonic clock.
    """
    angle = looking_at(aim, now, tracking, pack)
    return settle(position_of(angle, pack.angles), shown, tracking.hysteresis, pack.frames)


def looking_at(aim: GazeTarget | None, now: float, tracking: TrackingConfig, pack: PackInfo) -> float:
    """Return the angle looked at, at a viewer or about an empty room."""
    angle = aim_at(aim, now, pack.angles[pack.resting], tracking)
    if aim is not None and tracking.wander_every:
        empty = now - max(aim.seen, 0.0) - tracking.hold - tracking.return_time
        angle += wander(empty, tracking.wander_every) * pack.angles[-1]
    return angle
