"""Where to look next: the whole picture, a tile, or a crop around the viewer; one look per picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.camera.averaging import Pixels, Region
from appliance.camera.base import MeanPicture, Picture, Readable
from appliance.config import VisionConfig
from appliance.tracking.attention import Attention
from appliance.tracking.tracker import Track, Tracker
from appliance.vision.blazeface import Face, FaceDetector

# The short model's input side: crops that are whole multiples of it are read fastest.
_SIDE: Final = 128
# The smallest crop, in face widths; what it may become before it is chosen anew; how far from its
# middle the face may go, as a share of it.
_CROP: Final = 2.6
_KEEP: Final = (2.2, 5.5)
_STICKY: Final = 0.13
# A crop is this much larger for each second between two pictures over .05, so that a person who sets off
# at 1.2 m/s (8 face widths per second) is still in it.
_STEPS: Final = 6.0
# A look around somebody who was not found covers this many face widths, and more the longer they are unseen.
_AROUND: Final = 5.2
# Seconds of motion a crop is placed ahead of who walks.
_AHEAD: Final = 0.1
# Sides of tiles as shares of the picture's width, after the whole picture: the last finds faces of 2 %
# of it, the ones before have less noise in the dark.
_TILES: Final = {"full": (9 / 16, 3 / 8), "short": (2 / 5, 1 / 5)}
_OVERLAP: Final = 1 / 6
# While somebody is followed, one look in so many goes round the rest of the room.
ROUND: Final = 4
# A score is enough to go on following; a newcomer needs more.
_FOLLOW_SCORE: Final = 0.4
_MOTION_WEIGHT: Final = 200.0
# Share of the picture that moves, beside everybody known, from which on a newcomer is looked for: a face
# at 5 m with its shoulders is some 40 of 9,000 samples.
_STIRS: Final = 0.003
# Above this pace in face widths per second the viewer walks; the interval of a slow camera, in seconds.
_BRISK: Final = 1.5
_SLOW: Final = 0.1
# From this share of noise in the brightness on two pictures are averaged to see a person who stands, and in
# every other look for anybody else, because the mean blurs walkers. Rooms have .03, dim ones .17, dark .35.
_DIM: Final = 0.1
_DARK: Final = 0.22
# Seconds between two looks at somebody who is not the viewer, and at the last place of somebody lost.
_FRESH: Final = 0.3
_STALE: Final = 1.5
# Seconds between two looks at what moves while somebody is followed.
_COMPARE: Final = 0.12
# Half of a person's width, and how far their head reaches above the eyes, in face widths.
_SHOULDERS: Final = 1.8
# A new face with this score, that is not much farther than the viewer, is looked at again at once; it is
# new for some seconds, and a nearer one for some seconds after each step.
_SURE: Final = 0.7
_NEAR: Final = 0.7
_NEARER: Final = 1.2
_NEW: Final = 1.5
# How far a person may walk unseen, in face widths per second: 1.2 m/s; and how far if they stood.
_WALKS: Final = 8.0
_SWAYS: Final = 0.5
# After this many seconds unseen a person may have left a crop around their last place.
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


class Search:
    """Chooses a region and a model for every picture, and looks there once."""

    def __init__(self, vision: VisionConfig) -> None:
        """Load the models; raises `BadAsset` or `BadModel`."""
        self._crop_model = FaceDetector("short", _FOLLOW_SCORE)
        full = vision.model == "full"
        self._room_model = FaceDetector("full", vision.threshold) if full else self._crop_model
        self._shares = _TILES[vision.model]
        self._rotations: dict[tuple[int, ...], Rotation] = {}
        self._crop = Region(0, 0, 0, 0)
        self._turn = 0
        self._interval = 1 / 30
        self._before = math.inf
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
        self._older, self._newer = self._newer, picture
        if self._older is not None and (
            self._older.width != picture.width or self._older.height != picture.height
        ):
            self._older = None
        self._interval += 0.2 * (min(max(picture.captured - self._before, 0.0), 0.5) - self._interval)
        self._before = picture.captured
        viewer = attention.viewer
        if viewer is None or viewer.misses or picture.captured - self._compared > _COMPARE:
            self.motion.update(picture)
            self._compared = picture.captured
            if viewer is not None:
                self.motion.ignore([viewer, *tracker.confirmed()], self._interval)
        newcomer = tracker.unconfirmed()
        if viewer is None:
            if newcomer:
                return self._around(picture, newcomer) if newcomer.misses else self._at(picture, newcomer)
            return self._round_the_room(picture)
        now = picture.captured
        stirs = self.motion.outside > _STIRS
        if viewer.misses:
            turn = viewer.misses % (2 if stirs else 3)
            if turn == 0:
                return self._at(picture, newcomer) if newcomer else self._round_the_room(picture)
            return self._around(picture, viewer) if turn == 1 else self._at(picture, viewer)
        newcomer = newcomer or self._newcomer(tracker, viewer, now)
        urgent = newcomer is not None and newcomer.score > _SURE and newcomer.width > _NEAR * viewer.width
        surveying = attention.surveying(now)
        every = 2 if urgent or stirs or not viewer.life.alive(now) else 3 if surveying else ROUND
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
            side = crop_side(track.width * (1 + _STEPS * max(self._interval - 0.05, 0.0)))
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
        """Look at somebody else known, or at a tile for who is as near as the viewer, or half as near."""
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
