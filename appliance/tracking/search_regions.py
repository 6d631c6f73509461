"""Choose where to detect faces in a picture: in all of it, in a tile, or in a crop around a person.

One region is searched per picture, because a detector takes several milliseconds on a Pi.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.camera.base import MeanPicture, Picture, ReadablePicture
from appliance.camera.sampling import Pixels, Region
from appliance.config import VisionConfig
from appliance.tracking.liveness import MIDDLE_BELOW_EYES
from appliance.tracking.tracker import Track, Tracker
from appliance.tracking.viewer_choice import ViewerSelector
from appliance.vision.blazeface import Face, FaceDetector

# Input side of the short model, in pixels: crops of whole multiples of it are read fastest.
_MODEL_SIDE: Final = 128
# Smallest side of a crop, in face widths: BlazeFace's points move when the edges are nearer (bench gaze).
_CROP_WIDTHS: Final = 2.6
# A crop keeps its side while that lies between these, in face widths (origin unknown).
_KEPT_CROP_WIDTHS: Final = (2.2, 5.5)
# Distance of a face from the crop's middle at which it moves, as a fraction of its side (origin unknown).
_CROP_DEAD_ZONE: Final = 0.13
# Enlargement of a crop for each second between pictures beyond `_QUICK_INTERVAL`, as a fraction: it then
# still holds a person who starts to walk at 1.2 m/s (8 face widths/s).
_CROP_GROWTH: Final = 6.0
# Interval between pictures up to which a crop is not enlarged, in seconds: its margin is enough.
_QUICK_INTERVAL: Final = 0.05
# Side of the region around somebody who was not found, in face widths (guess: twice a crop).
_WIDE_CROP_WIDTHS: Final = 5.2
# Time of a walker's motion by which a crop is placed ahead, in seconds: about that to cross half of it.
_CROP_LEAD: Final = 0.1
# Sides of tiles as fractions of the picture's width, besides the whole picture: the smallest finds faces of
# 2% of the width, the larger ones have less noise in the dark.
_TILE_SIDES: Final = {"full": (9 / 16, 3 / 8), "short": (2 / 5, 1 / 5)}
# Overlap of neighbouring tiles as a fraction of their side: a face at 5 m lies whole in one of them.
_TILE_OVERLAP: Final = 1 / 6
# While somebody is followed, one picture in this many is searched elsewhere (origin unknown).
ROOM_SCAN_EVERY: Final = 4
# Smallest score of an expected face; new ones need `vision.threshold` (origin unknown).
_FOLLOW_SCORE: Final = 0.4
_MOTION_WEIGHT: Final = 200.0  # weight of motion in the choice of the next tile (tuned on bench gaze)
# Share of the picture that moves, besides the known people, from which new people are looked for: head and
# shoulders at 5 m are about 40 of 9,000 samples.
_STIRRED_SHARE: Final = 0.003
# Pace above which somebody walks, in face widths per second: standing people on the films stay below 1.
_WALKING_PACE: Final = 1.5
# Interval of pictures at which seven of eight are searched for a walker, in seconds (origin unknown).
_SLOW_INTERVAL: Final = 0.1
# Noise, as a fraction of brightness, from which pictures of standing people are averaged: lit rooms have
# 0.03, dim ones 0.17.
_DIM_NOISE: Final = 0.1
# The same for others, in every second picture because the mean blurs walkers: dark rooms have 0.35.
_DARK_NOISE: Final = 0.22
# Time between two observations of somebody in view who is not the viewer, in seconds (origin unknown).
_OTHERS_INTERVAL: Final = 0.3
# The same at the last place of somebody who was lost, in seconds (origin unknown).
_LOST_INTERVAL: Final = 1.5
# Time between two measurements of motion while somebody is followed, in seconds: one costs 0.1 ms.
_MOTION_INTERVAL: Final = 0.12
# Half of a person's width, and the height of the head above the eyes, in face widths (origin unknown).
_BODY_WIDTHS: Final = 1.8
_URGENT_SCORE: Final = 0.7  # score from which a new face is observed again at once (origin unknown)
# Smallest width of such a face, as a fraction of the viewer's: people farther away can wait.
_URGENT_WIDTH: Final = 0.7
# A walking person whose face is this many times wider than the viewer's counts as new (origin unknown).
_NEARER_RATIO: Final = 1.2
_NEW_TIME: Final = 1.5  # time for which a face is new, in seconds (origin unknown)
_UNSEEN_WALK_PACE: Final = 8.0  # pace of an unseen walking person, in face widths per second: 1.2 m/s
_UNSEEN_SWAY_PACE: Final = 0.5  # pace of an unseen standing person, in face widths per second: they may sway
# Time unseen after which a person may have left the kept crop, in seconds (origin unknown).
_CROP_MEMORY: Final = 0.2


@dataclass(frozen=True, slots=True)
class Observation:
    """The faces found in one region of a picture, in picture pixels.

    `sought` is the track that the region was chosen for, if any. `sharp` is whether it is a crop around that
    person, which measures their eyes best.
    """

    faces: list[Face]
    region: Region
    sought: Track | None = None
    sharp: bool = False


def overlapping_tiles(width: int, height: int, side: int) -> list[Region]:
    """Cover a picture with overlapping squares of a side in pixels, on even pixels."""
    step = side * (1 - _TILE_OVERLAP)

    def starts(length: int) -> list[int]:
        if length <= side:
            return [(length - side) // 4 * 2]
        number = math.ceil((length - side) / step) + 1
        return [round((length - side) * i / (number - 1) / 2) * 2 for i in range(number)]

    return [Region(x, y, x + side, y + side) for y in starts(height) for x in starts(width)]


def crop_side(face_width: float) -> int:
    """Return the side of the crop for a face, in pixels: half the model's input, or whole multiples."""
    wanted = _CROP_WIDTHS * face_width
    return _MODEL_SIDE // 2 if wanted <= _MODEL_SIDE // 2 else _MODEL_SIDE * math.ceil(wanted / _MODEL_SIDE)


class RoundRobin:
    """Takes turns among regions; a region where something moves comes sooner."""

    def __init__(self, regions: list[Region]) -> None:
        self._regions = regions
        self._cells: list[tuple[slice, slice]] = []
        self._last = [0] * len(regions)
        self._turn = 0

    def next(self, motion: "MotionMap") -> Region:
        """Return the region that waited longest; motion in a region multiplies its wait."""
        self._turn += 1
        self._cells = self._cells or [motion.cells_of(region) for region in self._regions]
        waits = [
            (self._turn - last) * (1 + _MOTION_WEIGHT * motion.moving_share(cells))
            for cells, last in zip(self._cells, self._last, strict=True)
        ]
        chosen = waits.index(max(waits))
        self._last[chosen] = self._turn
        return self._regions[chosen]


class MotionMap:
    """The places where the picture changes: hints where to search, so that a sparse sample is enough."""

    def __init__(self) -> None:
        self._before: Pixels | None = None
        self._moving: NDArray[np.bool_] = np.zeros((1, 1), np.bool_)
        self._change: Pixels = np.zeros((1, 1), np.uint8)
        self._noise = 0
        self._brightness = 255.0
        self._step = 1

    def update(self, picture: Picture) -> None:
        """Compare a picture with the one before; changes that noise explains do not count."""
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
        """Ignore the motion of known people, from the head downwards, within `interval` seconds."""
        for track in tracks:
            reach = _BODY_WIDTHS * track.width + abs(track.vx) * interval
            x, top = track.x + track.vx * interval, track.y - _BODY_WIDTHS * track.width
            left, top, right = (max(0, int(edge / self._step)) for edge in (x - reach, top, x + reach))
            self._moving[top:, left:right] = False

    @property
    def noise(self) -> float:
        """The noise of the picture as a fraction of its brightness."""
        return self._noise / max(self._brightness, 1.0)

    @property
    def moving_elsewhere(self) -> float:
        """The share of the picture that moves, without the people ignored."""
        return float(np.count_nonzero(self._moving)) / self._moving.size

    def cells_of(self, region: Region) -> tuple[slice, slice]:
        """Return the part of the sample that is a region; it depends on the picture's size only."""
        edges = region.x0, region.y0, region.x1, region.y1
        x0, y0, x1, y1 = (max(0, int(edge / self._step)) for edge in edges)
        return slice(y0, y1), slice(x0, x1)

    def moving_share(self, cells: tuple[slice, slice]) -> float:
        """Return how much of a part of the sample moves, 0 to 1."""
        part = self._moving[cells]
        return np.count_nonzero(part) / part.size if part.size else 0.0

    def moving_share_of(self, region: Region) -> float:
        """Return how much of a region moves, 0 to 1."""
        return self.moving_share(self.cells_of(region))

    @property
    def certain_motion(self) -> bool:
        """Whether something certainly moves, and more than a speck."""
        # The median in whole grey levels may be half of the true one: a higher bound than in `update`.
        return np.count_nonzero(self._change > 8 * (self._noise + 1)) > 0.001 * self._change.size


class Detectors:
    """The detectors: `crop` for crops around a person, `room` for the rest of the room."""

    def __init__(self, vision: VisionConfig) -> None:
        """Load the models, about 12 MB each; raises `BadAsset`, `BadModel` or `NoRuntime`."""
        self.vision, full = vision, vision.model == "full"
        self.crop = FaceDetector("short", _FOLLOW_SCORE, vision.runtime)
        self.room = FaceDetector("full", vision.threshold, vision.runtime) if full else self.crop


class RegionScheduler:
    """Chooses a region and a model for each picture, and detects faces there."""

    def __init__(self, detectors: Detectors) -> None:
        vision = detectors.vision
        self._crop_model, self._room_model = detectors.crop, detectors.room
        self._shares = _TILE_SIDES[vision.model]
        self._rotations: dict[tuple[int, ...], RoundRobin] = {}
        self._crop = Region(0, 0, 0, 0)
        self._turn = 0
        self._interval = 1 / 30
        self._compared = -math.inf
        self._older: Picture | None = None
        self._newer: Picture | None = None
        self.motion = MotionMap()

    def observe(
        self, picture: Picture, tracker: Tracker, selector: ViewerSelector, doubted: bool = False
    ) -> Observation:
        """Detect faces in one region of the newest picture; the selector's viewer is to be kept in sight.

        `doubted` is whether the viewer made a sudden step, which this picture should confirm.
        """
        self._turn += 1
        now, viewer = picture.captured, selector.viewer
        self._note_picture(picture)
        if viewer is None or viewer.misses or now - self._compared > _MOTION_INTERVAL:
            self.motion.update(picture)
            self._compared = now
            if viewer is not None:
                self.motion.ignore([viewer, *tracker.confirmed()], self._interval)
        if viewer is None:
            newcomer = tracker.tentative()
            if newcomer is None:
                return self._scan_room(picture)
            look = self._look_around if newcomer.misses else self._look_at
            return look(picture, newcomer)
        if viewer.misses:
            return self._look_for_lost(picture, tracker, viewer)
        return self._look_with_viewer(picture, tracker, viewer, selector.is_surveying(now), doubted)

    def _note_picture(self, picture: Picture) -> None:
        """Keep the picture, and update the mean interval between pictures."""
        older, self._newer = self._newer, picture
        self._older = None
        if older is not None and (older.width, older.height) == (picture.width, picture.height):
            self._older = older
            passed = min(max(picture.captured - older.captured, 0.0), 0.5)
            self._interval += 0.2 * (passed - self._interval)

    def _look_for_lost(self, picture: Picture, tracker: Tracker, viewer: Track) -> Observation:
        """Look for a lost viewer in their expected place, and every few pictures for somebody new."""
        turn = viewer.misses % (2 if self.motion.moving_elsewhere > _STIRRED_SHARE else 3)
        if turn == 1:
            return self._look_around(picture, viewer)
        if turn == 2:
            return self._look_at(picture, viewer)
        newcomer = tracker.tentative()
        return self._look_at(picture, newcomer) if newcomer else self._scan_room(picture)

    def _look_with_viewer(
        self, picture: Picture, tracker: Tracker, viewer: Track, surveying: bool, doubted: bool
    ) -> Observation:
        """Look at the viewer, and every few pictures at somebody new, at others, or elsewhere in the room."""
        now = picture.captured
        newcomer = tracker.tentative() or self._newcomer(tracker, viewer, now)
        urgent = (
            newcomer is not None
            and newcomer.score > _URGENT_SCORE
            and newcomer.width > _URGENT_WIDTH * viewer.width
        )
        stirs, alive = self.motion.moving_elsewhere > _STIRRED_SHARE, viewer.life.is_alive(now)
        if stirs and not alive and not urgent and self._turn % ROOM_SCAN_EVERY:
            return self._scan_room(picture)  # a picture on the wall can wait
        every = 2 if urgent or stirs or not alive else 3 if surveying else ROOM_SCAN_EVERY
        if viewer.pace > _WALKING_PACE:  # a walker moves far between two pictures, above all of a slow camera
            every = max(every + 1, round(2 * ROOM_SCAN_EVERY * self._interval / _SLOW_INTERVAL))
        if doubted or self._turn % every:
            return self._look_into_crop(picture, viewer)
        if newcomer and (urgent or surveying):
            return self._look_at(picture, newcomer)
        if stirs or surveying:
            return self._scan_room(picture)
        return self._look_at_others(picture, tracker, viewer)

    def _newcomer(self, tracker: Tracker, viewer: Track, now: float) -> Track | None:
        """Return the nearest person who is new or walks in front of the viewer, if any."""
        new = (
            track
            for track in tracker.tracks
            if track is not viewer
            and track.misses < 2
            and (
                now - track.first < _NEW_TIME
                or (track.width > _NEARER_RATIO * viewer.width and now - track.still_since < _NEW_TIME)
            )
        )
        return max(new, key=lambda track: track.width, default=None)

    def _look_into_crop(self, picture: Picture, track: Track) -> Observation:
        """Look into the viewer's crop; it moves as rarely as possible, which keeps the eyes steady."""
        if picture.captured - track.seen > max(_CROP_MEMORY, 2.5 * self._interval):
            return self._look_at(picture, track)
        x, y = _face_middle(track, picture.captured)
        crop = self._crop
        side = crop.width
        if not _KEPT_CROP_WIDTHS[0] * track.width <= side <= _KEPT_CROP_WIDTHS[1] * track.width:
            side = crop_side(track.width * (1 + _CROP_GROWTH * max(self._interval - _QUICK_INTERVAL, 0.0)))
        off = max(abs(x - (crop.x0 + crop.x1) / 2), abs(y - (crop.y0 + crop.y1) / 2))
        if side != crop.width or off > _CROP_DEAD_ZONE * side:
            crop = _square_around(picture, x + _CROP_LEAD * track.vx, y + _CROP_LEAD * track.vy, int(side))
            self._crop = crop
        # In a crop as large as the picture, the larger model measures better; few visitors come so near.
        near = crop.width >= min(picture.width, picture.height)
        model = self._room_model if near else self._crop_model
        return Observation(model.detect(self._denoised(picture, track), crop), crop, track, sharp=True)

    def _look_at(self, picture: Picture, track: Track) -> Observation:
        """Look at a person in a crop that is large enough for how far they may have walked unseen."""
        x, y = _face_middle(track, picture.captured)
        unseen = min(max(picture.captured - track.seen, 0.0), 1.0)
        reach = unseen * (_UNSEEN_WALK_PACE if track.misses else max(track.pace, _UNSEEN_SWAY_PACE))
        region = _square_around(picture, x, y, crop_side(track.width * (1 + 2 * reach / _CROP_WIDTHS)))
        if region.width > _KEPT_CROP_WIDTHS[1] * track.width:
            return self._look_around(picture, track)
        faces = self._crop_model.detect(self._denoised(picture, track), region)
        return Observation(faces, region, track, sharp=True)

    def _look_around(self, picture: Picture, track: Track) -> Observation:
        """Look around the expected place of a person who was not found, with the model for the room."""
        x, y = _face_middle(track, picture.captured)
        unseen = min(max(picture.captured - track.seen, 0.0), 1.0)
        side = track.width * (_WIDE_CROP_WIDTHS + 2 * _UNSEEN_WALK_PACE * unseen)
        least, most = self._shares[-1] * picture.width, self._shares[0] * picture.width
        region = _square_around(picture, x, y, _even(max(least, crop_side(2 * track.width), min(side, most))))
        return Observation(self._room_model.detect(self._denoised(picture), region), region, track)

    def _denoised(self, picture: Picture, track: Track | None = None) -> ReadablePicture:
        """Return the picture, or in the dark the mean of the last two, unless the person walks."""
        older, noise = self._older, self.motion.noise
        stands = track is not None and track.hits > 2 and track.pace < _WALKING_PACE
        helps = noise > _DIM_NOISE if stands else noise > _DARK_NOISE and self._turn % 2 == 1
        return MeanPicture(picture, older) if older is not None and helps else picture

    def _scan_room(self, picture: Picture) -> Observation:
        sides = [max(picture.width, picture.height), *(_even(s * picture.width) for s in self._shares)]
        region = self._round_robin(picture, sides).next(self.motion)
        return Observation(self._room_model.detect(self._denoised(picture), region), region)

    def _look_at_others(self, picture: Picture, tracker: Tracker, viewer: Track) -> Observation:
        """Look at another person, or into a tile for people at the viewer's distance or twice as far."""
        now = picture.captured
        others = [
            t
            for t in tracker.tracks
            if t is not viewer
            and now - max(t.seen, t.sought) > (_OTHERS_INTERVAL if t.in_view(now) else _LOST_INTERVAL)
        ]
        if others and (self._turn // ROOM_SCAN_EVERY % 2 or not all(t.confirmed for t in others)):
            chosen = min(others, key=lambda t: (t.confirmed, max(t.seen, t.sought)))
            chosen.sought = now
            return self._look_at(picture, chosen)
        side = _MODEL_SIDE * min(max(1, int(7 * viewer.width / _MODEL_SIDE)), 3)
        sides = [side, side - _MODEL_SIDE] if side > _MODEL_SIDE else [side]
        region = self._round_robin(picture, sides).next(self.motion)
        return Observation(self._crop_model.detect(self._denoised(picture), region), region)

    def _round_robin(self, picture: Picture, sides: list[int]) -> RoundRobin:
        key = picture.width, picture.height, *sides
        if key not in self._rotations:
            tiles = [overlapping_tiles(picture.width, picture.height, side) for side in sides]
            self._rotations[key] = RoundRobin(list(chain.from_iterable(tiles)))
        return self._rotations[key]


def _face_middle(track: Track, moment: float) -> tuple[float, float]:
    """Return the expected middle of a track's face at a moment, in picture pixels."""
    x, y = track.position_at(moment)
    return x, y + MIDDLE_BELOW_EYES * track.width


def _square_around(picture: Picture, x: float, y: float, side: int) -> Region:
    """Return a square region around a point, on even pixels, inside the picture if it fits."""

    def start(middle: float, length: int) -> int:
        first = round((middle - side / 2) / 2) * 2
        return min(max(first, 0), (length - side) // 2 * 2) if side <= length else (length - side) // 4 * 2

    left, top = start(x, picture.width), start(y, picture.height)
    return Region(left, top, left + side, top + side)


def _even(value: float) -> int:
    return max(2, round(value / 2) * 2)
