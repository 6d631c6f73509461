"""From pictures to the gaze target: look, know who is there, and choose whom to look at."""

import math
from dataclasses import replace
from typing import Final

from appliance.camera.base import Picture
from appliance.config import Config
from appliance.gaze.geometry import angle_to, elevation_to, from_sitter, original_frame
from appliance.gaze.target import GazeTarget, looking_at
from appliance.pack import PackInfo
from appliance.tracking.people import Crowd, Person
from appliance.tracking.search import Search
from appliance.tracking.smoothing import OneEuro, Trend, caught_up, one_euro, trend
from appliance.tracking.viewer import Viewer, choose, locate
from appliance.vision.blazeface import Face

# A smaller change of angle needs no glance, in degrees.
_SMALL: Final = 3.0
# When somebody was found, the room is searched for who else is there, for this many seconds: once round
# it at 30 pictures/s. Who comes in later is a newcomer.
_SURVEY: Final = 0.7
# A crop measures the eyes best; a coarser look counts only this many seconds after the last crop.
_BLUNT: Final = 0.2


class GazeController:
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
        self._aim = GazeTarget(None, None, -math.inf, -math.inf)

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

    def see(
        self, picture: Picture, horizontal_fov: float, pack: PackInfo, lit: float | None = None
    ) -> GazeTarget:
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
            self._aim = GazeTarget(viewer, angle, now, now, visitors=visitors)
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

    def _smoothed(self, viewer: Viewer, now: float, changed: bool, visitors: int) -> GazeTarget:
        tracking = self._config.tracking
        point = viewer.x_mm, viewer.y_mm, viewer.z_mm
        angle = angle_to(*point, self._config.gaze)
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
        up, elevation = from_sitter(*point, self._config.gaze)[1], elevation_to(*point, self._config.gaze)
        glance = before.glance_from, before.glance_at
        return GazeTarget(viewer, smooth, now, now, speed, visitors, *glance, up, elevation)

    def _glance(self, before: GazeTarget, aim: GazeTarget, pack: PackInfo, lit: float) -> GazeTarget:
        """Let the eyes go over from where they look at the moment `lit`, unless it is hardly a way."""
        start = looking_at(before, lit, self._config.tracking, pack)
        end = looking_at(replace(aim, glance_at=-math.inf), lit, self._config.tracking, pack)
        return aim if abs(end - start) < _SMALL else replace(aim, glance_from=start, glance_at=lit)

    def _right_way_round(self, x: float, width: int) -> float:
        return width - x if self._config.gaze.mirrored else x
