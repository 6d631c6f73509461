"""Grids of head pictures made elsewhere become packs whose angles are right."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.assets import home_folder
from appliance.cli import main
from appliance.errors import BadImage, ConfigError, UnfitPortrait
from appliance.pack import Pack
from appliance.portrait.foreign_directions import find_head_picture_grid
from appliance.portrait.foreign_pack import render_from_frames
from appliance.portrait.painting_to_pack import render

PAINTING = home_folder() / "frames" / "sconosciuta.png"
SIDE = 256


def name(x: float, y: float) -> str:
    """A name as face_looker gives it."""
    return f"gaze_px{x:g}_py{y:g}_{SIDE}".replace("-", "m").replace(".", "p") + ".webp"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """The bundled portrait in 11 rows of 11 columns and more."""
    folder = tmp_path_factory.mktemp("grid") / "pack"
    render(PAINTING, folder, frames=21, size=(540, 960), rows=11)
    return Pack(folder)


@pytest.fixture(scope="module")
def pictures(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """121 small pictures of its head, named as face_looker names them, from -15 to 15."""
    folder, grid, base = tmp_path_factory.mktemp("pictures"), pack.info.main, pack.base()
    x0, y0, x1, y1 = grid.box
    side = min(max(x1 - x0, y1 - y0), base.width)
    left, top = min((x0 + x1 - side) // 2, base.width - side), (y0 + y1 - side) // 2
    left = max(left, 0)
    for row in range(11):
        for column in range(11):
            base.paste(pack.patch(grid.number(row, 2 * column)), (x0, y0))
            head = base.crop((left, top, left + side, top + side))
            head.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(
                folder / name(3.0 * column - 15, round(grid.pitches[row] / 2, 1)), quality=95
            )
    return folder


@pytest.mark.slow
def test_a_grid_of_121_pictures_gets_the_angles_it_was_made_with(
    pack: Pack, pictures: Path, tmp_path: Path
) -> None:
    info = render_from_frames(PAINTING, pictures, tmp_path / "pack", size=(540, 960))
    made, found = pack.info.main, info.main
    assert (len(found.angles), len(found.pitches)) == (11, 11)
    assert np.abs(np.array(found.angles) - made.angles[::2]).max() < 2
    assert np.abs(np.array(found.pitches) - made.pitches).max() < 2
    assert (
        Pack(tmp_path / "pack").patch(found.rest).tobytes()
        == Pack(tmp_path / "pack").base().crop(found.box).tobytes()
    )


@pytest.mark.slow
def test_pictures_that_look_to_the_other_side_are_refused(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "turned"
    folder.mkdir()
    for path in pictures.iterdir():
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / path.name)
    mirrored = tmp_path / "painting.png"
    Image.open(PAINTING).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    with pytest.raises(
        UnfitPortrait, match=r"do not look to where they should \(yaw, given: read in degrees"
    ):
        render_from_frames(mirrored, folder, tmp_path / "pack", size=(540, 960))


def drawn(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for each in names:
        Image.new("RGB", (8, 8)).save(folder / each)
    return folder


def test_file_names_give_rows_downwards_and_columns_rightwards(tmp_path: Path) -> None:
    places = [(x, y) for x in (-4.5, 0, 4.5) for y in (-3, 0, 6)]
    found = find_head_picture_grid(drawn(tmp_path, *(name(*place) for place in places)))
    assert found is not None
    assert (found.yaws, found.pitches, found.degrees) == ((-4.5, 0.0, 4.5), (6.0, 0.0, -3.0), False)
    assert found.files[0][2].name == name(4.5, 6)
    assert found.ahead_place == (1, 1)


def test_other_pictures_are_no_grid(tmp_path: Path) -> None:
    assert find_head_picture_grid(drawn(tmp_path, "a.png", "b.png")) is None


def test_a_gap_in_a_grid_is_named(tmp_path: Path) -> None:
    places = [(x, y) for x in (-3, 0, 3) for y in (0, 3)]
    drawn(tmp_path, *(name(*place) for place in places[:-1]))
    with pytest.raises(BadImage, match="no picture looks to 3, 3; expected all 3 yaws in each of 2 rows"):
        find_head_picture_grid(tmp_path)


def test_angles_are_listed_in_a_file(tmp_path: Path) -> None:
    drawn(tmp_path, "a.png", "b.png", "c.png")
    text = "".join(
        f'[[pictures]]\nfile = "{n}.png"\nyaw = {y}\npitch = 0\n'
        for n, y in zip("abc", (-20, 0, 21), strict=True)
    )
    (tmp_path / "angles.toml").write_text(text)
    assert tomllib.loads(text)
    found = find_head_picture_grid(tmp_path)
    assert found is not None and found.degrees
    assert [path.name for path in found.listed] == ["a.png", "b.png", "c.png"]
    assert (found.yaws, found.ahead.name) == ((-20.0, 0.0, 21.0), "b.png")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pictures = 3", r"expected file, yaw and pitch of every picture"),
        (
            '[[pictures]]\nfile = "a.png"\nyaw = 1\n',
            r'picture 1 = \{"file": "a.png", "yaw": 1\}; expected file',
        ),
        ('[[pictures]]\nfile = "../a.png"\nyaw = 1\npitch = 1\n', "picture 1 = "),
        ('[[pictures]]\nfile = "z.png"\nyaw = 1\npitch = 1\n', "picture 1: z.png is not in"),
        ("[[pictures", "cannot be read"),
    ],
)
def test_a_wrong_list_of_angles_is_named(tmp_path: Path, text: str, fault: str) -> None:
    drawn(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "angles.toml").write_text(text)
    with pytest.raises(ConfigError, match=fault):
        find_head_picture_grid(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--place", "0,0,64"], "--place has no effect without --frames-from"),
        (["--blend-steepness", "0.1"], "--blend-steepness has no effect without --frames-from"),
        (["--k", "90"], "--blend-extent has no effect without --frames-from"),
        (["--detail", "0"], "--detail has no effect without --frames-from"),
        (["--frames-from", ".", "--yaw", "8"], "--yaw has no effect with --frames-from"),
        (["--frames-from", ".", "--eyes", "1"], "--eyes has no effect with --frames-from"),
        (["--frames-from", ".", "--rows", "9"], "--rows has no effect with --frames-from"),
    ],
)
def test_an_option_without_effect_is_refused_in_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["portrait", "render", str(PAINTING), "--out", str(tmp_path / "pack"), *options]) == 2
    assert capsys.readouterr().err == f"mona-lisa: {message}; expected it left out\n"
    assert not any(tmp_path.iterdir())


def test_a_number_of_frames_is_refused_for_a_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drawn(tmp_path / "heads", *(name(x, 0) for x in (-3, 0, 3)))
    command = ["portrait", "render", str(PAINTING), "--out", str(tmp_path / "pack")]
    assert main([*command, "--frames-from", str(folder), "--frames", "3"]) == 2
    assert "--frames has no effect" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--j", "0.2", "--k", "90"], ["--blend-steepness", "0.2", "--blend-extent", "90"]]
)
def test_old_and_new_names_of_the_blend_options_agree(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    painting = Image.open(PAINTING).resize((540, 960))
    for number in range(3):
        painting.crop((0, 50, 540, 590)).save(tmp_path / f"head{number}.png")
    out = tmp_path / "pack"
    command = ["portrait", "render", str(PAINTING), "--size", "540x960", "--out", str(out)]
    command += ["--frames-from", str(tmp_path), "--place", "0,50,540", "--frames", "3"]
    assert main([*command, *options]) == 0
    settings = Pack(out).info.settings
    assert (settings["steepness"], settings["extent"]) == (0.2, 90)


def test_the_help_shows_only_the_new_names_of_the_blend_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["portrait", "render", "--help"])
    text = capsys.readouterr().out
    assert "--blend-steepness" in text and "--blend-extent" in text
    assert "--j " not in text and "--k " not in text
