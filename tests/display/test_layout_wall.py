"""How large a picture is on the wall, by what a monitor states or the config says."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config import DisplayConfig
from appliance.display.layout import (
    ASSUMED_LONGER_SIDE,
    SIZE_ASSUMED,
    ScreenLayout,
    edid_size_mm,
    pixel_size_mm,
    sitter_offsets_mm,
)
from appliance.pack import FrameGrid, PackInfo
from tests.conftest import small_info

CONFIG = DisplayConfig()
LANDSCAPE = ScreenLayout((1920, 1080), rotation=90)


def edid(centimetres: tuple[int, int], millimetres: tuple[int, int], timing: bool = True) -> bytes:
    """An EDID block with both of its sizes."""
    block = bytearray(128)
    block[:8] = bytes([0, 255, 255, 255, 255, 255, 255, 0])
    block[21], block[22] = centimetres
    if timing:
        block[54:56] = 0x02, 0x3A
        block[66], block[67] = millimetres[0] & 255, millimetres[1] & 255
        block[68] = millimetres[0] >> 8 << 4 | millimetres[1] >> 8
    return bytes(block)


def plugged(system: Path, block: bytes | None, name: str = "card1-HDMI-A-1") -> Path:
    """A folder like /sys/class/drm with one monitor."""
    folder = system / name
    folder.mkdir(parents=True)
    (folder / "status").write_text("connected\n")
    (folder / "modes").write_text("1920x1080\n")
    if block is not None:
        (folder / "edid").write_bytes(block)
    return system


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (edid((60, 34), (597, 336)), (597, 336)),
        (edid((60, 34), (0, 0)), (600, 340)),
        (edid((60, 34), (0, 0), timing=False), (600, 340)),
        (edid((0, 0), (1439, 809)), (1439, 809)),
        (edid((60, 34), (160, 90)), (600, 340)),  # the shape in place of the size
        (edid((16, 9), (160, 90)), None),
        (edid((160, 90), (1600, 900)), None),
        (edid((0, 0), (0, 0)), None),  # a projector
        (edid((79, 0), (0, 0)), None),  # a ratio
        (edid((1, 1), (5, 5)), None),
        (b"", None),
        (bytes(128), None),
        (edid((60, 34), (597, 336))[:100], None),
    ],
)
def test_a_monitors_size_is_what_it_states_if_that_can_be(
    tmp_path: Path, block: bytes, size: tuple[int, int] | None
) -> None:
    (tmp_path / "edid").write_bytes(block)
    assert edid_size_mm(tmp_path / "edid") == size


def test_a_pixel_has_the_size_that_the_monitor_gives_it(tmp_path: Path) -> None:
    system = plugged(tmp_path, edid((58, 32), (576, 324)))
    assert pixel_size_mm(CONFIG, LANDSCAPE, "KMSDRM", system) == pytest.approx(0.3)
    # A panel that is made upright and states so.
    upright = plugged(tmp_path / "other", edid((32, 58), (324, 576)))
    assert pixel_size_mm(CONFIG, ScreenLayout((1080, 1920)), "KMSDRM", upright) == pytest.approx(0.3)
    # A window is somewhere on some monitor.
    assert pixel_size_mm(CONFIG, LANDSCAPE, "x11", system) is None


def test_the_measured_width_is_that_of_the_screen_as_it_hangs(tmp_path: Path) -> None:
    system = plugged(tmp_path, edid((58, 32), (576, 324)))
    config = replace(CONFIG, width_mm=540.0)
    assert pixel_size_mm(config, LANDSCAPE, "KMSDRM", system) == 0.5
    assert pixel_size_mm(config, ScreenLayout((1920, 1080)), "x11", system) == 540 / 1920


def couple() -> PackInfo:
    grid = FrameGrid.one_row((100, 100, 300, 300), tuple(range(-16, 17)), 16)
    other = replace(grid, eyes=(500.0, 260.0))
    return small_info(size=(540, 960), sitters=(replace(grid, eyes=(200.0, 200.0)), other))


def test_sitters_are_as_far_apart_as_their_eyes_on_the_wall(tmp_path: Path) -> None:
    # Twice as large on a screen of 1080 pixels, which are 0.3 mm each.
    system = plugged(tmp_path, edid((58, 32), (576, 324)))
    config = replace(CONFIG, rotation=90)
    apart = sitter_offsets_mm(couple(), config, (1920, 1080), "KMSDRM", system)
    assert apart[0] == (0.0, 0.0)
    assert apart[1] == pytest.approx((300 * 2 * 0.3, -60 * 2 * 0.3))


@pytest.mark.parametrize("block", [None, edid((0, 0), (0, 0))])
def test_a_monitor_without_a_size_counts_as_27_inches(
    tmp_path: Path, block: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    system = plugged(tmp_path, block)
    apart = sitter_offsets_mm(couple(), CONFIG, (1080, 1920), "KMSDRM", system)
    assert apart[1] == pytest.approx(
        (300 * 2 * ASSUMED_LONGER_SIDE / 1920, -60 * 2 * ASSUMED_LONGER_SIDE / 1920)
    )
    assert [record.msg for record in caplog.records] == [SIZE_ASSUMED]


def test_of_one_sitter_no_size_is_missed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert sitter_offsets_mm(small_info(), CONFIG, (1080, 1920), "KMSDRM", tmp_path) == ((0.0, 0.0),)
    assert not caplog.records
