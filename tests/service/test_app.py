import json
import logging
import math
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from appliance import assets
from appliance.camera.base import Camera, Picture
from appliance.camera.replay import ReplayCamera
from appliance.config import WEEK, CameraConfig, Config, DisplayConfig, TrackingConfig
from appliance.display import sdl
from appliance.display.screen import Screen
from appliance.display.sdl import video_drivers
from appliance.errors import BadPack, CameraAbsent, ConfigError, NoDisplay
from appliance.gaze.target import GazeTarget
from appliance.library import DEFAULT_PORTRAIT, current_folder, hang_portrait
from appliance.pack import Pack, write_pack
from appliance.service import app, camera_feed, fallback, reporter, vision_thread
from appliance.service import settings as settings_room
from appliance.service.app import run
from appliance.service.settings import Settings
from appliance.service.status import STATUS
from appliance.vision.blazeface import Face
from tests.conftest import BOX, FRAMES, SIZE, base_image, packs, small_info, small_patches


class Notes:
    """A witness that remembers what it saw."""

    def __init__(self) -> None:
        self.aims: list[GazeTarget] = []
        self.frames: list[int] = []  # of the sitter with the largest face
        self.flips: list[tuple[int, ...]] = []
        self.delays: list[float] = []

    def saw(self, picture: Picture, faces: Sequence[Face], aim: GazeTarget, camera: Camera) -> None:
        self.aims.append(aim)

    def lit(self, frames: tuple[int, ...], aim: GazeTarget | None, moment: float) -> None:
        self.frames.append(frames[0])
        self.flips.append(frames)
        if aim and aim.viewer:
            self.delays.append(moment - aim.captured)


def config_for(source: str, folder: Path) -> Config:
    display = DisplayConfig(output=f"offscreen:{folder}", width=SIZE[0], height=SIZE[1], width_mm=300.0)
    return replace(Config(), camera=CameraConfig(source=source), display=display)


def portrait_at(path: Path, x: int, width: int = 640, height: int = 360) -> None:
    """A room with the astronaut's photograph somewhere in it."""
    room = Image.new("RGB", (width, height), (120, 115, 105))
    face = Image.open(assets.photograph_path("astronaut.png")).convert("RGB").crop((100, 20, 350, 270))
    room.paste(face.resize((140, 140)), (x, 110))
    room.save(path)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@packs
def test_the_sitter_follows_the_gallerys_visitor(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    run(config_for("gallery:cross", tmp_path / "lit"), lambda: pack.folder, threading.Event(), 5.0, notes)
    assert len(notes.aims) > 50
    assert len(set(notes.frames)) >= 4
    flips = [json.loads(row)["frame"] for row in (tmp_path / "lit" / "lit.jsonl").read_text().splitlines()]
    flips = [tuple(flip) if isinstance(flip, list) else (flip,) for flip in flips]
    assert flips == [tuple(grid.rest for grid in pack.info.sitters), *notes.flips]
    assert all(a != b for a, b in pairwise(flips)), "it flips only on a change"
    said = messages(caplog)
    assert said[0].startswith("Test Sitter lit at rest on 90x160 (offscreen:")
    assert said[1:3] == [reporter.SEEING % "gallery:cross, 66 degrees wide", reporter.FOLLOWING]
    assert said[-1] == app.ENDED


def test_a_viewer_to_their_right_is_looked_at_to_picture_right(pack: Pack, tmp_path: Path) -> None:
    for side, x in (("left", 20), ("right", 480)):
        (tmp_path / side).mkdir()
        for i in range(30):
            portrait_at(tmp_path / side / f"{i:03d}.png", x)
        notes = Notes()
        source = f"replay:{tmp_path / side}"
        run(config_for(source, tmp_path / f"lit-{side}"), lambda: pack.folder, threading.Event(), 20, notes)
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
    settings = Settings(tmp_path / "config.toml", f"replay:{tmp_path / 'room'}", lit, patient=True)
    run(settings.start(), lambda: tmp_path / "grid", threading.Event(), 20, notes, settings)
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
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_thread, "_FIRST_PAUSE", 0.2)
    run(config_for("picamera", tmp_path / "lit"), lambda: pack.folder, threading.Event(), 2.0)
    (lost,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert lost.msg == reporter.CAMERA_LOST
    assert "picamera2 cannot be loaded" in lost.getMessage()
    assert sorted(path.name for path in (tmp_path / "lit").glob("*.png")) == ["frame_04.png"]


def test_a_camera_that_comes_back_is_used_again(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_thread, "_FIRST_PAUSE", 0.2)
    folder = tmp_path / "late"
    folder.mkdir()
    monkeypatch.setattr(camera_feed, "create_camera", lambda *_: ReplayCamera(folder))

    def plug_in() -> None:
        for i in range(20):
            portrait_at(tmp_path / f"{i:03d}.png", 20)
        for i in range(20):
            (tmp_path / f"{i:03d}.png").rename(folder / f"{i:03d}.png")

    later = threading.Timer(0.3, plug_in)
    later.start()
    notes = Notes()
    run(config_for("picamera", tmp_path / "lit"), lambda: pack.folder, threading.Event(), 30, notes)
    later.join()
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
    run(config_for(f"replay:{folder}", tmp_path / "lit"), lambda: pack.folder, threading.Event(), 30, notes)
    (skipped,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "010.png" in skipped.getMessage()
    assert notes.aims[-1].captured - notes.aims[0].captured > 0.5


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_it_ends_within_a_second_of_being_asked(pack: Pack, tmp_path: Path, seconds: float | None) -> None:
    stop = threading.Event()
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        stop.set()

    timer = threading.Timer(1.5, ask)
    timer.start()
    run(config_for("gallery", tmp_path / "lit"), lambda: pack.folder, stop, seconds)
    assert time.monotonic() - asked[0] < 1.0


def test_a_pack_with_a_missing_frame_rests(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pack.folder / "patch_03.png").unlink()
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    run(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder, stop)
    timer.join()
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
        tmp_path / "config.toml", "gallery:cross", f"offscreen:{tmp_path / 'lit'}", patient=True
    )
    notes = Notes()
    run(settings.start(), lambda: pack.folder, threading.Event(), 5.0, notes, settings)
    assert any(aim.viewer for aim in notes.aims), "somebody was there to look at"
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
    run(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder, threading.Event(), 0.1)
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
    (tmp_path / "config.toml").write_text("")
    output = f"offscreen:{tmp_path / 'lit'}"
    settings = Settings(tmp_path / "config.toml", "gallery:empty", output, patient=True)
    run(settings.start(), settings.hanging, threading.Event(), 2.5, settings=settings)
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
    monkeypatch.setattr(app, "LOOK_AGAIN", 0.2)
    for name in ("old", "new", "bad"):
        base = base_image().point(lambda v: v // 2) if name == "new" else base_image()
        patches = [base.crop(BOX)] * FRAMES
        write_pack(tmp_path / "state" / name, small_info(title=name), base, patches)
    hang_portrait("old")
    stop = threading.Event()

    def hang() -> None:
        time.sleep(1.0)
        hang_portrait("new")
        time.sleep(1.0)
        write_pack(tmp_path / "state" / "new", small_info(title="new"), base_image(), small_patches())
        time.sleep(1.0)
        (tmp_path / "state" / "bad" / "patch_02.png").write_bytes(b"damaged")
        (tmp_path / "state" / "next").symlink_to("bad")
        # In one step, because the service may look at any moment.
        (tmp_path / "state" / "next").replace(tmp_path / "state" / "current")
        time.sleep(1.0)
        stop.set()

    curator = threading.Thread(target=hang)
    curator.start()
    run(config_for("gallery:empty", tmp_path / "lit"), current_folder, stop)
    curator.join()
    said = messages(caplog)
    assert said.count(app.SWITCHED % "new") == 2, "rendered again under the same name, it is taken up again"
    assert said[0].startswith("old lit at rest")
    refused = [line for line in said if line.startswith("the portrait stays: ")]
    assert len(refused) == 1 and "patch_02.png: damaged" in refused[0]
    flips = (tmp_path / "lit" / "lit.jsonl").read_text().splitlines()
    assert len(flips) == 3, "one flip at the start, one for each new portrait, none black"


def test_a_switch_that_the_end_overtakes_is_not_told_as_done(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_pack(tmp_path / "new", small_info(title="new"), base_image(), small_patches())
    stop = threading.Event()
    with Screen(config_for("gallery", tmp_path / "lit").display) as screen:
        screen.light(pack)
        assert app._switch(screen, tmp_path / "new", stop, stop.set) == (None, "")
    assert app.SWITCHED % "new" not in messages(caplog)
    assert len((tmp_path / "lit" / "lit.jsonl").read_text().splitlines()) == 1


def test_a_service_means_the_bare_display_where_it_may_choose(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdl, "CARDS", tmp_path)  # no graphics card, as before its driver has come
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "config.toml").write_text("")
    settings = Settings(tmp_path / "config.toml", patient=True)
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
    settings = Settings(tmp_path / "config.toml", "gallery:empty", output, patient=True)
    run(settings.start(), lambda: pack.folder, threading.Event(), 0.5, settings=settings)
    fault = f"{tmp_path}/config.toml/a.webp: cannot be written (File exists)"
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        app.NOT_FILMED % fault
    ]
    assert (tmp_path / "lit" / "frame_04.png").exists()


def test_a_reload_keeps_the_screen_as_it_was_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opened = Config(display=DisplayConfig(output="auto", film=f"{tmp_path}/file/a.webp", margin=7))
    in_force = app._in_force(opened, None, patient=True)
    assert (in_force.display.output, in_force.display.film) == ("kmsdrm", "")
    rate = replace(opened.camera, rate=20.0)
    again = replace(opened, camera=rate, display=replace(opened.display, margin=9, pack="other"))
    again = replace(again, hours=replace(opened.hours, monday="closed"))
    wanted = replace(in_force, camera=rate, display=replace(in_force.display, pack="other"))
    assert app._in_force(again, in_force, patient=True) == wanted


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
    """Run the service for half a second; return what it told systemd."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
    output = f"offscreen:{folder / 'lit'}"
    settings = Settings(folder / "config.toml", "gallery:empty", output, film, patient=True)
    (folder / "config.toml").write_text(f"[display]\nwidth = {SIZE[0]}\nheight = {SIZE[1]}\n")
    config = settings.start()
    if reload:
        settings.reread.set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        systemd.setblocking(False)
        run(config, lambda: pack.folder, threading.Event(), 0.5, settings=settings)
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
    settings = Settings(tmp_path / "config.toml", "gallery:empty", output, patient=True)
    for name, of in (("LOOK_AGAIN", app), ("FADE", app), ("SECOND", reporter)):
        monkeypatch.setattr(of, name, 0.001)
    stop, looks = threading.Event(), count()

    def hanging() -> Path:
        """Asked once at the start and once a turn of the app: the fourth turn is the last."""
        if next(looks) == 4:
            stop.set()
        return pack.folder

    run(settings.start(), hanging, stop, settings=settings)
    found = json.loads((tmp_path / STATUS).read_text())
    assert found["healthy"] == (fault == "none")
    assert found["fault"].startswith(said) and bool(found["fault"]) == bool(said)
    assert found["portrait"] == ("Other" if fault == "the base is damaged" else "Test Sitter")
    assert found["fault"].endswith("showing Other instead") == (fault == "the base is damaged")


class TestPause:
    """How long the app waits for a new target, by a clock that stands at 1000 s."""

    NOW = 1000.0

    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app, "time", SimpleNamespace(monotonic=lambda: self.NOW))

    def pause(self, gone: float | None, due: float = 10.0, wander_every: float = 0.0) -> float:
        """With a viewer last seen `gone` seconds ago, on a screen that is due in `due` seconds."""
        target = None if gone is None else GazeTarget(None, 5.0, self.NOW - gone, self.NOW)
        return app._pause(target, TrackingConfig(wander_every=wander_every), self.NOW + due)

    def test_the_eyes_move_between_pictures_until_they_rest(self) -> None:
        tracking = TrackingConfig()
        moving = tracking.hold + tracking.return_time
        assert [self.pause(gone) for gone in (0.0, 1.0, moving)] == [app.TICK] * 3
        assert self.pause(moving + app.IDLE + 0.01) == app.IDLE

    def test_a_sitter_who_looks_about_moves_always(self) -> None:
        assert self.pause(1000.0, wander_every=20.0) == app.TICK

    def test_an_empty_room_costs_ten_looks_a_second(self) -> None:
        assert self.pause(None) == self.pause(math.inf) == app.IDLE

    def test_a_fade_is_stepped_when_the_screen_is_due(self) -> None:
        assert self.pause(None, due=0.05) == pytest.approx(0.05)
        assert self.pause(None, due=0.001) == self.pause(None, due=-5.0) == app.TICK
