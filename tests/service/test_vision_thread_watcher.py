import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from appliance.camera.base import Camera, Picture
from appliance.config import OPENING, CameraConfig, Config, GazeConfig, TrackingConfig
from appliance.errors import BadModel, CameraAbsent, CameraEnded, DisplayLost
from appliance.gaze.target_to_frames import GazeTarget
from appliance.service import camera_creation
from appliance.service.vision_thread import (
    _FIRST_PAUSE,
    _LONGEST_PAUSE,
    ALSO_FAILED,
    ConfigAndPack,
    VisionThread,
)
from appliance.vision.blazeface import Face
from appliance.vision.runtime import TfliteModel
from tests.conftest import ANGLES, BOX, FRAMES, one_row, small_info
from tests.service.running import FakeClock, FaultyCamera
from tests.service.test_app import portrait_at

# More than the watchdog's patience, as config.toml allows.
TIMEOUT: Final = 30.0
GALLERY: Final = CameraConfig(source="gallery", timeout=TIMEOUT)
NEVER: Final = threading.Event()


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> FaultyCamera:
    """A camera with faults to order, on a clock that passes while it waits for a picture."""
    camera = FaultyCamera(FakeClock())
    monkeypatch.setattr(camera_creation, "create_camera", lambda *_: camera)
    return camera


def vision_of(camera: FaultyCamera, config: Config | None = None, supervised: bool = False) -> VisionThread:
    setup = ConfigAndPack(config or Config(camera=GALLERY), small_info())
    return VisionThread(setup, NEVER, None, supervised, camera.clock)


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


class Targets:
    """An observer that remembers where the eyes should look."""

    def __init__(self) -> None:
        self.all: list[GazeTarget] = []

    def saw(self, picture: Picture, faces: Sequence[Face], target: GazeTarget, camera: Camera) -> None:
        self.all.append(target)

    def lit(self, frames: tuple[int, ...], target: GazeTarget | None, moment: float) -> None:
        """Nothing is lit here."""


def test_only_the_first_picture_may_take_as_long_as_the_opening(camera: FaultyCamera) -> None:
    vision = vision_of(camera)
    waits = [vision.latest.value.health.due - camera.clock.monotonic()]
    camera.on_picture = lambda: waits.append(vision.latest.value.health.due - camera.clock.monotonic())
    vision.step()
    vision.step()
    assert waits == pytest.approx([TIMEOUT + OPENING, TIMEOUT + OPENING, TIMEOUT])
    assert vision.latest.value.health.asked == Config().camera.rate
    assert vision.latest.value.health.camera == "gallery, 66 degrees wide"


def test_a_lost_camera_is_retried_ever_more_seldom(camera: FaultyCamera) -> None:
    vision = vision_of(camera)
    camera.on_open = failing(CameraAbsent("unplugged"))
    pauses = []
    for _ in range(7):
        pauses.append(vision.step())
        known = vision.latest.value.health
        assert (known.blind, known.pause, known.asked) == ("unplugged", pauses[-1], 0.0)
        assert known.due == camera.clock.monotonic() + pauses[-1], "the thread rests, and does not hang"
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    assert (_FIRST_PAUSE, _LONGEST_PAUSE) == (2, 60)
    camera.mend()
    assert vision.step() == 0
    known = vision.latest.value.health
    assert (known.blind, known.pause, known.pictures) == ("", 0.0, 1)
    camera.on_picture = failing(CameraAbsent("unplugged"))
    assert vision.step() == 2, "it was seen in between"
    known = vision.latest.value.health
    assert (known.blind, known.asked, known.visitors) == ("unplugged", 0.0, 0)


def test_a_camera_that_failed_is_closed_and_opened_again(camera: FaultyCamera) -> None:
    vision, calls = vision_of(camera), list[str]()
    camera.on_open, camera.on_close = (lambda: calls.append("open")), (lambda: calls.append("close"))
    vision.step()
    vision.step()
    camera.on_picture = failing(CameraAbsent("unplugged"))
    vision.step()
    camera.on_picture = bool
    vision.step()
    assert calls == ["open", "close", "open"]


@pytest.mark.parametrize(
    ("config", "reopened"),
    [
        (Config(camera=GALLERY, tracking=TrackingConfig(hold=9.0)), []),
        (Config(camera=CameraConfig(source="gallery", rate=9.0)), ["close", "open"]),
    ],
)
def test_only_another_camera_config_opens_it_again(
    camera: FaultyCamera, config: Config, reopened: list[str]
) -> None:
    vision, calls = vision_of(camera), list[str]()
    vision.step()
    camera.on_open, camera.on_close = (lambda: calls.append("open")), (lambda: calls.append("close"))
    vision.setup = ConfigAndPack(config, small_info())
    vision.step()
    assert calls == reopened
    assert vision.latest.value.setup is vision.setup
    assert vision.latest.value.health.due == camera.clock.monotonic() + config.camera.timeout


@pytest.mark.parametrize("supervised", [False, True])
def test_only_the_service_waits_for_a_model(camera: FaultyCamera, supervised: bool) -> None:
    vision = vision_of(camera, supervised=supervised)
    camera.on_picture = failing(BadModel("face.tflite: damaged"))
    if supervised:
        assert vision.step() == 2
        assert vision.latest.value.health.blind == "face.tflite: damaged"
    else:
        with pytest.raises(BadModel):
            vision.step()


@pytest.mark.parametrize(
    ("fault", "again"), [(CameraAbsent("unplugged"), False), (BadModel("damaged"), True)]
)
def test_models_are_loaded_again_unless_the_camera_failed(
    camera: FaultyCamera, fault: Exception, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory given back does not shrink a process, so the models stay while a camera is away."""
    loads: list[Path] = []
    load = TfliteModel.__init__

    def counted(model: TfliteModel, path: Path, shape: tuple[int, ...], runtime: str) -> None:
        loads.append(path)
        load(model, path, shape, runtime)

    monkeypatch.setattr(TfliteModel, "__init__", counted)
    vision = vision_of(camera, supervised=True)
    vision.step()
    first = len(loads)
    camera.on_picture = failing(fault)
    vision.step()
    camera.mend()
    assert vision.step() == 0
    assert first > 0 and len(loads) == (2 * first if again else first)


def test_a_recording_ends_after_its_last_picture(tmp_path: Path) -> None:
    for i in range(2):
        portrait_at(tmp_path / f"{i}.png", 20)
    config = Config(camera=CameraConfig(source=f"replay:{tmp_path}"))
    vision = VisionThread(ConfigAndPack(config, small_info()), NEVER, supervised=True, clock=FakeClock())
    vision.step()
    vision.step()
    with pytest.raises(CameraEnded):
        vision.step()
    assert vision.latest.value.health.pictures == 2 and not vision.latest.value.health.blind


def test_no_picture_is_understood_with_half_of_a_new_setup(camera: FaultyCamera) -> None:
    # As the 2020 piece did: the place in the picture chooses one of the portrait's own angles.
    original = Config(camera=GALLERY, gaze=GazeConfig(mapping="original"))
    other_angles = tuple(2 * angle + 1 for angle in ANGLES)
    wider = small_info(sitters=(one_row(BOX, other_angles, FRAMES // 2),))
    vision = vision_of(camera, original)
    while not (vision.latest.value.target and vision.latest.value.target.viewer):
        vision.step()
    first, second = vision.setup, ConfigAndPack(Config(camera=GALLERY), wider)

    def exchange() -> None:
        vision.setup = second

    camera.on_picture = exchange  # while a picture is awaited
    vision.step()
    during = vision.latest.value
    vision.step()
    vision.step()
    after = vision.latest.value
    assert during.setup is first and after.setup is second
    assert during.target and during.target.angle in ANGLES and during.target.pitch is None
    assert after.target and after.target.angle not in (None, *ANGLES, *other_angles)
    assert after.target.pitch is not None


def test_the_thread_sees_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, stop, targets = FaultyCamera(), threading.Event(), Targets()
    monkeypatch.setattr(camera_creation, "create_camera", lambda *_: camera)
    closed = threading.Event()
    camera.on_close = closed.set
    vision = VisionThread(ConfigAndPack(Config(camera=GALLERY), small_info()), stop, targets)
    vision.open()
    end = time.monotonic() + 30
    while vision.latest.newest(1.0).health.pictures < 3 and time.monotonic() < end:
        pass
    vision.close()
    assert closed.is_set() and len(targets.all) == vision.latest.value.health.pictures >= 3


def test_the_loops_own_error_is_not_replaced_by_the_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    camera, stop = FaultyCamera(), threading.Event()
    monkeypatch.setattr(camera_creation, "create_camera", lambda *_: camera)
    vision = VisionThread(ConfigAndPack(Config(camera=GALLERY), small_info()), stop)
    camera.on_picture = failing(BadModel("face.tflite: damaged"))
    vision.open()
    assert stop.wait(30)
    with pytest.raises(BadModel):
        vision.close()
    vision.close(DisplayLost("the monitor was unplugged"))
    assert [record.getMessage() for record in caplog.records] == [ALSO_FAILED % "face.tflite: damaged"]
