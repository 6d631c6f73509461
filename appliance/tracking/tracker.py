"""The people in view: faces found in one picture after another become tracks, one for each person."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from appliance.camera.base import Picture
from appliance.camera.sampling import Region
from appliance.tracking.filters import prediction_time
from appliance.tracking.liveness import LOCALISATION_ERROR, Liveness, StaticFace
from appliance.vision.blazeface import Face, Point

# Nose tip ahead of the eyes, in eye distances. Source: Farkas, "Anthropometry of the Head and Face", 1994.
_NOSE_AHEAD: Final = 0.6


def frontal_eye_distance(face: Face) -> float:
    """Return what the eyes' distance in pixels would be if the face were turned to the camera."""
    return face.eye_distance * math.hypot(1.0, head_yaw_tangent(face))


def head_yaw_tangent(face: Face) -> float:
    """Return the tangent of the head's yaw, positive to picture right, from the position of the nose.

    Yaw moves the nose's tip to the side by `_NOSE_AHEAD` times the tangent, in eye distances as seen. It is
    limited to 45 degrees, because beyond that the detector only guesses the far eye.
    """
    (rx, ry), (lx, ly) = face.right_eye, face.left_eye
    dx, dy = lx - rx, ly - ry
    square = max(dx * dx + dy * dy, 1e-9)
    x, y = face.eye_midpoint
    along = ((face.nose[0] - x) * dx + (face.nose[1] - y) * dy) / square
    return min(max(along / _NOSE_AHEAD, -1.0), 1.0)


# Score that confirms a track at its first sighting (bench gaze: no wall pattern reaches it).
_CERTAIN_SCORE: Final = 0.85
_SURE_SCORE: Final = 0.7  # score that confirms a track at a later sighting (origin unknown)
# Mean score that confirms a track after `_FAIR_SIGHTINGS`, for dim light (origin unknown).
_FAIR_SCORE: Final = 0.6
# Sightings after which a low mean score or motion may confirm a track (origin unknown).
_FAIR_SIGHTINGS: Final = 4
# Distance that confirms the track of a faint face that moved so far, in face widths (origin unknown).
_CONFIRMING_MOVE: Final = 0.8
_MAX_TENTATIVE: Final = 6  # sightings within which a tentative track must be confirmed (origin unknown)
# Time for which the place of a track that was not confirmed is ignored, in seconds (origin unknown).
_IGNORED_TIME: Final = 20.0
# Fraction of a new face's box that must change between two pictures to confirm it at once (origin unknown).
_MOVING_SHARE: Final = 0.1
# Time after which a wall picture that is no longer seen is forgotten, in seconds (origin unknown).
_STATIC_MEMORY: Final = 600.0
_BODY_HALF: Final = 1.8  # half of a body's width, in face widths (origin unknown)
_BODY: Final = (0.8, 9.0)  # beginning and end of a body below the eyes, in face widths (origin unknown)
# Score below which a face on somebody's body is clothes or a bag (origin unknown).
_CLOTHES_SCORE: Final = 0.75
# Largest motion of a face on a shirt against the wearer's eyes, in face widths: two people sway 9 mm each.
_PRINT_TOLERANCE: Final = 0.06
# Distance from the place of the last step that counts as another step, in face widths (origin unknown).
_STEP_WIDTHS: Final = 0.5
# Alpha-beta filter of a face's position: fraction of a deviation that the position takes (origin unknown).
_POSITION_GAIN: Final = 0.8
_SPEED_GAIN: Final = 0.4  # the same for the speed (origin unknown)
_MAX_PACE: Final = 13.0  # highest speed of a person, in face widths per second: 2 m/s
# Time constant with which the predicted motion of an unseen person fades, in seconds (guess).
_COAST_TIME: Final = 0.6
# Time constant of a face's width, in seconds: it changes by a fifth within a second of walking.
_WIDTH_TIME: Final = 0.25
# Time constant of the eyes' distance, in seconds: longer, because its noise changes the viewer's distance.
_EYES_TIME: Final = 0.4
# Misses after which a person is out of view; they are recognised when they return (origin unknown).
_MAX_MISSES: Final = 3
# Time unseen without misses after which a person is out of view, in seconds (origin unknown).
_VIEW_TIMEOUT: Final = 3.0
# Time unseen after which the filter of position and speed starts anew, in seconds (origin unknown).
_RESTART_TIME: Final = 0.6
# Time away after which a person who returns counts as new, in seconds (origin unknown).
_RETURN_TIME: Final = 2.0
# Width of a region below which it is a crop with sharp measurements, in face widths (origin unknown).
_CROP_WIDTHS: Final = 6.0
# Smallest distance of a face from a region's edges for a sharp measurement, in face widths (origin unknown).
_EDGE_MARGIN: Final = 0.5
# Localisation error of a face that no crop has measured yet, in pixels: that of a tile.
_TILE_ERROR: Final = 6.0
# Difference of size between two sharp measurements of one face, as a logarithm (origin unknown).
_SIZE_SHARP: Final = 0.3
# The same for coarse measurements: small faces are measured up to half as large again.
_SIZE_COARSE: Final = 0.6
_SIZE_SPEED: Final = 0.3  # increase of both for each second unseen, for up to one second (origin unknown)
# Time unseen after which a face must also have the track's usual score, in seconds (origin unknown).
_SCORE_TIME: Final = 0.15
# Fraction of the mean score that is still usual (films: faces that turn away fall below it).
_USUAL_SCORE: Final = 0.75
# Difference to the usual score from which it is somebody else or a wall pattern (origin unknown).
_SCORE_TOLERANCE: Final = 0.1
_SCORE_WEIGHT: Final = 0.1  # weight of a usual score in the running mean (origin unknown)
# Weight of a score below usual: small, so that the mean stays while a head turns away (origin unknown).
_WEAK_WEIGHT: Final = 0.02
# Largest number of faces in a picture that are assigned to tracks, best first (origin unknown).
_MAX_ASSIGNED: Final = 10
# Partial assignments that are kept, cheapest first: this bounds the time in a crowd (origin unknown).
_MAX_ASSIGNMENTS: Final = 64


@dataclass(frozen=True, slots=True)
class AssociationGate:
    """The largest distance of a face from its track's expected position, in face widths (150 mm).

    `start` at once, plus `speed` for each second unseen, up to `most`.
    """

    start: float
    speed: float
    most: float


# From one picture to the next: a standing person may start to walk at 1.2 m/s (8 face widths/s).
_PICTURE_GATE: Final = AssociationGate(0.5, 8.0, 2.5)
# For a lost person who returns: wider, because their expected position is uncertain (origin unknown).
_RETURN_GATE: Final = AssociationGate(1.0, 8.0, 3.5)


@dataclass(frozen=True, slots=True)
class PrintedFace:
    """A face printed on somebody's clothes, which moves with their body.

    `x`, `y` is its position relative to the eyes of the track `wearer`, and `width` its width, all in face
    widths of that track. It was first seen there at `since`; the wearer's eyes have since moved between `low`
    and `high`, in picture pixels to the right.
    """

    wearer: int
    x: float
    y: float
    width: float
    since: float
    low: float
    high: float

    def is_at(self, face: Face, wearer: "Track", moment: float) -> bool:
        """Tell whether a face is this one, by the wearer's expected position at a moment."""
        x, y = wearer.position_at(moment)
        place = x + self.x * wearer.width, y + self.y * wearer.width
        size = abs(math.log(face.width / (self.width * wearer.width)))
        return math.dist(face.eye_midpoint, place) < 0.4 * face.width and size < 0.5


@dataclass(slots=True, eq=False)
class Track:
    """One person in view: the eye midpoint in picture pixels, and its speed in pixels per second.

    `width` and `eye_distance` are smoothed, in pixels. `face` is the newest well measured face; the track was
    at `face_at` then. Seconds on the monotonic clock: `seen` is the last sighting, `first` the first one,
    `still_since` the last step, `looked_at` when the sitter last looked at them, `sought` when they were last
    searched for without being the viewer. `hits` counts the sightings, `misses` the searches since the last
    one that should have found the face. `score` is the running mean of scores. A track is tentative until it
    is `confirmed`. `sharp` is whether a crop has measured its size; tiles measure small faces up to half as
    large again. `stirred` is whether the picture has moved where the face was. `prints` are the faces
    on their clothes; `worn` is set if this face may itself be on somebody's clothes.
    """

    identity: int
    face: Face
    x: float
    y: float
    width: float
    eye_distance: float
    seen: float
    first: float
    still_since: float
    step_from: Point
    born_at: Point
    face_at: Point
    vx: float = 0.0
    vy: float = 0.0
    hits: int = 1
    score: float = 0.0
    misses: int = 0
    confirmed: bool = False
    sharp: bool = False
    stirred: bool = False
    looked_at: float = -math.inf
    sought: float = -math.inf
    worn: PrintedFace | None = None
    prints: list[PrintedFace] = field(default_factory=list)
    life: Liveness = field(default_factory=lambda: Liveness(0.0))

    def position_at(self, moment: float) -> Point:
        """Return the expected eye midpoint at a moment, in pixels: motion continues ever more slowly."""
        time = prediction_time(moment - self.seen, _COAST_TIME)
        return self.x + self.vx * time, self.y + self.vy * time

    def in_view(self, moment: float) -> bool:
        """Tell whether the person is in view: seen within `_VIEW_TIMEOUT`, and fewer than `_MAX_MISSES`."""
        return self.misses < _MAX_MISSES and moment - self.seen < _VIEW_TIMEOUT

    @property
    def pace(self) -> float:
        """Speed in face widths per second."""
        return math.hypot(self.vx, self.vy) / self.width

    def add_sighting(self, face: Face, moment: float, sharp: bool, coarse: float) -> None:
        """Add a sighting with an alpha-beta filter; `coarse` is its localisation error in pixels."""
        dt = moment - self.seen
        x, y = face.eye_midpoint
        if dt > _RESTART_TIME:
            self.x, self.y, self.vx, self.vy = x, y, 0.0, 0.0  # the motion meanwhile is unknown
        px, py = self.position_at(moment)
        expected = self.sharp and not sharp and math.dist((x, y), (px, py)) < coarse
        if expected:
            x, y = px, py  # the expected position is more exact than the measured one
        follows, speeds = (1.0, 0.7) if self.hits == 1 else (_POSITION_GAIN, _SPEED_GAIN)
        if dt > 0:
            # A small deviation of a coarse measurement is mostly error, so it changes the speed less.
            off = math.dist((x, y), (px, py))
            speeds *= 1.0 if sharp else off / (off + coarse)
            self._accelerate(speeds * (x - px) / dt, speeds * (y - py) / dt)
        self.x, self.y = px + follows * (x - px), py + follows * (y - py)
        self.hits += 1
        self._smooth_size(face, dt, sharp)
        if not expected:
            self.face, self.face_at = face, (self.x, self.y)
        self.seen, self.misses = moment, 0
        usual = face.score > _USUAL_SCORE * self.score
        self.score += max(_SCORE_WEIGHT if usual else _WEAK_WEIGHT, 1 / self.hits) * (face.score - self.score)
        step = math.dist((self.x, self.y), self.step_from) - _STEP_WIDTHS * self.width
        if step > 0:
            self.step_from, self.still_since = (self.x, self.y), moment
            certain = self.stirred or face.score >= _SURE_SCORE  # the position of weak patterns varies
            if self.hits > 2 and certain and (sharp or step > coarse):  # the coarse error is about a step
                self.life.note_step(moment)
        self.life.note_position(face, self.width, moment, sharp)
        moved = math.dist((self.x, self.y), self.born_at) / self.width
        fair = self.score >= _FAIR_SCORE or (self.stirred and moved > _CONFIRMING_MOVE)
        self.confirmed |= face.score >= _SURE_SCORE or (fair and self.hits >= _FAIR_SIGHTINGS)

    def _accelerate(self, dvx: float, dvy: float) -> None:
        vx, vy = self.vx + dvx, self.vy + dvy
        limit = _MAX_PACE * self.width / max(math.hypot(vx, vy), 1e-9)
        self.vx, self.vy = vx * min(limit, 1.0), vy * min(limit, 1.0)

    def _smooth_size(self, face: Face, dt: float, sharp: bool) -> None:
        """Smooth the face's size; the first sharp measurement replaces coarse ones."""
        if self.sharp and not sharp:
            return  # a coarse measurement adds nothing
        first = sharp and not self.sharp
        if first:
            self.born_at = self.step_from = self.x, self.y
        least = 1.0 if first else 1 / self.hits
        self.sharp |= sharp
        eyes = frontal_eye_distance(face)
        self.width += max(-math.expm1(-dt / _WIDTH_TIME), least) * (face.width - self.width)
        self.eye_distance += max(-math.expm1(-dt / _EYES_TIME), least) * (eyes - self.eye_distance)

    def continue_from(self, lost: "Track") -> None:
        """Continue the lost track of the same person, with its identity."""
        if self.first - lost.seen < _RETURN_TIME:
            self.first = lost.first  # after a longer absence the person counts as new
        self.identity, self.looked_at = lost.identity, lost.looked_at
        self.life.sign = max(self.life.sign, lost.life.sign)
        self.hits += lost.hits
        self.prints = lost.prints
        self.confirmed |= lost.confirmed


class Tracker:
    """Keeps a track with a lasting identity for each person in view, and the static false positives."""

    def __init__(self, threshold: float, fixture_after: float, memory: float) -> None:
        """Begin with nobody.

        Parameters
        ----------
        threshold : smallest score of a new face
        fixture_after : seconds without a sign of life after which a face counts as a picture; 0 for never
        memory : seconds without a sighting after which a track is dropped
        """
        self.tracks: list[Track] = []
        self.static: list[StaticFace] = []
        self._threshold = threshold
        self._fixture_after = fixture_after
        self._memory = memory
        self._numbers = count(1)

    def update(
        self,
        faces: Sequence[Face],
        region: Region,
        sought: Track | None,
        picture: Picture,
        moving: Callable[[Region], float],
    ) -> None:
        """Update the tracks with the faces found in one region of a picture, in its pixels.

        `sought` is the track that the region was chosen for, if any. `moving` returns the share of a region
        that moves, as far as is known.
        """
        moment = picture.captured
        self.tracks = [track for track in self.tracks if moment - track.seen <= self._memory]
        self.static = [
            spot
            for spot in self.static
            if moment < spot.until and (spot.pattern is None or moment - spot.matched < _STATIC_MEMORY)
        ]
        here = [track for track in self.tracks if track.in_view(moment)]
        real = [
            face
            for face in faces
            if _is_finite(face)
            and face.width > 0 < face.eye_distance
            and not any(spot.hides(face, region, picture) for spot in self.static)
            and not any(p.is_at(face, track, moment) for track in here for p in track.prints)
        ]
        expected = [track for track in self.tracks if track is sought or _is_searched(track, region, moment)]
        matched, new = self._associate(real[:_MAX_ASSIGNED], moment, LOCALISATION_ERROR * region.width)
        for track, face in matched:
            sharp = region.width < _CROP_WIDTHS * face.width and (track is sought or _is_inner(face, region))
            if not track.life.is_alive(moment) and moving(Region(*face.box)) > _MOVING_SHARE:
                track.stirred = True
                if face.score >= _SURE_SCORE:
                    track.life.note_step(moment)
            track.add_sighting(face, moment, sharp, LOCALISATION_ERROR * region.width)
        for track in expected:
            if track.seen < moment:
                track.misses += 1
        for face in new:
            self._start_track(face, moment, moving)
        self._rejoin_lost(moment)
        for track in self.tracks:
            if track.confirmed and not track.misses:
                track.life.add_picture(picture)
        self._find_printed_faces(moment)
        self._drop_false_tracks(moment)

    def tentative(self) -> Track | None:
        """Return the nearest tentative track, if any."""
        return max((t for t in self.tracks if not t.confirmed), key=lambda t: t.width, default=None)

    def confirmed(self) -> list[Track]:
        """Return the confirmed tracks."""
        return [track for track in self.tracks if track.confirmed]

    def _associate(
        self, faces: Sequence[Face], moment: float, coarse: float
    ) -> tuple[list[tuple[Track, Face]], list[Face]]:
        """Assign faces to tracks at the least sum of costs; `coarse` is the region's error of place, px."""
        options = []
        for face in faces:
            near = [(_match_cost(track, face, moment, coarse, _PICTURE_GATE), track) for track in self.tracks]
            options.append([(cost, track) for cost, track in near if cost < 1])

        best: list[tuple[float, tuple[Track | None, ...]]] = [(0.0, ())]
        for fits in options:  # a new track costs 1; the cheapest partial assignments are kept
            more = [
                (total + cost, (*taken, track))
                for total, taken in best
                for cost, track in (*fits, (1.0, None))
                if track is None or track not in taken
            ]
            best = sorted(more, key=lambda pair: pair[0])[:_MAX_ASSIGNMENTS]
        tracks = best[0][1]
        matched = [(track, face) for track, face in zip(tracks, faces, strict=True) if track]
        return matched, [face for track, face in zip(tracks, faces, strict=True) if not track]

    def _start_track(self, face: Face, moment: float, moving: Callable[[Region], float]) -> None:
        """Start a track, unless the face belongs to a known person."""
        if face.score < self._threshold:
            return
        x, y = face.eye_midpoint
        for other in self.tracks:  # somebody half hidden, or the same person, badly measured
            away = math.dist(other.position_at(moment), (x, y))
            if not other.misses and away < 0.6 * max(other.width, face.width):
                return
            if other.confirmed and face.score < _CLOTHES_SCORE and _on_body(other, x, y, moment):
                return
        eyes, here, times = frontal_eye_distance(face), (x, y), (moment, moment, moment)
        track = Track(next(self._numbers), face, x, y, face.width, eyes, *times, here, here, here)
        track.score, track.life = face.score, Liveness(self._fixture_after)
        track.stirred = moving(Region(*face.box)) > _MOVING_SHARE
        moves = track.stirred and face.score >= _SURE_SCORE
        track.confirmed = moves or face.score >= _CERTAIN_SCORE
        if moves:
            track.life.note_step(moment)
        self.tracks.append(track)

    def _rejoin_lost(self, moment: float) -> None:
        """Join each lost track with the track of the same person that started after the loss."""
        for lost in [track for track in self.tracks if track.misses and track.confirmed]:
            heirs = [
                (_match_cost(lost, t.face, moment, 0.0 if t.sharp else _TILE_ERROR, _RETURN_GATE), t)
                for t in self.tracks
                if t.first > lost.seen and not t.misses
            ]
            cost, heir = min(heirs, key=lambda pair: pair[0], default=(1.0, None))
            if heir is not None and cost < 1:
                heir.continue_from(lost)
                self.tracks.remove(lost)

    def _find_printed_faces(self, moment: float) -> None:
        """Find faces printed on somebody's clothes, and drop their tracks."""
        if not self._fixture_after:
            return
        for track in [track for track in self.tracks if track.seen == moment and track.confirmed]:
            wearer = next((t for t in self.tracks if _wears(t, track, moment)), None)
            if wearer is None:
                track.worn = None
                continue
            x, y = wearer.position_at(moment)
            offset = (track.x - x) / wearer.width, (track.y - y) / wearer.width
            worn = track.worn
            rigid = worn is not None and worn.wearer == wearer.identity
            if worn is None or not rigid or math.dist(offset, (worn.x, worn.y)) > _PRINT_TOLERANCE:
                track.worn = PrintedFace(wearer.identity, *offset, track.width / wearer.width, moment, x, x)
                continue
            track.worn = worn = replace(worn, low=min(worn.low, x), high=max(worn.high, x))
            # A face that keeps its place on the body is printed there only if the wearer moved meanwhile.
            moved = worn.high - worn.low > 2 * _PRINT_TOLERANCE * wearer.width
            if moved and moment - worn.since > self._fixture_after:
                wearer.prints.append(worn)
                self.tracks.remove(track)

    def _drop_false_tracks(self, moment: float) -> None:
        """Drop the tracks that are not people: tentative ones, wall pictures, and clothes."""
        stay = []
        for track in self.tracks:
            ended = track.misses > 1 or track.hits >= _MAX_TENTATIVE
            if ended and (not track.confirmed or track.hits == 1):
                if not track.misses:
                    self.static.append(StaticFace(track.x, track.y, track.width, moment + _IGNORED_TIME))
                continue
            if track.life.is_lifeless(moment) and not track.misses:
                self.static.append(track.life.as_static_face(track.x, track.y, track.width, moment))
                continue
            wearers = (t for t in self.tracks if t is not track and t.confirmed and t.score > track.score)
            place = track.position_at(moment)
            if track.score >= _CLOTHES_SCORE or not any(_on_body(t, *place, moment) for t in wearers):
                stay.append(track)
        self.tracks = stay


def _wears(wearer: Track, track: Track, moment: float) -> bool:
    """Tell whether a face lies on the body of a person who was just seen."""
    lately = wearer.confirmed and not wearer.misses and moment - wearer.seen < _SCORE_TIME
    return lately and wearer is not track and _on_body(wearer, track.x, track.y, moment)


def _on_body(track: Track, x: float, y: float, moment: float) -> bool:
    """Tell whether a point lies on somebody's body, below their face."""
    own_x, own_y = track.position_at(moment)
    down = (y - own_y) / track.width
    return abs(x - own_x) < _BODY_HALF * track.width and _BODY[0] < down < _BODY[1]


def _match_cost(track: Track, face: Face, moment: float, coarse: float, gate: AssociationGate) -> float:
    """Return the cost of a match by place, size and score, impossible from 1; `coarse`: face's error, px."""
    unseen = max(moment - track.seen, 0.0)
    width = max(track.width, face.width)
    away = _distance_to_path(face.eye_midpoint, (track.x, track.y), track.position_at(moment)) / width
    size = abs(math.log(face.width / track.width))
    scale = (_SIZE_SHARP if track.sharp else _SIZE_COARSE) + _SIZE_SPEED * min(unseen, 1.0)
    scale += coarse / min(track.width, face.width)
    reach = min(gate.start + gate.speed * unseen, gate.most) + coarse / width
    weaker = max(_USUAL_SCORE * track.score - face.score, 0.0) if unseen > _SCORE_TIME else 0.0
    return math.hypot(away / reach, size / scale, weaker / _SCORE_TOLERANCE)


def _distance_to_path(point: Point, start: Point, end: Point) -> float:
    """Return the distance of a point from a line segment: a person who turned back is somewhere on it."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = dx * dx + dy * dy
    along = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / square if square > 0 else 0.0
    along = min(max(along, 0.0), 1.0)
    return math.dist(point, (start[0] + along * dx, start[1] + along * dy))


def _is_inner(face: Face, region: Region) -> bool:
    """Tell whether a face is far from a region's edges: the measured position is wrong if they cut it."""
    room = _EDGE_MARGIN * face.width
    x0, y0, x1, y1 = face.box
    return region.x0 < x0 - room and x1 + room < region.x1 and region.y0 < y0 - room and y1 + room < region.y1


def _is_searched(track: Track, region: Region, moment: float) -> bool:
    """Tell whether searching the region should have found the track's face."""
    x, y = track.position_at(moment)
    half = 0.6 * track.width
    inside = region.x0 < x - half and x + half < region.x1
    inside = inside and region.y0 < y - half and y + 1.5 * half < region.y1
    return inside and track.width > region.width / 10


def _is_finite(face: Face) -> bool:
    """Tell whether all numbers of a face are finite: one NaN would stay in the track's means for ever."""
    return all(map(math.isfinite, (face.score, *face.box, *face.right_eye, *face.left_eye, *face.nose)))
