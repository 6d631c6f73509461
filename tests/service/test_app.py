import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance import assets
from appliance.camera.base import Camera, Picture
from appliance.camera.replay import ReplayCamera
from appliance.config import WEEK, CameraConfig, Config, DisplayConfig, TrackingConfig
from appliance.display import open_display
from appliance.display.open_display import video_drivers
from appliance.errors import BadPack, CameraAbsent, ConfigError, NoDisplay
from appliance.gaze.target_to_frames import GazeTarget
from appliance.library import DEFAULT_PORTRAIT, current_folder, hang_portrait
from appliance.pack import Pack, write_pack
from appliance.service import app, camera_creation, fallback, reporter
from appliance.service import settings as settings_room
from appliance.service.app import run
from appliance.service.health import HealthInputs
from appliance.service.reporter import PortraitLit, Ready, SwitchRefused
from appliance.service.settings import Settings
from appliance.service.status import STATUS
from appliance.vision.blazeface import Face
from tests.conftest import BOX, FRAMES, SIZE, base_image, packs, small_info, small_patches
from tests.service.running import Stepped


class Notes:
    """An observer that remembers what it saw."""

    def __init__(self, enough: Callable[[], object] = bool) -> None:
        self.enough = enough  # called once the eyes have moved a little
        self.targets: list[GazeTarget] = []
        self.frames: list[int] = []  # of the sitter with the largest face
        self.flips: list[tuple[int, ...]] = []
        self.delays: list[float] = []

    def saw(self, picture: Picture, faces: Sequence[Face], target: GazeTarget, camera: Camera) -> None:
        self.targets.append(target)

    def lit(self, frames: tuple[int, ...], target: GazeTarget | None, moment: float) -> None:
        self.frames.append(frames[0])
        self.flips.append(frames)
        if len(set(self.frames)) >= 3:
            self.enough()
        if target and target.viewer:
            self.delays.append(moment - target.captured)


def config_for(source: str, folder: Path) -> Config:
    display = DisplayConfig(output=f"offscreen:{folder}", width=SIZE[0], height=SIZE[1], width_mm=300.0)
    return replace(Config(), camera=CameraConfig(source, width=320, height=180), display=display)


def portrait_at(path: Path, x: int, width: int = 640, height: int = 360) -> None:
    """A room with the astronaut's photograph somewhere in it."""
    room = Image.new("RGB", (width, height), (120, 115, 105))
    face = Image.open(assets.photograph_path("astronaut.png")).convert("RGB").crop((100, 20, 350, 270))
    room.paste(face.resize((140, 140)), (x, 110))
    room.save(path)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("pack", ["grid"], indirect=True)
def test_the_sitter_follows_the_gallerys_visitor(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """End to end, with its threads and in real time; the others step."""
    stop = threading.Event()
    notes = Notes(enough=stop.set)
    run(config_for("gallery:cross", tmp_path / "lit"), lambda: pack.folder, stop, 20.0, notes)
    rows = (tmp_path / "lit" / "lit.jsonl").read_text().splitlines()
    flips = [tuple(json.loads(row)["frame"]) for row in rows]
    assert flips == [tuple(grid.rest for grid in pack.info.sitters), *notes.flips]
    said = messages(caplog)
    assert said[0].startswith("Test Sitter lit at rest on 90x160 (offscreen:")
    assert said[1:3] == [reporter.SEEING % "gallery:cross, 66 degrees wide", reporter.FOLLOWING]
    assert said[-1] == app.ENDED


@packs
def test_it_flips_only_on_a_change(pack: Pack, tmp_path: Path) -> None:
    notes = Notes()
    with Stepped(config_for("gallery:cross", tmp_path / "lit"), lambda: pack.folder, None, notes) as steps:
        steps.advance(5.0)
    assert len(notes.targets) > 140, "thirty pictures a second"
    assert len(set(notes.frames)) >= 4
    flips = [tuple(grid.rest for grid in pack.info.sitters), *notes.flips]
    assert all(a != b for a, b in pairwise(flips))
    assert [event for event in steps.events if isinstance(event, reporter.Flipped)] == [
        reporter.Flipped(delay) for delay in notes.delays
    ], "each tells how long it took"


def test_a_viewer_to_their_right_is_looked_at_to_picture_right(pack: Pack, tmp_path: Path) -> None:
    for side, x in (("left", 20), ("right", 480)):
        (tmp_path / side).mkdir()
        for i in range(30):
            portrait_at(tmp_path / side / f"{i:03d}.png", x)
        notes = Notes()
        source = f"replay:{tmp_path / side}"
        config = config_for(source, tmp_path / f"lit-{side}")
        with Stepped(config, lambda: pack.folder, observer=notes) as steps:
            steps.advance(20)
        # The camera's picture left is the visitor's right.
        assert (notes.frames[-1] > FRAMES // 2) == (side == "left")


def test_a_viewer_below_is_looked_down_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    level = small_info().main
    grid = replace(level, pitches=(12.0, 0.0, -12.0), steps=(2, 1, 2), resting=(1, FRAMES // 2))
    patches = [patch for row in range(3) for patch in small_patches()[:: grid.steps[row]]]
    write_pack(tmp_path / "grid", small_info(sitters=(grid,)), base_image(), patches)
    (tmp_path / "room").mkdir()
    for i in range(90):
        portrait_at(tmp_path / "room" / f"{i:03d}.png", 20)
    # The lens is far below her eyes.
    text = f"[gaze]\ncamera_up = -700.0\n[display]\nwidth = {SIZE[0]}\nheight = {SIZE[1]}\n"
    (tmp_path / "config.toml").write_text(text)
    lit, notes = f"offscreen:{tmp_path / 'lit'}", Notes()
    settings = Settings(tmp_path / "config.toml", f"replay:{tmp_path / 'room'}", lit, supervised=True)
    with Stepped(settings.start(), lambda: tmp_path / "grid", settings, notes) as steps:
        steps.advance(20)
    row, column = grid.place(notes.frames[-1])
    assert row == 2 and column > FRAMES // 2
    found = json.loads((tmp_path / STATUS).read_text())
    assert (found["row"], found["frame"]) == (row, column)


def test_the_portrait_is_lit_before_a_missing_model_is_told(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MONA_LISA_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"models/.*tflite: missing; run `mona-lisa assets fetch`"):
        run(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder, threading.Event(), 5.0)
    (lit,) = messages(caplog)
    assert lit.startswith("Test Sitter lit at rest on 90x160 (offscreen:")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "lit" / "frame_04.png")), np.asarray(pack.base()))


@pytest.mark.skipif(find_spec("picamera2") is not None, reason="this machine may have a camera")
def test_a_missing_camera_rests_the_sitter_and_is_logged_once(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Stepped(config_for("picamera", tmp_path / "lit"), lambda: pack.folder) as steps:
        steps.advance(200)
    (lost,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert lost.msg == reporter.CAMERA_LOST
    assert "picamera2 cannot be loaded" in lost.getMessage()
    assert lost.getMessage().endswith(reporter.RETRYING % 2)
    assert sorted(path.name for path in (tmp_path / "lit").glob("*.png")) == ["frame_04.png"]


def test_a_camera_that_comes_back_is_used_again(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, notes = tmp_path / "late", Notes()
    folder.mkdir()
    with Stepped(config_for("picamera", tmp_path / "lit"), lambda: pack.folder, None, notes) as steps:
        monkeypatch.setattr(
            camera_creation, "create_camera", lambda *_: ReplayCamera(folder, clock=steps.clock)
        )
        steps.advance(3.0)
        for i in range(20):
            portrait_at(folder / f"{i:03d}.png", 20)
        steps.advance(30.0)
    seeing = reporter.SEEING % "picamera, 66 degrees wide"
    assert messages(caplog)[2:5] == [reporter.CAMERA_BACK, seeing, reporter.FOLLOWING]
    assert notes.frames


def test_an_empty_replay_folder_is_an_error_and_no_wait(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    source = f"replay:{tmp_path / 'empty'}"
    with pytest.raises(CameraAbsent, match="no pictures; expected a folder of image files"):
        run(config_for(source, tmp_path / "lit"), lambda: pack.folder, threading.Event(), 5.0)


def test_one_broken_picture_is_logged_once_and_skipped(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "room"
    folder.mkdir()
    for i in range(20):
        portrait_at(folder / f"{i:03d}.png", 20)
    (folder / "010.png").write_bytes(b"no image")
    notes = Notes()
    config = config_for(f"replay:{folder}", tmp_path / "lit")
    with Stepped(config, lambda: pack.folder, observer=notes) as steps:
        steps.advance(30)
    (skipped,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "010.png" in skipped.getMessage()
    assert notes.targets[-1].captured - notes.targets[0].captured > 0.5


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_it_ends_within_a_second_of_being_asked(pack: Pack, tmp_path: Path, seconds: float | None) -> None:
    stop, asked = threading.Event(), list[float]()

    class Asks(Notes):
        def saw(self, picture: Picture, faces: Sequence[Face], target: GazeTarget, camera: Camera) -> None:
            asked.append(time.monotonic())
            stop.set()

    run(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder, stop, seconds, Asks())
    assert time.monotonic() - asked[0] < 1.0


def test_it_ends_by_itself_after_its_time(pack: Pack, tmp_path: Path) -> None:
    began = time.monotonic()
    run(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder, threading.Event(), 0.2)
    assert time.monotonic() - began >= 0.2


def test_a_pack_with_a_missing_frame_rests(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pack.folder / "patch_03.png").unlink()
    with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder) as steps:
        steps.advance(0.5)
    fault = f"{pack.folder / 'patch_03.png'}: missing; render the portrait again"
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        fallback.RESTS % fault
    ]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "lit" / "frame_04.png")), np.asarray(pack.base()))


@pytest.mark.parametrize("fault", ["closed", "damaged"])
def test_frames_that_are_not_lit_are_not_counted_as_lit(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    shut = "".join(f'{day} = "closed"\n' for day in WEEK)
    (tmp_path / "config.toml").write_text(f'[hours]\nclock = "any"\n{shut}' if fault == "closed" else "")
    if fault == "damaged":
        (pack.folder / "patch_02.png").write_bytes(b"")
    settings = Settings(
        tmp_path / "config.toml", "gallery:cross", f"offscreen:{tmp_path / 'lit'}", supervised=True
    )
    notes = Notes()
    with Stepped(settings.start(), lambda: pack.folder, settings, notes) as steps:
        steps.advance(5.0)
    assert any(target.viewer for target in notes.targets), "somebody was there to look at"
    found = json.loads((tmp_path / STATUS).read_text())
    assert (found["counts"]["flips"], found["picture_to_flip_p95_s"], notes.frames) == (0, None, [])
    if fault == "damaged":
        assert (found["state"], found["frame"]) == ("following", pack.info.main.rest), "the sitter rests"


def test_without_any_pack_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    with pytest.raises(BadPack, match="no pack there; make one with"):
        run(config_for("gallery", tmp_path / "lit"), current_folder, threading.Event(), 5.0)


def test_in_place_of_a_pack_that_shows_nothing_another_is_lit(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    write_pack(tmp_path / "state" / "other", small_info(title="Other"), base_image(), small_patches())
    (pack.folder / "base.png").write_bytes(b"no picture")
    with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder):
        pass
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith(f"{pack.folder / 'base.png'}: damaged") and line.endswith("showing Other instead")


def test_without_any_readable_portrait_it_shows_its_own(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings_room, "home_folder", lambda: tmp_path)
    (tmp_path / "frames").mkdir()
    pack.folder.rename(tmp_path / "frames" / DEFAULT_PORTRAIT)
    library = tmp_path / ("x" * 300)  # refused by the system, as a failing disk refuses any name
    monkeypatch.setenv("STATE_DIRECTORY", str(library))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "config.toml").write_text("[camera]\nrate = 5.0\n")
    output = f"offscreen:{tmp_path / 'lit'}"
    settings = Settings(tmp_path / "config.toml", "gallery:empty", output, supervised=True)
    with Stepped(settings.start(), settings.hanging, settings) as steps:
        steps.advance(2.5)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert str(library) in line and line.endswith("(File name too long); showing Test Sitter instead"), line
    assert (tmp_path / "lit" / "frame_04.png").exists()


@pytest.mark.parametrize("source", ["webcam", "replay", "replay:", "gallery:nowhere", ""])
def test_an_unknown_camera_is_refused(pack: Pack, tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError):
        run(config_for(source, tmp_path / "lit"), lambda: pack.folder, threading.Event(), 5.0)


def test_a_running_service_takes_up_only_a_sound_portrait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    for name in ("old", "new", "bad"):
        base = base_image().point(lambda v: v // 2) if name == "new" else base_image()
        patches = [base.crop(BOX)] * FRAMES
        write_pack(tmp_path / "state" / name, small_info(title=name), base, patches)
    hang_portrait("old")
    config = config_for("gallery:empty", tmp_path / "lit")
    slow = replace(config, camera=replace(config.camera, rate=5.0))
    with Stepped(slow, current_folder) as steps:
        steps.advance(0.5)
        hang_portrait("new")
        steps.advance(2 * app.LOOK_AGAIN)
        write_pack(tmp_path / "state" / "new", small_info(title="new"), base_image(), small_patches())
        steps.advance(2 * app.LOOK_AGAIN)
        assert not steps.app.fault
        assert steps.app.vision.setup.pack == steps.app.pack.info == Pack(current_folder()).info
        (tmp_path / "state" / "bad" / "patch_02.png").write_bytes(b"damaged")
        (tmp_path / "state" / "current").unlink()
        (tmp_path / "state" / "current").symlink_to("bad")
        steps.advance(3 * app.LOOK_AGAIN)
    said = messages(caplog)
    assert said.count(reporter.SWITCHED % "new") == 2, (
        "rendered again under the same name, it is taken up again"
    )
    assert said[0].startswith("old lit at rest")
    refused = [line for line in said if line.startswith("the portrait stays: ")]
    assert refused == [steps.app.fault] and "patch_02.png: damaged" in refused[0]
    flips = (tmp_path / "lit" / "lit.jsonl").read_text().splitlines()
    assert len(flips) == 3, "one flip at the start, one for each new portrait, none black"
    lit = [
        (event.pack.info.title, event.switched) for event in steps.events if isinstance(event, PortraitLit)
    ]
    assert lit == [("old", False), ("new", True), ("new", True)]
    assert [type(event) for event in steps.events] == [
        PortraitLit,
        Ready,
        PortraitLit,
        PortraitLit,
        SwitchRefused,
    ]


def test_a_refusal_is_a_fault_until_a_whole_portrait_hangs(pack: Pack, tmp_path: Path) -> None:
    write_pack(tmp_path / "new", small_info(title="new"), base_image(), small_patches())
    hung = [pack.folder]
    with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: hung[-1]) as steps:
        faults = []
        for folder in (tmp_path / "nowhere", tmp_path / "new"):
            hung.append(folder)
            steps.clock.now += app.LOOK_AGAIN
            steps.app.step(steps.clock.now)
            faults.append(steps.app.fault)
    assert "nowhere" in faults[0] and not faults[1]


def test_no_eyes_move_by_a_target_for_another_portrait(pack: Pack, tmp_path: Path) -> None:
    with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder) as steps:
        now, vision = steps.clock.now, steps.app.vision
        known = replace(vision.latest.value, target=GazeTarget(None, 20.0, now, now))
        vision.latest.put(replace(known, setup=replace(vision.setup, pack=small_info(title="before"))))
        steps.app.step(now)
        assert steps.screen.shown == (FRAMES // 2,)
        vision.latest.put(known)
        steps.app.step(now)
        assert steps.screen.shown[0] > FRAMES // 2


def test_what_hangs_is_looked_at_once_a_second(pack: Pack, tmp_path: Path) -> None:
    looks: list[float] = []

    def hanging() -> Path:
        looks.append(steps.clock.now)
        return pack.folder

    config = config_for("gallery:empty", tmp_path / "lit")
    steps = Stepped(replace(config, camera=replace(config.camera, rate=5.0)), hanging)
    with steps:
        steps.advance(5.2)
    assert np.diff(looks) == pytest.approx([1.0] * 5, abs=app.IDLE)


def test_a_reload_is_in_force_from_the_next_step_on(pack: Pack, tmp_path: Path) -> None:
    display = f"[display]\nwidth = {SIZE[0]}\nheight = {SIZE[1]}\n"
    (tmp_path / "config.toml").write_text(display)
    settings = Settings(tmp_path / "config.toml", "gallery:empty", f"offscreen:{tmp_path / 'lit'}")
    with Stepped(settings.start(), lambda: pack.folder, settings) as steps:
        steps.advance(0.1)
        assert not [event for event in steps.events if isinstance(event, Config)]
        (tmp_path / "config.toml").write_text(display + "[tracking]\nhold = 7.0\n")
        settings.reread.set()
        steps.app.step(steps.clock.now)
        (taken,) = [event for event in steps.events if isinstance(event, Config)]
        assert taken.tracking.hold == 7 and steps.app.config is taken
        assert steps.app.vision.setup.config is taken and steps.app.vision.setup.pack == pack.info
        steps.advance(0.1)
        assert steps.app.vision.latest.value.setup.config is taken, "the next picture is understood by it"


def test_a_switch_that_the_end_overtakes_is_not_told_as_done(pack: Pack, tmp_path: Path) -> None:
    write_pack(tmp_path / "new", small_info(title="new"), base_image(), small_patches())
    hung, told = [pack.folder], list[reporter.Event]()

    def end(event: reporter.Event) -> None:
        told.append(event)
        steps.stop.set()

    with Stepped(config_for("gallery", tmp_path / "lit"), lambda: hung[-1]) as steps:
        hung.append(tmp_path / "new")
        steps.app._report = end  # the frames of the new one are being read when it ends
        steps.app.step(steps.clock.now + app.LOOK_AGAIN)
    assert {type(event) for event in told} == {HealthInputs}
    assert steps.app.pack.folder == pack.folder and not steps.app.fault
    assert len((tmp_path / "lit" / "lit.jsonl").read_text().splitlines()) == 1


def test_a_service_means_the_bare_display_where_it_may_choose(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_display, "CARDS", tmp_path)  # no graphics card, as before its driver has come
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "config.toml").write_text("")
    settings = Settings(tmp_path / "config.toml", supervised=True)
    if "KMSDRM" in video_drivers():
        run(
            settings.start(), lambda: pack.folder, threading.Event(), 0.1, settings=settings
        )  # waits, and ends
    else:
        with pytest.raises(NoDisplay, match="without KMSDRM"):  # told apart from a missing card
            run(settings.start(), lambda: pack.folder, threading.Event(), 0.1, settings=settings)


def test_an_unwritable_recording_does_not_stop_the_service(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "config.toml").write_text(f'[display]\nfilm = "{tmp_path}/config.toml/a.webp"\n')
    output = f"offscreen:{tmp_path / 'lit'}"
    settings = Settings(tmp_path / "config.toml", "gallery:empty", output, supervised=True)
    with Stepped(settings.start(), lambda: pack.folder, settings) as steps:
        steps.advance(0.5)
    fault = f"{tmp_path}/config.toml/a.webp: cannot be written (File exists)"
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        app.NOT_FILMED % fault
    ]
    assert (tmp_path / "lit" / "frame_04.png").exists()


def test_a_reload_keeps_the_screen_as_it_was_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opened = Config(display=DisplayConfig(output="auto", film=f"{tmp_path}/file/a.webp", margin=7))
    in_force = app._in_force(opened, None, supervised=True)
    assert (in_force.display.output, in_force.display.film) == ("kmsdrm", "")
    rate = replace(opened.camera, rate=20.0)
    again = replace(opened, camera=rate, display=replace(opened.display, margin=9, pack="other"))
    again = replace(again, hours=replace(opened.hours, monday="closed"))
    wanted = replace(in_force, camera=rate, display=replace(in_force.display, pack="other"))
    assert app._in_force(again, in_force, supervised=True) == wanted


def test_no_time_is_asked_for_a_film_that_is_not_recorded(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = f"{tmp_path}/config.toml/a.webp"  # cannot be written: in the way lies a file
    heard = told_to_systemd(pack, tmp_path, monkeypatch, film, reload=True)
    assert heard and reporter.MORE_TIME not in heard


def test_systemd_is_asked_for_the_time_in_which_a_film_is_packed(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = str(tmp_path / "a.webp")
    heard = told_to_systemd(pack, tmp_path, monkeypatch, film)
    assert heard[-1] == reporter.MORE_TIME and Path(film).stat().st_size


def told_to_systemd(
    pack: Pack, folder: Path, monkeypatch: pytest.MonkeyPatch, film: str, reload: bool = False
) -> list[str]:
    """Run the service for a moment; return what it told systemd."""
    monkeypatch.setattr(app, "FADE", 0.01)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
    output = f"offscreen:{folder / 'lit'}"
    settings = Settings(folder / "config.toml", "gallery:empty", output, film, supervised=True)
    (folder / "config.toml").write_text(f"[display]\nwidth = {SIZE[0]}\nheight = {SIZE[1]}\n")
    config = settings.start()
    if reload:
        settings.reread.set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        systemd.setblocking(False)
        run(config, lambda: pack.folder, threading.Event(), 0.1, settings=settings)
        heard = []
        with suppress(BlockingIOError):
            while True:
                heard.append(systemd.recv(1000).decode())
    return heard


@pytest.mark.parametrize("fault", ["none", "a patch is missing", "the base is damaged"])
def test_the_status_is_healthy_only_while_all_of_it_hangs(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    write_pack(tmp_path / "state" / "other", small_info(title="Other"), base_image(), small_patches())
    said = ""
    if fault == "a patch is missing":
        (pack.folder / "patch_03.png").unlink()
        said = f"{pack.folder / 'patch_03.png'}: missing; render the portrait again; the sitter rests"
    elif fault == "the base is damaged":
        (pack.folder / "base.png").write_bytes(b"no picture")
        said = f"{pack.folder / 'base.png'}: damaged"
    (tmp_path / "config.toml").write_text(f"[display]\nwidth = {SIZE[0]}\nheight = {SIZE[1]}\n")
    output = f"offscreen:{tmp_path / 'lit'}"
    settings = Settings(tmp_path / "config.toml", "gallery:empty", output, supervised=True)
    with Stepped(settings.start(), lambda: pack.folder, settings) as steps:
        steps.advance(1.2)
    found = json.loads((tmp_path / STATUS).read_text())
    assert found["healthy"] == (fault == "none")
    assert found["fault"].startswith(said) and bool(found["fault"]) == bool(said)
    assert found["portrait"] == ("Other" if fault == "the base is damaged" else "Test Sitter")
    assert found["fault"].endswith("showing Other instead") == (fault == "the base is damaged")


class TestPause:
    """How long the main thread waits for a new target."""

    @pytest.fixture
    def steps(self, pack: Pack, tmp_path: Path) -> Iterator[Stepped]:
        with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder) as steps:
            yield steps

    @staticmethod
    def pause(steps: Stepped, gone: float | None, due: float = 10.0) -> float:
        """With a viewer last seen `gone` seconds ago, on a screen that is due in `due` seconds."""
        now, latest = steps.clock.now, steps.app.vision.latest
        target = None if gone is None else GazeTarget(None, 5.0, now - gone, now)
        latest.put(replace(latest.value, target=target))
        steps.screen.due = now + due
        return steps.app.pause(now)

    def test_the_eyes_move_between_pictures_until_they_rest(self, steps: Stepped) -> None:
        tracking = TrackingConfig()
        moving = tracking.hold + tracking.return_time
        assert [self.pause(steps, gone) for gone in (0.0, 1.0, moving)] == [app.TICK] * 3
        assert self.pause(steps, moving + app.IDLE + 0.01) == app.IDLE

    def test_a_sitter_who_looks_about_moves_always(self, steps: Stepped) -> None:
        steps.app.config = replace(Config(), tracking=TrackingConfig(wander_every=20.0))
        assert self.pause(steps, 1000.0) == app.TICK

    def test_an_empty_room_costs_ten_steps_a_second(self, steps: Stepped) -> None:
        assert self.pause(steps, None) == self.pause(steps, math.inf) == app.IDLE

    def test_a_fade_is_stepped_when_the_screen_is_due(self, steps: Stepped) -> None:
        assert self.pause(steps, None, due=0.05) == pytest.approx(0.05)
        assert self.pause(steps, None, due=0.001) == self.pause(steps, None, due=-5.0) == app.TICK

    def test_it_wakes_for_the_look_at_what_hangs(self, steps: Stepped) -> None:
        now = steps.clock.now + app.LOOK_AGAIN - 0.05
        assert steps.app.pause(now) == pytest.approx(0.05)
