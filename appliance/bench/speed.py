"""How fast faces are found, as ratios to the bare model and to MediaPipe in the same run."""

import contextlib
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from appliance.bench.peer import start_peer
from appliance.bench.scenes import ASTRONAUT, scene, to_yuv
from appliance.camera.base import Picture, RgbPicture, YuvPicture
from appliance.vision.blazeface import FaceDetector

SIZES: Final = ((640, 480), (640, 360))
BURST: Final = 5
_SHARE: Final = 0.25
# Measured before counting: caches, lazy imports and the peer's graph settle.
_WARM_UP: Final = 3

# What the issue asks of the short model on 640x480 RGB, at most.
TO_RAW: Final = 1.45
TO_PEER: Final = 0.95

Run = Callable[[], list[float]]


def bench_vision(rounds: int = 100, peer: bool = False, say: Callable[[str], object] = str) -> dict[str, Any]:
    """Measure detection from picture to faces.

    Every case runs once per round, in an order drawn anew, so that whatever else the machine does
    hits all alike. Compare ratios, not times: each round gives one of every kind, by the best time of
    each case in it, and their median is what counts. Against the peer, a process of its own, both run
    in bursts of `BURST`.

    Parameters
    ----------
    rounds : at least 1
    peer : also measure MediaPipe, installing it first if need be (some 100 MB)
    say : receives a line before each long step

    Returns
    -------
    `cases`: median and 10th percentile in ms for each case; `ratios`: the median of the rounds' and
    that of the 10th percentiles; `required`: what is asked and whether it holds; `peer`: its version,
    or why not.

    Raises
    ------
    BadAsset, BadModel
        If the models or photographs were not fetched.
    """
    pictures = {size: scene(ASTRONAUT, size, _SHARE, (0.5, 0.5)) for size in SIZES}
    cases: dict[str, Run] = {}
    ratios: dict[str, tuple[str, str]] = {}
    with contextlib.ExitStack() as stack:
        other, reason = start_peer(stack, peer, say)
        kinds: tuple[str, ...] = ("short", "full")
        for kind in kinds:
            detector = FaceDetector(kind)
            raw = f"{kind} raw invoke"
            cases[raw] = _timed(detector.model.run)
            for (width, height), pixels in pictures.items():
                size = f"{width}x{height}"
                rgb = RgbPicture(pixels, 0.0, 0)
                forms: dict[str, Picture] = {"RGB": rgb, "YUV420": YuvPicture(*to_yuv(pixels), 0.0, 0)}
                for name, picture in forms.items():
                    case = f"{kind} {size} {name}"
                    cases[case] = _timed(partial(detector.detect, picture))
                    ratios[f"{case} / raw invoke"] = (case, raw)
                if other:
                    ours, theirs = f"{kind} {size} RGB in bursts", f"{kind} {size} MediaPipe in bursts"
                    cases[ours] = _timed(partial(detector.detect, rgb), BURST)
                    cases[theirs] = partial(other.seconds, kind, pixels, BURST)
                    ratios[f"{kind} {size} RGB / MediaPipe"] = (ours, theirs)
        say(f"measuring {len(cases)} cases in {rounds} rounds")
        times = _measure(cases, rounds)
    return _report(times, ratios, rounds, reason)


def _timed(function: Callable[[], object], count: int = 1) -> Run:
    def run() -> list[float]:
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
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


def _report(
    times: dict[str, list[list[float]]], ratios: dict[str, tuple[str, str]], rounds: int, peer: str
) -> dict[str, Any]:
    stats = {}
    for name, bursts in times.items():
        values = sorted(value for burst in bursts for value in burst)
        stats[name] = {"median": statistics.median(values), "p10": values[len(values) // 10]}
    found = {}
    for name, (one, two) in ratios.items():
        paired = [min(a) / min(b) for a, b in zip(times[one], times[two], strict=True)]
        tenths = stats[one]["p10"] / stats[two]["p10"]
        found[name] = {"median": round(statistics.median(paired), 3), "p10": round(tenths, 3)}
    required = {"short 640x480 RGB / raw invoke": TO_RAW, "short 640x480 RGB / MediaPipe": TO_PEER}
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
