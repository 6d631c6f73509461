"""Installing a portrait: by name or from a picture, and never half."""

from functools import partial
from pathlib import Path

import pytest

from appliance.assets import home_folder
from appliance.cli import main
from appliance.errors import ApplianceError, BadImage, UnfitPortrait
from appliance.library import current_folder, hang_portrait
from appliance.pack import Pack, write_pack
from appliance.portrait import painting_to_pack as module
from appliance.portrait import verdict
from appliance.portrait.painting_to_pack import install_portrait, render
from tests.conftest import base_image, small_info, small_patches

SIZE = (270, 480)


def quiet(line: str) -> None:
    pass


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    # Few frames, because these tests are about what hangs.
    monkeypatch.setattr(module, "render", partial(render, frames=5, rows=3))
    write_pack(tmp_path / "state" / "old", small_info(), base_image(), small_patches())
    hang_portrait("old")
    return tmp_path / "state"


def test_a_known_name_is_rendered_with_its_facts_and_hung(shelf: Path) -> None:
    pack = install_portrait("sconosciuta", SIZE, quiet)
    assert current_folder() == pack.folder == shelf / "sconosciuta"
    assert (pack.info.title, pack.info.licence, pack.info.size) == ("La Sconosciuta", "CC0-1.0", SIZE)
    Pack(shelf / "sconosciuta").check()


@pytest.mark.slow
def test_a_curators_picture_is_hung_under_its_own_name(shelf: Path, tmp_path: Path) -> None:
    picture = tmp_path / "My Aunt.PNG"
    picture.write_bytes((home_folder() / "frames" / "astronaut.png").read_bytes())
    assert install_portrait(str(picture), SIZE, quiet).folder == shelf / "my-aunt"


def test_what_is_neither_name_nor_file_is_refused(shelf: Path) -> None:
    with pytest.raises(BadImage, match="nobody: neither a file nor one of sconosciuta, mona-lisa"):
        install_portrait("nobody", SIZE, quiet)


@pytest.mark.parametrize("what", ["mona-lisa", "noface", "broken"])
def test_on_any_failure_the_present_portrait_stays(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    before = sorted(path.name for path in shelf.iterdir())
    monkeypatch.setattr(module, "download_file", lambda url, *_: (_ for _ in ()).throw(OSError("no network")))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    base_image().save(tmp_path / "noface.png")
    known = what == "mona-lisa"
    with pytest.raises(OSError if known else ApplianceError):
        install_portrait(what if known else str(tmp_path / f"{what}.png"), SIZE, quiet)
    assert current_folder() == shelf / "old"
    assert sorted(path.name for path in shelf.iterdir()) == before


def test_title_and_artist_given_are_kept_listed_and_used(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, config = tmp_path / "IMG_0042.png", tmp_path / "config.toml"
    picture.write_bytes((home_folder() / "frames" / "astronaut.png").read_bytes())
    config.write_text("[display]\nwidth = 270\nheight = 480\n")
    labels = ["--title", "Die Gräfin (1503)", "--artist", "A. Kauffmann", "--licence", "CC0-1.0"]
    assert main(["portrait", "install", str(picture), "--config", str(config), *labels]) == 0
    assert "Die Gräfin (1503) hangs as img_0042\n" in capsys.readouterr().out
    info = Pack(shelf / "img_0042").info
    assert (info.title, info.artist, info.licence) == ("Die Gräfin (1503)", "A. Kauffmann", "CC0-1.0")
    assert main(["portrait", "list"]) == 0
    assert "* img_0042: Die Gräfin (1503), A. Kauffmann, 270x480\n" in capsys.readouterr().out
    assert main(["portrait", "use", "Die Gräfin (1503)"]) == 0
    assert capsys.readouterr().out == "Die Gräfin (1503) hangs as img_0042\n"


@pytest.mark.parametrize("title", ["", " ", "a\nb", "\x1b[2J", "x" * 301])
def test_a_title_that_fits_on_no_label_is_refused(
    shelf: Path, capsys: pytest.CaptureFixture[str], title: str
) -> None:
    with pytest.raises(SystemExit):
        main(["portrait", "install", "sconosciuta", "--title", title])
    assert "expected a line of 1 to 300 characters" in capsys.readouterr().err


@pytest.mark.slow
def test_a_refused_picture_is_hung_only_if_asked_for_anyway(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verdict, "_EDGE", verdict._Limits(-2, -1, -2, -1))
    before = sorted(path.name for path in shelf.iterdir())
    with pytest.raises(UnfitPortrait, match="sconosciuta: not hung, the present portrait stays; --anyway"):
        install_portrait("sconosciuta", SIZE, quiet)
    assert current_folder() == shelf / "old"
    assert sorted(path.name for path in shelf.iterdir()) == before
    (tmp_path / "config.toml").write_text("[display]\nwidth = 270\nheight = 480\n")
    command = ["portrait", "install", "sconosciuta", "--config", str(tmp_path / "config.toml")]
    assert main(command) == 1
    told = capsys.readouterr()
    assert "verdict: use another picture" in told.out
    assert "not hung" in told.err
    assert main([*command, "--anyway"]) == 0
    assert "La Sconosciuta hangs as sconosciuta" in capsys.readouterr().out
    assert current_folder() == shelf / "sconosciuta"
