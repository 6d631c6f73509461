import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest
from PIL import Image

from appliance.config import DisplayConfig
from appliance.display.screen import Screen
from appliance.display.sdl import video_drivers
from appliance.errors import CannotWrite, ConfigError, NoDisplay
from appliance.pack import Pack
from tests.conftest import BOX, FRAMES, SIZE


def display(output: str, **changes: Any) -> DisplayConfig:
    return DisplayConfig(output=output, width=SIZE[0], height=SIZE[1], **changes)


def lit(folder: Path, frame: int) -> np.ndarray:
    return np.asarray(Image.open(folder / f"frame_{frame:02d}.png"))


def test_what_is_lit_is_the_packs_frame_pixel_by_pixel(pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "lit"
    with Screen(display(f"offscreen:{out}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        for frame in (0, FRAMES - 1):
            screen.show((frame,))
    base = pack.base()
    assert np.array_equal(lit(out, FRAMES // 2), np.asarray(base))
    for frame in (0, FRAMES - 1):
        base.paste(pack.patch(frame), BOX[:2])
        assert np.array_equal(lit(out, frame), np.asarray(base))


def test_every_flip_is_noted_in_order_with_its_time(pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "lit"
    with Screen(display(f"offscreen:{out}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        for frame in (5, 6, 5):
            screen.show((frame,))
    rows = [json.loads(row) for row in (out / "lit.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == [4, 5, 6, 5]
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_an_earlier_runs_pictures_are_cleared_and_other_files_kept(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "frame_00.png").write_bytes(b"old")
    (tmp_path / "notes.txt").write_text("mine")
    with Screen(display(f"offscreen:{tmp_path}")) as screen:
        screen.light(pack)
    assert not (tmp_path / "frame_00.png").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_cursor_is_hidden(pack: Pack, tmp_path: Path) -> None:
    with Screen(display(f"offscreen:{tmp_path}")):
        assert not pygame.mouse.get_visible()


@pytest.mark.parametrize("output", ["screen", "offscreen", "offscreen:", "window:here", "auto:x", ""])
def test_an_unknown_display_is_refused(output: str) -> None:
    with pytest.raises(ConfigError, match="expected auto, kmsdrm, window or offscreen:FOLDER"):
        Screen(display(output))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match=r"file/lit: cannot be written \(Not a directory\)"):
        Screen(display(f"offscreen:{tmp_path}/file/lit")).__enter__()


def test_a_window_without_a_desktop_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    with pytest.raises(NoDisplay, match=r"^no display: window: no desktop can be reached$"):
        Screen(display("window")).__enter__()


def test_a_desktop_that_does_not_answer_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    with pytest.raises(NoDisplay, match="no desktop can be reached"):
        Screen(display("auto")).__enter__()


def test_a_disk_that_fills_up_is_reported_and_does_not_hang(pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "lit"
    screen = Screen(display(f"offscreen:{out}"))
    with pytest.raises(CannotWrite, match="cannot be written"), screen:
        shutil.rmtree(out)
        out.write_text("in the way")
        screen.light(pack)
        screen.load(pack, threading.Event())
        for frame in range(FRAMES):
            screen.show((frame,))


def test_sdl_without_kmsdrm_is_told_apart_from_a_missing_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "")
    expected = "groups video and render" if "KMSDRM" in video_drivers() else "built without KMSDRM"
    with pytest.raises(NoDisplay, match=f"^no display: .*{expected}"):
        Screen(display("kmsdrm")).__enter__()


@pytest.mark.skipif(any(Path("/dev/dri").glob("card*")), reason="this machine has a display device")
def test_no_display_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoDisplay, match="no desktop session and no /dev/dri/card"):
        Screen(display("auto")).__enter__()


def test_sdl_lists_its_drivers() -> None:
    assert "dummy" in video_drivers()
