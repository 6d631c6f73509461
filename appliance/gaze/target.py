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


# Hysteresis falls to nothing at this speed of the eyes, in degrees per second: five frames a second.
_MOVING: Final = 10.0
# Seconds in which contact comes and goes (asked for: .8).
CONTACT_TIME: Final = 0.8


@dataclass(frozen=True, slots=True)
class GazeTarget:
    """Where the sitter should look: the newest estimate, smoothed.

    `viewer` is who was seen in the newest picture, None if nobody; `identity` is the track that the eyes
    are on, None when they are on nobody. `angle` is degrees, None until somebody was seen; `seen` is when
    that was and `captured` when the newest picture was taken, in seconds on the monotonic clock. `speed`
    is how fast the angle changes, degrees per second. `visitors` is how many people are in view.
    `eye_height_mm` is how far the viewer's eyes are above the sitter's, `elevation` how many degrees up
    they are seen from there; both of the last measurement, not smoothed, and None before the first one
    (the mapping "original" measures none). After a change of viewer the eyes go over from the angle
    `glance_from`, beginning at the moment `glance_at`. From the moment `contact_at` the share of the angle
    that is taken away goes from `contact_from` to `contact_to`, so that a viewer who stands feels looked at.
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
    identity: int | None = None
    contact_from: float = 0.0
    contact_to: float = 0.0
    contact_at: float = -math.inf


def contact_of(target: GazeTarget, now: float) -> float:
    """Return the share of the angle that contact takes away at a moment, 0 to 1."""
    part = ease((now - target.contact_at) / CONTACT_TIME)
    return target.contact_from + (target.contact_to - target.contact_from) * part


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
    angle *= 1 - contact_of(aim, now)
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
    # Multiples of the golden ratio spread evenly and look random.
    side = math.cos(2 * math.pi * 0.618034 * number) * _WANDER_REACH
    return side * (ease(into / _WANDER_MOVE) - ease((into - _WANDER_MOVE - _WANDER_STAY) / _WANDER_MOVE))


def frame_for(
    aim: GazeTarget | None, now: float, shown: int, tracking: TrackingConfig, pack: PackInfo
) -> int:
    """Return the frame to show, while `shown` is lit.

    `now` is the moment light will leave the screen, seconds on the monotonic clock.
    """
    angle = looking_at(aim, now, tracking, pack)
    # Eyes that move need no hysteresis, and with it they would trail behind the viewer.
    still = 1 - min(abs(aim.speed) / _MOVING, 1.0) if aim else 1.0
    return settle(
        position_of(angle, pack.main.angles), shown, tracking.hysteresis * still, len(pack.main.angles)
    )


def looking_at(aim: GazeTarget | None, now: float, tracking: TrackingConfig, pack: PackInfo) -> float:
    """Return the angle looked at, at a viewer or about an empty room."""
    angle = aim_at(aim, now, pack.main.angles[pack.main.rest], tracking)
    if aim is not None and tracking.wander_every:
        empty = now - max(aim.seen, 0.0) - tracking.hold - tracking.return_time
        angle += wander(empty, tracking.wander_every) * pack.main.angles[-1]
    return angle
