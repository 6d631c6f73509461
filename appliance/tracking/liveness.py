"""Liveness: tell a person from a face in a picture, a statue or a printed shirt.

A living face changes, because a person sways by at least a millimetre; a picture on a wall changes only by
the camera's noise. The test compares means of the face's pixels over a second with each other, and with the
wall beside the face, because flickering light changes both.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.camera.base import Picture
from appliance.camera.sampling import Region
from appliance.vision.blazeface import Face

FaceSamples = NDArray[np.float32]

# Duration of the pictures in one mean, in seconds (guess: noise falls with the root of their number).
_WINDOW_TIME: Final = 1.0
_MIN_PICTURES: Final = 6  # fewest pictures in one mean (guess, for the same reason)
_SAMPLES_ACROSS: Final = 20  # samples across a face: more cost time, fewer miss a small sway (guess)
# Ratio of a change to what noise explains, as variances, from which it is a sign of life. Measured on films
# of five people at 1 to 5 m and on still pictures: stills reach 1.2, people at 5 m begin at 2.
_SIGN_OF_LIFE: Final = 1.5
# Time without a sign of life after which others may take the gaze from a face, in seconds (origin unknown).
_SUSPECT_TIME: Final = 4.5
_MIN_SWAY: Final = 0.0133  # smallest sway that a living person makes, as a fraction of the face's width: 2 mm
# Change by that sway, as a multiple of noise, from which a face is judged after `fixture_after` seconds: the
# faces of distant people and faces in the dark change by less.
_CLEAR_CHANGE: Final = 1.0
# Width of a face from which it is judged after `fixture_after` seconds, in pixels (origin unknown).
_LARGE_WIDTH: Final = 20.0
# Change by that sway below which nobody could tell a picture from a person: the face counts as a person.
_FAINT_CHANGE: Final = 0.25
# Factor on `fixture_after` for small faces and for changes between the two (origin unknown).
_FAINT_FACTOR: Final = 3.0
# Time between two samples of a face, in seconds: more samples cost time and tell little more.
_SAMPLE_INTERVAL: Final = 0.09
# Time for which a sign of life counts, in seconds: a person who stands very still shows none in some windows.
_LIFE_MEMORY: Final = 6.0
# Time between two samples from which the face was not watched in between, in seconds (origin unknown).
_GAP_TIME: Final = 0.5
# Distance from the sampled place from which a face has moved, in face widths: crops measure to within 0.05.
_MOVED_WIDTHS: Final = 0.2
_REAL_SCORE: Final = 0.7  # score from which a face at a doubted spot is a person (origin unknown)
# Smallest variance of a pixel's noise, in squared grey levels: twice that of rounding to whole levels (1/12).
_ROUNDING_NOISE: Final = 1 / 6
# Localisation error of small faces, as a fraction of the searched region's width (bench gaze, 3.5 m).
LOCALISATION_ERROR: Final = 0.02
# Distance of the middle of a face below its eyes, as a fraction of the face's width (BlazeFace's boxes).
MIDDLE_BELOW_EYES: Final = 0.2


@dataclass(slots=True)
class MeanSamples:
    """The mean of a few pictures of one place, and how noisy it is.

    `total` is the sum of `count` samples, `last` the newest, `changes` the sum of the variances between
    successive ones.
    """

    total: FaceSamples
    last: FaceSamples
    count: int = 1
    changes: float = 0.0

    def add(self, samples: FaceSamples) -> None:
        """Add the samples of the next picture."""
        step = samples - self.last
        self.changes += float(np.vdot(step, step)) / (2 * step.size)
        self.total = self.total + samples
        self.last = samples
        self.count += 1

    @property
    def noise(self) -> float:
        """Variance of the mean's pixels: that between two successive pictures, divided by their number."""
        return float(max(self.changes / max(self.count - 1, 1), _ROUNDING_NOISE)) / self.count

    def change_from(self, other: "MeanSamples") -> float:
        """Return how much two means differ as a multiple of what noise explains; brightness may change."""
        gain, rest, _ = _compare_patterns(self.total / self.count, other.total / other.count)
        explained = self.noise + gain * gain * other.noise
        return rest / (self.total.size * explained)

    def change_by_sway(self) -> float:
        """Return how much the smallest sway of a person would change the mean, as a multiple of noise."""
        mean = self.total / self.count
        slope = np.diff(mean, axis=1)
        slopes = float(np.vdot(slope, slope)) / slope.size - 2 * self.noise
        return max(slopes, 0.0) * float(_MIN_SWAY * mean.shape[1]) ** 2 / (2 * self.noise)


def _compare_patterns(new: FaceSamples, old: FaceSamples) -> tuple[float, float, float]:
    """Compare two patterns of brightness; both brightness and contrast may differ.

    Returns the new contrast as a multiple of the old one; and as sums of squares, what remains after that is
    removed, and the old contrast.
    """
    new, old = new - new.mean(), old - old.mean()
    contrast = float(np.vdot(old, old))
    gain = float(np.vdot(new, old)) / contrast if contrast > 0 else 0.0
    rest = new - gain * old
    return gain, float(np.vdot(rest, rest)), contrast


def sample_region(picture: Picture, region: Region) -> FaceSamples | None:
    """Return brightness at some pixels of a region, float32 rows; None where it leaves the picture."""
    x0, y0, x1, y1 = (round(edge) for edge in (region.x0, region.y0, region.x1, region.y1))
    if x0 < 0 or y0 < 0 or x1 > picture.width or y1 > picture.height or x1 - x0 < 2:
        return None
    step = max(1, (x1 - x0) // _SAMPLES_ACROSS)
    return picture.sample(1)[y0:y1:step, x0:x1:step].astype(np.float32)


@dataclass(slots=True)
class Liveness:
    """The evidence of life in one face.

    After `after` seconds without a sign of life the face counts as a picture; 0 means never. `region` is
    where its samples are taken, in picture pixels. Seconds on the monotonic clock: `sign` is when it last
    moved or changed, `walked` when it last took a step, `still_since` since when it has shown no life.
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
    _now: list[MeanSamples | None] = field(default_factory=list)
    _before: list[MeanSamples | None] = field(default_factory=list)

    def is_alive(self, moment: float) -> bool:
        """Tell whether the face showed a sign of life within `_LIFE_MEMORY`."""
        return self.after == 0 or moment - self.sign < _LIFE_MEMORY

    def is_suspect(self, moment: float) -> bool:
        """Tell whether the face was watched for `_SUSPECT_TIME` without a sign of life."""
        return not self.is_alive(moment) and moment - self.still_since > _SUSPECT_TIME

    def is_lifeless(self, moment: float) -> bool:
        """Tell whether the face has shown no life for so long that it must be a picture."""
        if self.after == 0 or self._clear < _FAINT_CHANGE:
            return False
        clear = self._clear >= _CLEAR_CHANGE and self._width >= _LARGE_WIDTH
        return moment - self.still_since > self.after * (1.0 if clear else _FAINT_FACTOR)

    def note_step(self, moment: float) -> None:
        """Note that the person took a step."""
        self.sign = self.walked = moment
        self.region, self.still_since = None, math.inf

    def note_position(self, face: Face, width: float, moment: float, sharp: bool) -> None:
        """Note where the face is; `sharp` if measured in a crop, to within a twentieth of its width."""
        x, y = face.eye_midpoint
        if self.region is not None and sharp:
            middle = (self.region.x0 + self.region.x1) / 2, (self.region.y0 + self.region.y1) / 2
            if math.dist(middle, (x, y + MIDDLE_BELOW_EYES * width)) > _MOVED_WIDTHS * width:
                self.sign, self.region, self.still_since = moment, None, math.inf
        if self.region is None and sharp:
            half = width / 2
            middle_y = y + MIDDLE_BELOW_EYES * width
            self.region = Region(x - half, middle_y - half, x + half, middle_y + half)
            self._width, self._began, self.still_since = width, moment, moment
            self._now, self._before, self._clear = [], [], 0.0
            self._sampled = moment - _SAMPLE_INTERVAL

    def add_picture(self, picture: Picture) -> None:
        """Add a picture in which the face is where it was last noted."""
        if self.region is None or self.after == 0 or picture.captured - self._sampled < _SAMPLE_INTERVAL:
            return
        gap, self._sampled = picture.captured - self._sampled, picture.captured
        if gap > _GAP_TIME:  # time without samples is no evidence
            self.still_since, self._began, self._now = self.still_since + gap, picture.captured, []
        aside = 1.5 * self._width
        beside = [
            Region(self.region.x0 + dx, self.region.y0, self.region.x1 + dx, self.region.y1)
            for dx in (0.0, -aside, aside)
        ]
        for i, samples in enumerate(sample_region(picture, place) for place in beside):
            if i == len(self._now):
                self._now.append(None if samples is None else MeanSamples(samples, samples))
            elif (average := self._now[i]) is not None and samples is not None:
                average.add(samples)
        face = self._now[0]
        if face is None:
            self.region, self.still_since = None, math.inf
        elif picture.captured - self._began >= _WINDOW_TIME and face.count >= _MIN_PICTURES:
            self._compare(picture.captured)

    def as_static_face(self, x: float, y: float, width: float, moment: float) -> "StaticFace":
        """Return a lifeless face as a picture on the wall; eye midpoint and width are in picture pixels."""
        pattern = self._before[0] if self._before else None
        return StaticFace(x, y, width, region=self.region, pattern=pattern, matched=moment)

    def _compare(self, moment: float) -> None:
        if self._before:
            changes = [
                now.change_from(before) if now and before else 1.0
                for now, before in zip(self._now, self._before, strict=True)
            ]
            # A passer-by changes one side only; a change on both sides is one of the light.
            light = min(max(1.0, min(changes[1:])), 4.0)
            if changes[0] > _SIGN_OF_LIFE * light:
                self.sign = self.still_since = moment
                self._before = self._now
        else:
            self._before = self._now
        if reference := self._before[0]:
            self._clear = reference.change_by_sway()
        self._began, self._now = moment, []


@dataclass(slots=True)
class StaticFace:
    """A static false positive of the detector: a wall picture, a statue, or a spot ignored `until` a moment.

    `x`, `y` is its eye midpoint and `width` its width, in picture pixels. `pattern` is its brightness when it
    was recognised, None for a spot that is only doubted; `matched` is when it last looked like that.
    """

    x: float
    y: float
    width: float
    until: float = math.inf
    region: Region | None = None
    pattern: MeanSamples | None = None
    matched: float = 0.0

    def is_at(self, face: Face, region: Region) -> bool:
        """Tell whether a face found in a region may be this one, by its place and size."""
        coarse = region.width * LOCALISATION_ERROR if self.pattern else 0.0
        away = math.dist(face.eye_midpoint, (self.x, self.y))
        size = abs(math.log(face.width / self.width))
        return away < 0.25 * self.width + coarse and size < 0.35 + coarse / min(self.width, face.width)

    def hides(self, face: Face, region: Region, picture: Picture) -> bool:
        """Tell whether a face found in a region of a picture is this one, and not a person."""
        if not self.is_at(face, region):
            return False
        return self.matches(picture) if self.pattern else face.score < _REAL_SCORE

    def matches(self, picture: Picture) -> bool:
        """Tell whether its place still looks the same, which it does not while a person stands in front.

        Each match updates the pattern, so that daylight may change slowly.
        """
        if self.pattern is None or self.region is None:
            return True
        samples = sample_region(picture, self.region)
        if samples is None:
            return False
        gain, rest, contrast = _compare_patterns(samples, self.pattern.total / self.pattern.count)
        noise = self.pattern.noise * self.pattern.count * samples.size
        same = rest < max(4 * noise, 0.25 * contrast) and gain > 0.3
        if same:
            self.matched = picture.captured
            self.pattern.total = self.pattern.total + samples - self.pattern.total / self.pattern.count
        return same
