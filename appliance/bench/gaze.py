"""Gaze error on fixed walks: the appliance against the original piece's rule, in the same run."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from appliance.assets import home
from appliance.bench.following import acquiring, meetings, times
from appliance.bench.walks import Trial, trials
from appliance.camera.base import RgbPicture
from appliance.camera.gallery import GalleryCamera
from appliance.camera.lens import Lens
from appliance.camera.walks import Visitor
from appliance.config import Config, GazeConfig
from appliance.gaze.controller import GazeController
from appliance.gaze.geometry import angle_to, original_frame
from appliance.gaze.target import GazeTarget, frame_for
from appliance.pack import Pack, PackInfo
from appliance.progress import progress
from appliance.vision.blazeface import FaceDetector

REFRESH: Final = 60.0
# From a picture's arrival to its aim, and from a refresh to its light: assumed of both, in seconds.
VISION: Final = 0.015
DISPLAY: Final = 0.02
# The original piece looks at the newest picture whenever its timer fires, in seconds.
TIMER: Final = 0.04
FRAMES: Final = 33
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


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What a rule knew from one picture: ready when, what to show, and the eyes' x it goes by."""

    ready: float
    captured: float
    aim: GazeTarget | None
    frame: int
    x: float | None


def bench_gaze(say: Callable[[str], None]) -> dict[str, Any]:
    """Return gaze errors per walk and in all, and how the viewer is found and kept, and at what cost."""
    pack = Pack(home() / "frames" / "sconosciuta").info
    walks: dict[str, Any] = {}
    pooled: list[tuple[float, float, float]] = []
    chosen = trials()
    say(f"gaze: {len(chosen)} walks")
    for trial in progress(chosen, len(chosen), "walks"):
        walks[trial.name], errors = run_trial(trial, pack)
        pooled += errors
    say("gaze: acquiring, meeting, timing")
    return {
        "assumed": {"vision_ms": 1000 * VISION, "display_ms": 1000 * DISPLAY, "refresh_hz": REFRESH},
        "walks": walks,
        "all": summary(pooled),
        "still_changes": sum(row["ours"]["still_changes"] for row in walks.values()),
        "acquire": acquiring(pack),
        "meetings": meetings(pack),
        "time": times(pack),
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
    config = Config()
    camera = GalleryCamera(trial.walk, rate=trial.rate, latency=trial.latency, pace=False)
    lens = Lens(config.camera.width, config.camera.height, camera.horizontal_fov)
    ours, original = _look(trial, camera, config, pack)
    tracks = {"ours": Track(frame=pack.resting), "original": Track(frame=FRAMES // 2)}
    shown, errors, still_for, came, still_time, who = pack.resting, [], 0.0, None, 0.0, ""
    for k in range(int(trial.walk.duration * REFRESH)):
        refresh = k / REFRESH
        lit = refresh + DISPLAY
        seen, blind = _newest(ours, refresh), _newest(original, refresh)
        shown = frame_for(seen.aim if seen else None, lit, shown, config.tracking, pack)
        target = trial.walk.followed_at(lit, lens) if lit < trial.walk.duration else None
        if target is None:
            came, still_for = None, 0.0
            tracks["ours"].frame = shown
            continue
        came = lit if came is None else came
        standing = abs(target.vx_mm_s) + abs(target.vz_mm_s) < 1 and target.who == who
        still_for, who = still_for + 1 / REFRESH if standing else 0.0, target.who
        still = still_for > _SETTLED
        still_time += still / REFRESH
        true = angle_to(target.x_mm, target.y_mm, target.z_mm, GazeConfig())
        frame = blind.frame if blind else FRAMES // 2
        pair = abs(pack.angles[shown] - true), abs(_original_angle(frame, lens) - true)
        for track, glimpse, index, error in zip(
            tracks.values(), (seen, blind), (shown, frame), pair, strict=True
        ):
            right = glimpse is not None and _is_right(glimpse, trial, target, lens)
            track.note(index, error, right, still, lit - came)
        errors.append((*pair, target.z_mm))
    row = {name: track.report(still_time) for name, track in tracks.items()}
    ratio = row["ours"]["mean_degrees"] / row["original"]["mean_degrees"]
    return {"title": trial.walk.title, **row, "ratio": round(ratio, 4)}, errors


def _look(
    trial: Trial, camera: GalleryCamera, config: Config, pack: PackInfo
) -> tuple[list[Glimpse], list[Glimpse]]:
    """Return what both rules know from the walk's pictures, in the order in which it is ready."""
    follower, detector = GazeController(config), FaceDetector("short", 0.5)
    ours: list[Glimpse] = []
    original: list[Glimpse] = []
    ticks, frame = 0, FRAMES // 2
    with camera:
        for _ in range(int(trial.walk.duration * trial.rate)):
            picture = camera.newest()
            arrived = picture.captured + trial.latency
            lit = arrived + VISION + DISPLAY
            aim = follower.see(picture, camera.horizontal_fov, pack, lit)
            x = aim.viewer.x if aim.viewer else None
            ours.append(Glimpse(arrived + VISION, picture.captured, aim, 0, x))
            # The timer's next tick sees this picture, unless the next picture comes before it.
            tick = max(ticks, math.ceil(arrived / TIMER))
            if tick * TIMER < arrived + 1 / trial.rate:
                ticks = tick + 1
                frame, x = _original(detector, picture, frame)
                original.append(Glimpse(tick * TIMER + VISION, picture.captured, None, frame, x))
    return ours, original


def _original(detector: FaceDetector, picture: RgbPicture, frame: int) -> tuple[int, float | None]:
    """Follow the original's rule: the first face of the whole picture; without one the frame stays."""
    faces = detector.detect(picture)
    if not faces:
        return frame, None
    x = faces[0].eye_midpoint[0]
    return original_frame(x, picture.width, FRAMES), x


def _newest(glimpses: list[Glimpse], moment: float) -> Glimpse | None:
    i = bisect_right(glimpses, moment, key=lambda glimpse: glimpse.ready)
    return glimpses[i - 1] if i else None


def _original_angle(frame: int, lens: Lens) -> float:
    return -lens.angle(lens.width * (1 - frame / (FRAMES - 1)))


def _is_right(glimpse: Glimpse, trial: Trial, target: Visitor, lens: Lens) -> bool:
    """Tell whether the eyes found in a picture are those of the visitor who should be followed."""
    if glimpse.x is None:
        return False
    there = trial.walk.people_at(glimpse.captured)
    x = glimpse.x

    def away(visitor: Visitor) -> float:
        return abs(lens.project(visitor.x_mm, visitor.y_mm, visitor.z_mm)[0] - x)

    nearest = min(there, key=away, default=None)
    return (
        nearest is not None and nearest.who == target.who and away(nearest) < lens.focal * 150 / nearest.z_mm
    )
