"""A day of the service, for whoever looks on from outside: prints each event once it has come to pass.

The house opens, somebody is followed, the camera is lost and comes back, the config is read again, another
portrait is hung, the house closes and opens again. The wall clock is moved along; arguments are two folders, of
the service's state and of its status, and the folder of the display.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from appliance import library
from appliance.errors import CameraStalled
from appliance.service import app, camera_creation, journal
from appliance.service.settings import Settings
from tests.service.running import FaultyCamera

CONFIG = """
[hours]
timezone = "UTC"
clock = "any"
fade = 0.1
"""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOUR, DAY = 3600.0, 24 * 3600.0


def tell(event: str) -> None:
    sys.stdout.write(event + "\n")
    sys.stdout.flush()


class Clock:
    """The wall clock, set to an hour of a day."""

    def __init__(self) -> None:
        self._real, self._ahead, self._day = time.time, 0.0, 0
        time.time = self

    def __call__(self) -> float:
        return self._real() + self._ahead

    def set(self, day: int, hour: int) -> None:
        midnight = self._real() // DAY * DAY
        self._ahead = midnight + day * DAY + hour * HOUR - self._real()


def main(state: Path, run: Path, display: str) -> None:
    journal.set_up()
    os.environ |= {"STATE_DIRECTORY": str(state), "RUNTIME_DIRECTORY": str(run)}
    clock, camera, stop = Clock(), FaultyCamera(), threading.Event()
    camera_creation.create_camera = lambda *_: camera
    settings = Settings(Path(sys.argv[4]), display=display, supervised=True)
    Path(sys.argv[4]).write_text(CONFIG + "".join(f'{day} = "10:00-18:00"\n' for day in DAYS))

    def status() -> dict[str, Any]:
        try:
            return dict(json.loads((run / "status.json").read_text()))
        except (OSError, ValueError):
            return {}

    def until(event: str, **wanted: object) -> None:
        end = time.monotonic() + 120
        while not wanted.items() <= status().items():
            assert time.monotonic() < end, status()
            time.sleep(0.05)
        tell(event)

    def stalled() -> None:
        raise CameraStalled("no picture")

    def live() -> None:
        try:
            until("opened", state="following")
            camera.on_picture = stalled
            until("camera lost", state="blind")
            camera.mend()
            until("camera back", state="following")
            settings.reread.set()
            while settings.reread.is_set():
                time.sleep(0.05)
            tell("config read again")
            library.hang_portrait("second")
            until("another portrait", portrait="Second Sitter", state="following")
            clock.set(0, 20)
            until("closed", state="closed")
            clock.set(1, 12)
            until("opened again", state="following")
        finally:
            stop.set()

    clock.set(0, 12)
    driver = threading.Thread(target=live)
    driver.start()
    app.run(settings.start(), settings.hanging, stop, settings=settings)
    driver.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
