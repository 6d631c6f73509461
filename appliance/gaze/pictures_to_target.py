"""The gaze controller: from camera pictures to the gaze target, the direction in which the sitter looks."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from appliance.camera.base import Picture
from appliance.config import Config
from appliance.gaze.geometry import (
    elevation_of_point,
    frame_of_original_piece,
    gaze_angle_to,
    gaze_pitch_to,
    relative_to_sitter,
)
from appliance.gaze.target_to_frames import GazeTarget, eye_contact_share, gaze_directions_at
from appliance.pack import PackInfo
from appliance.tracking.filters import AngleFilter, advance_filter, prediction_time, start_filter
from appliance.tracking.search_regions import Detectors, RegionScheduler
from appliance.tracking.tracker import Track, Tracker
from appliance.tracking.viewer_choice import ViewerSelector, is_standing
from appliance.tracking.viewer_position import locate_viewer
from appliance.vision.blazeface import Face

# Time after which a person who turned away or left is not recognised any more, in seconds (origin unknown).
_TRACK_MEMORY: Final = 8.0
# Cut-off of the filter on the pitch while the viewer stands, as a multiple of that on the angle: eyes that
# come nearer rise or sink too slowly to count as walking (measured: bench gaze, heights).
_PITCH_CUTOFF: Final = 2.0
# Change of direction below which the eyes move without a saccade, in degrees (origin unknown).
_MIN_SACCADE: Final = 3.0
# Time after the last measurement in a crop from which a coarser one counts, in seconds (origin unknown).
_SHARP_TIME: Final = 0.2
# Time after which a viewer who is seen only in part still counts as seen, so that the eyes stay in place
# instead of returning to rest, in seconds (origin unknown).
_HOLD_AFTER: Final = 0.3
# Pace above which coarse measurements count too, being newer, in face widths per second (origin unknown).
_WALKING_PACE: Final = 1.5
# Fraction of the viewer's mean score below which the face is half hidden and does not move the eyes (films:
# faces that turn away fall below it before they are lost).
_WHOLE_FACE_SCORE: Final = 0.7


class GazeController:
    """Turns successive pictures into gaze targets: detects faces, tracks people, and chooses the viewer."""

    def __init__(self, config: Config, detectors: Detectors | None = None) -> None:
        """Start with `detectors`, or load new ones; raises `BadAsset`, `BadModel` or `NoRuntime`."""
        self._config = config
        self._scheduler = RegionScheduler(detectors or Detectors(config.vision))
        self._reset()

    def _reset(self) -> None:
        """Start anew: nobody is known and the sitter is at rest."""
        tracking = self._config.tracking
        memory = max(_TRACK_MEMORY, tracking.hold + 2)
        self._tracker = Tracker(self._config.vision.threshold, tracking.fixture_after, memory)
        self._selector = ViewerSelector(tracking)
        self._last_activity: float | None = None
        self._angle_filter = self._pitch_filter = AngleFilter(0.0, -math.inf)
        self._target = GazeTarget(None, None, -math.inf, -math.inf)

    @property
    def faces(self) -> list[Face]:
        """The newest face of each person seen within the last quarter of a second."""
        now = self._target.captured
        return [track.face for track in self._tracker.confirmed() if now - track.seen < 0.25]

    @property
    def people(self) -> list[Track]:
        """The confirmed tracks of the people in view."""
        now = self._target.captured
        return [track for track in self._tracker.confirmed() if track.in_view(now)]

    @property
    def rate(self) -> float:
        """Pictures per second to take: `tracking.idle_rate` once nobody has come or moved for a while."""
        now, tracking = self._target.captured, self._config.tracking
        asleep = self._last_activity is not None and now - self._last_activity > tracking.idle_after
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
        """Search the newest picture, and return where the sitter should look.

        Parameters
        ----------
        horizontal_fov : angle of view across the picture's width, degrees
        pack : that of the portrait on the screen
        lit : when the new gaze can first be seen on the screen, in monotonic seconds; by default when the
            picture was taken
        apart : as for `frames_for`
        """
        if picture.captured < self._target.captured - _TRACK_MEMORY:
            self._reset()  # the clock went back, so all known moments lie in the future
        now, before, followed = picture.captured, self._target, self._selector.viewer
        light = now if lit is None else lit
        motion, doubted = self._scheduler.motion, self._angle_filter.doubted is not None
        found = self._scheduler.observe(picture, self._tracker, self._selector, doubted)
        self._tracker.update(found.faces, found.region, found.sought, picture, motion.moving_share_of)
        known = self._tracker.confirmed()
        # Tracks are asked, because the faces observed may be wall pictures or other false positives.
        active = any(track.seen == now for track in known) or (followed is None and motion.certain_motion)
        if active or self._last_activity is None:
            self._last_activity = now
        chosen = self._selector.choose(self._in_view(known, picture), now, picture.width)
        changed = chosen is None or chosen.identity != before.identity
        here = replace(before, viewer=None, captured=now, visitors=sum(track.in_view(now) for track in known))
        if chosen is None:
            self._target = self._stop_motion(replace(here, identity=None), light)
        elif chosen.misses:
            self._target = self._hold(here, chosen, light)
        else:
            size = picture.width, picture.height
            viewer = locate_viewer(chosen, now, size, horizontal_fov, self._config.camera.distortion)
            here = replace(here, viewer=viewer, identity=chosen.identity)
            own = found.sharp and found.sought is not None and found.sought.identity == chosen.identity
            sharp = own or now - before.seen > _SHARP_TIME or chosen.pace > _WALKING_PACE
            fresh = chosen.seen == now and sharp
            if not changed and not (fresh and self._is_whole(chosen, size[0])):
                # A viewer who is seen in part for long is still in view, so the eyes do not return to rest.
                in_part = fresh and now - before.seen > _HOLD_AFTER
                self._target = replace(here, seen=now, speed=0.0, rise=0.0) if in_part else here
            elif self._config.gaze.mapping == "original":
                x = self._unmirrored(viewer.x, size[0])
                frame = frame_of_original_piece(x, size[0], len(pack.main.angles))
                self._target = replace(here, angle=pack.main.angles[frame], seen=now, speed=0.0)
            else:
                self._target = self._aim(before, here, chosen, changed, pack, light, apart)
        return self._target

    def _in_view(self, known: list[Track], picture: Picture) -> list[Track]:
        """Return the tracks without a viewer who walked out of the picture."""
        viewer = self._selector.viewer
        if viewer is None or not viewer.misses or 0 < viewer.position_at(picture.captured)[0] < picture.width:
            return known
        return [track for track in known if track.identity != viewer.identity]

    def _is_whole(self, track: Track, width: int) -> bool:
        """Tell whether the face is neither cut off at the picture's side nor half hidden."""
        left, _, right, _ = track.face.box
        return left >= 0 and right <= width and track.face.score > _WHOLE_FACE_SCORE * track.score

    def _hold(self, here: GazeTarget, lost: Track, lit: float) -> GazeTarget:
        """Keep looking at a lost viewer's last position; after two misses the predicted motion ends."""
        here = replace(here, identity=lost.identity)
        return here if lost.misses < 2 else self._stop_motion(here, lit)

    def _stop_motion(self, here: GazeTarget, lit: float) -> GazeTarget:
        """End the predicted motion where the eyes are at the moment `lit`."""
        if here.angle is None or here.speed == here.rise == 0:
            return here
        motion = prediction_time(lit - here.seen, self._config.tracking.prediction)
        pitch = None if here.pitch is None else here.pitch + here.rise * motion
        return replace(here, angle=here.angle + here.speed * motion, speed=0.0, pitch=pitch, rise=0.0)

    def _aim(
        self,
        before: GazeTarget,
        here: GazeTarget,
        chosen: Track,
        changed: bool,
        pack: PackInfo,
        lit: float,
        apart: Sequence[tuple[float, float]],
    ) -> GazeTarget:
        """Update the target with the viewer's new position; the eyes go there by a saccade if it is far."""
        viewer, tracking, gaze = here.viewer, self._config.tracking, self._config.gaze
        assert viewer is not None
        point = viewer.x_mm, viewer.y_mm, viewer.z_mm
        angle, pitch = gaze_angle_to(*point, gaze), gaze_pitch_to(*point, gaze)
        now = here.captured
        doubted, nod_doubted = self._angle_filter.doubted, self._pitch_filter.doubted
        if changed:
            yaw, nod = start_filter(angle, now), start_filter(pitch, now)
        else:
            distance, cutoff = viewer.distance_mm, tracking.min_cutoff
            yaw = advance_filter(angle, now, distance, self._angle_filter, cutoff)
            nod = advance_filter(pitch, now, distance, self._pitch_filter, cutoff * _PITCH_CUTOFF)
        self._angle_filter, self._pitch_filter = yaw, nod
        _, up, ahead = relative_to_sitter(*point, gaze)
        target = replace(
            here,
            angle=yaw.value + yaw.speed * (now - yaw.at),
            pitch=nod.value + nod.speed * (now - nod.at),
            seen=now,
            speed=yaw.speed,
            rise=nod.speed,
            ahead_mm=ahead,
            eye_height_mm=up,
            elevation=elevation_of_point(*point, gaze),
        )
        still = is_standing(chosen) and yaw.speed == nod.speed == 0
        target = self._update_contact(target, still, changed, lit)
        stepped = doubted is not None and yaw.doubted is None
        nodded = nod_doubted is not None and nod.doubted is None
        if changed or not before.viewer or stepped or nodded:
            return self._saccade(before, target, pack, lit, apart)
        return target

    def _update_contact(self, target: GazeTarget, still: bool, changed: bool, lit: float) -> GazeTarget:
        """Start eye contact when the viewer stands still, and end it when they walk."""
        wanted = self._config.gaze.contact if still else 0.0
        if target.contact_to == wanted:
            return target
        now = 0.0 if changed else eye_contact_share(target, lit)
        return replace(target, contact_from=now, contact_to=wanted, contact_at=lit)

    def _saccade(
        self,
        before: GazeTarget,
        target: GazeTarget,
        pack: PackInfo,
        lit: float,
        apart: Sequence[tuple[float, float]],
    ) -> GazeTarget:
        """Start a saccade from where the eyes look at the moment `lit`, unless the change is small."""
        tracking = self._config.tracking
        start = gaze_directions_at(before, lit, tracking, pack, apart)
        end = gaze_directions_at(replace(target, saccade_at=-math.inf), lit, tracking, pack, apart)
        if math.dist(end[0], start[0]) < _MIN_SACCADE:
            return target
        return replace(target, saccade_from=start, saccade_at=lit)

    def _unmirrored(self, x: float, width: int) -> float:
        return width - x if self._config.gaze.mirrored else x
