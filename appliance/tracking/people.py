"""Who is there: faces of one picture after another become people, by how they move."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from appliance.camera.averaging import Region
from appliance.tracking.fixture import Fixture
from appliance.tracking.head import frontal_eye_distance
from appliance.tracking.smoothing import lead
from appliance.vision.blazeface import Face

Point = tuple[float, float]

# A face is believed when a second look finds it with the first score; in the dark, when it moves as
# people do in four looks, or four find it with the second score on average. What six looks could not
# confirm is left alone for some seconds.
_SURE: Final = 0.7
_FAIR: Final = 0.6
_MOVES: Final = 0.8
_LOOKS_MOVING: Final = 4
_LOOKS_STILL: Final = 4
_DOUBTS: Final = 6
_MOVING: Final = 0.1
_CERTAIN: Final = 0.85
_LEFT_ALONE: Final = 20.0
# On somebody's body, below the face: to either side and down, in face widths. What looks like a face
# there, but not very, is clothes or a bag.
_BODY_HALF: Final = 1.8
_BODY: Final = (0.8, 9.0)
_CLOTHES: Final = 0.75
# Motion in face widths per second (a face is 150 mm wide), and how far one must go to have moved, for
# how many seconds and for what share of the time.
_STEP: Final = 0.5
_SWAY: Final = 0.08
_AWAY: Final = 0.5
_AWAY_SHARE: Final = 0.05
_COAST: Final = 0.6
_FOLLOWS: Final = 0.8
_SPEEDS: Final = 0.4
_WIDTH_TIME: Final = 0.25
_EYES_TIME: Final = 0.4
_MISSES: Final = 3
_CROP: Final = 6.0  # a region of fewer face widths is a crop
# Who was seen once may walk this fast, in face widths per second: 1.2 m/s.
_UNKNOWN: Final = 8.0


@dataclass(slots=True)
class Person:
    """Somebody in view: the eye midpoint in picture pixels, its speed in pixels per second.

    `width` and `eye_distance` are pixels, smoothed; `face` is the newest one. Times are seconds on the
    monotonic clock: `seen` last, `first` seen, `still_since` the last time they took a step.
    `missed` counts the looks since `seen` that should have found the face, `hits` those that did,
    `score` is the mean of late. `trusted`: it is a face. `away`: seconds spent elsewhere than at first.
    `sharp`: the width was measured in a crop; in a tile small faces seem up to half as large again.
    `elsewhere`: the newest crop of their own (`sought`: there was one) saw them elsewhere than the first.
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
    vx: float = 0.0
    vy: float = 0.0
    hits: int = 1
    score: float = 0.0
    missed: int = 0
    trusted: bool = False
    away: float = 0.0
    elsewhere: bool = False
    sharp: bool = False
    sought: bool = False

    def at(self, moment: float) -> Point:
        """Return where the eye midpoint should be at a moment, in pixels: motion goes on, and dies away."""
        time = lead(moment - self.seen, _COAST)
        return self.x + self.vx * time, self.y + self.vy * time

    @property
    def alive(self) -> bool:
        """Whether they moved, as no picture on a wall does: one half hidden for a moment only seems to."""
        return self.away > max(_AWAY, _AWAY_SHARE * (self.seen - self.first))

    @property
    def pace(self) -> float:
        """Speed in face widths per second."""
        return math.hypot(self.vx, self.vy) / self.width

    def found(self, face: Face, eye_distance: float, moment: float, sharp: bool, sought: bool) -> None:
        """Take in a new sighting (an alpha-beta filter); `eye_distance` as if seen from the front."""
        dt = moment - self.seen
        x, y = face.eye_midpoint
        px, py = self.at(moment)
        follows, speeds = (1.0, 0.7) if self.hits == 1 else (_FOLLOWS, _SPEEDS)
        if dt > 0:
            self.vx += speeds * (x - px) / dt
            self.vy += speeds * (y - py) / dt
        self.x, self.y = px + follows * (x - px), py + follows * (y - py)
        self.hits += 1
        least = 1.0 if sharp and not self.sharp else 1 / self.hits
        self.sharp |= sharp
        self.width += max(-math.expm1(-dt / _WIDTH_TIME), least) * (face.width - self.width)
        self.eye_distance += max(-math.expm1(-dt / _EYES_TIME), least) * (eye_distance - self.eye_distance)
        self.face, self.seen, self.missed = face, moment, 0
        self.score += max(0.1, 1 / self.hits) * (face.score - self.score)
        if math.dist((self.x, self.y), self.step_from) > _STEP * self.width:
            self.step_from, self.still_since = (self.x, self.y), moment
        sought &= sharp
        if self.hits <= 2 or (sought and not self.sought):  # a tile's first sight is coarse
            self.born_at = x, y
        self.sought |= sought
        moved = math.dist((self.x, self.y), self.born_at) / self.width
        if sought or not self.sought:  # and it cuts faces at its edge, which moves them
            self.elsewhere = moved > _SWAY
        self.away += max(dt, 0.0) if self.elsewhere else 0.0
        self.trusted = (
            self.trusted
            or face.score >= _SURE
            or (self.hits >= _LOOKS_MOVING and moved > _MOVES)
            or (self.hits >= _LOOKS_STILL and self.score >= _FAIR)
        )


class Crowd:
    """Everybody in view, each with an identity that lasts while they are in view.

    Association is by constant velocity: a face belongs to whom it is nearest, where they should be
    by now, if its size fits.
    """

    def __init__(self, threshold: float, fixture_after: float, memory: float) -> None:
        """Begin with nobody.

        Parameters
        ----------
        threshold : a newcomer's least score
        fixture_after : a face that did not move for so many seconds is a picture
        memory : who was not seen for so many seconds is gone
        """
        self.people: list[Person] = []
        self.fixtures: list[Fixture] = []
        self._threshold = threshold
        self._fixture_after = fixture_after
        self._memory = memory
        self._numbers = count(1)

    def take(
        self,
        faces: Sequence[Face],
        region: Region,
        sought: Person | None,
        moment: float,
        moving: Callable[[Region], float],
    ) -> None:
        """Take in the faces of one look.

        Parameters
        ----------
        region : where was looked, in picture pixels
        sought : who should have been there
        moment : when the picture was taken, monotonic seconds
        moving : the share of a region that moves, as far as is known
        """
        self.people = [p for p in self.people if moment - p.seen <= self._memory]
        real = [
            face
            for face in faces
            if face.width > 0 < face.eye_distance  # nor NaN
            and not any(spot.is_at(face, region) for spot in self.fixtures)
        ]
        expected = [p for p in self.people if p is sought or _inside(p, region, moment)]
        matched, new = self._associate(real, moment)
        for person, face in matched:
            sharp = region.width < _CROP * face.width
            person.found(face, frontal_eye_distance(face), moment, sharp, person is sought)
        found = [person for person, _ in matched]
        for person in expected:
            if person not in found:
                person.missed += 1
        for face in new:
            self._welcome(face, moment, moving)
        self._forget(moment)

    def candidate(self) -> Person | None:
        """Return the nearest newcomer whose face was seen only once, if any."""
        return max((p for p in self.people if not p.trusted), key=lambda p: p.width, default=None)

    def known(self) -> list[Person]:
        """Return everybody whose face was confirmed."""
        return [person for person in self.people if person.trusted]

    def _associate(
        self, faces: Iterable[Face], moment: float
    ) -> tuple[list[tuple[Person, Face]], list[Face]]:
        left, people, matched = list(faces), list(self.people), []
        pairs = [(_misfit(p, f, moment), i, k) for i, p in enumerate(people) for k, f in enumerate(left)]
        taken: set[int] = set()
        used: set[int] = set()
        for cost, i, k in sorted(pairs):
            if cost < 1 and i not in taken and k not in used:
                taken.add(i)
                used.add(k)
                matched.append((people[i], left[k]))
        return matched, [face for k, face in enumerate(left) if k not in used]

    def _welcome(self, face: Face, moment: float, moving: Callable[[Region], float]) -> None:
        if face.score < self._threshold:
            return
        x, y = face.eye_midpoint
        for other in self.people:  # half hidden behind somebody, or somebody seen oddly
            if math.dist(other.at(moment), (x, y)) < 0.6 * max(other.width, face.width) and not other.missed:
                return
            if other.trusted and face.score < _CLOTHES and _on_body(other, x, y, moment):
                return
        eyes, here, times = frontal_eye_distance(face), (x, y), (moment, moment, moment)
        newcomer = Person(next(self._numbers), face, x, y, face.width, eyes, *times, here, here)
        newcomer.score = face.score
        # What looks like a face and moves needs no second look, nor what looks very much like one.
        moves = face.score >= _SURE and moving(Region(*face.box)) > _MOVING
        newcomer.trusted = moves or face.score >= _CERTAIN
        self.people.append(newcomer)

    def _forget(self, moment: float) -> None:
        stay = []
        self.fixtures = [spot for spot in self.fixtures if moment < spot.until]
        for person in self.people:
            if (not person.trusted or person.hits == 1) and (person.missed > 1 or person.hits >= _DOUBTS):
                if not person.missed:
                    self.fixtures.append(Fixture(person.x, person.y, person.width, moment + _LEFT_ALONE))
                continue
            if not person.alive and moment - person.first > self._fixture_after and not person.missed:
                self.fixtures.append(Fixture(person.x, person.y, person.width))
                continue
            if person.missed >= _MISSES and moment - person.seen > self._memory / 2:
                continue
            if person.score < _CLOTHES and any(
                other.trusted and other.score > person.score and _on_body(other, *person.at(moment), moment)
                for other in self.people
                if other is not person
            ):
                continue
            stay.append(person)
        self.people = stay


def _on_body(person: Person, x: float, y: float, moment: float) -> bool:
    """Tell whether a point lies on somebody's body, below their face."""
    own_x, own_y = person.at(moment)
    down = (y - own_y) / person.width
    return abs(x - own_x) < _BODY_HALF * person.width and _BODY[0] < down < _BODY[1]


def _misfit(person: Person, face: Face, moment: float) -> float:
    """Return how badly a face fits a person: below 1 it may be theirs."""
    unseen = max(moment - person.seen, 0.0)
    away = math.dist(person.at(moment), face.eye_midpoint) / max(person.width, face.width)
    size = abs(math.log(face.width / person.width))
    scale = (0.3 if person.sharp else 0.6) + 0.3 * min(unseen, 1.0)
    pace, most = (_UNKNOWN, 2.0) if person.hits == 1 else (2.0, 1.5) if person.missed else (1.0, 1.0)
    steps = min(pace * unseen, most)
    return math.hypot(away / (0.5 + steps), size / scale)


def _inside(person: Person, region: Region, moment: float) -> bool:
    """Tell whether a look at the region should have found the person."""
    x, y = person.at(moment)
    half = 0.6 * person.width
    return (
        region.x0 < x - half
        and x + half < region.x1
        and region.y0 < y - half
        and y + 1.5 * half < region.y1
        and person.width > region.width / 10
    )
