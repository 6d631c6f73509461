import threading
import time
from typing import Final

import pytest

from appliance.camera import sources
from appliance.config import OPENING, CameraConfig, Config
from appliance.service.watcher import Watcher
from tests.conftest import small_info
from tests.service.running import FaultyCamera

# More than the watchdog's patience, as config.toml allows.
TIMEOUT: Final = 30.0


def test_the_first_picture_is_awaited_as_long_as_the_opening_and_later_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera, asked, go = FaultyCamera(), threading.Semaphore(0), threading.Semaphore(0)
    monkeypatch.setattr(sources, "camera_named", lambda *_: camera)

    def slow() -> None:
        asked.release()
        go.acquire(timeout=30)

    camera.on_picture = slow
    config = Config(camera=CameraConfig(source="gallery", timeout=TIMEOUT))
    watcher = Watcher(config, small_info(), threading.Event())
    waits = [watcher.sight.due - time.monotonic()]
    watcher.open()
    try:
        for _ in range(2):
            assert asked.acquire(timeout=30)
            waits.append(watcher.sight.due - time.monotonic())
            go.release()
    finally:
        camera.mend()
        go.release()
        watcher.close()
    for wait in waits[:2]:
        assert TIMEOUT + OPENING - 5 < wait <= TIMEOUT + OPENING
    assert TIMEOUT - 5 < waits[2] <= TIMEOUT
    assert watcher.sight.asked == config.camera.rate
    assert watcher.sight.camera == "gallery, 66 degrees wide"
