"""The rules that are compared: each sees the pictures of a walk, and says what it shows at every refresh.

Time is simulated: a picture arrives its latency after it was taken and is understood `VISION` later;
what is chosen at a refresh leaves the screen `DISPLAY` later.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

import numpy as np

from appliance.bench.peer import Peer
from appliance.bench.walks import Trial
from appliance.camera.base import RgbPicture
from appliance.camera.gallery import GalleryCamera
from appliance.camera.lens import Lens
from appliance.config import Config, GazeConfig
from appliance.gaze.controller import GazeController
from appliance.gaze.geometry import original_frame
from appliance.gaze.target import GazeTarget, frames_for
from appliance.pack import PackInfo
from appliance.vision.blazeface import FaceDetector

LENS: Final = Lens(640, 360, 66.0)
REFRESH: Final = 60.0
# From a picture's arrival to its aim, and from a refresh to its light: assumed of all rules, in seconds.
VISION: Final = 0.015
DISPLAY: Final = 0.02
FRAMES: Final = 33
# The original piece looks at the newest picture whenever its timer fires, in seconds.
_TIMER: Final = 0.04
# The peer has 101 places. It looks every 50 ms with MediaPipe's full-range model, goes by the median of the
# last 5 boxes, and moves by at most 5 places per picture; until it is there it does not look.
_PEER_PLACES: Final = 101
_PEER_LOOKS: Final = 0.05
_PEER_MEDIAN: Final = 5
_PEER_STEP: Final = 5
_PEER_THRESHOLD: Final = 0.5

T = TypeVar("T")


def settings(shared: bool = False, living: bool = False) -> Config:
    """Return the default settings for a walk.

    Parameters
    ----------
    shared : whether the visitors share the attention
    living : whether they sway and turn; if not they are photographs, which must not be taken for pictures
    """
    config = Config()
    after = config.tracking.fixture_after if living else 0.0
    return replace(config, tracking=replace(config.tracking, share=shared, fixture_after=after))


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame and its angle in degrees; chosen by eyes at `x` of the picture taken at `captured`, if any.

    `frame` is a column of the grid; `row` is its row, and `pitch` that row's, in degrees.
    """

    frame: int
    angle: float
    captured: float = -math.inf
    x: float | None = None
    row: int = 0
    pitch: float = 0.0


class Rule(Protocol):
    """Sees pictures one after the other, and then says what it shows at one refresh after the other."""

    def see(self, picture: RgbPicture) -> None:
        """Look at a picture, or leave it."""

    def shown(self, refresh: float) -> Shown:
        """Return what is chosen at a refresh, in seconds after the first picture."""


class Ours:
    """The appliance."""

    def __init__(self, trial: Trial, pack: PackInfo, place: GazeConfig | None = None) -> None:
        """Load the models, with the camera at a `place`; raises `BadAsset` or `BadModel`."""
        living = any(person.life for person in trial.walk.people)
        config = settings(trial.shared, living)
        self._config, self._pack, self._latency = (
            replace(config, gaze=place or config.gaze),
            pack,
            trial.latency,
        )
        self._controller = GazeController(self._config)
        self._frames = tuple(grid.rest for grid in pack.sitters)
        self._targets: list[tuple[float, GazeTarget]] = []

    def see(self, picture: RgbPicture) -> None:
        """Aim."""
        ready = picture.captured + self._latency + VISION
        target = self._controller.see(picture, LENS.horizontal_fov, self._pack, ready + DISPLAY)
        self._targets.append((ready, target))

    def shown(self, refresh: float) -> Shown:
        """Return the frame for the newest target."""
        target = _newest(self._targets, refresh)
        lit = refresh + DISPLAY
        self._frames = frames_for(target, lit, self._frames, self._config.tracking, self._pack)
        main = self._pack.main
        row, column = main.place(self._frames[0])
        shown = Shown(column, main.angles[column], row=row, pitch=main.pitches[row])
        if target is None:
            return shown
        return replace(shown, captured=target.captured, x=target.viewer.x if target.viewer else None)


class _ByColumn:
    """A rule that goes by a face's column in the picture: each of its places looks to where one column is."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._place = places // 2
        self._rest = self._at(-math.inf, None)
        self._chosen: list[tuple[float, Shown]] = []

    def shown(self, refresh: float) -> Shown:
        """Return the newest choice."""
        return _newest(self._chosen, refresh) or self._rest

    def _at(self, captured: float, x: float | None) -> Shown:
        return Shown(self._place, column_angle(self._place, self._places), captured, x)


def column_angle(place: int, places: int) -> float:
    """Return the angle in degrees to the column of the picture that a place stands for, mirrored."""
    return -LENS.angle(LENS.width * (1 - place / (places - 1)))


class Original(_ByColumn):
    """The 2020 piece: the first face of the whole picture; without one the frame stays."""

    def __init__(self, trial: Trial) -> None:
        """Load the model; raises `BadAsset` or `BadModel`."""
        super().__init__(FRAMES)
        self._trial, self._detector, self._ticks = trial, FaceDetector("short", 0.5), 0

    def see(self, picture: RgbPicture) -> None:
        """Look, if the timer's next tick finds this picture to be the newest."""
        arrived = picture.captured + self._trial.latency
        tick = max(self._ticks, math.ceil(arrived / _TIMER))
        if tick * _TIMER >= arrived + 1 / self._trial.rate:
            return
        self._ticks = tick + 1
        faces, x = self._detector.detect(picture), None
        if faces:
            x = faces[0].eye_midpoint[0]
            self._place = original_frame(x, picture.width, FRAMES)
        self._chosen.append((tick * _TIMER + VISION, self._at(picture.captured, x)))


class MedianOfFive(_ByColumn):
    """The peer: MediaPipe's full-range detection, the median of five, and steps of limited size."""

    def __init__(self, trial: Trial, peer: Peer) -> None:
        super().__init__(_PEER_PLACES)
        self._latency, self._peer, self._next = trial.latency, peer, -math.inf
        self._centres: deque[float] = deque(maxlen=_PEER_MEDIAN)
        self._goal = self._place

    def see(self, picture: RgbPicture) -> None:
        """Take a step towards the goal, or, being there, look for another one."""
        if self._goal != self._place:
            self._place += min(max(self._goal - self._place, -_PEER_STEP), _PEER_STEP)
            ready = picture.captured + self._latency + VISION
            self._chosen.append((ready, self._at(picture.captured, None)))
        elif picture.captured >= self._next - 1e-9:
            self._next = picture.captured + _PEER_LOOKS
            for face in self._peer.detect("full", picture.rgb(), _PEER_THRESHOLD):
                centre = (face.box[0] + face.box[2]) / 2 / picture.width
                self._centres.append((1 - centre) * (_PEER_PLACES - 1))
                self._goal = min(max(round(float(np.median(self._centres))), 0), _PEER_PLACES - 1)
                if self._goal != self._place:
                    break


def watch(trial: Trial, rules: Collection[Rule]) -> None:
    """Let the rules see a walk's pictures."""
    camera = GalleryCamera(
        trial.walk, LENS.width, LENS.height, trial.rate, LENS.horizontal_fov, trial.latency, pace=False
    )
    with camera:
        for _ in range(int(trial.walk.duration * trial.rate)):
            picture = camera.newest()
            for rule in rules:
                rule.see(picture)


def _newest(rows: Sequence[tuple[float, T]], moment: float) -> T | None:
    i = bisect_right(rows, moment, key=lambda row: row[0])
    return rows[i - 1][1] if i else None
