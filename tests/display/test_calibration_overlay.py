"""The lines over the portrait while it is calibrated, read back from what is lit."""

from pathlib import Path

import numpy as np
import pytest

from appliance.camera.sampling import Pixels
from appliance.config import DisplayConfig
from appliance.display.calibration_overlay import calibration_overlay, draw_text_plate
from appliance.display.screen import PortraitScreen
from appliance.pack import Pack
from tests.conftest import BOX, FRAMES
from tests.display.test_screen import display, lit


def shown(pack: Pack, out: Path, text: str, frame: int = 0, **changes: int) -> Pixels:
    with calibration_overlay(display(f"offscreen:{out}", **changes), pack, pytest.fail) as show:
        show((frame,), text)
    return lit(out, frame)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_lines_stand_at_the_foot_of_the_upright_portrait(pack: Pack, tmp_path: Path, rotation: int) -> None:
    width, height = (160, 90) if rotation % 180 else (90, 160)
    screen = DisplayConfig(f"offscreen:{tmp_path}", width, height, rotation=rotation)
    with calibration_overlay(screen, pack, pytest.fail) as show:
        show((0,), "angle -3")
    upright = np.rot90(lit(tmp_path, 0), rotation // 90)
    frame = pack.base()
    frame.paste(pack.patch(0), BOX[:2])
    plate = draw_text_plate("angle -3", 90)
    left, top = (90 - plate.width) // 2, 160 - plate.height
    frame.paste(plate, (left, top))
    assert top > 130
    assert np.array_equal(upright, np.asarray(frame))


def test_words_are_legible_and_keep_their_size() -> None:
    short, long = (
        draw_text_plate("angle -3.0", 1080),
        draw_text_plate("angle -3.0\n" + "stand at the left mark " * 6, 1080),
    )
    assert short.width == long.width <= 1080
    assert long.height > 2 * short.height
    rows = np.asarray(short.convert("L")).max(1) > 128
    assert rows.sum() > 18, "letters as high as 1/60 of the screen's width at least"


def test_new_lines_replace_the_old_and_leave_no_trace(pack: Pack, tmp_path: Path) -> None:
    one = shown(pack, tmp_path / "one", "one")
    with calibration_overlay(display(f"offscreen:{tmp_path / 'two'}"), pack, pytest.fail) as show:
        show((3,), "one\ntwo\nthree")
        show((0,), "one")
    assert np.array_equal(lit(tmp_path / "two", 0), one)
    with PortraitScreen(display(f"offscreen:{tmp_path / 'after'}")) as screen:
        screen.light(pack)
    assert np.array_equal(lit(tmp_path / "after", FRAMES // 2), np.asarray(pack.base()))


def test_the_overlay_is_not_recorded(pack: Pack, tmp_path: Path) -> None:
    film = tmp_path / "shown.webp"
    with calibration_overlay(
        display(f"offscreen:{tmp_path / 'lit'}", film=str(film)), pack, pytest.fail
    ) as show:
        show((0,), "angle")
    assert not film.exists()


def test_without_a_screen_one_line_says_so(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "")
    said: list[str] = []
    with calibration_overlay(DisplayConfig(output="kmsdrm"), pack, said.append) as show:
        show((3,), "angle")
    assert len(said) == 1 and said[0].startswith("nothing is written on the screen (no display: ")
