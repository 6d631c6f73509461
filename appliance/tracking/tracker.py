"""Who is in view: faces found in one picture after another become tracks, one for each person."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from appliance.camera.base import Picture
from appliance.camera.sampling import Region
from appliance.tracking.filters import lead
from appliance.tracking.liveness import Life, StaticFace
from appliance.vision.blazeface import Face


def frontal_eye_distance(face: Face) -> float:
    """Return the eyes' distance in pixels as it would be with the face turned to the camera."""
    return face.eye_distance * math.hypot(1.0, turn(face))


def turn(face: Face) -> float:
    """Return the tangent of the head's yaw, positive to picture right, from where the nose stands.

    The nose's tip lies about .6 eye distances before the eyes (Farkas, "Anthropometry of the Head and
    Face", 1994), so that yaw moves it to the side by that much times the tangent of the angle, in eye
    distances as seen. Beyond 45 degrees the far eye is a guess.
    """
    (rx, ry), (lx, ly) = face.right_eye, face.left_eye
    dx, dy = lx - rx, ly - ry
    square = max(dx * dx + dy * dy, 1e-9)
    x, y = face.eye_midpoint
    along = ((face.nose[0] - x) * dx + (face.nose[1] - y) * dy) / square
    return min(max(along / 0.6, -1.0), 1.0)


Point = tuple[float, float]

# Score of a single sighting that confirms a face (bench gaze: no wall reaches it).
_CERTAIN: Final = 0.85
# Score of one of two sightings that confirms a face.
_SURE: Final = 0.7
# Mean score of `_LOOKS` sightings that confirms a face in dim light.
_FAIR: Final = 0.6
# Sightings after which a low mean score or motion may confirm a face.
_LOOKS: Final = 4
# A faint face that moved this far is confirmed, face widths.
_MOVES: Final = 0.8
# Sightings by which a face must be confirmed; then its place is left alone for `_LEFT_ALONE` seconds.
_DOUBTS: Final = 6
_LEFT_ALONE: Final = 20.0
# Fraction of a new face's box that must change between two pictures to confirm it at once.
_MOVING: Final = 0.1
# Seconds after which a wall picture that is not where it was is forgotten.
_FORGETS: Final = 600.0
# Half of a body's width, face widths.
_BODY_HALF: Final = 1.8
# Where a body begins and ends below the eyes, face widths.
_BODY: Final = (0.8, 9.0)
# Score below which a face on somebody's body is clothes or a bag.
_CLOTHES: Final = 0.75
# A face printed on a shirt moves less than this relative to the wearer's eyes, face widths: two people sway
# by 9 mm (.06) each on their own.
_RIGID: Final = 0.06
# Way from the last step's place that makes another step, face widths.
_STEP: Final = 0.5
# Alpha-beta filter of a face's place: fraction of the error that the place follows.
_FOLLOWS: Final = 0.8
# The same for the speed.
_SPEEDS: Final = 0.4
# Highest speed of a person, face widths per second: 2 m/s.
_RUNS: Final = 13.0
# Time constant with which the expected motion of an unseen person dies away, seconds (guess).
_COAST: Final = 0.6
# Time constant of a face's width, seconds: it changes by a fifth in a second at a walk.
_WIDTH_TIME: Final = 0.25
# Time constant of the eyes' distance, seconds: its noise moves the viewer's distance.
_EYES_TIME: Final = 0.4
# Missed looks after which a person counts as out of view; they are still known when they return.
_MISSES: Final = 3
# Seconds unseen, without such looks, until a person is out of view.
_UNSEEN: Final = 3.0
# Seconds unseen after which a person's place and speed begin anew.
_STRANGE: Final = 0.6
# Seconds away after which a person who returns counts as new.
_RETURNS: Final = 2.0
# Regions of fewer face widths are crops, whose measurements are sharp.
_CROP: Final = 6.0
# Least distance of a face from a region's edges for a sharp measurement, face widths.
_ROOM: Final = 0.5
# Localisation error of small faces, as a fraction of the searched region's width (bench gaze, 3.5 m).
_COARSE: Final = 0.02
# Localisation error of a face that no crop has measured yet, pixels: that of a tile.
_COARSE_PX: Final = 6.0
# Difference of size that may still be the same face, as a logarithm: of two sharp measurements.
_SIZE_SHARP: Final = 0.3
# The same of coarse measurements: small faces seem up to half as large again.
_SIZE_COARSE: Final = 0.6
# What is added to both for each second unseen, up to one.
_SIZE_SPEED: Final = 0.3
# Seconds unseen from which on a face must also have the track's usual score.
_LATELY: Final = 0.15
# Fraction of the mean score that is usual (films: faces that turn away fall below it).
_USUAL: Final = 0.75
# How much less than usual a score may be: more is somebody else, or a pattern on the wall.
_DOUBTFUL: Final = 0.1
# Weight of a usual score in the running mean.
_SCORES: Final = 0.1
# Weight of a score below usual: small, so that the mean stays while a head turns away.
_SCORES_WEAK: Final = 0.02
# At most this many faces of a look are assigned to tracks; the best come first.
_ASSIGNED: Final = 10
# Partial assignments kept while faces are assigned, cheapest first: bounds the time in a crowd.
_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Gate:
    """How far a face may be from a track's expected place and still belong to it, in face widths (150 mm).

    `start` at once, `speed` more for each second unseen, `most` at the most.
    """

    start: float
    speed: float
    most: float


# From picture to picture a standing person may set off at 1.2 m/s; a lost one has no expected place.
_AT_ONCE: Final = Gate(0.5, 8.0, 2.5)
_AGAIN: Final = Gate(1.0, 8.0, 3.5)


@dataclass(frozen=True, slots=True)
class Print:
    """A face that moves with somebody's body: where it is below their eyes, in their face widths.

    `x`, `y` and `width` are in face widths of the track `wearer`; it has been there since the moment `since`,
    while the wearer's eyes were between `low` and `high`, in picture pixels to the right.
    """

    wearer: int
    x: float
    y: float
    width: float
    since: float
    low: float
    high: float

    def is_at(self, face: Face, wearer: "Track", moment: float) -> bool:
        """Tell whether a face is this one, where the wearer should be at a moment."""
        x, y = wearer.at(moment)
        place = x + self.x * wearer.width, y + self.y * wearer.width
        size = abs(math.log(face.width / (self.width * wearer.width)))
        return math.dist(face.eye_midpoint, place) < 0.4 * face.width and size < 0.5


@dataclass(slots=True, eq=False)
class Track:
    """One person in view: the eye midpoint in picture pixels, its speed in pixels per second.

    `width` and `eye_distance` are pixels, smoothed; `face` is the newest one measured well, when the track
    was at `face_at`. Times are seconds on the monotonic clock: `seen` last, `first` seen, `still_since` the
    last step they took. `hits` counts the sightings, `misses` the looks since then that should have found the
    face, `score` is the running mean of scores. `confirmed`: it is a face. `sharp`: its size was measured
    in a crop; in a tile small faces seem up to half as large again. `stirred`: the picture moved where the
    face was. `looked_at` is when the sitter last looked at them, `sought` when they were last looked for
    without being the viewer. `prints` are the faces on their shirt; `worn` is where this face is on
    somebody's body, if it is there.
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
    worn: Print | None = None
    prints: list[Print] = field(default_factory=list)
    life: Life = field(default_factory=lambda: Life(0.0))

    def at(self, moment: float) -> Point:
        """Return where the eye midpoint should be at a moment, in pixels: motion goes on, and dies away."""
        time = lead(moment - self.seen, _COAST)
        return self.x + self.vx * time, self.y + self.vy * time

    def in_view(self, moment: float) -> bool:
        """Tell whether the person was seen lately, and not missed by the last looks for them."""
        return self.misses < _MISSES and moment - self.seen < _UNSEEN

    @property
    def pace(self) -> float:
        """Speed in face widths per second."""
        return math.hypot(self.vx, self.vy) / self.width

    def found(self, face: Face, moment: float, sharp: bool, coarse: float) -> None:
        """Take in a new sighting (an alpha-beta filter); `coarse` is its localisation error in pixels."""
        dt = moment - self.seen
        x, y = face.eye_midpoint
        if dt > _STRANGE:
            self.x, self.y, self.vx, self.vy = x, y, 0.0, 0.0  # where they went meanwhile is not known
        px, py = self.at(moment)
        expected = self.sharp and not sharp and math.dist((x, y), (px, py)) < coarse
        if expected:
            x, y = px, py  # where the face should be is known better than where it was measured
        follows, speeds = (1.0, 0.7) if self.hits == 1 else (_FOLLOWS, _SPEEDS)
        if dt > 0:
            # A small deviation of a coarse measurement is mostly error, so it changes the speed less.
            off = math.dist((x, y), (px, py))
            speeds *= 1.0 if sharp else off / (off + coarse)
            self._accelerate(speeds * (x - px) / dt, speeds * (y - py) / dt)
        self.x, self.y = px + follows * (x - px), py + follows * (y - py)
        self.hits += 1
        self._measure(face, dt, sharp)
        if not expected:
            self.face, self.face_at = face, (self.x, self.y)
        self.seen, self.misses = moment, 0
        usual = face.score > _USUAL * self.score
        self.score += max(_SCORES if usual else _SCORES_WEAK, 1 / self.hits) * (face.score - self.score)
        step = math.dist((self.x, self.y), self.step_from) - _STEP * self.width
        if step > 0:
            self.step_from, self.still_since = (self.x, self.y), moment
            certain = self.stirred or face.score >= _SURE  # a weak pattern is found here and there
            if self.hits > 2 and certain and (sharp or step > coarse):  # coarse looks err by about a step
                self.life.stepped(moment)
        self.life.seen(face, self.width, moment, sharp)
        moved = math.dist((self.x, self.y), self.born_at) / self.width
        self.confirmed = (
            self.confirmed
            or face.score >= _SURE
            or (self.hits >= _LOOKS and ((self.stirred and moved > _MOVES) or self.score >= _FAIR))
        )

    def _accelerate(self, dvx: float, dvy: float) -> None:
        """Change the speed, up to that of somebody who runs."""
        vx, vy = self.vx + dvx, self.vy + dvy
        limit = _RUNS * self.width / max(math.hypot(vx, vy), 1e-9)
        self.vx, self.vy = vx * min(limit, 1.0), vy * min(limit, 1.0)

    def _measure(self, face: Face, dt: float, sharp: bool) -> None:
        """Smooth the face's size; the first sharp measurement replaces coarse ones."""
        if self.sharp and not sharp:
            return  # a coarse look has nothing to add
        first = sharp and not self.sharp
        if first:
            self.born_at = self.step_from = self.x, self.y
        least = 1.0 if first else 1 / self.hits
        self.sharp |= sharp
        eyes = frontal_eye_distance(face)
        self.width += max(-math.expm1(-dt / _WIDTH_TIME), least) * (face.width - self.width)
        self.eye_distance += max(-math.expm1(-dt / _EYES_TIME), least) * (eyes - self.eye_distance)

    def joined(self, lost: "Track") -> None:
        """Become the continuation of a track that was lost: the same person."""
        if self.first - lost.seen < _RETURNS:
            self.first = lost.first  # else they are new again, though known
        self.identity, self.looked_at = lost.identity, lost.looked_at
        self.life.sign = max(self.life.sign, lost.life.sign)
        self.hits += lost.hits
        self.prints = lost.prints
        self.confirmed |= lost.confirmed


class Tracker:
    """Everybody in view, each with an identity that lasts while they are in view."""

    def __init__(self, threshold: float, fixture_after: float, memory: float) -> None:
        """Begin with nobody.

        Parameters
        ----------
        threshold : a new face's least score
        fixture_after : seconds without a sign of life that make a face a picture; 0 for never
        memory : seconds without a sighting after which a track is dropped
        """
        self.tracks: list[Track] = []
        self.static: list[StaticFace] = []
        self._threshold = threshold
        self._fixture_after = fixture_after
        self._memory = memory
        self._numbers = count(1)

    def take(
        self,
        faces: Sequence[Face],
        region: Region,
        sought: Track | None,
        picture: Picture,
        moving: Callable[[Region], float],
    ) -> None:
        """Take in the faces of one look at a picture.

        Parameters
        ----------
        region : where was looked, in picture pixels
        sought : the track that the look was for, if any
        moving : the share of a region that moves, as far as is known
        """
        moment = picture.captured
        self.tracks = [track for track in self.tracks if moment - track.seen <= self._memory]
        self.static = [
            spot
            for spot in self.static
            if moment < spot.until and (spot.looks is None or moment - spot.matched < _FORGETS)
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
        expected = [track for track in self.tracks if track is sought or _inside(track, region, moment)]
        matched, new = self._associate(real[:_ASSIGNED], moment, _COARSE * region.width)
        for track, face in matched:
            sharp = region.width < _CROP * face.width and (track is sought or _has_room(face, region))
            if not track.life.alive(moment) and moving(Region(*face.box)) > _MOVING:
                track.stirred = True
                if face.score >= _SURE:
                    track.life.stepped(moment)
            track.found(face, moment, sharp, _COARSE * region.width)
        for track in expected:
            if track.seen < moment:
                track.misses += 1
        for face in new:
            self._begin(face, moment, moving)
        self._join(moment)
        for track in self.tracks:
            if track.confirmed and not track.misses:
                track.life.sample(picture)
        self._find_prints(moment)
        self._forget(moment)

    def unconfirmed(self) -> Track | None:
        """Return the nearest face that is not confirmed yet, if any."""
        return max((t for t in self.tracks if not t.confirmed), key=lambda t: t.width, default=None)

    def confirmed(self) -> list[Track]:
        """Return the tracks of confirmed faces."""
        return [track for track in self.tracks if track.confirmed]

    def _associate(
        self, faces: Sequence[Face], moment: float, coarse: float
    ) -> tuple[list[tuple[Track, Face]], list[Face]]:
        """Assign all faces to all tracks at once, so that the sum of their misfits is least.

        `coarse` is the localisation error of the look, in pixels.
        """
        options = []
        for face in faces:
            near = [(_misfit(track, face, moment, coarse, _AT_ONCE), track) for track in self.tracks]
            options.append([(cost, track) for cost, track in near if cost < 1])

        best: list[tuple[float, tuple[Track | None, ...]]] = [(0.0, ())]
        for fits in options:  # a new track costs 1; of partial assignments the cheapest are kept
            more = [
                (total + cost, (*taken, track))
                for total, taken in best
                for cost, track in (*fits, (1.0, None))
                if track is None or track not in taken
            ]
            best = sorted(more, key=lambda pair: pair[0])[:_KEPT]
        tracks = best[0][1]
        matched = [(track, face) for track, face in zip(tracks, faces, strict=True) if track]
        return matched, [face for track, face in zip(tracks, faces, strict=True) if not track]

    def _begin(self, face: Face, moment: float, moving: Callable[[Region], float]) -> None:
        """Begin a track, unless the face is part of somebody known."""
        if face.score < self._threshold:
            return
        x, y = face.eye_midpoint
        for other in self.tracks:  # half hidden behind somebody, or the same person, badly measured
            if math.dist(other.at(moment), (x, y)) < 0.6 * max(other.width, face.width) and not other.misses:
                return
            if other.confirmed and face.score < _CLOTHES and _on_body(other, x, y, moment):
                return
        eyes, here, times = frontal_eye_distance(face), (x, y), (moment, moment, moment)
        track = Track(next(self._numbers), face, x, y, face.width, eyes, *times, here, here, here)
        track.score, track.life = face.score, Life(self._fixture_after)
        track.stirred = moving(Region(*face.box)) > _MOVING
        moves = track.stirred and face.score >= _SURE
        track.confirmed = moves or face.score >= _CERTAIN
        if moves:
            track.life.stepped(moment)
        self.tracks.append(track)

    def _join(self, moment: float) -> None:
        """Join each lost track with the new track of the same person: one that began after the loss."""
        for lost in [track for track in self.tracks if track.misses and track.confirmed]:
            heirs = [
                (_misfit(lost, t.face, moment, 0.0 if t.sharp else _COARSE_PX, _AGAIN), t)
                for t in self.tracks
                if t.first > lost.seen and not t.misses
            ]
            cost, heir = min(heirs, key=lambda pair: pair[0], default=(1.0, None))
            if heir is not None and cost < 1:
                heir.joined(lost)
                self.tracks.remove(lost)

    def _find_prints(self, moment: float) -> None:
        """Find the faces that are printed on somebody's shirt, and forget them as people."""
        if not self._fixture_after:
            return
        for track in [track for track in self.tracks if track.seen == moment and track.confirmed]:
            wearer = next((t for t in self.tracks if _wears(t, track, moment)), None)
            if wearer is None:
                track.worn = None
                continue
            x, y = wearer.at(moment)
            offset = (track.x - x) / wearer.width, (track.y - y) / wearer.width
            worn = track.worn
            rigid = worn is not None and worn.wearer == wearer.identity
            if worn is None or not rigid or math.dist(offset, (worn.x, worn.y)) > _RIGID:
                track.worn = Print(wearer.identity, *offset, track.width / wearer.width, moment, x, x)
                continue
            track.worn = worn = replace(worn, low=min(worn.low, x), high=max(worn.high, x))
            # That the face keeps its place tells something only if the wearer moved.
            moved = worn.high - worn.low > 2 * _RIGID * wearer.width
            if moved and moment - worn.since > self._fixture_after:
                wearer.prints.append(worn)
                self.tracks.remove(track)

    def _forget(self, moment: float) -> None:
        stay = []
        for track in self.tracks:
            if (not track.confirmed or track.hits == 1) and (track.misses > 1 or track.hits >= _DOUBTS):
                if not track.misses:
                    self.static.append(StaticFace(track.x, track.y, track.width, moment + _LEFT_ALONE))
                continue
            if track.life.lifeless(moment) and not track.misses:
                self.static.append(track.life.picture_at(track.x, track.y, track.width, moment))
                continue
            if track.score < _CLOTHES and any(
                other.confirmed and other.score > track.score and _on_body(other, *track.at(moment), moment)
                for other in self.tracks
                if other is not track
            ):
                continue
            stay.append(track)
        self.tracks = stay


def _wears(wearer: Track, track: Track, moment: float) -> bool:
    """Tell whether a face lies on the body of somebody who was seen just now."""
    lately = wearer.confirmed and not wearer.misses and moment - wearer.seen < _LATELY
    return lately and wearer is not track and _on_body(wearer, track.x, track.y, moment)


def _on_body(track: Track, x: float, y: float, moment: float) -> bool:
    """Tell whether a point lies on somebody's body, below their face."""
    own_x, own_y = track.at(moment)
    down = (y - own_y) / track.width
    return abs(x - own_x) < _BODY_HALF * track.width and _BODY[0] < down < _BODY[1]


def _misfit(track: Track, face: Face, moment: float, coarse: float, gate: Gate) -> float:
    """Return how badly a face fits a track, by place, size and score together: below 1 it may be theirs.

    `coarse` is the localisation error of the face, in pixels.
    """
    unseen = max(moment - track.seen, 0.0)
    width = max(track.width, face.width)
    away = _distance(face.eye_midpoint, (track.x, track.y), track.at(moment)) / width
    size = abs(math.log(face.width / track.width))
    scale = (_SIZE_SHARP if track.sharp else _SIZE_COARSE) + _SIZE_SPEED * min(unseen, 1.0)
    scale += coarse / min(track.width, face.width)
    reach = min(gate.start + gate.speed * unseen, gate.most) + coarse / width
    doubtful = max(_USUAL * track.score - face.score, 0.0) / _DOUBTFUL if unseen > _LATELY else 0.0
    return math.hypot(away / reach, size / scale, doubtful)


def _distance(point: Point, start: Point, end: Point) -> float:
    """Return the distance of a point from a stretch: somebody who turns back is not where they would be."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = dx * dx + dy * dy
    along = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / square if square > 0 else 0.0
    along = min(max(along, 0.0), 1.0)
    return math.dist(point, (start[0] + along * dx, start[1] + along * dy))


def _has_room(face: Face, region: Region) -> bool:
    """Tell whether a face is far from a region's edges, which move faces that they cut."""
    room = _ROOM * face.width
    x0, y0, x1, y1 = face.box
    return region.x0 < x0 - room and x1 + room < region.x1 and region.y0 < y0 - room and y1 + room < region.y1


def _inside(track: Track, region: Region, moment: float) -> bool:
    """Tell whether a look at the region should have found the track's face."""
    x, y = track.at(moment)
    half = 0.6 * track.width
    return (
        region.x0 < x - half
        and x + half < region.x1
        and region.y0 < y - half
        and y + 1.5 * half < region.y1
        and track.width > region.width / 10
    )


def _is_finite(face: Face) -> bool:
    """Tell whether all numbers the tracker reads of a face are finite: one NaN would stay in its averages."""
    return all(map(math.isfinite, (face.score, *face.box, *face.right_eye, *face.left_eye, *face.nose)))
