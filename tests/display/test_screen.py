import json
import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pygame
import pytest
from PIL import Image

from appliance.assets import home_folder
from appliance.camera.sampling import Pixels
from appliance.clock import Clock
from appliance.config import DisplayConfig, HoursConfig
from appliance.display import frame_loader, open_display
from appliance.display import screen as screen_module
from appliance.display.open_display import video_drivers
from appliance.display.opening_hours import OpeningController
from appliance.display.screen import RECORDING_LOST, PortraitScreen
from appliance.errors import CannotWrite, ConfigError, NoDisplay
from appliance.pack import Pack, write_pack
from tests.conftest import BOX, FRAMES, GRID, OTHER_BOX, SIZE, composed, every_day, grid_info, grid_patches

two_sitters = pytest.mark.parametrize("pack", ["grid"], indirect=True)


def display(output: str, **changes: Any) -> DisplayConfig:
    return DisplayConfig(output=output, width=SIZE[0], height=SIZE[1], **changes)


def lit(folder: Path, frame: int) -> Pixels:
    return np.asarray(Image.open(folder / f"frame_{frame:02d}.png"))


def pixels(screen: PortraitScreen) -> Pixels:
    """What the display's surface holds."""
    data = np.frombuffer(pygame.image.tostring(pygame.display.get_surface(), "RGB"), np.uint8)
    return data.reshape(screen.size[1], screen.size[0], 3)


def test_what_is_lit_is_the_packs_frame_pixel_by_pixel(pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "lit"
    with PortraitScreen(display(f"offscreen:{out}")) as screen:
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
    with PortraitScreen(display(f"offscreen:{out}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        for frame in (5, 6, 5):
            screen.show((frame,))
    rows = [json.loads(row) for row in (out / "lit.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == [4, 5, 6, 5]
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


@two_sitters
def test_every_flip_of_two_sitters_records_both_frames(pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "lit"
    order = [(9, 2), (3, 2), (3, 7), (9, 7), (9, 2)]
    with PortraitScreen(display(f"offscreen:{out}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        for frame_loader in order[1:]:
            screen.show(frame_loader)
    rows = [json.loads(row) for row in (out / "lit.jsonl").read_text().splitlines()]
    assert [tuple(row["frame"]) for row in rows] == order
    names = sorted(path.name for path in out.glob("*.png"))
    assert names == ["frame_03_02.png", "frame_03_07.png", "frame_09_02.png"]
    assert np.array_equal(np.asarray(Image.open(out / names[1])), composed(pack, (3, 7)))


@two_sitters
def test_one_flip_lights_only_the_sitters_that_change(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flips: list[list[pygame.Rect]] = []
    flip = pygame.display.update

    def update(parts: list[pygame.Rect]) -> None:
        flips.append(parts)
        flip(parts)

    with PortraitScreen(display(f"offscreen:{tmp_path}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        monkeypatch.setattr(pygame.display, "update", update)
        for frame_loader in ((3, 2), (3, 7), (9, 0)):
            assert screen.show(frame_loader)
    first, second = (pygame.Rect(b[0], b[1], b[2] - b[0], b[3] - b[1]) for b in (BOX, OTHER_BOX))
    assert flips == [[first], [second], [first, second]]


@two_sitters
@pytest.mark.parametrize(
    ("to", "halves"),
    [
        ((10, 2), [0]),  # a column further
        ((2, 2), [0]),  # a row up
        ((6, 2), []),  # three columns away
        ((14, 2), [0]),  # a row down, where the next column is the fourth
        ((3, 1), [0, 1]),  # both sitters, one of them askew
        ((8, 4), [0]),  # one sitter to a neighbour, the other one farther
    ],
)
def test_a_cross_fade_to_any_neighbour_goes_by_the_half(
    pack: Pack, tmp_path: Path, to: tuple[int, int], halves: list[int]
) -> None:
    with PortraitScreen(display(f"offscreen:{tmp_path}", crossfade=True, shift=0)) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        assert screen.show(to)
        half = pixels(screen)
        screen.tick(screen.due, 0.0)
        assert np.array_equal(pixels(screen), composed(pack, to))
    rest = tuple(grid.rest for grid in GRID)
    expected = composed(pack, [rest[i] if i in halves else frame for i, frame in enumerate(to)]).astype(int)
    expected = (expected + composed(pack, to)) // 2
    assert np.abs(half - expected).max() <= 2
    assert bool(halves) == (not np.array_equal(half, composed(pack, to)))


@pytest.mark.parametrize(
    ("width", "fit", "told"),
    [
        (SIZE[0], "contain", "borders are left"),
        (2 * SIZE[0], "contain", ""),
        (3 * SIZE[0], "contain", "borders are left"),
        (3 * SIZE[0], "cover", "its edges are cut off"),
    ],
)
def test_a_picture_of_another_shape_than_the_screen_is_told(
    pack: Pack, tmp_path: Path, width: int, fit: str, told: str
) -> None:
    config = DisplayConfig(output=f"offscreen:{tmp_path}", width=width, height=2 * SIZE[1], fit=fit)
    with PortraitScreen(config) as screen:
        assert screen.misfit(pack) == told


def test_the_last_fade_takes_its_time_and_ends_black(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = count(100.0, 0.125)  # each look at the clock is an eighth of a second later
    levels: list[float] = []
    with PortraitScreen(display(f"offscreen:{tmp_path}")) as screen:
        screen.light(pack)
        draw = screen._draw

        def noted() -> None:
            levels.append(screen._dimmer.level)
            draw()

        monkeypatch.setattr(screen, "_draw", noted)
        monkeypatch.setattr(screen_module, "time", SimpleNamespace(monotonic=lambda: next(moments)))
        screen.fade(2.0)
        assert not pixels(screen).any()
    assert levels == [1 - i / 16 for i in range(1, 17)]


def test_a_fade_at_closing_time_has_twenty_steps_a_second(pack: Pack, tmp_path: Path) -> None:
    hours = HoursConfig(timezone="UTC", clock="any", fade=10.0, **every_day("10:00-18:00"))
    closing = datetime(2026, 5, 4, 18, tzinfo=UTC).timestamp()

    class Afternoon(Clock):
        def monotonic(self) -> float:
            return 1000.0

        def wall(self) -> float:
            return closing - 60

    with PortraitScreen(
        display(f"offscreen:{tmp_path}", shift=0), OpeningController(hours), Afternoon()
    ) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        lit: list[float] = []
        now, steps = 1059.9, 0
        while not lit or lit[-1] > 0:
            screen.tick(now, closing + now - 1060)
            lit.append(float(pixels(screen).mean()))
            now, steps = max(screen.due, now + 0.01), steps + 1
            assert steps < 300
    assert lit == sorted(lit, reverse=True)
    assert steps > 150


@two_sitters
def test_frames_beside_those_lit_are_read_before_they_are_wanted(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PortraitScreen(display(f"offscreen:{tmp_path}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
    monkeypatch.setattr(frame_loader, "_COLUMNS_AHEAD", 1)
    monkeypatch.setattr(frame_loader, "KEPT_SCREENS", 2.2)  # 13 of the first sitter's 17 frame_loader
    with PortraitScreen(display(f"offscreen:{tmp_path}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        assert screen._frames
        kept, read = screen._frames._kept[0], []
        for frame in (4, 16, 5, 9):
            screen.show((frame, 2))
            before = set(kept)
            for _ in range(20):
                screen.tick(0.0, 0.0)
            read.append(set(kept) - before)
            row, column = GRID[0].place(frame)
            for other in range(GRID[0].count):
                near, beside = GRID[0].place(other)
                assert other in kept or abs(near - row) > 1 or abs(beside - column) > 1
        assert any(read)


def test_a_painting_as_magenta_as_the_colour_key_is_lit(tmp_path: Path) -> None:
    base = Image.new("RGB", SIZE, (255, 0, 255))
    write_pack(tmp_path / "pack", grid_info(), base, grid_patches(base))
    pack = Pack(tmp_path / "pack")
    with PortraitScreen(display(f"offscreen:{tmp_path / 'lit'}")) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        for moved in ((3, 2), (3, 7), (9, 0), (9, 2)):
            screen.show(moved)
            assert np.abs(pixels(screen).astype(int) - composed(pack, moved)).max() <= 8


def test_an_earlier_runs_pictures_are_cleared_others_kept(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "frame_00.png").write_bytes(b"old")
    (tmp_path / "notes.txt").write_text("mine")
    with PortraitScreen(display(f"offscreen:{tmp_path}")) as screen:
        screen.light(pack)
    assert not (tmp_path / "frame_00.png").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_cursor_is_hidden(pack: Pack, tmp_path: Path) -> None:
    with PortraitScreen(display(f"offscreen:{tmp_path}")):
        assert not pygame.mouse.get_visible()


@pytest.mark.parametrize("output", ["screen", "offscreen", "offscreen:", "window:here", "auto:x", ""])
def test_an_unknown_display_is_refused(output: str) -> None:
    with pytest.raises(ConfigError, match="expected auto, kmsdrm, window or offscreen:FOLDER"):
        PortraitScreen(display(output))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match=r"file/lit: cannot be written \(Not a directory\)"):
        PortraitScreen(display(f"offscreen:{tmp_path}/file/lit")).__enter__()


def test_a_window_without_a_desktop_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    with pytest.raises(NoDisplay, match=r"^no display: window: no desktop can be reached$"):
        PortraitScreen(display("window")).__enter__()


def test_a_desktop_that_does_not_answer_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    with pytest.raises(NoDisplay, match="no desktop can be reached"):
        PortraitScreen(display("auto")).__enter__()


def test_a_disk_that_fills_up_is_reported_and_does_not_hang(pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "lit"
    screen = PortraitScreen(display(f"offscreen:{out}"))
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
        PortraitScreen(display("kmsdrm")).__enter__()


@pytest.mark.skipif(any(Path("/dev/dri").glob("card*")), reason="this machine has a display device")
def test_no_display_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoDisplay, match="no desktop session and no /dev/dri/card"):
        PortraitScreen(display("auto")).__enter__()


def test_a_screen_that_fails_to_open_leaves_nothing_open(tmp_path: Path) -> None:
    def left_open() -> list[str]:
        return [str(fd) for fd in Path("/proc/self/fd").iterdir() if str(tmp_path) in str(fd.resolve())]

    with pytest.raises(ValueError, match="fromhex"):
        PortraitScreen(display(f"offscreen:{tmp_path}", border="#nothex")).__enter__()
    assert left_open() == [] and not pygame.display.get_init()


@pytest.mark.parametrize("fails", [False, True])
def test_a_lost_recording_does_not_hide_an_earlier_error(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    film = tmp_path / "films" / "a.webp"
    config = display(f"offscreen:{tmp_path / 'lit'}", film=str(film))
    with pytest.raises(KeyError if fails else CannotWrite), PortraitScreen(config) as screen:
        screen.light(pack)
        shutil.rmtree(film.parent)
        film.parent.touch()
        if fails:
            raise KeyError
    lost = RECORDING_LOST % f"{film}: cannot be written (File exists)"
    assert [record.getMessage() for record in caplog.records] == [lost] * fails


def test_sdl_lists_its_drivers() -> None:
    assert "dummy" in video_drivers()


def test_other_code_can_draw_letters_with_pygame_beside_a_screen() -> None:
    program = (
        "import sys; from appliance.display import open_display; assert 'pygame.font' not in sys.modules\n"
        "import pygame; pygame.display.set_mode((9, 9)); pygame.font.init()\n"
        "assert pygame.font.Font(None, 20).size('eye')[0] > 5 and pygame.font.SysFont and pygame.mixer.Sound\n"
        "assert pygame.display.get_surface().get_size() == (9, 9) and not hasattr(pygame, 'nothing')\n"
    )
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=home_folder(), env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("bits", "told"), [(16, [screen_module.FEW_COLOURS % 16]), (24, []), (32, [])])
def test_only_a_screen_of_fewer_than_24_bits_is_called_coarse(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bits: int,
    told: list[str],
) -> None:
    def opened(kind: str, size: tuple[int, int]) -> pygame.Surface:
        open_display.open_surface(kind, size)
        return pygame.Surface(size, 0, bits)  # SDL's offscreen display has 32, whatever it is asked for

    monkeypatch.setattr(screen_module, "open_surface", opened)
    with PortraitScreen(display(f"offscreen:{tmp_path / 'lit'}")):
        assert caplog.messages == told
