import threading
import time
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest
from PIL import Image

from appliance.config import DisplayConfig
from appliance.display import screen as screen_module
from appliance.display.layout import ScreenLayout
from appliance.display.screen import PortraitScreen
from appliance.pack import Pack, write_pack
from tests.conftest import one_row, small_info
from tests.display.test_layout import FITS, ROTATIONS, expected
from tests.display.x11 import cursor_is_seen, needs_xvfb, photographed, xvfb

pytestmark = needs_xvfb
SMALL = [(640, 480), (270, 480), (480, 270), (300, 300)]
LARGE = [(1080, 1920), (1920, 1080), (3840, 2160), (2160, 3840)]
BORDER = (20, 90, 160)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    # Pictures are taken of the whole screen, so a small one keeps these tests short.
    with xvfb(720, 1080) as display:
        yield display


@pytest.fixture
def desktop(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    use_desktop(server, monkeypatch)
    return server


def use_desktop(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_FRAMEBUFFER_ACCELERATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", server)
    monkeypatch.setenv("SDL_VIDEO_WINDOW_POS", "0,0")


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of the bundled painting whose two other frames have a bar across the face."""
    painting = Image.open(Path(__file__).parents[2] / "frames" / "sconosciuta.png").convert("RGB")
    painting = painting.resize((540, 960), Image.Resampling.LANCZOS)
    box = (170, 180, 351, 489)
    patches = [painting.crop(box) for _ in range(3)]
    for frame in (0, 2):
        patches[frame].paste((250, 240, 20), (20 + 60 * frame, 90, 50 + 60 * frame, 110))
    info = small_info(size=painting.size, sitters=(one_row(box, (-9.0, 0.0, 9.0), 1),))
    folder = tmp_path_factory.mktemp("packs") / "portrait"
    write_pack(folder, info, painting, patches)
    return Pack(folder)


def window(size: tuple[int, int], **changes: Any) -> DisplayConfig:
    return DisplayConfig(output="window", width=size[0], height=size[1], **changes)


@pytest.mark.parametrize("size", SMALL, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("rotation", ROTATIONS)
def test_the_server_shows_the_portrait_turned_and_fitted(
    desktop: str, portrait: Pack, size: tuple[int, int], fit: str, rotation: int
) -> None:
    turned_and_fitted(desktop, portrait, size, fit, rotation)


@pytest.mark.slow
@pytest.mark.parametrize("size", LARGE, ids=lambda size: "x".join(map(str, size)))
def test_the_server_shows_it_so_on_large_screens_too(
    portrait: Pack, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with xvfb(4300, 4300) as display:
        use_desktop(display, monkeypatch)
        for fit in FITS:
            for rotation in ROTATIONS:
                turned_and_fitted(display, portrait, size, fit, rotation)


def turned_and_fitted(display: str, portrait: Pack, size: tuple[int, int], fit: str, rotation: int) -> None:
    config = window(size, rotation=rotation, fit=fit, border="#145aa0", margin=7)
    layout = ScreenLayout(size, rotation, fit, 7, BORDER)
    with PortraitScreen(config) as screen:
        assert screen.size == size
        screen.light(portrait)
        screen.window_closed()
        at_rest = np.asarray(photographed(display, size), int)
        screen.load(portrait, threading.Event())
        screen.show((2,))
        moved = np.asarray(photographed(display, size), int)
    painting = portrait.base()
    rest = np.asarray(expected(painting, layout, portrait.info.main.box), int)
    assert np.array_equal(at_rest, rest), "the resting picture, its borders and its place: bit for bit"
    painting.paste(portrait.patch(2), portrait.info.main.box[:2])
    frame = np.asarray(expected(painting, layout, portrait.info.main.box), int)
    # A patch's box is cut at other fractions, which can round a level more in each of Pillow's passes.
    assert np.abs(moved - frame).max() <= 2
    assert np.abs(moved - rest).max() > 40, "and it is another frame"


@pytest.mark.skipif(not find_library("Xfixes"), reason="libXfixes is missing (apt-get install libxfixes3)")
def test_no_cursor_is_seen_over_the_portrait(desktop: str, portrait: Pack) -> None:
    assert cursor_is_seen(desktop), "the server's own, before"
    with PortraitScreen(window((640, 960))) as screen:
        screen.light(portrait)
        for _ in range(100):
            screen.window_closed()
            if not cursor_is_seen(desktop):
                break
            pygame.time.wait(10)
        assert not cursor_is_seen(desktop)


def test_a_cross_fade_goes_by_way_of_the_half(desktop: str, portrait: Pack) -> None:
    size = (540, 960)
    with PortraitScreen(window(size, crossfade=True)) as screen:
        screen.light(portrait)
        screen.load(portrait, threading.Event())
        before = np.asarray(photographed(desktop, size), int)
        screen.show((2,))
        half = np.asarray(photographed(desktop, size), int)
        screen.tick(time.monotonic(), 0.0)
        screen.tick(time.monotonic() + 0.02, 0.0)
        after = np.asarray(photographed(desktop, size), int)
    painting = portrait.base()
    painting.paste(portrait.patch(2), portrait.info.main.box[:2])
    assert np.array_equal(after, np.asarray(painting))
    assert np.abs(half - (before + after) / 2).max() <= 2


def test_the_shift_against_burn_in_moves_all_by_a_pixel(desktop: str, portrait: Pack) -> None:
    size = (540, 960)
    with PortraitScreen(window(size, shift_time=1.0)) as screen:
        screen.light(portrait)
        screen.load(portrait, threading.Event())
        screen.show((2,))
        before = np.asarray(photographed(desktop, size))
        screen.tick(time.monotonic() + 61, 0.0)
        after = np.asarray(photographed(desktop, size))
    assert np.array_equal(after[:, 1:], before[:, :-1]) or np.array_equal(after[:, :-1], before[:, 1:])


def test_the_heartbeat_flips_every_2_s_while_nothing_changes(desktop: str, portrait: Pack) -> None:
    with PortraitScreen(window((540, 960))) as screen:
        screen.light(portrait)
        first = screen.flipped
        screen.tick(first + 0.5 * screen_module.HEARTBEAT_INTERVAL, 0.0)
        assert screen.flipped == first
        screen.tick(first + screen_module.HEARTBEAT_INTERVAL + 1, 0.0)
        assert screen.flipped > first


def test_a_screen_of_16_bits_is_lit_and_told(
    portrait: Pack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    size = (301, 480)
    with xvfb(640, 960, 16) as display:
        use_desktop(display, monkeypatch)
        for start in ("compiling", "from the compiled file"):
            with PortraitScreen(window(size)) as screen:
                screen.light(portrait)
                screen.load(portrait, threading.Event())
                screen.show((2,))
                surface = pygame.display.get_surface()
                shown = np.frombuffer(pygame.image.tostring(surface, "RGB"), np.uint8)
                assert surface.get_bitsize() == 16
            painting = portrait.base()
            painting.paste(portrait.patch(2), portrait.info.main.box[:2])
            wanted = np.asarray(expected(painting, ScreenLayout(size), portrait.info.main.box), int)
            assert np.abs(shown.reshape(480, 301, 3) - wanted).max() <= 10, start
    assert {record.getMessage() for record in caplog.records} == {screen_module.FEW_COLOURS % 16}
