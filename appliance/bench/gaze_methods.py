"""Gaze methods that are compared on a walk, and what visitors get from each: error, trembling, who is met.

On the gallery's living figures BlazeFace's eye points must scatter as on filmed people, within 1.5 times,
because a filter tuned on figures that hold still fails on people.

Time is simulated: a picture arrives its latency after it was taken and is understood `VISION` later. The
light of a frame leaves the screen `DISPLAY` after the frame was chosen.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.bench.gaze_walks import FACES, Trial, visitor
from appliance.bench.peer import Peer
from appliance.camera.base import Picture, RgbPicture
from appliance.camera.lens import Lens
from appliance.camera.sampling import Region
from appliance.config import Config, GazeConfig
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.figures import Point
from appliance.gallery.renderer import GalleryRenderer
from appliance.gallery.walks import RoomSpec, VisitorState, WalkScript
from appliance.gaze.geometry import (
    Direction,
    fractional_index,
    frame_of_original_piece,
    gaze_angle_to,
    gaze_pitch_to,
)
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import GazeTarget, frames_for
from appliance.pack import FrameGrid, PackInfo
from appliance.tracking.filters import apply_hysteresis
from appliance.tracking.search_regions import crop_side
from appliance.vision.blazeface import FaceDetector


@dataclass(frozen=True, slots=True)
class Scatter:
    """Standard deviation of where the eyes are found, less where they are, in millimetres across.

    `step` is that of a change from one picture to the next, divided by the root of two, so that it is
    also what noise alone would give; `spread` is that over seconds.
    """

    step: float
    spread: float


# By distance in metres: the mean over five filmed people, who nod, talk and turn up to 16 degrees. They
# were cut out of their films and put into a room, swaying, with the lens, noise, places and seconds of below.
FILMED: Final = {1: Scatter(0.32, 1.17), 2: Scatter(0.46, 1.29), 3: Scatter(0.66, 1.20)}
TIMES_FILMED: Final = 1.5

_LENS: Final = Lens(640, 360, 66.0)
_RATE: Final = 30.0
_SECONDS: Final = 12.0
# A little apart, because the error depends on where a face falls on the model's grid.
PLACES: Final = tuple(-300.0 + 61 * place for place in range(6))
# Width of BlazeFace's box, in eye distances.
_FACE: Final = 2.3


def scatter_of(
    sights: Iterable[tuple[Picture, Point]], eye_distance: float, focal: float, z_mm: float
) -> Scatter:
    """Measure one standing person, in the crop that the search would choose.

    Parameters
    ----------
    sights : pictures one after the other, each with the true eye midpoint in its pixels
    eye_distance : in pixels
    focal : of the lens, in pixels
    z_mm : how far away the person is
    """
    detector = FaceDetector("short", 0.4)
    side, crop, errors = crop_side(_FACE * eye_distance), None, []
    for picture, (x, y) in sights:
        if crop is None:
            left, top = (round((v - side / 2) / 2) * 2 for v in (x, y + 0.2 * _FACE * eye_distance))
            crop = Region(left, top, left + side, top + side)
        found = [face.eye_midpoint[0] - x for face in detector.detect(picture, crop)]
        errors.append(min(found, key=abs, default=math.nan))
    error = np.array(errors) * z_mm / focal
    return Scatter(float(np.nanstd(np.diff(error))) / math.sqrt(2), float(np.nanstd(error)))


def gallery_scatter(distance: int, places: Sequence[float] = PLACES) -> Scatter:
    """Return the mean over the gallery's living figures at a distance in metres."""
    z_mm, found = distance * 1000.0, []
    for face in range(len(FACES)):
        for number, right in enumerate(places):
            keys = [(0.0, right, z_mm), (60.0, right, z_mm)]
            person = replace(visitor(f"visitor {number}", keys, face, mirrored=number % 2 == 1), life=1.0)
            walk = WalkScript("stands", 60.0, RoomSpec(), (person,))
            eye_distance = _LENS.focal * person.eye_distance_mm / z_mm
            found.append(scatter_of(_sights(walk), eye_distance, _LENS.focal, z_mm))
    step, spread = np.mean([(each.step, each.spread) for each in found], axis=0)
    return Scatter(float(step), float(spread))


def _sights(walk: WalkScript) -> Iterator[tuple[Picture, Point]]:
    room = GalleryRenderer(walk, _LENS)
    for number in range(round(_SECONDS * _RATE)):
        time = number / _RATE
        (there,) = walk.people_at(time)
        picture = RgbPicture(room.draw(time, number), time, number)
        yield picture, _LENS.project(there.x_mm, there.y_mm, there.z_mm)


def scatter() -> dict[str, Any]:
    """Return the scatter on the gallery's figures and on film by distance, in mm, and how they compare."""
    rows: dict[str, Any] = {}
    for distance, filmed in FILMED.items():
        ours = gallery_scatter(distance)
        rows[f"at {distance} m"] = {
            "gallery_step_mm": round(ours.step, 3),
            "filmed_step_mm": filmed.step,
            "gallery_spread_mm": round(ours.spread, 3),
            "filmed_spread_mm": filmed.spread,
            "ratio": round(max(ours.step / filmed.step, ours.spread / filmed.spread), 3),
        }
    return rows


_STEP = 0.02

# The viewer's place at a moment, seen from the sitter; None when there is nobody to follow.
Truth = Callable[[float], Direction | None]


@dataclass(frozen=True, slots=True)
class GazeErrorSummary:
    """Gaze error in degrees in one direction, over the moments somebody could be followed.

    `seconds` is the sum of these moments. `reachable` is the median where the viewer stood within the
    sitter's outermost gaze angles in this direction.
    """

    median: float
    p95: float
    reachable: float
    seconds: float


def true_direction(camera: GalleryCamera, config: Config) -> Truth:
    """Return the truth: moment -> degrees to picture right and up from the sitter to whom it should follow.

    None where the camera sees nobody's eyes.
    """

    def direction(moment: float) -> Direction | None:
        viewer = camera.followed_at(moment)
        if viewer is None:
            return None
        point = viewer.x_mm, viewer.y_mm, viewer.z_mm
        return gaze_angle_to(*point, config.gaze), gaze_pitch_to(*point, config.gaze)

    return direction


def direction_of(grid: FrameGrid, number: int) -> Direction:
    """Return where the sitter looks in a frame: degrees to picture right and up."""
    row, column = grid.place(number)
    return grid.angles[column], grid.pitches[row]


def gaze_error(
    flips: Sequence[tuple[float, int]], grid: FrameGrid, truth: Truth, start: float, end: float
) -> tuple[GazeErrorSummary, GazeErrorSummary]:
    """Compare what was lit with the truth, 50 times a second.

    Parameters
    ----------
    flips : (monotonic seconds, number of the frame) of every flip, in order
    grid : the sitter's frames
    start, end : monotonic seconds; the first flip lies before `start`

    Returns
    -------
    The error sideways, and that up and down.
    """
    moments = [moment for moment, _ in flips]
    there, lit = [], []
    for t in np.arange(start, end, _STEP):
        wanted = truth(float(t))
        if wanted is not None and (i := bisect_right(moments, t)):
            there.append(wanted)
            lit.append(direction_of(grid, flips[i - 1][1]))
    if not there:
        nothing = GazeErrorSummary(math.nan, math.nan, math.nan, 0.0)
        return nothing, nothing
    wanted_there = np.array(there)
    errors = np.abs(np.array(lit) - wanted_there)
    ends = (grid.angles[0], grid.angles[-1]), (grid.pitches[-1], grid.pitches[0])
    aside, up = (
        _figures(errors[:, axis], (low <= wanted_there[:, axis]) & (wanted_there[:, axis] <= high))
        for axis, (low, high) in enumerate(ends)
    )
    return aside, up


def _figures(errors: NDArray[np.float64], within: NDArray[np.bool_]) -> GazeErrorSummary:
    median, p95 = np.percentile(errors, [50, 95])
    reachable = float(np.median(errors[within])) if within.any() else math.nan
    return GazeErrorSummary(float(median), float(p95), reachable, len(errors) * _STEP)


LENS: Final = Lens(640, 360, 66.0)
REFRESH: Final = 60.0
# From a picture's arrival to its target, and from a refresh to its light: assumed of all rules, in seconds.
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


class GazeMethod(Protocol):
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
            self._place = frame_of_original_piece(x, picture.width, FRAMES)
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
            for face in self._peer.detect("full", picture.to_rgb(), _PEER_THRESHOLD):
                centre = (face.box[0] + face.box[2]) / 2 / picture.width
                self._centres.append((1 - centre) * (_PEER_PLACES - 1))
                self._goal = min(max(round(float(np.median(self._centres))), 0), _PEER_PLACES - 1)
                if self._goal != self._place:
                    break


def watch(trial: Trial, rules: Collection[GazeMethod]) -> None:
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


# Largest gaze error, in degrees, at which the eyes count as on a person: visitors still feel looked at.
ON: Final = 6.0
# A face counts as in view while so much around its eyes is, in mm: to the sides, and above and below.
_MARGIN: Final = (90.0, 72.0)
# A person slower than this, in mm/s, counts as standing. The eyes come to rest within this many seconds.
_STANDS: Final = 60.0
_SETTLED: Final = 1.5
# A change of frame is a reversal if it goes back on the previous change within this many seconds.
_REVERSAL: Final = 1.0
# Whoever is looked at for a shorter time, in seconds, was only passed over.
_PASSED: Final = 0.25


@dataclass(frozen=True, slots=True)
class Moment:
    """The truth at a refresh: the angle to everybody in view in degrees, who of them stands, whom to follow.

    `wanted` is None where the scene leaves it to the rule, or where that person is not in view.
    """

    angles: Mapping[str, float]
    standing: frozenset[str]
    wanted: str | None


def compare_methods_on_scene(trial: Trial, pack: PackInfo, peer: Peer | None = None) -> dict[str, Any]:
    """Run all rules over a scene; return the figures of each, and the changes that the truth needs."""
    rules: dict[str, GazeMethod] = {"ours": Ours(trial, pack), "original": Original(trial)}
    if peer:
        rules["peer"] = MedianOfFive(trial, peer)
    watch(trial, rules.values())
    refreshes = [k / REFRESH for k in range(int((trial.walk.duration - DISPLAY) * REFRESH))]
    moments = [moment_of(trial, refresh + DISPLAY) for refresh in refreshes]
    row: dict[str, Any] = {"pictures_per_second": trial.rate}
    if not trial.shared:
        needed = figures(moments, _needed(moments, pack), shared=False)
        row["needed_changes_per_second"] = needed["changes_per_second"]
    for name, rule in rules.items():
        row[name] = figures(moments, [rule.shown(refresh) for refresh in refreshes], trial.shared)
    return row


def moment_of(trial: Trial, time: float) -> Moment:
    """Return the truth, `time` seconds after the first picture."""
    living = {person.who for person in trial.walk.people if person.kind == "person"}
    there = [v for v in trial.walk.people_at(time) if v.who in living and _in_view(v)]
    wanted = next((who for begins, who in reversed(trial.walk.follow) if begins <= time), None)
    return Moment(
        {v.who: gaze_angle_to(v.x_mm, v.y_mm, v.z_mm, GazeConfig()) for v in there},
        frozenset(v.who for v in there if math.hypot(v.vx_mm_s, v.vz_mm_s) < _STANDS),
        wanted if wanted in {v.who for v in there} else None,
    )


def figures(moments: Sequence[Moment], shown: Sequence[Shown], shared: bool) -> dict[str, Any]:
    """Return the figures of what was shown, in degrees and seconds; None where there are none."""
    targets = [_target(moment, each, shared) for moment, each in zip(moments, shown, strict=True)]
    errors = np.array(
        [
            math.nan if target is None else abs(each.angle - moment.angles[target])
            for moment, each, target in zip(moments, shown, targets, strict=True)
        ]
    )
    on = errors < ON
    counted, rests = ~np.isnan(errors), _rests(moments, targets)
    still = sum(map(len, rests)) / REFRESH
    changes, reversals = trembling([each.frame for each in shown], rests)
    out = {
        "mean_degrees": round(float(errors[counted].mean()), 3) if counted.any() else None,
        f"within_{ON:g}_degrees": round(float(on[counted].mean()), 4) if counted.any() else None,
        "changes_per_second": round(changes / still, 3) if still > 1 else None,
        "reversals_per_second": round(reversals / still, 3) if still > 1 else None,
    }
    if not shared:
        return out | {"acquire_seconds": _acquired(targets, on.tolist())}
    return out | _turns(moments, [who if hit else None for who, hit in zip(targets, on, strict=True)])


def _turns(moments: Sequence[Moment], looks: Sequence[str | None]) -> dict[str, Any]:
    """Return how the looks were shared: seconds from somebody's coming to the first, and without any."""
    first, longest = {}, 0
    for who in dict.fromkeys(who for moment in moments for who in moment.angles):
        here = [look == who for look, moment in zip(looks, moments, strict=True) if who in moment.angles]
        first[who] = round(here.index(True) / REFRESH, 2) if any(here) else None
        longest = max(longest, *(len(list(rows)) * (not looked) for looked, rows in groupby(here)))
    minutes = sum(bool(moment.angles) for moment in moments) / REFRESH / 60
    return {
        "viewer_changes_per_minute": round(viewer_changes(looks) / minutes, 1),
        "first_look_seconds": first,
        "longest_wait_seconds": round(longest / REFRESH, 2),
    }


def trembling(frames: Sequence[int], rests: Sequence[range]) -> tuple[int, int]:
    """Count changes of frame during spans of refreshes, and those that undo the one before too soon."""
    changes = reversals = 0
    for rest in rests:
        steps = [(k, frames[k] - frames[k - 1]) for k in rest[1:] if frames[k] != frames[k - 1]]
        changes += len(steps)
        reversals += sum(
            one * other < 0 and k - before < _REVERSAL * REFRESH
            for (before, one), (k, other) in pairwise(steps)
        )
    return changes, reversals


def viewer_changes(looks: Sequence[str | None]) -> int:
    """Count how often somebody else is looked at for more than a moment; `looks` has a row per refresh."""
    spans = _spans(look for look in looks if look is not None)
    seen = [who for who, span in spans if len(span) > _PASSED * REFRESH]
    return sum(one != other for one, other in pairwise(seen))


def _in_view(visitor: VisitorState) -> bool:
    x, y = LENS.project(visitor.x_mm, visitor.y_mm, visitor.z_mm)
    aside, above = (margin * LENS.focal / visitor.z_mm for margin in _MARGIN)
    return aside < x < LENS.width - aside and above < y < LENS.height - above


def _target(moment: Moment, shown: Shown, shared: bool) -> str | None:
    """Return whom the eyes should be on: whom the scene wants, or, shared, whoever is nearest to them."""
    if not shared:
        return moment.wanted
    return min(moment.angles, key=lambda who: abs(moment.angles[who] - shown.angle), default=None)


def _spans(people: Iterable[str | None]) -> Iterator[tuple[str, range]]:
    """Yield who it is for how long: the same person, and the span of rows."""
    begins = 0
    for who, rows in groupby(people):
        ends = begins + len(list(rows))
        if who is not None:
            yield who, range(begins, ends)
        begins = ends


def _rests(moments: Sequence[Moment], targets: Sequence[str | None]) -> list[range]:
    """Return the refreshes at which one target has stood long enough for the eyes to be at rest."""
    pairs = zip(moments, targets, strict=True)
    standing = (target if target in moment.standing else None for moment, target in pairs)
    return [span[round(_SETTLED * REFRESH) :] for _, span in _spans(standing)]


def _acquired(targets: Sequence[str | None], on: Sequence[bool]) -> float | None:
    """Return the longest time from a target's coming until the eyes are on it; None if they never were."""
    longest = 0
    for _, span in _spans(targets):
        first = next((k for k in span if on[k]), None)
        if first is None:
            return None
        longest = max(longest, first - span.start)
    return round(longest / REFRESH, 3)


def _needed(moments: Sequence[Moment], pack: PackInfo) -> list[Shown]:
    """Return what would be shown at the true angles, with the hysteresis of the appliance."""
    frame, shown = pack.main.rest, []
    for moment in moments:
        if moment.wanted is not None:
            position = fractional_index(moment.angles[moment.wanted], pack.main.angles)
            frame = apply_hysteresis(position, frame, settings().tracking.hysteresis, len(pack.main.angles))
        shown.append(Shown(frame, pack.main.angles[frame]))
    return shown
