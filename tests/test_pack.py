import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from appliance.errors import BadPack, CannotWrite
from appliance.pack import FrameGrid, Pack, PackInfo, write_pack
from tests.conftest import base_image, one_row, small_info, small_patches

INFO = PackInfo(
    title='La "Sconosciuta"\nè bella',
    artist="nobody",
    licence="CC0-1.0",
    source="sconosciuta.png",
    source_sha256="0" * 64,
    size=(40, 60),
    engine="warp",
    settings={"softness": 0.5, "steps": 3, "name": "é", "fine": True},
    sitters=(FrameGrid((8, 10, 28, 22), (18.5, 15.0), (-20.0, 0.0, 20.5), (0.0,), (1,), (0, 1)),),
)
# Two sitters: one looks up and down as well, with fewer columns there.
PAIR = dataclasses.replace(
    INFO,
    sitters=(
        FrameGrid((8, 10, 28, 22), (18.5, 15.0), (-20.0, 0.0, 20.5), (9.0, 0.0, -12.0), (2, 1, 2), (1, 1)),
        FrameGrid((2, 30, 12, 40), (7.0, 34.0), (-8.0, 1.0), (0.0,), (1,), (0, 0)),
    ),
)
FORMAT_1 = """format = 1
title = "Old"
artist = "nobody"
licence = "CC0-1.0"
source = "old.png"
source_sha256 = "0"
size = [40, 60]
box = [8, 10, 28, 22]
frames = 3
resting = 1
angles = [-20, 0.0, 20.5]
engine = "warp"

[settings]
softness = 0.5
"""


def changed(**values: Any) -> PackInfo:
    """The pack with other values in its only grid."""
    return dataclasses.replace(INFO, sitters=(dataclasses.replace(INFO.main, **values),))


def base() -> Image.Image:
    return Image.linear_gradient("L").resize(INFO.size).convert("RGB")


def patches(shade: int = 0) -> Iterator[Image.Image]:
    for n in range(INFO.main.count):
        yield Image.new("RGB", (20, 12), (n, shade, 0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pack(tmp_path / "pack", INFO, base(), patches())
    return tmp_path / "pack"


def read_all(folder: Path) -> list[bytes]:
    pack = Pack(folder)
    return [pack.base().tobytes(), *(pack.patch(frame).tobytes() for frame in range(pack.info.main.count))]


def refusal(folder: Path) -> str:
    with pytest.raises(BadPack) as caught:
        read_all(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_pack_reads_back_as_it_was_written(folder: Path) -> None:
    pack = Pack(folder)
    assert pack.info == INFO
    assert pack.base().tobytes() == base().tobytes()
    for frame, patch in enumerate(patches()):
        assert pack.patch(frame).tobytes() == patch.tobytes()


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=30, deadline=None)
@given(texts, texts, st.lists(st.floats(-90, 90), min_size=3, max_size=3, unique=True).map(sorted), texts)
def test_any_title_angle_and_setting_reads_back(
    title: str, artist: str, angles: list[float], setting: str
) -> None:
    info = dataclasses.replace(
        changed(angles=tuple(angles)), title=title, artist=artist, settings={"a": setting, "b-c": 1e300}
    )
    with tempfile.TemporaryDirectory() as folder:
        write_pack(Path(folder) / "pack", info, base(), patches())
        assert Pack(Path(folder) / "pack").info == info


def test_a_picture_whose_name_is_no_utf_8_has_a_pack_too(tmp_path: Path) -> None:
    latin_1 = os.fsdecode("Gräfin.jpg".encode("latin-1"))
    write_pack(tmp_path / "pack", dataclasses.replace(INFO, source=latin_1), base(), patches())
    assert Pack(tmp_path / "pack").info.source == "Gr?fin.jpg"


def test_the_service_can_read_a_pack_root_made(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_pack(tmp_path / "pack", INFO, base(), patches())
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "pack").iterdir()} == {0o644}


def test_a_pack_is_these_files_and_no_others(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "pack.toml",
        "base.png",
        "patch_00.png",
        "patch_01.png",
        "patch_02.png",
    }


def test_a_pack_of_two_sitters_with_rows_reads_back(tmp_path: Path) -> None:
    drawn = [Image.new("RGB", (20, 12), (n, 0, 0)) for n in range(7)]
    drawn += [Image.new("RGB", (10, 10), (n, 9, 9)) for n in range(2)]
    write_pack(tmp_path / "pack", PAIR, base(), drawn)
    pack = Pack(tmp_path / "pack")
    assert pack.info == PAIR
    assert pack.info.patch_names()[4:] == [
        "patch_0_01_02.png",
        "patch_0_02_00.png",
        "patch_0_02_02.png",
        "patch_1_00_00.png",
        "patch_1_00_01.png",
    ]
    assert pack.patch(5).getpixel((0, 0)) == (5, 0, 0)
    assert pack.patch(1, sitter=1).getpixel((0, 0)) == (1, 9, 9)
    pack.check()


def test_a_pack_of_format_1_loads_as_one_row(folder: Path) -> None:
    (folder / "pack.toml").write_text(FORMAT_1)
    pack = Pack(folder)
    assert pack.info.title == "Old"
    assert pack.info.sitters == (one_row((8, 10, 28, 22), (-20.0, 0.0, 20.5), 1),)
    pack.check()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("frames = 3", "frames = 1", "frames = 1; expected a whole number from 2"),
        ("frames = 3", "frames = true", "frames = true; expected a whole number from 2"),
        ("frames = 3", "frames = 4", "angles = [-20, 0.0, 20.5]; expected 4 rising numbers"),
        ("resting = 1", "resting = 3", "resting = [0, 3]; expected [row, column] of one of the frames"),
        ("[8, 10, 28, 22]", '"all"', 'box = "all"; expected [x0, y0, x1, y1] inside the picture'),
    ],
)
def test_a_wrong_key_of_format_1_is_named(folder: Path, old: str, new: str, fault: str) -> None:
    (folder / "pack.toml").write_text(FORMAT_1.replace(old, new))
    assert refusal(folder).startswith(f"{folder}/pack.toml: {fault}")


def test_a_new_pack_replaces_the_old_one_whole(folder: Path) -> None:
    few = changed(angles=(-1.0, 1.0))
    write_pack(folder, few, base(), itertools.islice(patches(9), 2))
    assert Pack(folder).info == few
    assert not (folder / "patch_02.png").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["pack"]


def test_a_missing_file_is_named(folder: Path) -> None:
    for name in ("base.png", "patch_01.png"):
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        assert refusal(folder) == f"{folder / name}: missing; render the portrait again"
        (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (Image.new("RGB", (20, 11)), "20x11 RGB"),
        (Image.new("L", (20, 12)), "20x12 L"),
        (Image.new("RGBA", (20, 12)), "20x12 RGBA"),
    ],
)
def test_a_patch_of_another_size_or_kind_is_named(folder: Path, image: Image.Image, found: str) -> None:
    path = folder / "patch_02.png"
    image.save(path)
    assert refusal(folder) == f"{path}: {found}, expected 20x12 RGB (pack.toml); render the portrait again"


@pytest.mark.parametrize("name", ["base.png", "patch_00.png", "patch_02.png"])
@pytest.mark.parametrize("left", [0, 20, 50, -20])
def test_a_truncated_image_is_named(folder: Path, name: str, left: int) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:left])
    assert refusal(folder).startswith(f"{path}: damaged (")


def test_a_changed_byte_in_an_image_is_noticed_or_harmless(folder: Path) -> None:
    path = folder / "patch_01.png"
    data = path.read_bytes()
    whole = read_all(folder)
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            assert read_all(folder) == whole
        except BadPack as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017


def test_a_bomb_in_place_of_a_patch_is_named(folder: Path) -> None:
    path = folder / "patch_01.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    assert refusal(folder).startswith(f"{path}: 100000x100000 RGB, expected 20x12 RGB")


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "pack.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("format = 2", "format = 3", "format = 3; expected one of 1, 2"),
        ("format = 2\n", "", "format missing; expected one of 1, 2"),
        ('engine = "warp"\n', "", "engine missing; expected text"),
        ("steps = [1]", "steps = [1]\nspeed = 1", "speed = 1; unknown key, expected one of "),
        ("[settings]", "speed = 1\n[settings]", "speed = 1; unknown key, expected one of "),
        ('artist = "nobody"', "artist = 3", "artist = 3; expected text"),
        ("size = [40, 60]", "size = [40]", "size = [40]; expected [width, height]"),
        ("size = [40, 60]", "size = [40, 60.5]", "size = [40, 60.5]; expected [width, height]"),
        ("size = [40, 60]", "size = [0, 60]", "size = [0, 60]; expected [width, height]"),
        ("size = [40, 60]", "size = 40", "size = 40; expected [width, height]"),
        ("size = [40, 60]", "size = [7681, 60]", "size = [7681, 60]; expected at most 7680 pixels a side"),
        ("size = [40, 60]", "size = [4000, 4001]", "size = [4000, 4001]; expected at most 7680 pixels"),
        (
            "[8, 10, 28, 22]",
            "[8, 10, 41, 22]",
            "box = [8, 10, 41, 22]; expected [x0, y0, x1, y1] inside the picture",
        ),
        (
            "[8, 10, 28, 22]",
            "[-1, 10, 28, 22]",
            "box = [-1, 10, 28, 22]; expected [x0, y0, x1, y1] inside the picture",
        ),
        (
            "[8, 10, 28, 22]",
            "[8, 22, 28, 22]",
            "box = [8, 22, 28, 22]; expected [x0, y0, x1, y1] inside the picture",
        ),
        ("[8, 10, 28, 22]", '"all"', 'box = "all"; expected [x0, y0, x1, y1] inside the picture'),
        ("[18.5, 15.0]", "[18.5]", "eyes = [18.5]; expected [x, y]"),
        ("resting = [0, 1]", "resting = [0, 3]", "resting = [0, 3]; expected [row, column] of one of"),
        ("resting = [0, 1]", "resting = [-1, 1]", "resting = [-1, 1]; expected [row, column] of one of"),
        ("resting = [0, 1]", "resting = 1", "resting = 1; expected [row, column] of one of the frames"),
        ("steps = [1]", "steps = [2]", "resting = [0, 1]; expected [row, column] of one of the frames"),
        ("steps = [1]", "steps = [3]", "steps = [3]; expected for each of 1 rows a divisor of 2"),
        ("steps = [1]", "steps = [1, 1]", "steps = [1, 1]; expected for each of 1 rows a divisor of 2"),
        ("steps = [1]", "steps = [0]", "steps = [0]; expected for each of 1 rows a divisor of 2"),
        ("pitches = [0.0]", "pitches = []", "pitches = []; expected 1 to 99 falling numbers"),
        ("pitches = [0.0]", "pitches = [0, 0]", "pitches = [0, 0]; expected 1 to 99 falling numbers"),
        ("[[sitters]]", "[sitters]", 'sitters = {"box": [8, 10, 28, 22]'),
        ("[-20.0, 0.0, 20.5]", "[0, 0, 1]", "angles = [0, 0, 1]; expected 2 to 999 rising numbers"),
        ("[-20.0, 0.0, 20.5]", "[0, nan, 1]", "angles = [0, nan, 1]; expected 2 to 999 rising numbers"),
        ("[-20.0, 0.0, 20.5]", "[0, 1, inf]", "angles = [0, 1, inf]; expected 2 to 999 rising numbers"),
        ("[-20.0, 0.0, 20.5]", f"[0, 1, 1{'0' * 400}]", "angles = [0, 1, 1000"),
        (
            "[-20.0, 0.0, 20.5]",
            '["a", "b", "c"]',
            'angles = ["a", "b", "c"]; expected 2 to 999 rising numbers',
        ),
        ("[-20.0, 0.0, 20.5]", "1", "angles = 1; expected 2 to 999 rising numbers"),
        ("[settings]", "[settings.more]", 'settings = {"more": {"softness": 0.5'),
    ],
)
def test_a_wrong_key_is_named_with_value_and_expectation(
    folder: Path, old: str, new: str, fault: str
) -> None:
    edit(folder, old, new)
    message = refusal(folder)
    assert message.startswith(f"{folder}/pack.toml: {fault}")
    assert message.endswith("; render the portrait again")


def test_settings_must_be_a_table(folder: Path) -> None:
    text = (folder / "pack.toml").read_text("utf-8").split("[settings]")
    sitters = text[1][text[1].index("[[sitters]]") :]
    (folder / "pack.toml").write_text(f"{text[0]}settings = 3\n{sitters}", "utf-8")
    assert refusal(folder).startswith(f"{folder}/pack.toml: settings = 3; expected a table of numbers")


@pytest.mark.parametrize(
    "content",
    [
        b"format = ",
        b"\xff\xfe",
        b"format = 2\nformat = 2",
        b"a = " + b"[" * 9999,
        b"a." * 20_000 + b"a = 1",
        b"#" * 70_000,
    ],
)
def test_a_pack_toml_that_is_no_toml_is_named(folder: Path, content: bytes) -> None:
    (folder / "pack.toml").write_bytes(content)
    assert refusal(folder).startswith(f"{folder}/pack.toml: cannot be read (")


def test_where_no_pack_is_the_way_to_make_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "none", tmp_path / "empty"):
        assert refusal(path) == f"{path}: no pack there; make one with `mona-lisa portrait render`"
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file").startswith(f"{tmp_path}/file")


@pytest.mark.parametrize(
    ("info", "fault"),
    [
        (changed(angles=(-1.0, 0.0, 1.0, 2.0)), "shorter"),
        (changed(angles=(0.0, 1.0)), "longer"),
        (changed(box=(8, 10, 28, 23)), r"patch_00.png: \(20, 12\) RGB, expected \(20, 13\) RGB"),
        (dataclasses.replace(INFO, size=(41, 60)), r"base.png: \(40, 60\) RGB, expected \(41, 60\) RGB"),
    ],
)
def test_a_pack_that_does_not_fit_itself_is_not_written(tmp_path: Path, info: PackInfo, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        write_pack(tmp_path / "pack", info, base(), patches())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("info", "fault"),
    [
        (
            dataclasses.replace(INFO, size=(4001, 4000)),
            r"size = \[4001, 4000\]; expected at most 7680 pixels a side and 16,000,000",
        ),
        (
            dataclasses.replace(changed(box=(0, 0, 3001, 3000)), size=(4000, 4000)),
            r"box = \[0, 0, 3001, 3000\]; expected at most 9,000,000",
        ),
        (
            dataclasses.replace(
                changed(box=(0, 0, 999, 999), angles=tuple(map(float, range(-180, 180)))), size=(4000, 4000)
            ),
            "300,000,000 in all frames",
        ),
    ],
)
def test_a_pack_too_large_to_be_read_is_not_written(tmp_path: Path, info: PackInfo, fault: str) -> None:
    with pytest.raises(BadPack, match=fault):
        write_pack(tmp_path / "pack", info, base(), patches())
    assert not (tmp_path / "pack").exists()


def test_an_error_while_rendering_leaves_the_old_pack(folder: Path) -> None:
    def failing() -> Iterator[Image.Image]:
        yield from itertools.islice(patches(9), 2)
        raise RuntimeError("out of paint")

    with pytest.raises(RuntimeError, match="out of paint"):
        write_pack(folder, INFO, base(), failing())
    assert Pack(folder).patch(0).getpixel((0, 0)) == (0, 0, 0)
    assert [path.name for path in folder.parent.iterdir()] == ["pack"]


KILLED_WHILE_WRITING = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_pack import INFO, base, patches
from appliance.pack import write_pack
def slow():
    for patch in patches(9):
        yield patch
        print("written", flush=True)
        sys.stdin.readline()
write_pack(Path({folder!r}), INFO, base(), slow())
"""


def test_a_process_killed_while_writing_leaves_the_old_pack(folder: Path) -> None:
    code = KILLED_WHILE_WRITING.format(tests=str(Path(__file__).parent), folder=str(folder))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"PYTHONPATH": "."},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert Pack(folder).info == INFO
    assert Pack(folder).patch(0).getpixel((0, 0)) == (0, 0, 0)
    write_pack(folder, INFO, base(), patches(7))
    assert Pack(folder).patch(0).getpixel((0, 0)) == (0, 7, 0)


def test_a_power_cut_while_swapping_shows_the_old_portrait(folder: Path) -> None:
    folder.rename(folder.with_name(".pack.old"))
    assert Pack(folder).info == INFO


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"file/pack: cannot be written \(.+\)$"):
        write_pack(tmp_path / "file" / "pack", INFO, base(), patches())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_nothing_but_an_earlier_pack_is_ever_replaced(tmp_path: Path, what: str) -> None:
    place = tmp_path / "precious"
    if what == "file":
        place.write_text("my thesis")
    else:
        place.mkdir()
        (place / "holiday.jpg").write_bytes(b"a picture")
    with pytest.raises(
        CannotWrite, match="precious: exists and is no pack; expected the name of a new folder"
    ):
        write_pack(place, small_info(), base_image(), small_patches())
    assert place.read_text() == "my thesis" if what == "file" else (place / "holiday.jpg").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_overlapping_patches_need_an_alpha_channel(folder: Path) -> None:
    near = dataclasses.replace(PAIR.sitters[1], box=(20, 12, 30, 22))
    info = dataclasses.replace(PAIR, sitters=(PAIR.main, near))
    sizes = [(g.box[2] - g.box[0], g.box[3] - g.box[1]) for g in info.sitters for _ in range(g.count)]
    holed = [Image.new("RGBA", size, (0, 90, 0, 255 * (i % 2))) for i, size in enumerate(sizes)]
    write_pack(folder, info, base(), holed)
    assert np.array_equal(np.array(Pack(folder).patch(1)), np.array(holed[1]))
    Pack(folder).check()
    with pytest.raises(ValueError, match=r"RGB, expected .* RGBA"):
        write_pack(folder, info, base(), [image.convert("RGB") for image in holed])
    with pytest.raises(ValueError, match=r"RGBA, expected .* RGB"):
        write_pack(folder, INFO, base(), holed[:3])


def test_a_pack_may_be_named_from_inside_itself(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pack.folder)
    assert Pack(Path()).info == pack.info
    with pytest.raises(BadPack, match="no pack there"):
        Pack(Path("/"))


def test_replacing_a_linked_pack_keeps_the_link(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("pack")
    for shade in (5, 6):
        write_pack(link, INFO, base(), patches(shade))
    assert link.is_symlink()
    assert Pack(folder).patch(0).getpixel((0, 0)) == (0, 6, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pack"]


def test_what_belongs_to_a_pack_is_written_beside_it(folder: Path) -> None:
    write_pack(folder, INFO, base(), patches(5), lambda: {"pack-sheet.png": b"sheet"})
    assert (folder.parent / "pack-sheet.png").read_bytes() == b"sheet"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["pack", "pack-sheet.png"]


def test_ctrl_c_before_all_is_drawn_leaves_the_old_pack_alone(folder: Path) -> None:
    def interrupted() -> dict[str, bytes]:
        signal.raise_signal(signal.SIGINT)
        return {"pack-sheet.png": b"sheet"}

    with pytest.raises(KeyboardInterrupt):
        write_pack(folder, INFO, base(), patches(9), interrupted)
    assert Pack(folder).patch(0).getpixel((0, 0)) == (0, 0, 0)
    assert [path.name for path in folder.parent.iterdir()] == ["pack"]


def test_ctrl_c_waits_until_pack_and_sheet_are_written(folder: Path) -> None:
    class Interrupting(dict[str, bytes]):
        def items(self) -> Any:
            assert Pack(folder).patch(0).getpixel((0, 0)) == (0, 9, 0)
            signal.raise_signal(signal.SIGINT)
            return super().items()

    with pytest.raises(KeyboardInterrupt):
        write_pack(folder, INFO, base(), patches(9), lambda: Interrupting({"a.png": b"a", "b.png": b"b"}))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["a.png", "b.png", "pack"]
