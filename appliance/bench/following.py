"""How quickly, faithfully and cheaply one viewer is followed: acquiring, two meeting, time per picture."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from appliance.bench.rules import LENS, settings
from appliance.bench.scenes import to_yuv
from appliance.bench.walks import NOISY, meeting, standing, visitor
from appliance.camera.base import Picture, YuvPicture
from appliance.camera.gallery import GalleryCamera
from appliance.camera.walks import Visitor, Walk
from appliance.gaze.controller import GazeController
from appliance.gaze.target import GazeTarget
from appliance.pack import PackInfo
from appliance.vision.blazeface import SPECS, FaceDetector
from appliance.vision.runtime import Model

_PLACES: Final = (-1100.0, -500.0, 0.0, 300.0, 900.0)
_DISTANCES: Final = (1.0, 2.0, 3.5)
_PICTURES: Final = 130
_FOUND: Final = 30
_ROUNDS: Final = 5


def aims(walk: Walk, pack: PackInfo, rate: float = 30.0) -> Iterator[tuple[float, GazeTarget]]:
    """Yield the aim of every picture of a walk, and when it was taken."""
    follower = GazeController(settings())
    with GalleryCamera(walk, rate=rate, pace=False) as camera:
        for _ in range(int(walk.duration * rate)):
            picture = camera.newest()
            yield picture.captured, follower.see(picture, camera.horizontal_fov, pack)


def on(aim: GazeTarget, there: Visitor) -> bool:
    """Tell whether the aim's viewer is that visitor, to within a face's width."""
    x = LENS.project(there.x_mm, there.y_mm, there.z_mm)[0]
    return aim.viewer is not None and abs(aim.viewer.x - x) < LENS.focal * 150 / there.z_mm


def acquiring(pack: PackInfo) -> dict[str, Any]:
    """Return seconds to the first aim at 2.5 m, and how well who walks away to 5 m is kept."""
    seconds = []
    for right in _PLACES:
        walk = standing(2.5, right, seconds=2.0)
        found = next((moment for moment, aim in aims(walk, pack) if aim.viewer), math.inf)
        seconds.append(round(found, 3))
    keys = [(0.0, 100.0, 2500.0), (1.0, 100.0, 2500.0), (6.0, 250.0, 5000.0), (10.0, 250.0, 5000.0)]
    away = Walk("walks away to 5 m", 10.0, NOISY, (visitor("visitor", keys),))
    kept = [on(aim, away.people_at(moment)[0]) for moment, aim in aims(away, pack) if moment > 1]
    return {
        "at_2.5_m_seconds": seconds,
        "at_2.5_m_longest": max(seconds),
        "kept_to_5_m": round(float(np.mean(kept)), 4),
        "kept_at_5_m": round(float(np.mean(kept[-60:])), 4),
    }


def meetings(pack: PackInfo, seeds: Sequence[int] = range(20)) -> dict[str, Any]:
    """Return in how many of the seeded meetings the one followed before was followed after, all along."""
    kept = []
    for seed in seeds:
        walk, moment = meeting(seed)
        before: list[bool] = []
        after: list[bool] = []
        for captured, aim in aims(walk, pack):
            first = next((v for v in walk.people_at(captured) if v.who == "first"), None)
            if aim.viewer is not None and first is not None:
                if captured < moment - 0.4:
                    before.append(on(aim, first))
                elif captured > moment + 0.6:
                    after.append(on(aim, first))
        kept.append(bool(before and after) and before[-1] and all(after))
    return {"runs": len(kept), "swap_free": sum(kept), "share": sum(kept) / len(kept)}


def times(pack: PackInfo) -> dict[str, Any]:
    """Return time per picture while following, as a multiple of the bare run of the model it is seen by.

    In the thread's own CPU time, and each picture of a walk by the least of `_ROUNDS` times, as each
    bare run: what else a busy machine does empties the caches, which costs more than is measured here.
    A picture is copied just before, as cameras do. The mean counts the looks round the room as well.
    """
    bare = {kind: FaceDetector(kind) for kind in SPECS}
    out: dict[str, Any] = {}
    for distance in _DISTANCES:
        rgb = _pictures(distance)
        yuv: list[Picture] = [YuvPicture(*to_yuv(p.rgb()), p.captured, p.number) for p in rgb]
        for form, pictures in (("RGB", rgb), ("YUV420", yuv)):
            used = models_used(pictures, pack)
            raw, seen = [], []
            for _ in range(_ROUNDS):
                raw.append([[_seconds(bare[kind].model.run) for kind in bare] for _ in pictures])
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
    run, see = Model.run, _sight(pack)

    def noted(model: Model) -> None:
        used.append(next(kind for kind, spec in SPECS.items() if spec.file == model.path.name))
        run(model)

    with patch.object(Model, "run", noted):
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
