"""Whatever breaks: the portrait stays lit, the state is right, the log says it once, and it heals.

Run with `deploy/test -m faults`.
"""

import errno
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance import assets
from appliance.camera.base import RgbPicture
from appliance.errors import BadModel, CameraAbsent, CameraBusy, CameraStalled
from appliance.pack import Pack, write_pack
from appliance.service import reporter, settings
from appliance.vision import runtime
from tests.conftest import ANGLES, BOX, base_image, one_row, packs, small_info, small_patches
from tests.service.running import SteppedService

pytestmark = pytest.mark.faults

SEEING = ("following", "alone")


@pytest.fixture
def running(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SteppedService]:
    """The service, following its visitor."""
    with SteppedService(tmp_path, pack, monkeypatch) as service:
        service.until_state("following")
        assert service.portrait_is_lit()
        service.lines.all.clear()
        yield service


def stands(service: SteppedService, state: str, words: str, seconds: float = 20.0) -> None:
    """Assert that the fault shows as it should: state, cause, portrait, and one line in the log."""
    service.until_state(state)
    service.until(service.lines.warnings)
    service.advance(seconds)  # several tries later
    assert service.alive()
    assert service.portrait_is_lit()
    (line,) = service.lines.warnings()
    assert words in line
    assert words in service.status()["cause"] + service.status()["fault"]
    assert not service.status()["healthy"]


def heals(service: SteppedService) -> None:
    """Assert that it sees again, with one line and nothing wrong."""
    service.until_state(*SEEING)
    service.until(lambda: service.status()["healthy"])
    assert service.portrait_is_lit()
    assert len(service.lines.warnings()) == 1
    assert service.lines.messages().count(reporter.CAMERA_BACK) == 1


def failing(error: Exception) -> Callable[[], None]:
    """Return a driver's call that fails."""

    def fail() -> None:
        raise error

    return fail


EXCEPTIONS = [
    (CameraAbsent("no camera found; check both ends of its cable"), "check both ends of its cable"),
    (CameraBusy("imx708: cannot be opened; does another process use it?"), "does another process use it"),
    (CameraStalled("no picture for 5 s"), "no picture for 5 s"),
    (OSError(errno.ENODEV, "No such device"), "No such device"),
    (PermissionError(errno.EACCES, "Permission denied", "/dev/video0"), "Permission denied: '/dev/video0'"),
    (RuntimeError("Camera frontend has timed out!\nat libcamera"), "RuntimeError: Camera frontend has timed out! at"),
    (IndexError("list index out of range"), "IndexError: list index out of range (test_faults.py:"),
    (MemoryError("Unable to allocate 675 KiB"), "MemoryError: Unable to allocate"),
    (ValueError("buffer is smaller than requested size"), "ValueError: buffer"),
    (KeyError("SensorTimestamp"), "KeyError: 'SensorTimestamp'"),
    (TimeoutError(), "TimeoutError: no more is known"),
    (AssertionError("allocator"), "AssertionError: allocator"),
    (StopIteration("queue"), "StopIteration"),
    (EOFError("pipe closed"), "EOFError: pipe closed"),
    (BadModel("face.tflite: not a model the runtime can load"), "not a model"),
]  # fmt: skip
NAMES = [type(error).__name__ for error, _ in EXCEPTIONS]


@pytest.mark.parametrize(("error", "words"), EXCEPTIONS, ids=NAMES)
def test_a_camera_that_raises(running: SteppedService, error: Exception, words: str) -> None:
    running.camera.on_picture = failing(error)
    stands(running, "blind", words)
    running.camera.mend()
    heals(running)


@packs
def test_a_camera_that_cannot_be_opened_again(running: SteppedService) -> None:
    running.camera.on_picture = running.camera.on_open = failing(CameraAbsent("unplugged"))
    stands(running, "blind", "unplugged")
    running.camera.mend()
    heals(running)


def test_a_camera_that_cannot_even_be_closed(running: SteppedService) -> None:
    running.camera.on_picture = failing(CameraStalled("no picture for 5 s"))
    running.camera.on_close = failing(OSError(errno.EIO, "Input/output error"))
    stands(running, "blind", "Input/output error")
    running.camera.mend()
    heals(running)


def test_a_camera_whose_fault_changes_is_told_once_for_each(running: SteppedService) -> None:
    running.camera.on_picture = failing(CameraStalled("no picture for 5 s"))
    running.until_state("blind")
    running.camera.on_picture = failing(CameraAbsent("unplugged"))
    running.until(lambda: len(running.lines.warnings()) == 2)
    running.advance(20.0)
    assert ["no picture" in line or "unplugged" in line for line in running.lines.warnings()] == [True, True]


def blackened(picture: RgbPicture) -> RgbPicture:
    return replace(picture, pixels=picture.pixels // np.uint8(64))


@packs
def test_black_pictures(running: SteppedService) -> None:
    running.camera.picture = blackened
    stands(running, "blind", "pictures are black", 3.0)
    running.camera.mend()
    heals(running)


def test_frozen_pictures(running: SteppedService) -> None:
    kept = running.camera.newest().pixels.copy()
    running.camera.picture = lambda picture: replace(picture, pixels=kept)
    stands(running, "blind", "the same picture")
    running.camera.mend()
    heals(running)


def test_frozen_pictures_with_frozen_times(running: SteppedService) -> None:
    kept = running.camera.newest()
    running.camera.picture = lambda _: kept
    stands(running, "blind", "the same picture")
    running.camera.mend()
    heals(running)


@pytest.mark.parametrize("step", [-1e6, -3600.0, 3600.0, 1e6])
def test_the_sensors_clock_steps(running: SteppedService, step: float) -> None:
    running.camera.picture = lambda picture: replace(picture, captured=picture.captured + step)
    running.advance(1.0)
    assert running.alive() and running.portrait_is_lit()
    running.camera.mend()
    running.until_state("following")
    running.until(running.portrait_is_lit)


@pytest.mark.parametrize("size", [(1, 1), (2, 4000), (1080, 1920)])
def test_pictures_of_another_size(running: SteppedService, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    running.camera.picture = lambda picture: replace(picture, pixels=noise ^ np.uint8(picture.number % 256))
    running.until_state("alone", "blind")
    assert running.alive() and running.portrait_is_lit()
    running.camera.mend()
    running.until_state("following")


@pytest.mark.parametrize("step", [-365 * 86400.0, 365 * 86400.0])
def test_the_wall_clock_steps_by_a_year(running: SteppedService, step: float) -> None:
    running.clock.ahead += step
    before = running.status()["counts"]["pictures"]
    running.until(lambda: running.status()["counts"]["pictures"] > before + 30)
    assert running.status()["state"] in SEEING
    assert running.status()["written"] == pytest.approx(running.clock.wall(), abs=2)
    assert running.portrait_is_lit() and not running.lines.warnings()


@pytest.mark.parametrize("where", ["on_picture", "on_open", "on_close"])
def test_a_camera_thread_that_blocks_for_ever_ends_the_process(running: SteppedService, where: str) -> None:
    def hang() -> None:
        running.clock.sleep(1e6)

    if where != "on_picture":
        running.camera.on_picture = failing(CameraStalled("no picture for 5 s"))
        running.until_state("blind")
    setattr(running.camera, where, hang)
    running.camera.on_picture = hang if where == "on_picture" else running.camera.on_picture
    running.advance(200.0)
    assert not running.alive()
    assert isinstance(running.ended, CameraStalled)
    assert str(running.ended).startswith(reporter.HUNG.partition("%")[0])


def test_a_new_portrait_rests_until_a_picture_is_seen_for_it(running: SteppedService, tmp_path: Path) -> None:
    service = running
    service.config_file.write_text("[tracking]\nhold = 60\n")  # the eyes stay where the viewer was
    service.settings.reread.set()
    service.until(lambda: settings.CONFIG_TAKEN % service.config_file in service.lines.messages())
    before = service.status()["counts"]["pictures"]
    service.until(lambda: service.status()["counts"]["pictures"] > before + 30)
    service.camera.on_picture = failing(CameraAbsent("unplugged"))
    service.until_state("blind")
    wider = small_info(title="new", sitters=(one_row(BOX, ANGLES, 0),))
    write_pack(tmp_path / "new", wider, base_image(), [base_image().crop(BOX), *small_patches()[1:]])
    service.settings.pack = tmp_path / "new"
    service.until(lambda: service.status()["portrait"] == "new")
    flips = service.status()["counts"]["flips"]
    written = service.status()["written"]
    service.until(lambda: service.status()["written"] > written)
    assert (service.status()["frame"], service.status()["counts"]["flips"]) == (0, flips)


@pytest.mark.parametrize("mistake", [TypeError("bad operand"), AttributeError("no attribute")], ids=repr)
def test_a_mistake_of_our_own_ends_the_process(running: SteppedService, mistake: Exception) -> None:
    running.camera.on_picture = failing(mistake)
    running.advance(200.0)
    assert not running.alive()
    assert running.ended is mistake


def vanish(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take the full-range model away from the service; return where it was."""
    shutil.copytree(assets.home_folder() / "models", home / "models")
    monkeypatch.setenv("MONA_LISA_HOME", str(home))
    (model,) = (home / "models").glob("face_detection_full*")
    model.rename(home / "away")
    return model


def test_a_returning_camera_needs_no_model_file(
    running: SteppedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vanish(tmp_path / "home", monkeypatch)
    running.camera.on_picture = failing(CameraStalled("no picture for 5 s"))
    running.until_state("blind")
    running.camera.mend()
    heals(running)


def test_a_vanished_model_asked_for_by_a_reload_is_awaited(
    running: SteppedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vanish(tmp_path / "home", monkeypatch)
    running.config_file.write_text("[camera]\ntimeout = 0.5\n[vision]\nthreshold = 0.6\n")
    running.settings.reread.set()
    running.until(lambda: "missing; run `mona-lisa assets fetch`" in running.status()["cause"])
    assert running.portrait_is_lit() and len(running.lines.warnings()) == 1
    model.write_bytes(b"not a model")
    running.until(
        lambda: (
            "face_detection_full" in running.status()["cause"] and "missing" not in running.status()["cause"]
        )
    )
    shutil.move(tmp_path / "home" / "away", model)
    running.until_state("following")
    assert running.lines.messages().count(reporter.CAMERA_BACK) == 1


@packs
def test_a_pack_that_vanishes_leaves_the_portrait_lit(running: SteppedService, tmp_path: Path) -> None:
    running.pack.folder.rename(tmp_path / "away")
    running.until(running.lines.warnings)
    running.advance(3.0)
    assert running.portrait_is_lit() and running.status()["state"] in SEEING
    (line,) = running.lines.warnings()
    assert line.startswith(reporter.SWITCH_REFUSED.partition("%")[0])
    running.until(lambda: running.status()["fault"] == line and not running.status()["healthy"])
    (tmp_path / "away").rename(running.pack.folder)
    running.until(lambda: reporter.SWITCHED % "Test Sitter" in running.lines.messages())
    running.until(lambda: running.status()["healthy"])


@pytest.mark.parametrize(
    ("pack", "name"),
    [(kind, name) for kind in ("row", "grid") for name in ("pack.toml", "base.png", "a patch")],
    indirect=["pack"],
)
def test_a_pack_that_is_damaged_leaves_the_portrait_lit(running: SteppedService, name: str) -> None:
    if name == "a patch":
        name = running.pack.info.patch_name(3)
    good = (running.pack.folder / name).read_bytes()
    (running.pack.folder / name).write_bytes(good[: len(good) // 2])
    toml = (running.pack.folder / "pack.toml").read_bytes()
    (running.pack.folder / "pack.toml").write_bytes(toml)  # rendered anew: it is looked at again
    running.until(running.lines.warnings)
    running.advance(2.0)
    (line,) = running.lines.warnings()
    assert name in line and running.portrait_is_lit() and running.status()["state"] in SEEING
    (running.pack.folder / name).write_bytes(good)
    (running.pack.folder / "pack.toml").write_bytes(toml if name != "pack.toml" else good)
    running.until(lambda: reporter.SWITCHED % "Test Sitter" in running.lines.messages())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[camera\n", "not TOML"),
        ("[camera]\nrate = 0\n", "camera.rate = 0; expected"),
        ("[camera]\nrate = nan\n", "camera.rate = nan; expected"),
        ("[eyes]\n", "unknown section [eyes]"),
        ("\x00\xff", "not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_config_that_goes_wrong(running: SteppedService, text: str | None, words: str) -> None:
    right = running.config_file.read_text()
    if text is None:
        running.config_file.unlink()
    else:
        running.config_file.write_text(text, "latin-1")
    running.settings.reread.set()
    running.until(running.lines.warnings)
    running.until(lambda: words in running.status()["fault"])
    (line,) = running.lines.warnings()
    assert line.startswith(settings.CONFIG_WRONG % (settings.STAYS, "")) and words in line
    assert running.portrait_is_lit() and running.status()["state"] in SEEING
    running.config_file.write_text(right)
    running.settings.reread.set()
    running.until(lambda: running.status()["healthy"])


def test_a_config_that_names_a_camera_that_is_not_there(running: SteppedService) -> None:
    running.camera.on_open = failing(CameraAbsent("nowhere: cannot be read as a folder"))
    running.config_file.write_text('[camera]\ntimeout = 0.5\nsource = "replay:nowhere"\n')
    running.settings.reread.set()
    stands(running, "blind", "cannot be read as a folder")
    running.camera.mend()
    heals(running)


def test_a_status_that_cannot_be_written(running: SteppedService, tmp_path: Path) -> None:
    (tmp_path / "run").rename(tmp_path / "gone")
    running.until(running.lines.warnings)
    running.advance(2.5)
    (line,) = running.lines.warnings()
    assert line.startswith(reporter.STATUS_UNWRITTEN.partition("%")[0])
    assert running.portrait_is_lit()
    (tmp_path / "gone").rename(tmp_path / "run")
    before = running.status()["written"]
    running.until(lambda: running.status()["written"] > before)


def test_a_systemd_that_does_not_listen(
    running: SteppedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    before = running.status()["counts"]["pictures"]
    running.until(lambda: running.status()["counts"]["pictures"] > before + 30)
    assert running.portrait_is_lit() and not running.lines.warnings()


class Interpreters:
    """The real runtime, which counts how many of its interpreters are alive as each new one is made."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.most = self.made = 0
        self._real = runtime.find_interpreter()

    def __call__(self) -> Any:
        return self.make

    def make(self, **given: Any) -> Any:
        interpreter = self._real(**given)
        self.alive.add(interpreter)
        self.made += 1
        self.most = max(self.most, len(self.alive))
        return interpreter


@pytest.fixture
def interpreters(monkeypatch: pytest.MonkeyPatch) -> Interpreters:
    counted = Interpreters()
    monkeypatch.setattr(runtime, "find_interpreter", lambda _: counted.make)
    return counted


def test_a_camera_that_keeps_stalling_loads_no_more_models(
    interpreters: Interpreters, running: SteppedService
) -> None:
    for _ in range(3):
        running.camera.on_picture = failing(CameraStalled("no picture for 5 s"))
        running.until_state("blind")
        running.camera.mend()
        running.until_state("following")
    assert (interpreters.made, interpreters.most) == (2, 2), "one for crops, one for the room"


def made(interpreters: Interpreters, wanted: int) -> Callable[[], bool]:
    return lambda: interpreters.made == wanted


def test_a_reload_with_another_model_replaces_the_models(
    interpreters: Interpreters, running: SteppedService
) -> None:
    for number, vision in enumerate(("threshold = 0.6", "threshold = 0.7", "threshold = 0.5"), 2):
        running.config_file.write_text(f"[camera]\ntimeout = 0.5\n[vision]\n{vision}\n")
        running.settings.reread.set()
        running.until(made(interpreters, 2 * number))
        running.until_state("following")
    assert interpreters.most == 2
