"""Where to look next: the whole picture, a tile, or a crop around the viewer; one look per picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.camera.base import MeanPicture, Picture, Readable
from appliance.camera.sampling import Pixels, Region
from appliance.config import VisionConfig
from appliance.tracking.tracker import Track, Tracker
from appliance.tracking.viewer_choice import Attention
from appliance.vision.blazeface import Face, FaceDetector

# The short model's input side, pixels: crops that are whole multiples of it are read fastest.
_SIDE: Final = 128
# Smallest side of a crop, face widths: nearer edges move BlazeFace's points (bench gaze).
_CROP: Final = 2.6
# Range of a crop's side within which it is kept as the face grows or shrinks, face widths.
_KEEP: Final = (2.2, 5.5)
# Distance of the face from the crop's middle at which it is placed anew, as a fraction of the side.
_STICKY: Final = 0.13
# Enlargement of a crop for each second between pictures beyond `_QUICK`, as a fraction: a person who sets
# off at 1.2 m/s (8 face widths/s) is then still in it.
_STEPS: Final = 6.0
# Interval between pictures, seconds, up to which a crop needs no enlargement: the face's margin is enough.
_QUICK: Final = 0.05
# Side of a look around somebody who was not found, face widths (guess: twice a crop).
_AROUND: Final = 5.2
# Seconds of a walker's motion by which a crop is placed ahead (about what a walker takes to cross it).
_AHEAD: Final = 0.1
# Sides of tiles, as fractions of the picture's width, besides the whole picture: the last finds faces of
# 2 % of it, the ones before have less noise in the dark.
_TILES: Final = {"full": (9 / 16, 3 / 8), "short": (2 / 5, 1 / 5)}
# Overlap of neighbouring tiles, as a fraction of their side: a face of 5 m lies whole in one of them.
_OVERLAP: Final = 1 / 6
# While somebody is followed, one look in this many goes to the rest of the room.
ROUND: Final = 4
# Least score for a face that was expected; new ones need `vision.threshold`.
_FOLLOW_SCORE: Final = 0.4
# Weight of motion in the choice of the next tile (tuned on bench gaze).
_MOTION_WEIGHT: Final = 200.0
# Fraction of the picture that moves, beside everybody known, from which on somebody new is looked for: a
# head with shoulders at 5 m is some 40 of 9,000 samples.
_STIRS: Final = 0.003
# Pace above which somebody walks, face widths per second: standing people on the films stay below 1.
_BRISK: Final = 1.5
# Interval between pictures, seconds, at which a walker is looked at in seven pictures of eight.
_SLOW: Final = 0.1
# Noise, as a fraction of brightness, from which on two pictures are averaged for a person who stands: lit
# rooms have .03, dim ones .17.
_DIM: Final = 0.1
# The same for looks at anybody else, every other time, because the mean blurs walkers: dark rooms have .35.
_DARK: Final = 0.22
# Seconds between two looks at somebody in view who is not the viewer.
_FRESH: Final = 0.3
# Seconds between two looks at the last place of somebody lost.
_STALE: Final = 1.5
# Seconds between two comparisons of what moves while somebody is followed, because they cost .1 ms.
_COMPARE: Final = 0.12
# Half of a person's width, and height of the head above the eyes, face widths.
_SHOULDERS: Final = 1.8
# Score from which on a new face is looked at again at once.
_SURE: Final = 0.7
# Smallest width of such a face, as a fraction of the viewer's: a person farther away can wait.
_NEAR: Final = 0.7
# A walking person whose face is this many times wider than the viewer's is looked at like a new one.
_NEARER: Final = 1.2
# Seconds for which a face is new.
_NEW: Final = 1.5
# Pace of a walking person who is not seen, face widths per second: 1.2 m/s.
_WALKS: Final = 8.0
# Pace of a standing person who is not seen, face widths per second: they may sway.
_SWAYS: Final = 0.5
# Seconds unseen after which a person may have left the sticky crop.
_AWHILE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: faces in picture pixels, and where it looked, and for whom.

    `sharp`: a crop around `sought`, whose eyes it measures best.
    """

    faces: list[Face]
    region: Region
    sought: Track | None = None
    sharp: bool = False


def tiles(width: int, height: int, side: int) -> list[Region]:
    """Cover a picture with overlapping squares of a side in pixels, on even pixels."""
    step = side * (1 - _OVERLAP)

    def starts(length: int) -> list[int]:
        if length <= side:
            return [(length - side) // 4 * 2]
        number = math.ceil((length - side) / step) + 1
        return [round((length - side) * i / (number - 1) / 2) * 2 for i in range(number)]

    return [Region(x, y, x + side, y + side) for y in starts(height) for x in starts(width)]


def crop_side(face_width: float) -> int:
    """Return the side of the crop for a face, in pixels: half the model's input, or whole multiples."""
    wanted = _CROP * face_width
    return _SIDE // 2 if wanted <= _SIDE // 2 else _SIDE * math.ceil(wanted / _SIDE)


class Rotation:
    """Takes turns among regions; one where something moves comes sooner."""

    def __init__(self, regions: list[Region]) -> None:
        self._regions = regions
        self._cells: list[tuple[slice, slice]] = []
        self._last = [0] * len(regions)
        self._turn = 0

    def next(self, motion: "Motion") -> Region:
        """Return the region that waited longest, a wait counting more the more moves there."""
        self._turn += 1
        self._cells = self._cells or [motion.cells(region) for region in self._regions]
        waits = [
            (self._turn - last) * (1 + _MOTION_WEIGHT * motion.moving(cells))
            for cells, last in zip(self._cells, self._last, strict=True)
        ]
        chosen = waits.index(max(waits))
        self._last[chosen] = self._turn
        return self._regions[chosen]


class Motion:
    """Where the picture changes: a hint where to look, nothing more, so a sparse sample is enough."""

    def __init__(self) -> None:
        self._before: Pixels | None = None
        self._moving: NDArray[np.bool_] = np.zeros((1, 1), np.bool_)
        self._change: Pixels = np.zeros((1, 1), np.uint8)
        self._noise = 0
        self._brightness = 255.0
        self._step = 1

    def update(self, picture: Picture) -> None:
        """Compare a picture with the one before it, leaving out what noise explains."""
        self._step = max(1, picture.width // 128)
        now = picture.sample(self._step).copy()
        before, self._before = self._before, now
        if before is None or before.shape != now.shape:
            self._moving, self._change = np.zeros(now.shape, np.bool_), np.zeros(now.shape, np.uint8)
            return
        self._change = change = np.maximum(now, before) - np.minimum(now, before)
        some = change[::4, ::4].ravel()  # as good a median as all of them, at a tenth of the time
        some.partition(some.size // 2)
        self._noise = int(some[some.size // 2])
        self._brightness = float(now[::4, ::4].mean())
        self._moving = change > 6 * max(1, self._noise)

    def ignore(self, tracks: Sequence[Track], interval: float) -> None:
        """Leave out the motion of known people, head and all below, within `interval` seconds."""
        for track in tracks:
            reach = _SHOULDERS * track.width + abs(track.vx) * interval
            x, top = track.x + track.vx * interval, track.y - _SHOULDERS * track.width
            left, top, right = (max(0, int(edge / self._step)) for edge in (x - reach, top, x + reach))
            self._moving[top:, left:right] = False

    @property
    def noise(self) -> float:
        """The noise of the picture, as a share of its brightness."""
        return self._noise / max(self._brightness, 1.0)

    @property
    def outside(self) -> float:
        """The share of the picture that moves, people left out."""
        return float(np.count_nonzero(self._moving)) / self._moving.size

    def cells(self, region: Region) -> tuple[slice, slice]:
        """Return a region's part of the sample; it stays the same for pictures of one size."""
        x0, y0, x1, y1 = (
            max(0, int(edge / self._step)) for edge in (region.x0, region.y0, region.x1, region.y1)
        )
        return slice(y0, y1), slice(x0, x1)

    def moving(self, cells: tuple[slice, slice]) -> float:
        """Return how much of a part of the sample moves, 0 to 1."""
        part = self._moving[cells]
        return np.count_nonzero(part) / part.size if part.size else 0.0

    def share(self, region: Region) -> float:
        """Return how much of a region moves, 0 to 1."""
        return self.moving(self.cells(region))

    @property
    def anywhere(self) -> bool:
        """Whether more than a speck moves for certain."""
        # In whole grey levels the median may be half of what it would be: good enough to say where only.
        return np.count_nonzero(self._change > 8 * (self._noise + 1)) > 0.001 * self._change.size


class Detectors:
    """The models a search looks with: `crop` for crops around a person, `room` for the rest of the room."""

    def __init__(self, vision: VisionConfig) -> None:
        """Load the models, which takes some 12 MB for each; raises `BadAsset` or `BadModel`."""
        self.vision = vision
        self.crop = FaceDetector("short", _FOLLOW_SCORE)
        self.room = FaceDetector("full", vision.threshold) if vision.model == "full" else self.crop


class Search:
    """Chooses a region and a model for every picture, and looks there once."""

    def __init__(self, detectors: Detectors) -> None:
        """Prepare to look with models that are loaded."""
        vision = detectors.vision
        self._crop_model, self._room_model = detectors.crop, detectors.room
        self._shares = _TILES[vision.model]
        self._rotations: dict[tuple[int, ...], Rotation] = {}
        self._crop = Region(0, 0, 0, 0)
        self._turn = 0
        self._interval = 1 / 30
        self._compared = -math.inf
        self._older: Picture | None = None
        self._newer: Picture | None = None
        self.motion = Motion()

    def look(self, picture: Picture, tracker: Tracker, attention: Attention, doubted: bool = False) -> Look:
        """Look once.

        Parameters
        ----------
        picture : the newest
        tracker : who is known
        attention : whom to keep in sight
        doubted : the viewer made a sudden step, which this picture should confirm
        """
        self._turn += 1
        now, viewer = picture.captured, attention.viewer
        self._take(picture)
        if viewer is None or viewer.misses or now - self._compared > _COMPARE:
            self.motion.update(picture)
            self._compared = now
            if viewer is not None:
                self.motion.ignore([viewer, *tracker.confirmed()], self._interval)
        if viewer is None:
            newcomer = tracker.unconfirmed()
            if newcomer is None:
                return self._round_the_room(picture)
            return self._around(picture, newcomer) if newcomer.misses else self._at(picture, newcomer)
        if viewer.misses:
            return self._for_lost(picture, tracker, viewer)
        return self._with_viewer(picture, tracker, viewer, attention.surveying(now), doubted)

    def _take(self, picture: Picture) -> None:
        """Note the picture, and how long ago the one before was taken."""
        older, self._newer = self._newer, picture
        self._older = None
        if older is not None and (older.width, older.height) == (picture.width, picture.height):
            self._older = older
            passed = min(max(picture.captured - older.captured, 0.0), 0.5)
            self._interval += 0.2 * (passed - self._interval)

    def _for_lost(self, picture: Picture, tracker: Tracker, viewer: Track) -> Look:
        """Look for a lost viewer where they should be, and in turn for somebody new."""
        turn = viewer.misses % (2 if self.motion.outside > _STIRS else 3)
        if turn == 1:
            return self._around(picture, viewer)
        if turn == 2:
            return self._at(picture, viewer)
        newcomer = tracker.unconfirmed()
        return self._at(picture, newcomer) if newcomer else self._round_the_room(picture)

    def _with_viewer(
        self, picture: Picture, tracker: Tracker, viewer: Track, surveying: bool, doubted: bool
    ) -> Look:
        """Look at the viewer, and now and then at somebody new, at others, or round the room."""
        now = picture.captured
        newcomer = tracker.unconfirmed() or self._newcomer(tracker, viewer, now)
        urgent = newcomer is not None and newcomer.score > _SURE and newcomer.width > _NEAR * viewer.width
        stirs, alive = self.motion.outside > _STIRS, viewer.life.alive(now)
        if stirs and not alive and not urgent and self._turn % ROUND:
            return self._round_the_room(picture)  # a picture on the wall can wait
        every = 2 if urgent or stirs or not alive else 3 if surveying else ROUND
        if viewer.pace > _BRISK:  # a walker is soon elsewhere, above all for a slow camera
            every = max(every + 1, round(2 * ROUND * self._interval / _SLOW))
        if doubted or self._turn % every:
            return self._follow(picture, viewer)
        if newcomer and (urgent or surveying):
            return self._at(picture, newcomer)
        if stirs or surveying:
            return self._round_the_room(picture)
        return self._round_others(picture, tracker, viewer)

    def _newcomer(self, tracker: Tracker, viewer: Track, now: float) -> Track | None:
        """Return the nearest person who came only just now, or walks in front of the viewer, if any."""
        new = (
            track
            for track in tracker.tracks
            if track is not viewer
            and track.misses < 2
            and (
                now - track.first < _NEW
                or (track.width > _NEARER * viewer.width and now - track.still_since < _NEW)
            )
        )
        return max(new, key=lambda track: track.width, default=None)

    def _follow(self, picture: Picture, track: Track) -> Look:
        """Look into the sticky crop: it stays while the face is near its middle, so the eyes are steady."""
        if picture.captured - track.seen > max(_AWHILE, 2.5 * self._interval):
            return self._at(picture, track)
        x, y = _middle(track, picture.captured)
        crop = self._crop
        side = crop.width
        if not _KEEP[0] * track.width <= side <= _KEEP[1] * track.width:
            side = crop_side(track.width * (1 + _STEPS * max(self._interval - _QUICK, 0.0)))
        off = max(abs(x - (crop.x0 + crop.x1) / 2), abs(y - (crop.y0 + crop.y1) / 2))
        if side != crop.width or off > _STICKY * side:
            crop = _square(picture, x + _AHEAD * track.vx, y + _AHEAD * track.vy, int(side))
            self._crop = crop
        # A face so near that its crop is as large as the picture is measured better by the model with the
        # larger input, and a visitor is seldom so near.
        near = crop.width >= min(picture.width, picture.height)
        model = self._room_model if near else self._crop_model
        return Look(model.detect(self._clear(picture, track), crop), crop, track, sharp=True)

    def _at(self, picture: Picture, track: Track) -> Look:
        """Look at somebody in a crop that holds them wherever they may have walked since they were seen."""
        x, y = _middle(track, picture.captured)
        unseen = min(max(picture.captured - track.seen, 0.0), 1.0)
        reach = unseen * (_WALKS if track.misses else max(track.pace, _SWAYS))
        region = _square(picture, x, y, crop_side(track.width * (1 + 2 * reach / _CROP)))
        if region.width > _KEEP[1] * track.width:
            return self._around(picture, track)
        return Look(self._crop_model.detect(self._clear(picture, track), region), region, track, sharp=True)

    def _around(self, picture: Picture, track: Track) -> Look:
        """Look for somebody not found, with the model that finds more, around where they should be by now."""
        x, y = _middle(track, picture.captured)
        unseen = min(max(picture.captured - track.seen, 0.0), 1.0)
        side = track.width * (_AROUND + 2 * _WALKS * unseen)
        least, most = self._shares[-1] * picture.width, self._shares[0] * picture.width
        region = _square(picture, x, y, _even(max(least, crop_side(2 * track.width), min(side, most))))
        return Look(self._room_model.detect(self._clear(picture), region), region, track)

    def _clear(self, picture: Picture, track: Track | None = None) -> Readable:
        """Return what to look at: in the dark the mean of two pictures, unless somebody walks."""
        older, noise = self._older, self.motion.noise
        stands = track is not None and track.hits > 2 and track.pace < _BRISK
        helps = noise > _DIM if stands else noise > _DARK and self._turn % 2 == 1
        return MeanPicture(picture, older) if older is not None and helps else picture

    def _round_the_room(self, picture: Picture) -> Look:
        sides = [max(picture.width, picture.height), *(_even(s * picture.width) for s in self._shares)]
        region = self._rotation(picture, sides).next(self.motion)
        return Look(self._room_model.detect(self._clear(picture), region), region)

    def _round_others(self, picture: Picture, tracker: Tracker, viewer: Track) -> Look:
        """Look at another person, or into a tile for people at the viewer's distance or twice as far."""
        now = picture.captured
        others = [
            t
            for t in tracker.tracks
            if t is not viewer and now - max(t.seen, t.sought) > (_FRESH if t.in_view(now) else _STALE)
        ]
        if others and (self._turn // ROUND % 2 or not all(t.confirmed for t in others)):
            chosen = min(others, key=lambda t: (t.confirmed, max(t.seen, t.sought)))
            chosen.sought = now
            return self._at(picture, chosen)
        side = _SIDE * min(max(1, int(7 * viewer.width / _SIDE)), 3)
        sides = [side, side - _SIDE] if side > _SIDE else [side]
        region = self._rotation(picture, sides).next(self.motion)
        return Look(self._crop_model.detect(self._clear(picture), region), region)

    def _rotation(self, picture: Picture, sides: list[int]) -> Rotation:
        key = picture.width, picture.height, *sides
        if key not in self._rotations:
            self._rotations[key] = Rotation(
                [region for side in sides for region in tiles(picture.width, picture.height, side)]
            )
        return self._rotations[key]


def _middle(track: Track, moment: float) -> tuple[float, float]:
    """Return the middle of a face: the eyes are a fifth of its width above."""
    x, y = track.at(moment)
    return x, y + 0.2 * track.width


def _square(picture: Picture, x: float, y: float, side: int) -> Region:
    """Return a square of picture around a point, on even pixels, within the picture if it fits."""

    def start(middle: float, length: int) -> int:
        first = round((middle - side / 2) / 2) * 2
        return min(max(first, 0), (length - side) // 2 * 2) if side <= length else (length - side) // 4 * 2

    left, top = start(x, picture.width), start(y, picture.height)
    return Region(left, top, left + side, top + side)


def _even(value: float) -> int:
    return max(2, round(value / 2) * 2)
