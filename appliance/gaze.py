"""From a viewer's place to the angle of the sitter's gaze, and to a frame.

Angles are degrees seen from the sitter's eyes, 0 straight ahead and positive to picture right: the
side that is right for the visitor in front of the screen, and left in the camera's picture.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.camera.base import Picture
from appliance.config import Config, GazeConfig, TrackingConfig
from appliance.pack import PackInfo
from appliance.tracking.people import Crowd, Person
from appliance.tracking.search import Search
from appliance.tracking.smoothing import OneEuro, Trend, caught_up, ease, lead, one_euro, settle, trend
from appliance.tracking.viewer import Viewer, choose, locate
from appliance.vision.blazeface import Face

# How long the eyes take to go to another viewer, in seconds.
GLANCE: Final = 0.25
# A smaller change of angle needs no glance, in degrees.
_SMALL: Final = 3.0
# When somebody was found, the room is searched for who else is there, for this many seconds: once round
# it at 30 pictures/s. Who comes in later is a newcomer.
_SURVEY: Final = 0.7
# A crop measures the eyes best; a coarser look counts only this many seconds after the last crop.
_BLUNT: Final = 0.2
# A glance into the empty room: there, a while, and back, in seconds and as a share of the outermost angle.
_WANDER_MOVE: Final = 1.5
_WANDER_STAY: Final = 2.0
_WANDER_REACH: Final = 0.6


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the sitter should look: the newest estimate, smoothed.

    `viewer` is who was seen in the newest picture, None if nobody. `angle` is degrees, None until
    somebody was seen; `seen` is when that was and `captured` when the newest picture was taken, in
    seconds on the monotonic clock. `speed` is how fast the angle changes, degrees per second.
    `visitors` is how many people are known. After a change of viewer the eyes go over from the angle
    `glance_from`, beginning at the moment `glance_at`.
    """

    viewer: Viewer | None
    angle: float | None
    seen: float
    captured: float
    speed: float = 0.0
    visitors: int = 0
    glance_from: float = 0.0
    glance_at: float = -math.inf


def angle_to(x_mm: float, z_mm: float, place: GazeConfig) -> float:
    """Return the angle from the sitter's eyes to a point in the camera's frame, degrees."""
    right = place.camera_right - (-x_mm if place.mirrored else x_mm)
    ahead = z_mm + place.camera_forward
    angle = math.degrees(math.atan2(right, max(ahead, 1.0))) * place.gain
    return min(max(angle, place.limit_left), place.limit_right)


def original_frame(x: float, width: float, frames: int) -> int:
    """Return the frame of the 2020 piece: the eyes' x in the mirrored picture, and nothing else.

    Parameters
    ----------
    x : eye midpoint in picture pixels
    width : of the picture, pixels
    frames : number of frames; the piece had 33
    """
    last = frames - 1
    return min(max(math.floor(last * (1 - x / width)), 0), last)


def position_of(angle: float, angles: Sequence[float]) -> float:
    """Return where an angle falls among the frames' rising angles, in frames, clamped to them."""
    if angle <= angles[0]:
        return 0.0
    if angle >= angles[-1]:
        return len(angles) - 1.0
    i = bisect_right(angles, angle) - 1
    return i + (angle - angles[i]) / (angles[i + 1] - angles[i])


def aim_at(aim: Aim | None, now: float, rest: float, tracking: TrackingConfig) -> float:
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


def frame_for(aim: Aim | None, now: float, shown: int, tracking: TrackingConfig, pack: PackInfo) -> int:
    """Return the frame to show, while `shown` is lit.

    `now` is the moment light will leave the screen, seconds on the monotonic clock.
    """
    angle = _looking(aim, now, tracking, pack)
    return settle(position_of(angle, pack.angles), shown, tracking.hysteresis, pack.frames)


def _looking(aim: Aim | None, now: float, tracking: TrackingConfig, pack: PackInfo) -> float:
    """Return the angle looked at, at a viewer or about an empty room."""
    angle = aim_at(aim, now, pack.angles[pack.resting], tracking)
    if aim is not None and tracking.wander_every:
        empty = now - max(aim.seen, 0.0) - tracking.hold - tracking.return_time
        angle += wander(empty, tracking.wander_every) * pack.angles[-1]
    return angle


class Follower:
    """Sees one picture after another: searches it, knows who is there, and aims at one of them."""

    def __init__(self, config: Config) -> None:
        """Load the models; raises `BadAsset` or `BadModel`."""
        self._config = config
        self._search = Search(config.vision)
        tracking = config.tracking
        self._crowd = Crowd(config.vision.threshold, tracking.fixture_after, max(4.0, tracking.hold + 2))
        self._followed: Person | None = None
        self._since = self._arrived = -math.inf
        self._awake: float | None = None
        self._euro = OneEuro(0.0)
        self._trend = Trend(0.0)
        self._aim = Aim(None, None, -math.inf, -math.inf)

    @property
    def faces(self) -> list[Face]:
        """The newest face of everybody seen within the last quarter of a second."""
        return [p.face for p in self._crowd.known() if self._aim.captured - p.seen < 0.25]

    @property
    def rate(self) -> float:
        """Pictures per second worth taking: fewer when nothing moved and nobody was there for a while."""
        asleep = (
            self._awake is not None and self._aim.captured - self._awake > self._config.tracking.idle_after
        )
        full = self._config.camera.rate
        return min(self._config.tracking.idle_rate, full) if asleep else full

    def see(self, picture: Picture, horizontal_fov: float, pack: PackInfo, lit: float | None = None) -> Aim:
        """Look at the newest picture once, and say where to aim.

        Parameters
        ----------
        horizontal_fov : angle of view across the picture's width, degrees
        pack : of the portrait that hangs
        lit : when light can first leave the screen because of this, monotonic seconds; by default
            at the moment of the picture
        """
        now = picture.captured
        look = self._search.look(picture, self._crowd, self._followed, now - self._arrived < _SURVEY)
        self._crowd.take(look.faces, look.region, look.sought, now, self._search.motion.share)
        # Not look.faces: a picture on the wall is nobody, nor is what only seems a face now and then.
        here = any(person.seen == now for person in self._crowd.known())
        if self._awake is None or here or (self._followed is None and self._search.motion.anywhere):
            self._awake = now
        chosen = self._choose(picture)
        changed, self._followed = chosen is not self._followed, chosen
        before, visitors = self._aim, len(self._crowd.known())
        if chosen is None or chosen.missed:
            self._aim = replace(before, viewer=None, captured=now, visitors=visitors)
            return self._aim
        size = picture.width, picture.height
        viewer = locate(chosen, now, size, horizontal_fov, self._config.camera.distortion)
        fresh = chosen.seen == now and (look.sharp or now - before.seen > _BLUNT)
        if not fresh and not changed:
            self._aim = replace(before, viewer=viewer, captured=now, visitors=visitors)
        elif self._config.gaze.mapping == "original":
            angle = pack.angles[
                original_frame(self._right_way_round(viewer.x, size[0]), size[0], pack.frames)
            ]
            self._aim = Aim(viewer, angle, now, now, visitors=visitors)
        else:
            aim = self._smoothed(viewer, now, changed, visitors)
            self._aim = aim if before.viewer and not changed else self._glance(before, aim, pack, lit or now)
        return self._aim

    def _choose(self, picture: Picture) -> Person | None:
        """Choose whom to follow, and note when they were chosen, and when anybody came."""
        now, followed = picture.captured, self._followed
        known = self._crowd.known()
        if followed is not None and followed.missed and not 0 < followed.at(now)[0] < picture.width:
            known = [person for person in known if person is not followed]  # walked out of view
        surveying = now - self._arrived < _SURVEY
        chosen = choose(known, followed, now, self._since, surveying, self._config.tracking)
        if chosen is not followed:
            self._since = now
            if followed is None:
                self._arrived = now
        return chosen

    def _smoothed(self, viewer: Viewer, now: float, changed: bool, visitors: int) -> Aim:
        tracking = self._config.tracking
        angle = angle_to(viewer.x_mm, viewer.z_mm, self._config.gaze)
        dt = now - self._aim.seen
        if changed or dt <= 0:
            self._euro, self._trend = OneEuro(angle), Trend(angle)
        else:
            self._euro = one_euro(angle, dt, self._euro, tracking.min_cutoff, tracking.beta)
            self._trend = trend(angle, dt, self._trend)
        speed, smooth = self._trend.speed, self._euro.value
        if tracking.prediction:
            smooth = caught_up(self._euro, angle, speed, tracking.min_cutoff, tracking.beta)
        before = self._aim
        return Aim(viewer, smooth, now, now, speed, visitors, before.glance_from, before.glance_at)

    def _glance(self, before: Aim, aim: Aim, pack: PackInfo, lit: float) -> Aim:
        """Let the eyes go over from where they look at the moment `lit`, unless it is hardly a way."""
        start = _looking(before, lit, self._config.tracking, pack)
        end = _looking(replace(aim, glance_at=-math.inf), lit, self._config.tracking, pack)
        return aim if abs(end - start) < _SMALL else replace(aim, glance_from=start, glance_at=lit)

    def _right_way_round(self, x: float, width: int) -> float:
        return width - x if self._config.gaze.mirrored else x
