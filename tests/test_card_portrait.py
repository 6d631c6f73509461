"""A picture on the card: what hangs after the start, and what mona-lisa.txt says of it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from appliance.assets import photograph_path
from appliance.library import (
    CARD_RECORD,
    current_folder,
    hang_portrait,
    installed_packs,
    picture_on_card_news,
)
from appliance.pack import Pack, write_pack
from deploy import card_portrait
from deploy.card_config import tell
from tests.conftest import base_image, small_info, small_patches
from tests.portrait.odd import asleep

PROJECT = Path(__file__).parent.parent
CONFIG = "[display]\nwidth = 144\nheight = 240\n"


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The boot partition of a machine on which a small portrait hangs."""
    for name, folder in (("CONFIGURATION_DIRECTORY", "etc"), ("STATE_DIRECTORY", "library")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    (tmp_path / "etc/config.toml").write_text(CONFIG)
    hang_small("before")
    monkeypatch.chdir(PROJECT)
    boot = tmp_path / "boot"
    boot.mkdir()
    return boot


def hang_small(name: str) -> None:
    write_pack(Path(os.environ["STATE_DIRECTORY"]) / name, small_info(), base_image(), small_patches())
    hang_portrait(name)


def astronaut(card: Path, name: str = "portrait.png") -> None:
    with Image.open(photograph_path("astronaut.png")) as photo:
        photo.convert("RGB").save(card / name)


def wall(card: Path, name: str = "portrait.png") -> None:
    Image.new("RGB", (600, 800), (90, 80, 70)).save(card / name)


def boots(card: Path) -> int:
    """Do what mona-lisa-card-portrait.service does, but as one user."""
    return card_portrait.run(card, None)


def told(card: Path) -> str:
    answer = card / "mona-lisa.txt"
    return answer.read_text("utf-8") if answer.exists() else ""


def hangs() -> str:
    return current_folder().name


def test_a_picture_on_the_card_hangs_and_the_card_says_so(card: Path) -> None:
    astronaut(card, "Portrait.PNG")
    (card / "portrait.toml").write_bytes('\ufefftitle = "Eileen Collins"\r\nartist = "NASA"\r\n'.encode())
    assert boots(card) == 0
    info = Pack(current_folder()).info
    assert (hangs(), info.title, info.artist, info.size) == ("portrait", "Eileen Collins", "NASA", (144, 240))
    assert re.fullmatch(
        r"portrait: Eileen Collins hangs \(Portrait\.PNG, rendered in \d+ s\); verdict: [^\n]+\n", told(card)
    )
    assert picture_on_card_news() is None

    # Once: what somebody else chose stays at every later boot, ...
    hang_portrait("before")
    written = told(card)
    assert (boots(card), hangs(), told(card)) == (0, "before", written)
    # ... until picture or portrait.toml is another one: this one is wrong.
    (card / "portrait.toml").write_text('title = "Colonel Collins"\nartist = 1\n')
    assert (boots(card), hangs()) == (0, "before")
    assert "portrait.toml: artist = 1; expected" in told(card)


NOT_HUNG = "does not hang, the present portrait stays: "


@pytest.mark.parametrize(
    ("name", "data", "about", "expected"),
    [
        ("portrait.png", None, "", f"portrait.png {NOT_HUNG}no face found in "),
        (
            "portrait.pdf",
            b"%PDF-1.7",
            "",
            f"portrait.pdf {NOT_HUNG}not a whole, readable image (a PDF; save its page as a PNG",
        ),
        (
            "portrait.jpg",
            b"",
            "",
            f"portrait.jpg {NOT_HUNG}not a whole, readable image (an empty file; copy it again",
        ),
        ("portrait.png", None, "titel = 'x'", f"{NOT_HUNG}portrait.toml: titel = "),
        (
            "portrait.png",
            None,
            "title = ' '",
            f'{NOT_HUNG}portrait.toml: title = " "; expected a line of 1 to',
        ),
        (
            "portrait.png",
            None,
            "face = 0",
            f"{NOT_HUNG}portrait.toml: face = 0; expected a number from 1 to 99",
        ),
        ("portrait.png", None, "title", f"{NOT_HUNG}portrait.toml: not TOML: "),
    ],
)
def test_a_refused_picture_leaves_the_portrait_and_is_told(
    card: Path, name: str, data: bytes | None, about: str, expected: str
) -> None:
    if data is None:
        wall(card, name)
    else:
        (card / name).write_bytes(data)
    if about:
        (card / "portrait.toml").write_text(about)
    assert boots(card) == 0
    assert hangs() == "before"
    assert told(card).startswith("portrait: ") and expected in told(card)
    assert told(card).count("\n") == 1
    assert picture_on_card_news() == told(card).removeprefix("portrait: ").rstrip("\n")

    # It is not tried again at every boot, but another one is.
    written = told(card)
    (card / "mona-lisa.txt").unlink()
    assert (boots(card), told(card)) == (0, "")
    (card / name).unlink()
    (card / "mona-lisa.txt").write_text(written)
    assert (boots(card), told(card), picture_on_card_news()) == (0, "", None)


def test_a_picture_of_several_asks_for_one_in_portrait_toml(card: Path) -> None:
    with Image.open(photograph_path("astronaut.png")) as photo:
        asleep(photo.convert("RGB")).save(card / "portrait.png")
    assert boots(card) == 0
    assert "2 faces found (1 upper left, 2 upper right)" in told(card)
    assert told(card).endswith(
        'choose one with face = N in portrait.toml, or face = "all" in portrait.toml for those that can\n'
    )
    (card / "portrait.toml").write_text("face = 2\n")
    assert boots(card) == 0
    assert "the eyes are closed" in told(card)


def test_of_several_pictures_none_is_taken_up(card: Path) -> None:
    wall(card)
    wall(card, "portrait.jpg")
    assert boots(card) == 1
    assert told(card) == (
        "portrait: portrait.jpg, portrait.png: none of them is taken up; leave one on the card\n"
    )
    assert hangs() == "before"


def test_a_picture_whose_rendering_was_cut_off_is_tried_again(card: Path, tmp_path: Path) -> None:
    astronaut(card)
    command = [sys.executable, "-m", "deploy.card_portrait", "--boot", str(card), "--worker", "portrait.png"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert "portrait.png is being rendered" in worker.stdout.readline()
        assert "portrait.png is being rendered" in str(picture_on_card_news())
        worker.kill()
    assert (hangs(), [pack.folder.name for pack in installed_packs()]) == ("before", ["before"])
    assert (boots(card), hangs()) == (0, "portrait")
    assert {path.name for path in (tmp_path / "library").iterdir() if "new" in path.name} == set()


def test_a_fault_that_is_not_the_pictures_is_tried_again(card: Path, tmp_path: Path) -> None:
    wall(card)
    (tmp_path / "etc/config.toml").write_text("[display]\nwidth = 1\n")
    assert boots(card) == 1
    assert "portrait.png does not hang yet: " in told(card)
    assert told(card).endswith("; it is tried again at the next boot\n")
    (tmp_path / "etc/config.toml").write_text(CONFIG)
    assert boots(card) == 0
    assert "no face found" in told(card)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """What a machine with a read-only root says of itself."""
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "cmdline").write_text("overlayroot=tmpfs:recurse=0 console=tty3\n")
    (folder / "mounts").write_text(
        "overlayroot / overlay rw 0 0\n/dev/mmcblk0p1 /boot/firmware vfat rw 0 0\n"
    )
    return folder


def test_a_library_that_cannot_be_written_is_told_on_the_card(card: Path) -> None:
    wall(card)
    (card.parent / "library" / CARD_RECORD).mkdir()
    assert boots(card) == 1
    assert "portrait: portrait.png does not hang yet: " in told(card)
    assert f"{CARD_RECORD}: cannot be written (" in told(card)


def forget_library(card: Path) -> None:
    """What a boot with a read-only root does."""
    library = card.parent / "library"
    shutil.rmtree(library)
    library.mkdir()
    hang_small("before")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kept(card: Path) -> bytes:
    """Let a portrait hang as if it had been rendered from the card, and keep it there."""
    wall(card)
    hang_small("portrait")
    state = {"key": card_portrait.key_of(card, "portrait.png"), "state": "hangs", "told": "it hangs"}
    (card.parent / "library" / CARD_RECORD).write_text(json.dumps(state))
    with (card / card_portrait.KEPT).open("wb") as file:
        card_portrait.give(file)
    return (card / card_portrait.KEPT).read_bytes()


def test_a_read_only_root_hangs_what_the_card_has_kept(card: Path, proc: Path) -> None:
    archive = kept(card)
    first = contents(current_folder())
    for _ in range(2):
        forget_library(card)
        assert (card_portrait.run(card, None, proc), hangs()) == (0, "portrait")
        assert (contents(current_folder()), told(card)) == (first, "portrait: it hangs\n")
    assert (card / card_portrait.KEPT).read_bytes() == archive

    # What is kept goes with the picture.
    (card / "portrait.png").unlink()
    assert card_portrait.run(card, None, proc) == 0
    assert contents(card) == {"mona-lisa.txt": b""}


def test_a_read_only_root_does_not_judge_a_picture_at_every_boot(
    card: Path, proc: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wall(card)
    for _ in range(2):
        forget_library(card)
        assert (card_portrait.run(card, None, proc), hangs()) == (0, "before")
        assert "no face found" in str(picture_on_card_news())
    assert capfd.readouterr().err.count("is being rendered") == 1


@pytest.mark.parametrize("damage", ["empty", "no tar", "cut off", "a part is damaged"])
def test_a_damaged_copy_on_the_card_does_not_hang(card: Path, proc: Path, damage: str) -> None:
    whole = kept(card)
    half = len(whole) // 2
    damaged = {
        "empty": b"",
        "cut off": whole[:half],
        "a part is damaged": whole[:half] + b"?" * 9 + whole[half + 9 :],
    }
    (card / card_portrait.KEPT).write_bytes(damaged.get(damage, damage.encode()))
    forget_library(card)
    assert (card_portrait.run(card, None, proc), hangs()) == (0, "before")
    assert "no face found" in told(card), "the picture itself is judged"


def test_only_pictures_count_as_the_portrait(tmp_path: Path) -> None:
    others = ("portrait.toml", "Portrait.TOML.txt", "portrait.toml~", "portrait.jpg.mona-lisa-new")
    for name in ("Portrait.JPG", *others):
        (tmp_path / name).touch()
    assert card_portrait.pictures(tmp_path) == ["Portrait.JPG"]


def test_a_card_without_room_for_the_portrait_is_told(card: Path, proc: Path) -> None:
    (card / f"{card_portrait.KEPT}.new").mkdir()
    wall(card)
    assert card_portrait.run(card, None, proc) == 0
    refused, room = told(card).splitlines()
    assert refused.startswith("portrait: portrait.png does not hang, ")
    assert room.startswith("portrait: the boot partition has no room for it (")


def test_once_the_root_is_written_again_the_card_keeps_nothing(card: Path) -> None:
    kept(card)
    assert (boots(card), hangs()) == (0, "portrait")
    assert set(contents(card)) == {"portrait.png"}


def test_everyone_replaces_only_his_own_lines_on_the_card(tmp_path: Path) -> None:
    (tmp_path / "mona-lisa.txt").write_text("provisioned: the portrait hangs\n")  # an earlier version's
    tell(tmp_path, "settings", "wrong")
    tell(tmp_path, "portrait", "is being rendered")
    tell(tmp_path, "portrait", "hangs", "but")
    assert told(tmp_path) == "settings: wrong\nportrait: hangs\nportrait: but\n"
    script = (PROJECT / "deploy/first-boot").read_text()
    start = script.index("say() {")
    say = script[start : script.index("\n}\n", start) + 3]
    subprocess.run(["bash", "-euc", f"card=$1\n{say}\nsay begun; say done", "-", tmp_path], check=True)
    assert told(tmp_path) == "first boot: done\nsettings: wrong\nportrait: hangs\nportrait: but\n"
    tell(tmp_path, "settings", "applied")
    tell(tmp_path, "portrait")
    assert told(tmp_path) == "first boot: done\nsettings: applied\n"


def test_a_card_that_cannot_be_written_is_told_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mona-lisa.txt").mkdir()
    tell(tmp_path, "portrait", "hangs")
    assert "the card is full or write-protected; the line above is only here" in capsys.readouterr().err
