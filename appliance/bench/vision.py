"""The speed at which faces are found, and how quickly and faithfully one viewer is followed."""

import contextlib
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from appliance.bench.gaze_methods import LENS, settings
from appliance.bench.gaze_walks import ASTRONAUT, NOISY, meeting, scene, standing, to_yuv, visitor
from appliance.bench.peer import start_peer
from appliance.camera.base import Picture, RgbPicture, YuvPicture
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import VisitorState, WalkScript
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import GazeTarget
from appliance.pack import PackInfo
from appliance.vision.blazeface import MODEL_SPECS, FaceDetector
from appliance.vision.runtime import TfliteModel, find_interpreter, importable_runtimes

SIZES: Final = ((640, 480), (640, 360))
BURST: Final = 5
_SHARE: Final = 0.25
# Measured before counting: caches, lazy imports and the peer's graph settle.
_WARM_UP: Final = 3

# Required of the short model on 640x480 RGB, at most: time as a multiple of the fastest bare invoke.
TO_RAW: Final = 1.40
# Required of both models on 640x480 RGB, at most: time as a multiple of MediaPipe's.
TO_PEER: Final = 0.90

_KINDS: Final = ("short", "full")

Run = Callable[[], list[float]]


def bench_vision(rounds: int = 100, peer: bool = False, say: Callable[[str], object] = str) -> dict[str, Any]:
    """Measure detection from picture to faces, with every runtime that can be imported.

    Every case runs once per round, in an order drawn anew, so that whatever else the machine does
    hits all alike. CPU time counts, for MediaPipe its elapsed time where that is less. Compare ratios, not
    times: each round gives one of every kind, by the best time of each case in it, and their median is what
    counts. The bare invoke of a ratio is that of the fastest runtime. Against the peer, a process of its
    own, both run in bursts of `BURST`. All runtimes, and MediaPipe's own, use XNNPACK on one thread.

    Parameters
    ----------
    rounds : at least 1
    peer : also measure MediaPipe, installing it first if need be (some 100 MB)
    say : receives a line before each long step

    Returns
    -------
    `auto`: the runtime that "auto" takes; `fastest`: for each model the one with the fastest bare invoke;
    `cases`: median and 10th percentile in ms for each case; `ratios`: the median of the rounds' and
    that of the 10th percentiles; `required`: what is asked of `auto` and whether it holds; `peer`: its
    version, or why not.

    Raises
    ------
    BadAsset, BadModel, NoRuntime
        If the models or photographs were not fetched, or no runtime is installed.
    """
    pictures = {size: scene(ASTRONAUT, size, _SHARE, (0.5, 0.5)) for size in SIZES}
    cases: dict[str, Run] = {}
    ratios: dict[str, tuple[str, str]] = {}
    find_interpreter()  # raises NoRuntime
    runtimes = importable_runtimes()
    with contextlib.ExitStack() as stack:
        other, reason = start_peer(stack, peer, say)
        for kind, runtime in itertools.product(_KINDS, runtimes):
            detector = FaceDetector(kind, runtime=runtime)
            cases[f"{kind} raw invoke, {runtime}"] = _timed(detector.model.run)
            for (width, height), pixels in pictures.items():
                size = f"{width}x{height}"
                rgb = RgbPicture(pixels, 0.0, 0)
                forms: dict[str, Picture] = {"RGB": rgb, "YUV420": YuvPicture(*to_yuv(pixels), 0.0, 0)}
                for name, picture in forms.items():
                    case = f"{kind} {size} {name}, {runtime}"
                    cases[case] = _timed(partial(detector.detect, picture))
                    ratios[f"{case} / raw invoke"] = (case, f"{kind} raw invoke")
                if other:
                    ours, theirs = (
                        f"{kind} {size} RGB in bursts, {runtime}",
                        f"{kind} {size} MediaPipe in bursts",
                    )
                    cases[ours] = _timed(partial(detector.detect, rgb), BURST)
                    cases[theirs] = partial(other.seconds, kind, pixels, BURST)
                    ratios[f"{kind} {size} RGB, {runtime} / MediaPipe"] = (ours, theirs)
        say(f"measuring {len(cases)} cases in {rounds} rounds")
        times = _measure(cases, rounds)
    fastest = {
        kind: min(runtimes, key=lambda name: _tenth(times[f"{kind} raw invoke, {name}"])) for kind in _KINDS
    }
    for kind, runtime in fastest.items():
        times[f"{kind} raw invoke"] = times[f"{kind} raw invoke, {runtime}"]
    auto = {"auto": runtimes[0], "fastest": fastest}
    return auto | _report(times, ratios, rounds, reason, runtimes[0])


def _timed(function: Callable[[], object], count: int = 1) -> Run:
    def run() -> list[float]:
        seconds = []
        for _ in range(count):
            seconds.append(_seconds(function))
        return seconds

    return run


def _measure(cases: dict[str, Run], rounds: int) -> dict[str, list[list[float]]]:
    times: dict[str, list[list[float]]] = {name: [] for name in cases}
    order = random.Random(0)
    for number in range(-_WARM_UP, rounds):
        for name in order.sample(list(cases), len(cases)):
            seconds = cases[name]()
            if number >= 0:
                times[name].append(seconds)
    return times


def _tenth(bursts: list[list[float]]) -> float:
    """Return the 10th percentile of all times."""
    values = sorted(value for burst in bursts for value in burst)
    return values[len(values) // 10]


def _report(
    times: dict[str, list[list[float]]],
    ratios: dict[str, tuple[str, str]],
    rounds: int,
    peer: str,
    auto: str,
) -> dict[str, Any]:
    stats = {
        name: {
            "median": statistics.median(value for burst in bursts for value in burst),
            "p10": _tenth(bursts),
        }
        for name, bursts in times.items()
    }
    found = {}
    for name, (one, two) in ratios.items():
        paired = [min(a) / min(b) for a, b in zip(times[one], times[two], strict=True)]
        tenths = stats[one]["p10"] / stats[two]["p10"]
        found[name] = {"median": round(statistics.median(paired), 3), "p10": round(tenths, 3)}
    required = {
        f"short 640x480 RGB, {auto} / raw invoke": TO_RAW,
        f"short 640x480 RGB, {auto} / MediaPipe": TO_PEER,
        f"full 640x480 RGB, {auto} / MediaPipe": TO_PEER,
    }
    return {
        "rounds": rounds,
        "face_share": _SHARE,
        "peer": peer,
        "cases": {
            name: {f"{key}_ms": round(value * 1e3, 3) for key, value in row.items()}
            for name, row in stats.items()
        },
        "ratios": found,
        "required": {
            name: {"at_most": limit, "median": found[name]["median"], "met": found[name]["median"] <= limit}
            for name, limit in required.items()
            if name in found
        },
    }


_PLACES: Final = (-1100.0, -500.0, 0.0, 300.0, 900.0)
_DISTANCES: Final = (1.0, 2.0, 3.5)
_PICTURES: Final = 130
_FOUND: Final = 30
_ROUNDS: Final = 5


def targets(walk: WalkScript, pack: PackInfo, rate: float = 30.0) -> Iterator[tuple[float, GazeTarget]]:
    """Yield the target of every picture of a walk, and when it was taken."""
    follower = GazeController(settings())
    with GalleryCamera(walk, rate=rate, pace=False) as camera:
        for _ in range(int(walk.duration * rate)):
            picture = camera.newest()
            yield picture.captured, follower.see(picture, camera.horizontal_fov, pack)


def on(target: GazeTarget, there: VisitorState) -> bool:
    """Tell whether the target's viewer is that visitor, to within a face's width."""
    x = LENS.project(there.x_mm, there.y_mm, there.z_mm)[0]
    return target.viewer is not None and abs(target.viewer.x - x) < LENS.focal * 150 / there.z_mm


def acquiring(pack: PackInfo) -> dict[str, Any]:
    """Measure how soon a visitor is found, and how well they are followed while they walk away.

    `at_2.5_m_seconds` is the time until the first target. `kept_to_5_m` is the share of pictures in which the
    target is on the visitor.
    """
    seconds = []
    for right in _PLACES:
        walk = standing(2.5, right, seconds=2.0)
        found = next((moment for moment, target in targets(walk, pack) if target.viewer), math.inf)
        seconds.append(round(found, 3))
    keys = [(0.0, 100.0, 2500.0), (1.0, 100.0, 2500.0), (6.0, 250.0, 5000.0), (10.0, 250.0, 5000.0)]
    away = WalkScript("walks away to 5 m", 10.0, NOISY, (visitor("visitor", keys),))
    kept = [on(target, away.people_at(moment)[0]) for moment, target in targets(away, pack) if moment > 1]
    return {
        "at_2.5_m_seconds": seconds,
        "at_2.5_m_longest": max(seconds),
        "kept_to_5_m": round(float(np.mean(kept)), 4),
        "kept_at_5_m": round(float(np.mean(kept[-60:])), 4),
    }


def swap_free_meetings(pack: PackInfo, seeds: Sequence[int] = range(20)) -> dict[str, Any]:
    """Return in how many of the seeded meetings the one followed before was followed after, all along."""
    kept = []
    for seed in seeds:
        walk, moment = meeting(seed)
        before: list[bool] = []
        after: list[bool] = []
        for captured, target in targets(walk, pack):
            first = next((v for v in walk.people_at(captured) if v.who == "first"), None)
            if target.viewer is not None and first is not None:
                if captured < moment - 0.4:
                    before.append(on(target, first))
                elif captured > moment + 0.6:
                    after.append(on(target, first))
        kept.append(bool(before and after) and before[-1] and all(after))
    return {"runs": len(kept), "swap_free": sum(kept), "share": sum(kept) / len(kept)}


def times(pack: PackInfo) -> dict[str, Any]:
    """Return time per picture while following, as a multiple of the fastest bare run of the model used.

    In the thread's own CPU time, and each picture of a walk by the least of `_ROUNDS` times, as each
    bare run: what else a busy machine does empties the caches, which costs more than is measured here.
    A picture is copied just before, as cameras do. The mean counts the looks round the room as well.
    """
    bare = {
        kind: [FaceDetector(kind, runtime=name).model.run for name in importable_runtimes()]
        for kind in _KINDS
    }
    out: dict[str, Any] = {}
    for distance in _DISTANCES:
        rgb = _pictures(distance)
        yuv: list[Picture] = [YuvPicture(*to_yuv(p.to_rgb()), p.captured, p.number) for p in rgb]
        for form, pictures in (("RGB", rgb), ("YUV420", yuv)):
            used = models_used(pictures, pack)
            raw, seen = [], []
            for _ in range(_ROUNDS):
                raw.append([[min(_seconds(run) for run in bare[kind]) for kind in bare] for _ in pictures])
                see = _sight(pack)
                seen.append([_seconds(partial(see, deepcopy(picture))) for picture in pictures])
            raw_ms = dict(zip(bare, np.min(raw, axis=0).mean(axis=0) * 1000, strict=True))
            least = np.min(seen, axis=0) * 1000
            ratios = [ms / raw_ms[kind] for ms, kind in zip(least, used, strict=True)][_FOUND:]
            out[f"following at {distance:g} m, {form} / raw invoke"] = {
                **{f"{kind}_raw_ms": round(float(ms), 3) for kind, ms in raw_ms.items()},
                "looks_with_full": round(used[_FOUND:].count("full") / len(ratios), 3),
                "median": round(float(np.median(ratios)), 3),
                "mean": round(float(np.mean(ratios)), 3),
            }
    return out


def _sight(pack: PackInfo) -> Callable[[Picture], GazeTarget]:
    """Return how a controller, new to the room, sees a picture."""
    return partial(GazeController(settings()).see, horizontal_fov=LENS.horizontal_fov, pack=pack)


def models_used(pictures: Sequence[Picture], pack: PackInfo) -> list[str]:
    """Return which model each picture is looked at with, one look each."""
    used: list[str] = []
    run, see = TfliteModel.run, _sight(pack)

    def noted(model: TfliteModel) -> None:
        used.append(next(kind for kind, spec in MODEL_SPECS.items() if spec.file == model.path.name))
        run(model)

    with patch.object(TfliteModel, "run", noted):
        for picture in pictures:
            see(picture)
    assert len(used) == len(pictures)
    return used


def _pictures(distance: float) -> list[Picture]:
    with GalleryCamera(standing(distance, 200.0), pace=False) as camera:
        return [camera.newest() for _ in range(_PICTURES)]


def _seconds(function: Callable[[], object]) -> float:
    began = time.thread_time()
    function()
    return time.thread_time() - began
