from pathlib import Path

import pytest

from appliance.errors import BadPack, CannotWrite, ConfigError
from appliance.library import (
    current_folder,
    find_portrait,
    hang_portrait,
    installed_packs,
    library_folder,
    portrait_folder,
    portrait_name_for,
)
from appliance.pack import write_pack
from tests.conftest import base_image, small_info, small_patches


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library with two portraits, `old` hanging."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    for name in ("old", "new"):
        write_pack(tmp_path / name, small_info(title=name.capitalize()), base_image(), small_patches())
    hang_portrait("old")
    return tmp_path


def test_the_library_is_systemds_state_directory(shelf: Path) -> None:
    assert library_folder() == shelf


def test_a_portrait_is_hung_by_its_name(shelf: Path) -> None:
    assert current_folder() == shelf / "old"
    assert hang_portrait("new").info.title == "New"
    assert current_folder() == shelf / "new"
    assert sorted(path.name for path in shelf.iterdir()) == ["current", "new", "old"]


def test_before_any_choice_the_bundled_portrait_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert current_folder() == tmp_path / "sconosciuta"


def test_a_damaged_portrait_is_not_hung(shelf: Path) -> None:
    (shelf / "new" / "patch_03.png").write_bytes(b"no image")
    with pytest.raises(BadPack, match=r"patch_03\.png: damaged"):
        hang_portrait("new")
    assert current_folder() == shelf / "old"


@pytest.mark.parametrize("name", ["none", "old/../new"])
def test_a_portrait_that_is_not_there_is_not_hung(shelf: Path, name: str) -> None:
    with pytest.raises((BadPack, ConfigError)):
        hang_portrait(name)
    assert current_folder() == shelf / "old"


@pytest.mark.parametrize("name", ["", "..", "a/b", "current", "Über", ".hidden", "x" * 65])
def test_a_name_that_could_leave_the_library_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="expected lower-case letters"):
        portrait_folder(name)


@pytest.mark.parametrize(
    ("file", "name"),
    [("Girl with a Pearl.jpg", "girl-with-a-pearl"), ("IMG_0042.JPEG", "img_0042"), ("a.b.c.png", "a-b-c")],
)
def test_a_picture_is_kept_under_its_simplified_name(file: str, name: str) -> None:
    assert portrait_name_for(Path("somewhere") / file) == name


@pytest.mark.parametrize("file", ["....png", "肖像.png", "current.jpg"])
def test_a_picture_without_a_usable_name_is_refused(file: str) -> None:
    with pytest.raises(ConfigError, match="gives no portrait name; expected letters or digits"):
        portrait_name_for(Path(file))


def test_the_list_passes_over_what_is_no_portrait(shelf: Path) -> None:
    (shelf / "junk").mkdir()
    (shelf / "broken").mkdir()
    (shelf / "broken" / "pack.toml").write_text("format = 99")
    assert [pack.info.title for pack in installed_packs()] == ["New", "Old"]


def test_a_library_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelf: Path
) -> None:
    (shelf / "current").unlink()
    (shelf / "current").mkdir()  # in the way of the link
    with pytest.raises(CannotWrite, match=r"current: cannot be written"):
        hang_portrait("new")
    assert not list(shelf.glob(".current*"))


@pytest.fixture
def duchess(shelf: Path) -> Path:
    """The same library with a portrait whose title is not its name."""
    info = small_info(title="My Duchess (1503)")
    write_pack(shelf / "my-duchess-1503", info, base_image(), small_patches())
    return shelf


@pytest.mark.parametrize(
    "wanted", ["my-duchess-1503", "My Duchess (1503)", "my duchess (1503)", "My Duchess (1503).jpg"]
)
def test_a_portrait_is_found_by_every_name_it_is_shown_by(duchess: Path, wanted: str) -> None:
    assert find_portrait(wanted) == "my-duchess-1503"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("nobody", "portrait nobody: not installed; installed: my-duchess-1503, new, old"),
        (
            "my-dutchess-1503",
            "portrait my-dutchess-1503: not installed; installed: my-duchess-1503, new, old; "
            "do you mean my-duchess-1503?",
        ),
        (
            "sconosciuta",
            "portrait sconosciuta: not installed; mona-lisa portrait install sconosciuta renders it",
        ),
        ("current", "portrait current: not installed; installed: my-duchess-1503, new, old"),
    ],
)
def test_a_name_that_means_no_portrait_lists_what_is_there(duchess: Path, wanted: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        find_portrait(wanted)
    assert str(refused.value) == told


def test_of_two_portraits_with_one_title_the_names_are_asked_for(duchess: Path) -> None:
    info = small_info(title="My Duchess (1503)")
    write_pack(duchess / "second", info, base_image(), small_patches())
    with pytest.raises(ConfigError, match="several have this title; expected one of my-duchess-1503, second"):
        find_portrait("My Duchess (1503)")
