"""A painting becomes a pack whose resting frame is the painting bit for bit."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.assets import home_folder, photograph_path
from appliance.camera.sampling import Pixels
from appliance.errors import BadImage, ConfigError, UnfitPortrait
from appliance.images import read_pixels
from appliance.pack import Pack
from appliance.portrait.painting_to_pack import render

PAINTING = home_folder() / "frames" / "sconosciuta.png"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    out = tmp_path_factory.mktemp("packs") / "sconosciuta"
    render(PAINTING, out, frames=9, rows=1)
    return Pack(out)


def frame(pack: Pack, index: int, base: Pixels) -> Pixels:
    whole = base.copy()
    x0, y0, x1, y1 = pack.info.main.box
    whole[y0:y1, x0:x1] = np.array(pack.patch(index))
    return whole


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_resting_frame_is_the_painting_bit_for_bit(pack: Pack) -> None:
    assert pack.info.main.rest == 4
    assert pack.info.main.angles[4] == 0
    base, painting = np.array(pack.base()), read_pixels(PAINTING)
    assert np.array_equal(base, painting)
    assert np.array_equal(frame(pack, 4, base), painting)


def test_patches_end_in_the_painting_on_every_side(pack: Pack) -> None:
    x0, y0, x1, y1 = pack.info.main.box
    painting = read_pixels(PAINTING)[y0:y1, x0:x1]
    for i in range(9):
        changed = (np.array(pack.patch(i)) != painting).any(2)
        assert not changed[[0, -1]].any()
        assert not changed[:, [0, -1]].any()


def test_the_patch_is_the_head_and_not_the_landscape(pack: Pack) -> None:
    x0, y0, x1, y1 = pack.info.main.box
    assert 320 < x0 < 390
    assert 620 < x1 < 720
    assert y0 > 330
    assert y1 < 1000


def test_the_pack_says_where_it_comes_from(pack: Pack) -> None:
    info = pack.info
    assert (info.title, info.artist, info.licence) == ("sconosciuta", "unknown", "unknown")
    assert info.source == "sconosciuta.png"
    assert info.source_sha256 == hashlib.sha256(PAINTING.read_bytes()).hexdigest()
    assert np.diff(info.main.angles) == pytest.approx(np.full(8, info.main.angles[8] / 4))


def test_a_contact_sheet_lies_beside_the_pack(pack: Pack) -> None:
    with Image.open(pack.folder.with_name("sconosciuta-sheet.png")) as sheet:
        assert 0.4 < sheet.width / sheet.height < 2.5


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of 3 rows: 3, 5 and 3 frames."""
    out = tmp_path_factory.mktemp("packs") / "grid"
    render(PAINTING, out, frames=5, rows=3)
    return Pack(out)


def test_a_grid_rests_in_the_painting_and_looks_up_and_down(grid: Pack) -> None:
    info = grid.info.main
    assert info.steps == (2, 1, 2)
    assert info.pitches[1] == 0
    assert info.pitches[0] > 8
    assert info.pitches[2] < -8
    painting = np.array(grid.base())
    assert np.array_equal(frame(grid, info.rest, painting), painting)
    # What is dark in the eyes lies lower from row to row.
    (x, y), half = info.eyes, 120
    eyes = np.s_[int(y) - 60 : int(y) + 60, int(x) - half : int(x) + half]
    heights = []
    for row in range(3):
        dark = frame(grid, info.number(row, 2), painting)[eyes].mean(-1) < 30
        heights.append(float(np.nonzero(dark)[0].mean()))
    assert heights[0] + 3 < heights[1] < heights[2] - 3


def test_level_gaze_of_a_grid_is_that_of_a_single_row(grid: Pack, tmp_path: Path) -> None:
    render(PAINTING, tmp_path / "row", frames=5, rows=1)
    row = Pack(tmp_path / "row")
    assert row.info.main.pitches == (0.0,)
    base = np.array(row.base())
    for column in range(5):
        assert np.array_equal(frame(row, column, base), frame(grid, grid.info.main.number(1, column), base))


def test_patches_of_a_grid_end_in_the_painting_on_every_side(grid: Pack) -> None:
    x0, y0, x1, y1 = grid.info.main.box
    painting = read_pixels(PAINTING)[y0:y1, x0:x1]
    for i in range(grid.info.main.count):
        changed = (np.array(grid.patch(i)) != painting).any(2)
        assert not changed[[0, -1]].any()
        assert not changed[:, [0, -1]].any()


def test_33_frames_look_level_and_17_in_each_of_8_other_rows(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def say(line: str) -> None:
        if line.startswith("rendering "):
            raise Enough(line)

    with pytest.raises(Enough, match=f"^rendering {33 + 8 * 17} frames, gaze from "):
        render(PAINTING, tmp_path / "pack", say=say)


def test_two_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rows = 2; expected 1, or at least 3: up, level and down"):
        render(PAINTING, tmp_path / "pack", rows=2)


@pytest.mark.slow
def test_the_same_painting_gives_the_same_pack(tmp_path: Path) -> None:
    for name in ("once", "again"):
        render(photograph_path("astronaut.png"), tmp_path / name, frames=3)
    assert files(tmp_path / "once") == files(tmp_path / "again")


def test_a_screens_size_is_filled_with_the_face_in_view(tmp_path: Path) -> None:
    info = render(photograph_path("astronaut.png"), tmp_path / "pack", frames=3, size=(270, 480), title="EC")
    pack = Pack(tmp_path / "pack")
    assert pack.base().size == info.size == (270, 480)
    assert pack.info.title == "EC"
    x0, _, x1, y1 = info.main.box
    assert (x0 + x1) / 2 == pytest.approx(135, abs=10)
    assert y1 < 300


@pytest.mark.parametrize("frames", [2, 32, 1])
def test_an_even_number_of_frames_has_no_middle(tmp_path: Path, frames: int) -> None:
    with pytest.raises(ConfigError, match=f"frames = {frames}; expected an odd number"):
        render(PAINTING, tmp_path / "pack", frames=frames)


def test_a_thumbnail_is_refused_with_its_pixels_between_the_eyes(tmp_path: Path) -> None:
    with Image.open(photograph_path("astronaut.png")) as image:
        image.convert("RGB").resize((200, 200)).save(tmp_path / "small.png")
    with pytest.raises(
        UnfitPortrait,
        match=r"small\.png: the eyes are 1\d pixels apart .*, expected at least 30; use a larger",
    ):
        render(tmp_path / "small.png", tmp_path / "pack")
    # Enlarging does not help: what counts is what was painted.
    with pytest.raises(UnfitPortrait, match=r"the eyes are 1\d pixels apart"):
        render(tmp_path / "small.png", tmp_path / "pack", size=(400, 400))
    assert [path.name for path in tmp_path.iterdir()] == ["small.png"]


def test_a_landscape_is_refused_by_name(tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "sky.png")
    with pytest.raises(UnfitPortrait, match=r"sky\.png: no face found in 256x256 pixels"):
        render(tmp_path / "sky.png", tmp_path / "pack")


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("not a painting")
    with pytest.raises(BadImage, match=r"note\.png"):
        render(tmp_path / "note.png", tmp_path / "pack")
