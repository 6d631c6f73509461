"""From pictures to the gaze target: look, know who is there, and choose whom to look at."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from appliance.camera.base import Picture
from appliance.config import Config
from appliance.gaze.geometry import angle_to, elevation_to, from_sitter, original_frame, pitch_to
from appliance.gaze.target import GazeTarget, contact_of, looking_at
from appliance.pack import PackInfo
from appliance.tracking.filters import Gaze, advance_gaze, first_gaze, lead
from appliance.tracking.search_regions import Detectors, Search
from appliance.tracking.tracker import Track, Tracker
from appliance.tracking.viewer_choice import Attention, stands
from appliance.tracking.viewer_position import locate
from appliance.vision.blazeface import Face

# Seconds for which a person who turned away or left is known again on their return.
_MEMORY: Final = 8.0
# Cut-off of the filter on the pitch while the viewer stands, in multiples of that on the angle: eyes that
# come nearer rise or sink in the view, too slowly to count as walking (measured: bench gaze, heights).
_PITCH_CUTOFF: Final = 2.0
# A smaller change of angle needs no glance, in degrees.
_SMALL: Final = 3.0
# A crop measures the eyes best; a coarser look counts only this many seconds after the last crop.
_BLUNT: Final = 0.2
# Seconds after which a viewer who is only seen cut or half hidden holds the eyes where they are.
_BADLY: Final = 0.3
# Above this pace, in face widths per second, where the viewer goes matters more than a steady measurement.
_BRISK: Final = 1.5
# A face with less than this share of the viewer's usual score is half hidden, and moves nothing (films:
# faces that turn away fall below it before they are lost).
_USUAL: Final = 0.7


class GazeController:
    """Sees one picture after another: searches it, knows who is there, and looks at one of them."""

    def __init__(self, config: Config, detectors: Detectors | None = None) -> None:
        """Prepare to see with `detectors`, by default new ones: raises `BadAsset` or `BadModel`."""
        self._config = config
        self._search = Search(detectors or Detectors(config.vision))
        self._forget()

    def _forget(self) -> None:
        """Begin with nobody known and the sitter at rest."""
        tracking = self._config.tracking
        memory = max(_MEMORY, tracking.hold + 2)
        self._tracker = Tracker(self._config.vision.threshold, tracking.fixture_after, memory)
        self._attention = Attention(tracking)
        self._awake: float | None = None
        self._gaze = self._pitch = Gaze(0.0, -math.inf)
        self._target = GazeTarget(None, None, -math.inf, -math.inf)

    @property
    def faces(self) -> list[Face]:
        """The newest face of everybody seen within the last quarter of a second."""
        now = self._target.captured
        return [track.face for track in self._tracker.confirmed() if now - track.seen < 0.25]

    @property
    def rate(self) -> float:
        """Pictures per second worth taking: fewer when nothing moved and nobody was there for a while."""
        now, tracking = self._target.captured, self._config.tracking
        asleep = self._awake is not None and now - self._awake > tracking.idle_after
        full = self._config.camera.rate
        return min(tracking.idle_rate, full) if asleep else full

    def see(
        self,
        picture: Picture,
        horizontal_fov: float,
        pack: PackInfo,
        lit: float | None = None,
        apart: Sequence[tuple[float, float]] = (),
    ) -> GazeTarget:
        """Look at the newest picture once, and say where the sitter should look.

        Parameters
        ----------
        horizontal_fov : angle of view across the picture's width, degrees
        pack : of the portrait that hangs
        lit : when light can first leave the screen because of this, monotonic seconds; by default
            at the moment of the picture
        apart : of the pack's sitters, as for `frames_for`
        """
        if picture.captured < self._target.captured - _MEMORY:
            self._forget()  # The clock went back: all moments known lie in the future.
        now, before, followed = picture.captured, self._target, self._attention.viewer
        light = now if lit is None else lit
        look = self._search.look(picture, self._tracker, self._attention, self._gaze.doubted is not None)
        self._tracker.take(look.faces, look.region, look.sought, picture, self._search.motion.share)
        known = self._tracker.confirmed()
        # Not look.faces: these may be wall pictures, or places that the detector sometimes takes for a face.
        if (
            self._awake is None
            or any(track.seen == now for track in known)
            or (followed is None and self._search.motion.anywhere)
        ):
            self._awake = now
        chosen = self._attention.choose(self._in_view(known, picture), now, picture.width)
        changed = chosen is None or chosen.identity != before.identity
        here = replace(before, viewer=None, captured=now, visitors=sum(track.in_view(now) for track in known))
        if chosen is None:
            self._target = self._stopped(replace(here, identity=None), light)
        elif chosen.misses:
            self._target = self._held(here, chosen, light)
        else:
            size = picture.width, picture.height
            viewer = locate(chosen, now, size, horizontal_fov, self._config.camera.distortion)
            here = replace(here, viewer=viewer, identity=chosen.identity)
            own = look.sharp and look.sought is not None and look.sought.identity == chosen.identity
            sharp = own or now - before.seen > _BLUNT or chosen.pace > _BRISK
            fresh = chosen.seen == now and sharp
            if not changed and not (fresh and self._is_whole(chosen, size[0])):
                # Somebody who is seen badly for long is in view all the same: the eyes do not rest.
                badly = fresh and now - before.seen > _BADLY
                self._target = replace(here, seen=now, speed=0.0, rise=0.0) if badly else here
            elif self._config.gaze.mapping == "original":
                frame = original_frame(
                    self._right_way_round(viewer.x, size[0]), size[0], len(pack.main.angles)
                )
                self._target = replace(here, angle=pack.main.angles[frame], seen=now, speed=0.0)
            else:
                self._target = self._looked(before, here, chosen, changed, pack, light, apart)
        return self._target

    def _in_view(self, known: list[Track], picture: Picture) -> list[Track]:
        """Leave out a viewer who walked out of the picture."""
        viewer = self._attention.viewer
        if viewer is None or not viewer.misses or 0 < viewer.at(picture.captured)[0] < picture.width:
            return known
        return [track for track in known if track.identity != viewer.identity]

    def _is_whole(self, track: Track, width: int) -> bool:
        """Tell whether the face is neither cut by the picture's side nor half hidden."""
        left, _, right, _ = track.face.box
        return left >= 0 and right <= width and track.face.score > _USUAL * track.score

    def _held(self, here: GazeTarget, lost: Track, lit: float) -> GazeTarget:
        """Keep looking to where a lost viewer was last looked at: motion that was expected ends."""
        here = replace(here, identity=lost.identity)
        return here if lost.misses < 2 else self._stopped(here, lit)

    def _stopped(self, here: GazeTarget, lit: float) -> GazeTarget:
        """End the motion that was expected where the eyes are at the moment `lit`."""
        if here.angle is None or here.speed == here.rise == 0:
            return here
        motion = lead(lit - here.seen, self._config.tracking.prediction)
        pitch = None if here.pitch is None else here.pitch + here.rise * motion
        return replace(here, angle=here.angle + here.speed * motion, speed=0.0, pitch=pitch, rise=0.0)

    def _looked(
        self,
        before: GazeTarget,
        here: GazeTarget,
        chosen: Track,
        changed: bool,
        pack: PackInfo,
        lit: float,
        apart: Sequence[tuple[float, float]],
    ) -> GazeTarget:
        """Take in where the viewer is now; the eyes go over in a glance when that is far away."""
        viewer, tracking, gaze = here.viewer, self._config.tracking, self._config.gaze
        assert viewer is not None
        point = viewer.x_mm, viewer.y_mm, viewer.z_mm
        angle, pitch = angle_to(*point, gaze), pitch_to(*point, gaze)
        now = here.captured
        doubted, nod_doubted = self._gaze.doubted, self._pitch.doubted
        if changed:
            self._gaze, self._pitch = first_gaze(angle, now), first_gaze(pitch, now)
        else:
            distance, cutoff = viewer.distance_mm, tracking.min_cutoff
            self._gaze = advance_gaze(angle, now, distance, self._gaze, cutoff)
            self._pitch = advance_gaze(pitch, now, distance, self._pitch, _PITCH_CUTOFF * cutoff)
        _, up, ahead = from_sitter(*point, gaze)
        target = replace(
            here,
            angle=self._gaze.value + self._gaze.speed * (now - self._gaze.at),
            pitch=self._pitch.value + self._pitch.speed * (now - self._pitch.at),
            seen=now,
            speed=self._gaze.speed,
            rise=self._pitch.speed,
            ahead_mm=ahead,
            eye_height_mm=up,
            elevation=elevation_to(*point, gaze),
        )
        still = stands(chosen) and self._gaze.speed == self._pitch.speed == 0
        target = self._contact(target, still, changed, lit)
        stepped = doubted is not None and self._gaze.doubted is None
        nodded = nod_doubted is not None and self._pitch.doubted is None
        if changed or not before.viewer or stepped or nodded:
            return self._glance(before, target, pack, lit, apart)
        return target

    def _contact(self, target: GazeTarget, still: bool, changed: bool, lit: float) -> GazeTarget:
        """Let contact come while the viewer stands still, and go when they walk."""
        wanted = self._config.gaze.contact if still else 0.0
        if target.contact_to == wanted:
            return target
        now = 0.0 if changed else contact_of(target, lit)
        return replace(target, contact_from=now, contact_to=wanted, contact_at=lit)

    def _glance(
        self,
        before: GazeTarget,
        target: GazeTarget,
        pack: PackInfo,
        lit: float,
        apart: Sequence[tuple[float, float]],
    ) -> GazeTarget:
        """Let the eyes glance over from where they look at the moment `lit`, unless the change is small."""
        tracking = self._config.tracking
        start = looking_at(before, lit, tracking, pack, apart)
        end = looking_at(replace(target, glance_at=-math.inf), lit, tracking, pack, apart)
        if math.dist(end[0], start[0]) < _SMALL:
            return target
        return replace(target, glance_from=start, glance_at=lit)

    def _right_way_round(self, x: float, width: int) -> float:
        return width - x if self._config.gaze.mirrored else x
