"""Signs of life: tell a person from a face in a picture, a statue or a printed shirt.

A living face changes, if only by a sway of a millimetre; a picture on a wall changes by the camera's
noise alone. The test compares averages of the face's pixels over a second with each other, and with
the wall beside the face, because light that flickers changes both.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.camera.base import Picture
from appliance.camera.sampling import Region
from appliance.vision.blazeface import Face

Samples = NDArray[np.float32]

# Seconds of pictures in one average, and the fewest pictures in it (guess: noise falls with their root).
_WINDOW: Final = 1.0
_LEAST_SAMPLES: Final = 6
# Samples of a face across and down; more cost time, fewer miss a small sway (guess).
_ACROSS: Final = 20
# A change this many times what noise explains, in variance, is a sign of life. Measured on films of five
# people at 1 to 5 m and on still pictures: stills reach 1.2, people at 5 m begin at 2.
_CHANGED: Final = 1.5
# Seconds without a sign of life from which on others may take the gaze from a face.
_SUSPECT: Final = 4.5
# Sway that a person must at least make within the time, as a fraction of the face's width: 2 mm.
_SWAY: Final = 0.0133
# Change by that sway, in multiples of noise, from which on a face is judged after the time asked for: small,
# dark and noisy faces change by less.
_CLEAR: Final = 1.0
# Width from which on a face is judged after the time asked for, pixels (asked for: 25).
_LARGE: Final = 20.0
# Change by that sway for a face that is judged after `_LONGER` times as long; below it nobody could tell,
# and it counts as a person.
_FAINT: Final = 0.25
_LONGER: Final = 3.0
# Seconds between two samples of a face: more would cost time, and tell little more.
_EVERY: Final = 0.09
# Seconds for which a sign of life lasts: a person who stands very still shows none for some windows.
_LASTS: Final = 6.0
# Seconds between two samples from which on the face was not watched meanwhile.
_UNWATCHED: Final = 0.5
# A face this far from where its samples are taken, in face widths, has moved (crops err by .05).
_MOVED: Final = 0.2
# Score of a face that is somebody although a weak one was doubted in its place.
_SURE: Final = 0.7
# Variance of a pixel that rounding to whole grey levels makes: noise is never estimated below it.
_ROUNDING: Final = 1 / 6
# Localisation error of small faces, as a fraction of the searched region's width (bench gaze, 3.5 m).
_COARSE: Final = 0.02


@dataclass(slots=True)
class Average:
    """The mean of a few pictures of one place, and the noise of a single picture as a variance."""

    total: Samples
    last: Samples
    count: int = 1
    changes: float = 0.0

    def add(self, samples: Samples) -> None:
        """Take in the next picture."""
        step = samples - self.last
        self.changes += float(np.vdot(step, step)) / (2 * step.size)
        self.total = self.total + samples
        self.last = samples
        self.count += 1

    @property
    def noise(self) -> float:
        """Variance of the mean's pixels: what two pictures in a row differ by, divided by their number."""
        return float(max(self.changes / max(self.count - 1, 1), _ROUNDING)) / self.count

    def change_from(self, other: "Average") -> float:
        """Return how far two means differ, as a multiple of what noise explains; brightness may change."""
        new, old = self.total / self.count, other.total / other.count
        new = new - new.mean()
        old = old - old.mean()
        spread = float(np.vdot(old, old))
        gain = float(np.vdot(new, old)) / spread if spread > 0 else 0.0
        rest = new - gain * old
        explained = self.noise + gain * gain * other.noise
        return float(float(np.vdot(rest, rest)) / (new.size * explained))

    def change_by_sway(self) -> float:
        """Return how much the least sway of a person would change the mean, as a multiple of noise."""
        mean = self.total / self.count
        slope = np.diff(mean, axis=1)
        slopes = float(np.vdot(slope, slope)) / slope.size - 2 * self.noise
        return max(slopes, 0.0) * float(_SWAY * mean.shape[1]) ** 2 / (2 * self.noise)


def samples_of(picture: Picture, region: Region) -> Samples | None:
    """Return brightness at some pixels of a region, float32 rows; None where it leaves the picture."""
    x0, y0, x1, y1 = (round(edge) for edge in (region.x0, region.y0, region.x1, region.y1))
    if x0 < 0 or y0 < 0 or x1 > picture.width or y1 > picture.height or x1 - x0 < 2:
        return None
    step = max(1, (x1 - x0) // _ACROSS)
    return picture.sample(1)[y0:y1:step, x0:x1:step].astype(np.float32)


@dataclass(slots=True)
class Life:
    """Evidence of life in one face.

    `after` is how many seconds without a sign of life make a picture of it, 0 for a face that
    is never taken for one. `region` is where its samples are taken, in picture pixels. Moments are seconds
    on the monotonic clock: `sign` the last at which it moved or changed, `walked` the last at which it took
    a step, and `still_since` the one since which it has shown no life.
    """

    after: float
    region: Region | None = None
    sign: float = -math.inf
    walked: float = -math.inf
    still_since: float = math.inf
    _began: float = 0.0
    _sampled: float = -math.inf
    _width: float = 0.0
    _clear: float = 0.0
    _now: list[Average | None] = field(default_factory=list)
    _before: list[Average | None] = field(default_factory=list)

    def alive(self, moment: float) -> bool:
        """Tell whether the face has shown life lately."""
        return self.after == 0 or moment - self.sign < _LASTS

    def suspect(self, moment: float) -> bool:
        """Tell whether the face was watched long enough to show life, and showed none."""
        return not self.alive(moment) and moment - self.still_since > _SUSPECT

    def lifeless(self, moment: float) -> bool:
        """Tell whether the face has shown no life for so long that it must be a picture."""
        if self.after == 0 or self._clear < _FAINT:
            return False
        clear = self._clear >= _CLEAR and self._width >= _LARGE
        return moment - self.still_since > self.after * (1.0 if clear else _LONGER)

    def stepped(self, moment: float) -> None:
        """Note that the person took a step."""
        self.sign = self.walked = moment
        self.region, self.still_since = None, math.inf

    def seen(self, face: Face, width: float, moment: float, sharp: bool) -> None:
        """Note where the face is; `sharp`: measured in a crop, to within a twentieth of its width."""
        x, y = face.eye_midpoint
        if self.region is not None and sharp:
            middle = (self.region.x0 + self.region.x1) / 2, (self.region.y0 + self.region.y1) / 2
            if math.dist(middle, (x, y + 0.2 * width)) > _MOVED * width:
                self.sign, self.region, self.still_since = moment, None, math.inf
        if self.region is None and sharp:
            half = width / 2
            middle_y = y + 0.2 * width  # the eyes lie a fifth of the width above the face's middle
            self.region = Region(x - half, middle_y - half, x + half, middle_y + half)
            self._width, self._began, self.still_since = width, moment, moment
            self._now, self._before, self._clear = [], [], 0.0
            self._sampled = moment - _EVERY

    def sample(self, picture: Picture) -> None:
        """Take in a picture in which the face is where it was."""
        if self.region is None or self.after == 0 or picture.captured - self._sampled < _EVERY:
            return
        gap, self._sampled = picture.captured - self._sampled, picture.captured
        if gap > _UNWATCHED:  # Time in which nobody watched is no evidence.
            self.still_since, self._began, self._now = self.still_since + gap, picture.captured, []
        aside = 1.5 * self._width
        beside = [
            Region(self.region.x0 + dx, self.region.y0, self.region.x1 + dx, self.region.y1)
            for dx in (0.0, -aside, aside)
        ]
        for i, samples in enumerate(samples_of(picture, place) for place in beside):
            if i == len(self._now):
                self._now.append(None if samples is None else Average(samples, samples))
            elif (average := self._now[i]) is not None and samples is not None:
                average.add(samples)
        face = self._now[0]
        if face is None:
            self.region, self.still_since = None, math.inf
        elif picture.captured - self._began >= _WINDOW and face.count >= _LEAST_SAMPLES:
            self._compare(picture.captured)

    def picture_at(self, x: float, y: float, width: float, moment: float) -> "StaticFace":
        """Return the lifeless face as a picture on the wall, its eye midpoint and width in pixels."""
        looks = self._before[0] if self._before else None
        return StaticFace(x, y, width, region=self.region, looks=looks, matched=moment)

    def _compare(self, moment: float) -> None:
        if self._before:
            changes = [
                now.change_from(before) if now and before else 1.0
                for now, before in zip(self._now, self._before, strict=True)
            ]
            # A passer changes one side; what changes both sides, and the face, is the light.
            room = min(max(1.0, min(changes[1:])), 4.0)
            if changes[0] > _CHANGED * room:
                self.sign = self.still_since = moment
                self._before = self._now
        else:
            self._before = self._now
        if reference := self._before[0]:
            self._clear = reference.change_by_sway()
        self._began, self._now = moment, []


@dataclass(slots=True)
class StaticFace:
    """What the detector takes for a face: a wall picture or a statue; or a spot left alone `until` a moment.

    `x`, `y` is its eye midpoint and `width` its width, in picture pixels. `looks` is what it looked like
    when it was recognised, None for a spot that is only doubted; `matched` is when it last looked so.
    """

    x: float
    y: float
    width: float
    until: float = math.inf
    region: Region | None = None
    looks: Average | None = None
    matched: float = 0.0

    def is_at(self, face: Face, region: Region) -> bool:
        """Tell whether a face may be this one by its place and size, as found in a look at a region."""
        coarse = region.width * _COARSE if self.looks else 0.0
        away = math.dist(face.eye_midpoint, (self.x, self.y))
        size = abs(math.log(face.width / self.width))
        return away < 0.25 * self.width + coarse and size < 0.35 + coarse / min(self.width, face.width)

    def hides(self, face: Face, region: Region, picture: Picture) -> bool:
        """Tell whether a face found in a look at a region of a picture is this one, and nobody."""
        if not self.is_at(face, region):
            return False
        return self.matches(picture) if self.looks else face.score < _SURE

    def matches(self, picture: Picture) -> bool:
        """Tell whether its place still looks as it did; it does not while a person stands in front of it.

        A match is learnt, so that daylight may change slowly.
        """
        if self.looks is None or self.region is None:
            return True
        samples = samples_of(picture, self.region)
        if samples is None:
            return False
        old = self.looks.total / self.looks.count
        new, old = samples - samples.mean(), old - old.mean()
        spread = float(np.vdot(old, old))
        gain = float(np.vdot(new, old)) / spread if spread > 0 else 0.0
        rest = new - gain * old
        noise = self.looks.noise * self.looks.count * old.size
        same = float(np.vdot(rest, rest)) < max(4 * noise, 0.25 * spread) and gain > 0.3
        if same:
            self.matched = picture.captured
            self.looks.total = self.looks.total + samples - self.looks.total / self.looks.count
        return same
