"""Gaze error on fixed walks and scenes, in both directions, against the original piece and a peer.

No portrait with rows is needed: the frames are only numbers here.
"""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from appliance.assets import home_folder
from appliance.bench.gaze_methods import (
    DISPLAY,
    FRAMES,
    LENS,
    REFRESH,
    VISION,
    GazeMethod,
    Original,
    Ours,
    Shown,
    compare_methods_on_scene,
    scatter,
    watch,
)
from appliance.bench.gaze_walks import Trial, living_trials, trials, visitor
from appliance.bench.peer import start_peer
from appliance.bench.vision import acquiring, swap_free_meetings, times
from appliance.config import GazeConfig
from appliance.gallery.body_motion import MonotoneCurve
from appliance.gallery.walks import RoomSpec, VisitorState, WalkScript
from appliance.gaze.geometry import elevation_of_point, gaze_angle_to
from appliance.pack import FrameGrid, Pack, PackInfo
from appliance.terminal import show_progress

# A way through the room: (seconds, mm to picture right, eye height above the floor in mm, mm from the wall).
Way = Sequence[tuple[float, float, float, float]]

# Heights above the floor in mm: of the sitter's eyes, and of eyes that are a child's, closer to each other.
_SITTER: Final = 1550.0
_CHILD: Final = 1300.0
# The camera hangs below the portrait and looks up a little: a lens of 66 degrees then sees all eyes between
# 1.0 and 1.9 m from 1.5 m on, and at 1 m those between 1.1 and 1.7 m.
PLACE: Final = GazeConfig(camera_up=-300.0, camera_pitch=6.0)
# The camera is not where the config says: degrees and mm.
WRONG: Final[Mapping[str, GazeConfig]] = {
    "as configured": PLACE,
    "pitch 3 degrees too high": replace(PLACE, camera_pitch=PLACE.camera_pitch + 3),
    "pitch 3 degrees too low": replace(PLACE, camera_pitch=PLACE.camera_pitch - 3),
    "50 mm too high": replace(PLACE, camera_up=PLACE.camera_up + 50),
    "50 mm too low": replace(PLACE, camera_up=PLACE.camera_up - 50),
}
# A face is in view while these distances above and below its eyes are, in mm.
_MARGIN: Final = 72.0
# A visitor stands still, and the eyes have come to rest, this many seconds after the visitor stopped.
_SETTLED: Final = 1.5
_BRIGHT: Final = RoomSpec(exposure=0.012)


def grid_pack() -> PackInfo:
    """Return a pack of 9 rows from 9.75 degrees up to 16.25 down, all but the level one with 17 columns."""
    angles = tuple(-26 + 52 * column / 32 for column in range(33))
    pitches = tuple(9.75 - 3.25 * row for row in range(9))
    steps = tuple(1 if pitch == 0 else 2 for pitch in pitches)
    grid = FrameGrid((0, 0, 64, 64), (32.0, 24.0), angles, pitches, steps, (pitches.index(0.0), 16))
    return PackInfo("", "", "", "", "", (64, 64), "", {}, (grid,))


def in_camera(point: tuple[float, float, float], place: GazeConfig) -> tuple[float, float, float]:
    """Return a point of the room in the camera's frame.

    Parameters
    ----------
    point : mm to the right of the sitter's eyes as the visitor sees it, above them, and ahead
    """
    pitch = math.radians(place.camera_pitch)
    right, up, ahead = (
        point[0] - place.camera_right,
        point[1] - place.camera_up,
        point[2] - place.camera_forward,
    )
    down, away = (
        -math.cos(pitch) * up + math.sin(pitch) * ahead,
        math.sin(pitch) * up + math.cos(pitch) * ahead,
    )
    return (right if place.mirrored else -right), down, away


def upright_trials() -> list[Trial]:
    """Return the trials, always the same: visitors of all heights come and stand, walk by, or bend."""
    found = [
        _trial(f"stands at {z / 1000:g} m, eyes at {eyes / 1000:g} m", _coming(eyes, z))
        for z in (1000.0, 2000.0, 3000.0, 4000.0)
        for eyes in (1000.0, 1300.0, 1600.0, 1900.0)
    ]
    found += [
        _trial(f"stands at 1.5 m, eyes at {eyes / 1000:g} m", _coming(eyes, 1500.0))
        for eyes in (1150.0, 1450.0, 1750.0)
    ]
    found += [
        _trial(
            f"crosses at 2 m, eyes at {eyes / 1000:g} m", [(0.3, -1500, eyes, 2000), (3.3, 1500, eyes, 2000)]
        )
        for eyes in (1100.0, 1850.0)
    ]
    comes = [(0.3, 300, 1300, 4000), (1.0, 300, 1300, 4000), (4.0, 100, 1300, 1200), (6.0, 100, 1300, 1200)]
    found.append(_trial("comes from 4 m to 1.2 m, eyes at 1.3 m", comes))
    child = [(0.3, -1700, 1150, 2200), (2.0, -200, 1150, 2000), (3.0, 0, 1150, 1700), (6.0, 0, 1150, 1700)]
    found.append(_trial("a child comes", child))
    label = [(0.3, 1100, 1650, 1300), (1.6, 250, 1650, 1200), (4.0, 250, 1650, 1200), (4.9, 330, 1270, 1050)]
    label += [(8.0, 330, 1270, 1050), (8.9, 250, 1650, 1200), (11.5, 250, 1650, 1200)]
    found.append(_trial("bends to read the label", label))
    return found


def bench_heights(trials: Sequence[Trial] | None = None) -> dict[str, Any]:
    """Return the figures of every trial, and over all of them also with the camera's place wrong."""
    pooled: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in WRONG}
    changes = dict.fromkeys(WRONG, 0)
    rows: dict[str, Any] = {}
    chosen = upright_trials() if trials is None else trials
    for trial in show_progress(chosen, len(chosen), "heights"):
        for name, (errors, changed) in run_upright(trial).items():
            pooled[name].append(errors)
            changes[name] += changed
            if name == "as configured":
                rows[trial.name] = _figures(errors, changed)
    every = {name: _figures(np.concatenate(pooled[name]), changes[name]) for name in WRONG}
    return {"pitches": grid_pack().main.pitches, "trials": rows, "all": every}


def run_upright(trial: Trial) -> dict[str, tuple[np.ndarray[Any, Any], int]]:
    """Run the appliance over a trial, with the camera's place right and wrong.

    Returns
    -------
    For each place the errors at all refreshes at which the visitor is in view and within the grid's range,
    of shape (refreshes, 2), in degrees aside and up; and how often the row changed while they stood still.
    """
    pack = grid_pack()
    rules: dict[str, GazeMethod] = {name: Ours(trial, pack, place) for name, place in WRONG.items()}
    watch(trial, rules.values())
    refreshes = [k / REFRESH for k in range(int((trial.walk.duration - DISPLAY) * REFRESH))]
    there = [trial.walk.people_at(refresh + DISPLAY) for refresh in refreshes]
    truth = [_truth(people, pack.main) for people in there]
    still = _still(there)
    found = {}
    for name, rule in rules.items():
        shown = [rule.shown(refresh) for refresh in refreshes]
        errors = [_error(each, true) for each, true in zip(shown, truth, strict=True) if true is not None]
        changed = sum(still[k] and shown[k].row != shown[k - 1].row for k in range(1, len(shown)))
        found[name] = np.array(errors).reshape(-1, 2), changed
    return found


def _figures(errors: np.ndarray[Any, Any], changes: int) -> dict[str, Any]:
    if not len(errors):
        return {"within_range_seconds": 0.0, "still_row_changes": changes}
    aside, up = errors.mean(axis=0)
    return {
        "vertical_mean_degrees": round(float(up), 3),
        "vertical_p95_degrees": round(float(np.percentile(errors[:, 1], 95)), 3),
        "horizontal_mean_degrees": round(float(aside), 3),
        "still_row_changes": changes,
        "within_range_seconds": round(len(errors) / REFRESH, 1),
    }


def _truth(people: Sequence[VisitorState], grid: FrameGrid) -> tuple[float, float] | None:
    """Return the direction to the visitor; None while out of view or beyond the grid's range."""
    for person in people:
        point = person.x_mm, person.y_mm, person.z_mm
        x, y = LENS.project(*point)
        margin = _MARGIN * LENS.focal / person.z_mm
        up, aside = elevation_of_point(*point, PLACE), gaze_angle_to(*point, PLACE)
        if (
            margin < x < LENS.width - margin
            and margin < y < LENS.height - margin
            and grid.pitches[-1] <= up <= grid.pitches[0]
        ):
            return aside, up
    return None


def _error(shown: Shown, true: tuple[float, float]) -> tuple[float, float]:
    return abs(shown.angle - true[0]), abs(shown.pitch - true[1])


def _still(there: Sequence[Sequence[VisitorState]]) -> list[bool]:
    """Tell at which refreshes the visitor has stood still for long enough."""
    standing, found = 0.0, []
    for people in there:
        stands = (
            bool(people) and max(abs(people[0].vx_mm_s), abs(people[0].vy_mm_s), abs(people[0].vz_mm_s)) < 1
        )
        standing = standing + 1 / REFRESH if stands else 0.0
        found.append(standing > _SETTLED)
    return found


def _coming(eyes: float, z: float) -> Way:
    """Return the path of a visitor: in from the side at 1 m/s, then a stand of some seconds."""
    x, edge = 0.12 * z, 0.65 * z + 200
    arrived = 0.3 + (edge - x) / 1000
    return [(0.3, edge, eyes, z), (arrived, x, eyes, z), (arrived + 4.5, x, eyes, z)]


def _trial(name: str, way: Way) -> Trial:
    keys, down = [], []
    for time, right, eyes, ahead in way:
        x, y, z = in_camera((right, eyes - _SITTER, ahead), PLACE)
        keys.append((time, x, z))
        down.append(y)
    child = max(eyes for _, _, eyes, _ in way) < _CHILD
    person = visitor("visitor", keys, len(name), eyes=52.0 if child else 63.0)
    person = replace(person, y=MonotoneCurve.through(person.x.times, tuple(down)), life=1.0)
    return Trial(name, WalkScript(name, way[-1][0], _BRIGHT, (person,), ((0.0, "visitor"),)), latency=0.05)


FAR: Final = 1200.0
# Time after which a visitor counts as standing still, and the eyes as resting on them, in seconds.


@dataclass
class GazeRun:
    """The result of a method on one walk: an entry per refresh at which somebody was to be followed."""

    errors: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    still_changes: int = 0
    acquired: float | None = None
    frame: int = 0

    def note(self, frame: int, error: float, right: bool, still: bool, since: float) -> None:
        """Note a refresh; `since` is how long the right person has been in view, in seconds."""
        self.still_changes += still and frame != self.frame
        self.frame = frame
        self.errors.append(error)
        self.right.append(right)
        if right and self.acquired is None:
            self.acquired = since

    def report(self, still: float) -> dict[str, Any]:
        """Return the figures, in degrees and seconds; `still` seconds somebody stood still."""
        return {
            "mean_degrees": round(float(np.mean(self.errors)), 3),
            "p95_degrees": round(float(np.percentile(self.errors, 95)), 3),
            "still_changes": self.still_changes,
            "still_changes_per_second": round(self.still_changes / still, 3) if still else None,
            "acquire_seconds": None if self.acquired is None else round(self.acquired, 3),
            "right_person": round(float(np.mean(self.right)), 4),
        }


def bench_gaze(say: Callable[[str], None], peer: bool = False) -> dict[str, Any]:
    """Return gaze errors per walk and scene and in all, how the viewer is found and kept, and at what cost.

    With `peer`, scenes are run with MediaPipe too, which is installed first if need be (some 100 MB).
    """
    pack = Pack(home_folder() / "frames" / "sconosciuta").info
    walks: dict[str, Any] = {}
    pooled: list[tuple[float, float, float]] = []
    chosen = trials()
    say(f"gaze: {len(chosen)} walks")
    for trial in show_progress(chosen, len(chosen), "walks"):
        walks[trial.name], errors = run_trial(trial, pack)
        pooled += errors
    scenes, reason = _scenes(pack, peer, say)
    say("gaze: visitors of all heights")
    heights = bench_heights()
    say("gaze: acquiring, meeting, timing, scatter")
    return {
        "assumed": {"vision_ms": 1000 * VISION, "display_ms": 1000 * DISPLAY, "refresh_hz": REFRESH},
        "walks": walks,
        "all": summary(pooled),
        "still_changes": sum(row["ours"]["still_changes"] for row in walks.values()),
        "peer": reason,
        "scenes": scenes,
        "all scenes": over_scenes(scenes),
        "heights": heights,
        "acquire": acquiring(pack),
        "meetings": swap_free_meetings(pack),
        "time": times(pack),
        "scatter": scatter(),
    }


def _scenes(pack: PackInfo, peer: bool, say: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """Return the figures of all scenes, and which peer took part, or why none."""
    with contextlib.ExitStack() as stack:
        other, reason = start_peer(stack, peer, say)
        chosen = living_trials()
        say(f"gaze: {len(chosen)} scenes")
        rows = show_progress(chosen, len(chosen), "scenes")
        return {trial.name: compare_methods_on_scene(trial, pack, other) for trial in rows}, reason


def over_scenes(scenes: dict[str, Any]) -> dict[str, Any]:
    """Return each rule's means over the scenes that say whom to look at."""
    alone = [row for row in scenes.values() if "needed_changes_per_second" in row]
    return {
        rule: {
            name: round(float(np.mean([row[rule][name] for row in alone])), 3)
            for name in ("mean_degrees", "within_6_degrees")
        }
        for rule in ("ours", "original", "peer")
        if all(rule in row for row in alone)
    }


def summary(pooled: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """Compare the rules over refreshes: (ours, original's error in degrees, the viewer's distance in mm)."""
    rows = np.array(pooled)
    out = {}
    for name, part in (("everywhere", rows), ("beyond 1.2 m", rows[rows[:, 2] > FAR])):
        ours, original = part[:, 0].mean(), part[:, 1].mean()
        out[name] = {
            "ours_degrees": round(float(ours), 3),
            "original_degrees": round(float(original), 3),
            "ratio": round(float(ours / original), 4),
            "ours_p95_degrees": round(float(np.percentile(part[:, 0], 95)), 3),
        }
    return out


def run_trial(trial: Trial, pack: PackInfo) -> tuple[dict[str, Any], list[tuple[float, float, float]]]:
    """Run both rules over one walk; return its row, and errors and distance at every refresh."""
    ours, original = Ours(trial, pack), Original(trial)
    watch(trial, (ours, original))
    runs = {"ours": GazeRun(frame=pack.main.rest), "original": GazeRun(frame=FRAMES // 2)}
    errors, still_for, came, still_time, who = [], 0.0, None, 0.0, ""
    for k in range(int(trial.walk.duration * REFRESH)):
        refresh = k / REFRESH
        lit = refresh + DISPLAY
        pair = ours.shown(refresh), original.shown(refresh)
        target = trial.walk.followed_at(lit, LENS) if lit < trial.walk.duration else None
        if target is None:
            came, still_for = None, 0.0
            continue
        came = lit if came is None else came
        standing = abs(target.vx_mm_s) + abs(target.vz_mm_s) < 1 and target.who == who
        still_for, who = still_for + 1 / REFRESH if standing else 0.0, target.who
        still = still_for > _SETTLED
        still_time += still / REFRESH
        true = gaze_angle_to(target.x_mm, target.y_mm, target.z_mm, GazeConfig())
        ours_error, original_error = (abs(shown.angle - true) for shown in pair)
        for run, shown, error in zip(runs.values(), pair, (ours_error, original_error), strict=True):
            run.note(shown.frame, error, _is_right(shown, trial, target), still, lit - came)
        errors.append((ours_error, original_error, target.z_mm))
    row = {name: run.report(still_time) for name, run in runs.items()}
    ratio = row["ours"]["mean_degrees"] / row["original"]["mean_degrees"]
    return {"title": trial.walk.title, **row, "ratio": round(ratio, 4)}, errors


def _is_right(shown: Shown, trial: Trial, target: VisitorState) -> bool:
    """Tell whether the eyes found in a picture are those of the visitor who should be followed."""
    if shown.x is None:
        return False
    there = trial.walk.people_at(shown.captured)
    x = shown.x

    def away(visitor: VisitorState) -> float:
        return abs(LENS.project(visitor.x_mm, visitor.y_mm, visitor.z_mm)[0] - x)

    nearest = min(there, key=away, default=None)
    return (
        nearest is not None and nearest.who == target.who and away(nearest) < LENS.focal * 150 / nearest.z_mm
    )
