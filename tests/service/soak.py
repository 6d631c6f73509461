"""Runs the service's app on as many pictures as asked, as fast as it can; prints what it took as JSON.

The first half comes from the simulated gallery, where somebody comes and goes every four seconds, the
second from a folder of pictures of it; the config is read again in between. A picture counts for a
thirtieth of a second of simulated time.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from appliance.camera.base import Camera, Picture
from appliance.camera.replay import ReplayCamera
from appliance.clock import CLOCK, Clock
from appliance.config import CameraConfig
from appliance.display import frame_loader
from appliance.gallery.camera import GalleryCamera
from appliance.gaze.target_to_frames import GazeTarget
from appliance.pack import write_pack
from appliance.service import app, camera_creation, journal
from appliance.service.settings import Settings
from appliance.vision.blazeface import Face
from tests.conftest import base_image, grid_info, grid_patches

WALK: Final = """
title = "Somebody comes and goes"
duration = 4.0

[[person]]
who = "visitor"
photograph = "astronaut.png"
keys = [{ time = 0.5, x_mm = -500, z_mm = 1300 }, { time = 2.5, x_mm = 500, z_mm = 1100 }]
"""
WARM: Final = 10_000
FAST: Final = 100_000.0  # pictures/s: never waited for
NARROW: Final = 30.0  # degrees, so that a face is large in a small picture


class Counter:
    """Counts pictures; measures the process once it is warm, and at the end."""

    def __init__(self, total: int, settings: Settings, stop: threading.Event) -> None:
        self.total, self.settings, self.stop = total, settings, stop
        self.seen = self.followed = 0
        self.warm: dict[str, int] = {}
        self.end: dict[str, int] = {}

    def saw(self, picture: Picture, faces: Sequence[Face], target: GazeTarget, camera: Camera) -> None:
        self.seen += 1
        self.followed += target.viewer is not None
        if self.seen == WARM:
            self.warm = measured()
        if self.seen == self.total // 2:
            Path(str(self.settings.file)).write_text(REPLAY)
            self.settings.reread.set()
        if self.seen == self.total:
            self.end = measured()
            self.stop.set()

    def lit(self, lit: tuple[int, ...], target: GazeTarget | None, moment: float) -> None:
        """Nothing to count."""


CONFIG: Final = f"""
[camera]
source = "%s"
field_of_view = {NARROW}
[vision]
model = "short"
[display]
width = 90
height = 160
width_mm = 300
"""
GALLERY: Final = CONFIG % "gallery"
REPLAY: Final = CONFIG % "replay:pictures"


def measured() -> dict[str, int]:
    """Return resident memory in kB, open descriptors and threads."""
    rows = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
    return {
        "rss_kb": int(rows["VmRSS"].split()[0]),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "threads": int(rows["Threads"]),
    }


def main(total: int, log: Path) -> None:
    with tempfile.TemporaryDirectory() as name, log.open("w") as standard_error:
        os.dup2(standard_error.fileno(), 2)
        journal.set_up()
        folder = Path(name)
        (folder / "walk.toml").write_text(WALK)
        (folder / "pictures").mkdir()

        def camera_named(source: str, config: CameraConfig, clock: Clock = CLOCK) -> Camera:
            camera: Camera = ReplayCamera(folder / "pictures", FAST, NARROW, loop=True)
            if source == "gallery":
                camera = GalleryCamera(folder / "walk.toml", 128, 72, FAST, NARROW, latency=0.0)
            camera.set_rate = lambda rate: None  # type: ignore[method-assign]  # as fast as it can
            return camera

        with GalleryCamera(folder / "walk.toml", 128, 72, 30, NARROW, pace=False) as camera:
            for i in range(120):
                Image.fromarray(camera.newest().pixels).save(folder / "pictures" / f"{i:03}.png")
        camera_creation.create_camera = camera_named
        write_pack(folder / "pack", grid_info(), base_image(), grid_patches())
        frame_loader.KEPT_SCREENS = 1.0  # type: ignore[misc]  # a third of the patches are kept, the others read again and again
        (folder / "config.toml").write_text(GALLERY)
        (folder / "run").mkdir()
        os.environ["RUNTIME_DIRECTORY"] = str(folder / "run")
        os.environ["STATE_DIRECTORY"] = str(folder)
        display = f"offscreen:{folder / 'lit'}"
        settings = Settings(folder / "config.toml", display=display, pack=folder / "pack", supervised=True)
        stop = threading.Event()
        counter = Counter(total, settings, stop)
        began = time.monotonic()
        app.run(settings.start(), settings.hanging, stop, None, counter, settings)
        result = {
            "pictures": counter.seen,
            "followed": counter.followed,
            "seconds": round(time.monotonic() - began, 1),
            "warm": counter.warm,
            "end": counter.end,
            "log_bytes": log.stat().st_size,
            "simulated_hours": round(total / 30 / 3600, 3),
        }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
