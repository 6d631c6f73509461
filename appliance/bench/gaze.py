"""Gaze error on the gallery's walks: the appliance against the original piece's mapping."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from appliance.assets import home
from appliance.bench.error import gaze_error, true_angle
from appliance.camera.gallery import GalleryCamera
from appliance.camera.walks import load_walk
from appliance.config import Config
from appliance.gaze import Follower, frame_for
from appliance.pack import Pack
from appliance.vision.blazeface import FaceDetector

WALKS: Final = ("demo", "still", "cross", "stop")
# From exposure to light on the Pi, assumed: camera 60 ms, one picture of vision 20 ms, one flip 16 ms.
LATENCY: Final = 0.096
_SECONDS: Final = 20.0


def bench_gaze(say: Callable[[str], None]) -> dict[str, Any]:
    """Return, per walk, the gaze error in degrees of both mappings and the flips per second.

    Both see the same pictures and the same faces; `ratio` is ours over the original's median.
    """
    pack = Pack(home() / "frames" / "sconosciuta").info
    ours = Config()
    original = replace(ours, gaze=replace(ours.gaze, mapping="original"))
    detector = FaceDetector(ours.vision.model, ours.vision.threshold)
    results: dict[str, Any] = {"latency_ms": 1000 * LATENCY}
    for walk in WALKS:
        say(f"gaze: {walk}")
        followers = {"ours": (Follower(ours), ours), "original": (Follower(original), original)}
        flips: dict[str, list[tuple[float, int]]] = {name: [(-math.inf, pack.resting)] for name in followers}
        settings = ours.camera
        camera = GalleryCamera(
            load_walk(walk),
            settings.width,
            settings.height,
            settings.rate,
            settings.field_of_view,
            pace=False,
        )
        truth = true_angle(camera, ours)
        with camera:
            first = end = None
            while end is None or end - (first or 0.0) < _SECONDS:
                picture = camera.newest()
                first = picture.captured if first is None else first
                end = picture.captured
                faces = detector.detect(picture)
                for name, (follower, config) in followers.items():
                    aim = follower.see(picture, faces, camera.horizontal_fov, pack)
                    lit = picture.captured + LATENCY
                    shown = flips[name][-1][1]
                    frame = frame_for(aim, lit, shown, config.tracking, pack)
                    if frame != shown:
                        flips[name].append((lit, frame))
        row: dict[str, Any] = {}
        for name, changes in flips.items():
            error = gaze_error(changes, pack.angles, truth, first or 0.0, end)
            row[name] = {
                "median_degrees": round(error.median, 3),
                "p95_degrees": round(error.p95, 3),
                "flips_per_second": round((len(changes) - 1) / _SECONDS, 2),
            }
        row["ratio"] = round(row["ours"]["median_degrees"] / row["original"]["median_degrees"], 3)
        results[walk] = row
    return results
