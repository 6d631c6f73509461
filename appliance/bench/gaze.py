"""Gaze error on fixed walks and scenes: the appliance against the original piece's rule and a peer."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from appliance.assets import home
from appliance.bench.following import acquiring, meetings, times
from appliance.bench.heights import bench_heights
from appliance.bench.living import living_trials
from appliance.bench.peer import start_peer
from appliance.bench.rules import DISPLAY, FRAMES, LENS, REFRESH, VISION, Original, Ours, Shown, watch
from appliance.bench.scatter import scatter
from appliance.bench.visits import run_scene
from appliance.bench.walks import Trial, trials
from appliance.camera.walks import Visitor
from appliance.config import GazeConfig
from appliance.gaze.geometry import angle_to
from appliance.pack import Pack, PackInfo
from appliance.progress import progress

FAR: Final = 1200.0
# A visitor counts as standing still, and the eyes as come to rest on them, after so many seconds.
_SETTLED: Final = 1.5


@dataclass
class Track:
    """What one rule did on one walk: an entry per display refresh at which somebody was to be followed."""

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
    pack = Pack(home() / "frames" / "sconosciuta").info
    walks: dict[str, Any] = {}
    pooled: list[tuple[float, float, float]] = []
    chosen = trials()
    say(f"gaze: {len(chosen)} walks")
    for trial in progress(chosen, len(chosen), "walks"):
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
        "meetings": meetings(pack),
        "time": times(pack),
        "scatter": scatter(),
    }


def _scenes(pack: PackInfo, peer: bool, say: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """Return the figures of all scenes, and which peer took part, or why none."""
    with contextlib.ExitStack() as stack:
        other, reason = start_peer(stack, peer, say)
        chosen = living_trials()
        say(f"gaze: {len(chosen)} scenes")
        rows = progress(chosen, len(chosen), "scenes")
        return {trial.name: run_scene(trial, pack, other) for trial in rows}, reason


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
    tracks = {"ours": Track(frame=pack.main.rest), "original": Track(frame=FRAMES // 2)}
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
        true = angle_to(target.x_mm, target.y_mm, target.z_mm, GazeConfig())
        ours_error, original_error = (abs(shown.angle - true) for shown in pair)
        for track, shown, error in zip(tracks.values(), pair, (ours_error, original_error), strict=True):
            track.note(shown.frame, error, _is_right(shown, trial, target), still, lit - came)
        errors.append((ours_error, original_error, target.z_mm))
    row = {name: track.report(still_time) for name, track in tracks.items()}
    ratio = row["ours"]["mean_degrees"] / row["original"]["mean_degrees"]
    return {"title": trial.walk.title, **row, "ratio": round(ratio, 4)}, errors


def _is_right(shown: Shown, trial: Trial, target: Visitor) -> bool:
    """Tell whether the eyes found in a picture are those of the visitor who should be followed."""
    if shown.x is None:
        return False
    there = trial.walk.people_at(shown.captured)
    x = shown.x

    def away(visitor: Visitor) -> float:
        return abs(LENS.project(visitor.x_mm, visitor.y_mm, visitor.z_mm)[0] - x)

    nearest = min(there, key=away, default=None)
    return (
        nearest is not None and nearest.who == target.who and away(nearest) < LENS.focal * 150 / nearest.z_mm
    )
