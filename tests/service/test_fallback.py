"""Whatever is wrong with one portrait, a whole one is lit."""

import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from appliance.display import frame_loader
from appliance.display.compiled_pack import CompiledPack
from appliance.display.screen import PortraitScreen
from appliance.errors import CameraStalled, DisplayLost
from appliance.pack import Pack, write_pack
from appliance.service import fallback
from appliance.service.reporter import Flipped
from tests.conftest import BOX, FRAMES, base_image, small_info
from tests.display.test_compiled_pack_compiled import caches, hurt
from tests.service.running import Stepped
from tests.service.test_app import config_for

NEVER = threading.Event()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def without_pixels(folder: Path) -> None:
    data = (folder / "base.png").read_bytes()
    (folder / "base.png").write_bytes(data[: data.index(b"IDAT") - 4] + chunk(b"IEND"))


def deep_toml(folder: Path) -> None:
    text = (folder / "pack.toml").read_text()
    (folder / "pack.toml").write_text(text + "deep = " + "[" * 3000 + "]" * 3000 + "\n")


def larger_than_memory(folder: Path) -> None:
    text = (folder / "pack.toml").read_text()
    (folder / "pack.toml").write_text(text.replace("size = [90, 160]", "size = [9400, 9500]"))


def link_to_a_device(folder: Path) -> None:
    (folder / "base.png").unlink()
    (folder / "base.png").symlink_to("/dev/zero")


def fifo(folder: Path) -> None:
    (folder / "base.png").unlink()
    os.mkfifo(folder / "base.png")


def fifo_for_toml(folder: Path) -> None:
    (folder / "pack.toml").unlink()
    os.mkfifo(folder / "pack.toml")


def longer_than_any_picture(folder: Path) -> None:
    with (folder / "base.png").open("r+b") as file:
        file.truncate(1 << 40)


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another portrait in the library, twice as dark."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    folder = tmp_path / "state" / "other"
    dark = base_image().point(lambda level: level // 2)
    write_pack(folder, small_info(title="Other"), dark, [dark.crop(BOX)] * FRAMES)
    return folder


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "fault",
    [
        without_pixels,
        deep_toml,
        larger_than_memory,
        link_to_a_device,
        fifo,
        fifo_for_toml,
        longer_than_any_picture,
    ],
)
def test_any_fault_of_a_portrait_lights_another_one(
    pack: Pack, other: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Callable[[Path], None]
) -> None:
    fault(pack.folder)
    with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder):
        pass
    (line,) = warnings(caplog)
    assert line.startswith(str(pack.folder)) and line.endswith("showing Other instead")
    assert len(line.removeprefix(str(pack.folder))) < 300 and "\n" not in line
    lit = np.asarray(Image.open(tmp_path / "lit" / "frame_04.png"))
    assert np.array_equal(lit, np.asarray(Pack(other).base()))


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("too deep"), IndexError(), struct.error("x")]
)
def test_whatever_a_decoder_raises_lights_another_portrait(
    pack: Pack,
    other: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    whole = PngImagePlugin.PngImageFile._open

    def fails_once(image: PngImagePlugin.PngImageFile) -> None:
        monkeypatch.setattr(PngImagePlugin.PngImageFile, "_open", whole)
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "_open", fails_once)
    with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder):
        pass
    (line,) = warnings(caplog)
    assert line.startswith(f"{pack.folder / 'base.png'}: ") and line.endswith("showing Other instead")


@pytest.mark.parametrize("chunk_kind", [b"tRNS", b"zTXt", b"iCCP", b"acTL", b"PLTE"])
def test_what_a_picture_has_beside_its_pixels_does_no_harm(pack: Pack, chunk_kind: bytes) -> None:
    path = pack.folder / "base.png"
    whole, data = pack.base().tobytes(), path.read_bytes()
    path.write_bytes(data[:33] + chunk(chunk_kind) + data[33:])
    assert pack.base().tobytes() == whole


def test_a_portrait_that_is_not_ready_in_time_rests(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_loader, "LOAD_TIMEOUT", -1.0)
    with Stepped(config_for("gallery:empty", tmp_path / "lit"), lambda: pack.folder):
        pass
    (line,) = warnings(caplog)
    assert line.startswith(f"{pack.folder}: not ready within ") and line.endswith("; the sitter rests")
    assert (tmp_path / "lit" / "frame_04.png").exists()


@pytest.mark.parametrize("lost", [DisplayLost("unplugged"), CameraStalled("hung")])
def test_a_lost_display_or_camera_is_no_fault_of_the_portrait(
    pack: Pack, other: Path, tmp_path: Path, lost: Exception
) -> None:
    def each() -> None:
        raise lost

    with PortraitScreen(config_for("gallery", tmp_path / "lit").display) as screen:
        fallback.light_best(screen, pack.folder)
        with pytest.raises(type(lost)):
            fallback.load_or_rest(screen, pack, NEVER, each)


def test_a_portrait_that_is_whole_again_is_lit_again(pack: Pack, other: Path, tmp_path: Path) -> None:
    with PortraitScreen(config_for("gallery", tmp_path / "lit").display) as screen:
        fallback.light_best(screen, other)
        again, wrong = fallback.reload_after_damage(screen, pack.folder, None, NEVER, lambda: None)
        assert again is not None and again.folder == pack.folder
        assert wrong == "" and screen.show((0,))


def test_with_damaged_frames_the_sitter_rests_and_is_told(
    pack: Pack, other: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    patch = pack.folder / "patch_07.png"
    patch.write_bytes(b"damaged")
    with PortraitScreen(config_for("gallery", tmp_path / "lit").display) as screen:
        again, wrong = fallback.reload_after_damage(screen, pack.folder, None, NEVER, lambda: None)
        assert again is not None and again.folder == pack.folder
        assert not screen.show((0,)), "it rests"
    assert wrong.startswith(f"{patch}: damaged") and wrong.endswith("; the sitter rests")
    assert warnings(caplog) == [wrong]


def test_a_damaged_base_lights_the_other_portrait_again(
    pack: Pack, other: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without_pixels(pack.folder)
    with PortraitScreen(config_for("gallery", tmp_path / "lit").display) as screen:
        again, wrong = fallback.reload_after_damage(screen, pack.folder, None, NEVER, lambda: None)
        assert again is not None and again.folder == other
    assert warnings(caplog) == [wrong] and wrong.startswith(f"{pack.folder}")


def test_without_any_readable_portrait_the_picture_stays(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "empty"))
    without_pixels(pack.folder)
    with PortraitScreen(config_for("gallery", tmp_path / "lit").display) as screen:
        again, wrong = fallback.reload_after_damage(screen, pack.folder, None, NEVER, lambda: None)
    assert again is None
    assert warnings(caplog) == [wrong] and wrong.endswith("; the picture stays as it is")


def run_and_hurt(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[], None]
) -> None:
    """Let the sitter follow a visitor, do harm when the eyes have moved, and go on for some seconds."""
    monkeypatch.setattr(frame_loader, "KEPT_SCREENS", 0.0)  # every patch is read when it is wanted
    lit = tmp_path / "lit"
    with Stepped(config_for("gallery:cross", lit), lambda: pack.folder) as steps:
        steps.until(lambda: sum(isinstance(event, Flipped) for event in steps.events) >= 3)
        harm()
        steps.advance(3.0)


@pytest.mark.faults
@pytest.mark.parametrize("how", ["changed", "cut"])
def test_a_compiled_file_damaged_while_it_is_shown_is_made_anew(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    base = np.asarray(pack.base())
    patches = [np.asarray(pack.patch(frame)) for frame in range(FRAMES)]
    run_and_hurt(pack, tmp_path, monkeypatch, lambda: hurt(caches()[0], how))
    (line,) = warnings(caplog)
    assert str(caches()[0]) in line and line.endswith("compiling the portrait again")
    CompiledPack(caches()[0], None).verify_patches(bool)
    x0, y0, x1, y1 = BOX
    pictures = list((tmp_path / "lit").glob("frame_*.png"))
    assert len(pictures) >= 3
    for path in pictures:
        expected = base.copy()
        expected[y0:y1, x0:x1] = patches[int(path.stem[-2:])]
        assert np.array_equal(np.asarray(Image.open(path)), expected)


@pytest.mark.faults
def test_a_portrait_damaged_while_shown_gives_way_to_another(
    pack: Pack, other: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def harm() -> None:
        for path in pack.folder.glob("*.png"):
            path.write_bytes(b"damaged")
        hurt(caches()[0], "changed")

    run_and_hurt(pack, tmp_path, monkeypatch, harm)
    assert [line for line in warnings(caplog) if line.endswith("showing Other instead")]
    lit = np.asarray(Image.open(tmp_path / "lit" / "frame_04.png"))
    assert np.array_equal(lit, np.asarray(Pack(other).base()))


@pytest.mark.faults
def test_where_nothing_can_be_read_any_more_the_picture_stays(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    def harm() -> None:
        for path in pack.folder.glob("*.png"):
            path.write_bytes(b"damaged")
        hurt(caches()[0], "cut")

    run_and_hurt(pack, tmp_path, monkeypatch, harm)
    assert [line for line in warnings(caplog) if line.endswith("the picture stays as it is")]
    assert len([line for line in warnings(caplog) if "the picture stays" in line]) == 1
