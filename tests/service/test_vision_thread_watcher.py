import threading
import time
from collections.abc import Sequence
from typing import Final

import pytest

from appliance.camera.base import Camera, Picture
from appliance.config import OPENING, CameraConfig, Config, GazeConfig
from appliance.errors import BadModel, DisplayLost
from appliance.gaze.target import GazeTarget
from appliance.service import camera_feed
from appliance.service.vision_thread import ALSO_FAILED, Setup, Watcher
from appliance.vision.blazeface import Face
from tests.conftest import ANGLES, BOX, FRAMES, one_row, small_info
from tests.service.running import FaultyCamera

# More than the watchdog's patience, as config.toml allows.
TIMEOUT: Final = 30.0


def test_only_the_first_picture_may_take_as_long_as_the_opening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera, asked, go = FaultyCamera(), threading.Semaphore(0), threading.Semaphore(0)
    monkeypatch.setattr(camera_feed, "create_camera", lambda *_: camera)

    def slow() -> None:
        asked.release()
        go.acquire(timeout=30)

    camera.on_picture = slow
    config = Config(camera=CameraConfig(source="gallery", timeout=TIMEOUT))
    watcher = Watcher(Setup(config, small_info()), threading.Event())
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


class Targets:
    """A witness that remembers where the eyes should look."""

    def __init__(self) -> None:
        self.all: list[GazeTarget] = []

    def saw(self, picture: Picture, faces: Sequence[Face], aim: GazeTarget, camera: Camera) -> None:
        self.all.append(aim)

    def lit(self, frames: tuple[int, ...], aim: GazeTarget | None, moment: float) -> None:
        """Nothing is lit here."""


def test_no_picture_is_understood_with_half_of_a_new_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, targets, stop = FaultyCamera(), Targets(), threading.Event()
    monkeypatch.setattr(camera_feed, "create_camera", lambda *_: camera)
    # As the 2020 piece did: the place in the picture chooses one of the portrait's own angles.
    original = Config(camera=CameraConfig(source="gallery"), gaze=GazeConfig(mapping="original"))
    other_angles = tuple(2 * angle + 1 for angle in ANGLES)
    wider = small_info(sitters=(one_row(BOX, other_angles, FRAMES // 2),))
    first, second = Setup(original, small_info()), Setup(Config(camera=original.camera), wider)
    watcher = Watcher(first, stop, targets)

    seen_before: list[int] = []

    def exchange_once_a_viewer_is_seen() -> None:
        if not targets.all or not targets.all[-1].viewer:
            return
        if watcher.setup is first:
            watcher.setup = second  # while a picture is awaited
            seen_before.append(len(targets.all))
        elif len(targets.all) > seen_before[0] + 1:
            stop.set()

    camera.on_picture = exchange_once_a_viewer_is_seen
    watcher.open()
    assert stop.wait(30)
    watcher.close()
    during, after = targets.all[seen_before[0]], targets.all[-1]
    assert during.angle in ANGLES and during.pitch is None
    assert after.angle not in (*ANGLES, *other_angles) and after.pitch is not None
    assert watcher.aims.newest(0) == (second, after)


def test_the_loops_own_error_is_not_replaced_by_the_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    camera, stop = FaultyCamera(), threading.Event()
    monkeypatch.setattr(camera_feed, "create_camera", lambda *_: camera)
    watcher = Watcher(Setup(Config(camera=CameraConfig(source="gallery")), small_info()), stop)

    def fail() -> None:
        raise BadModel("face.tflite: damaged")

    camera.on_picture = fail
    watcher.open()
    assert stop.wait(30)
    with pytest.raises(BadModel):
        watcher.close()
    watcher.close(DisplayLost("the monitor was unplugged"))
    assert [record.getMessage() for record in caplog.records] == [ALSO_FAILED % "face.tflite: damaged"]
