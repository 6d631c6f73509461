"""From a viewer's place to the angle of the sitter's gaze, and to a frame.

Angles are degrees seen from the sitter's eyes, 0 straight ahead and positive to picture right: the
side that is right for the visitor in front of the screen, and left in the camera's picture.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.camera.base import Picture
from appliance.config import Config, GazeConfig, TrackingConfig
from appliance.pack import PackInfo
from appliance.tracking.smoothing import OneEuro, one_euro, settle
from appliance.tracking.viewer import Viewer, choose, locate
from appliance.vision.blazeface import Face


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the sitter should look: the newest estimate, smoothed.

    `viewer` is who was seen in the newest picture, None if nobody. `angle` is degrees, None until
    somebody was seen; `seen` is when that was and `captured` when the newest picture was taken, in
    seconds on the monotonic clock.
    """

    viewer: Viewer | None
    angle: float | None
    seen: float
    captured: float


def angle_to(x_mm: float, z_mm: float, place: GazeConfig) -> float:
    """Return the angle from the sitter's eyes to a point in the camera's frame, degrees."""
    right = place.camera_right - x_mm
    ahead = z_mm + place.camera_forward
    return math.degrees(math.atan2(right, max(ahead, 1.0))) * place.gain


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


def aim_at(aim: Aim | None, now: float, rest: float, hold: float, return_time: float) -> float:
    """Return the angle to look at: the viewer's, held a while after a loss, then eased back to rest.

    Parameters
    ----------
    aim : the newest estimate, None before the first
    now : seconds on the monotonic clock
    rest : the resting frame's angle, degrees
    hold, return_time : seconds
    """
    if aim is None or aim.angle is None:
        return rest
    t = min(max((now - aim.seen - hold) / return_time, 0.0), 1.0)
    return aim.angle + (rest - aim.angle) * t * t * (3 - 2 * t)


def frame_for(aim: Aim | None, now: float, shown: int, tracking: TrackingConfig, pack: PackInfo) -> int:
    """Return the frame to show at the moment `now` (monotonic seconds), while `shown` is lit."""
    rest = pack.angles[pack.resting]
    angle = aim_at(aim, now, rest, tracking.hold, tracking.return_time)
    return settle(position_of(angle, pack.angles), shown, tracking.hysteresis, pack.frames)


class Follower:
    """Turns the faces of one picture after another into aims: whom to follow, where, how calmly."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._face: Face | None = None
        self._filter: OneEuro | None = None
        self._aim = Aim(None, None, -math.inf, -math.inf)

    def see(self, picture: Picture, faces: Sequence[Face], horizontal_fov: float, pack: PackInfo) -> Aim:
        """Take in the faces of the newest picture; `horizontal_fov` in degrees, `pack` is what hangs."""
        tracking = self._config.tracking
        if picture.captured - self._aim.seen > tracking.hold:
            self._face = self._filter = None
        face = choose(faces, self._face, tracking.stickiness)
        if face is None:
            self._aim = Aim(None, self._aim.angle, self._aim.seen, picture.captured)
            return self._aim
        self._face = face
        viewer = locate(face, picture, horizontal_fov)
        if self._config.gaze.mapping == "original":
            angle = pack.angles[original_frame(viewer.x, picture.width, pack.frames)]
        else:
            angle = self._smooth(angle_to(viewer.x_mm, viewer.z_mm, self._config.gaze), picture.captured)
        self._aim = Aim(viewer, angle, picture.captured, picture.captured)
        return self._aim

    def _smooth(self, angle: float, captured: float) -> float:
        dt = captured - self._aim.seen
        if self._filter is None:
            self._filter = OneEuro(angle)
        elif dt > 0:
            tracking = self._config.tracking
            self._filter = one_euro(angle, dt, self._filter, tracking.min_cutoff, tracking.beta)
        return self._filter.value
