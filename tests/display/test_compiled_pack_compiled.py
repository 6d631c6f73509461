import fcntl
import itertools
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.config import DisplayConfig
from appliance.display import compiled_pack, frame_loader
from appliance.display import frame_loader as frames_module
from appliance.display import screen as screen_module
from appliance.display.compiled_pack import CompiledPack
from appliance.display.screen import PortraitScreen
from appliance.errors import BadPack, CameraStalled, DisplayLost
from appliance.pack import Pack, write_pack
from tests.conftest import (
    FRAMES,
    SERVICE,
    SIZE,
    base_image,
    composed,
    grid_info,
    grid_patches,
    packs,
    small_info,
    small_patches,
)
from tests.display.test_screen import pixels

NEVER = threading.Event()


def all_frames(pack: Pack) -> list[tuple[int, ...]]:
    """Frames to light: each sitter is in each of its frames once at least, and at last they rest."""
    counts = [grid.count for grid in pack.info.sitters]
    found = [tuple(i * 7 % count for count in counts) for i in range(max(counts) * 3)]
    return [*dict.fromkeys(found), tuple(grid.rest for grid in pack.info.sitters)]


def shown(pack: Pack, out: Path, **changes: Any) -> Pixels:
    """What is lit of `all_frames`, of shape (frames, height, width, 3)."""
    config = DisplayConfig(output=f"offscreen:{out}", width=SIZE[0], height=SIZE[1], **changes)
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, NEVER)
        lit = []
        for frames in all_frames(pack):
            assert screen.show(frames)
            lit.append(pixels(screen))
    return np.array(lit)


def caches() -> list[Path]:
    return sorted(compiled_pack.cache_folder().glob("*.lit"))


@packs
def test_a_compiled_portrait_is_lit_without_its_pack(pack: Pack, tmp_path: Path) -> None:
    first = shown(pack, tmp_path / "one")
    (cache,) = caches()
    written = cache.stat().st_ino
    assert np.array_equal(shown(pack, tmp_path / "two"), first)
    assert [path.stat().st_ino for path in caches()] == [written]


def test_a_compiled_start_loads_neither_numpy_nor_pillow(pack: Pack, tmp_path: Path) -> None:
    shown(pack, tmp_path / "one")
    script = (
        "import sys, threading; from pathlib import Path; import appliance.cli, appliance.cli.commands;"
        "import appliance.service.app;"
        "from appliance.config import DisplayConfig; from appliance.display.screen import PortraitScreen;"
        "from appliance.pack import Pack;"
        f"s = PortraitScreen(DisplayConfig(output='offscreen:{tmp_path / 'two'}', width={SIZE[0]}, height={SIZE[1]}));"
        f"s.__enter__(); s.light(Pack(Path({str(pack.folder)!r})));"
        "print(sorted({'numpy', 'ai_edge_litert', 'tflite_runtime', 'pkg_resources', 'appliance.vision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@packs
@pytest.mark.parametrize("damage", ["cut", "empty", "head", "base", "patch", "zeros", "no file"])
def test_a_damaged_compiled_file_is_noticed_and_made_anew(
    pack: Pack, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = shown(pack, tmp_path / "one")
    (cache,) = caches()
    data = bytearray(cache.read_bytes())
    base, start = CompiledPack(cache, None)._starts[:2]
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "empty":
        data.clear()
    elif damage == "zeros":
        data[start:] = bytes(len(data) - start)
    elif damage != "no file":
        data[{"head": 20, "base": base + 5, "patch": start + 5}[damage]] ^= 1
    cache.write_bytes(data)
    if damage == "no file":
        cache.unlink()
    caplog.clear()
    assert np.array_equal(shown(pack, tmp_path / "two"), first)
    said = [record for record in caplog.records if record.name == "appliance.display.frame_loader"]
    assert len(said) == (damage != "no file")
    assert all(record.msg == frame_loader.CACHE_DAMAGED for record in said)
    CompiledPack(cache, None).verify_patches(bool)


@packs
def test_a_compiled_file_of_another_version_is_made_anew(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = shown(pack, tmp_path / "one")
    (cache,) = caches()
    whole = cache.read_bytes()
    cache.write_bytes(whole.replace(compiled_pack.COMPILED_MAGIC, b"mona-lisa lit 1\n"))
    assert np.array_equal(shown(pack, tmp_path / "two"), first)
    assert cache.read_bytes() == whole
    assert not [record for record in caplog.records if record.name == "appliance.display.frame_loader"]


@packs
def test_the_picture_can_be_drawn_anew_while_it_is_compiled(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_module, "CHECK_INTERVAL", 0.0)
    drawn = []
    draw = PortraitScreen._draw

    def counted(screen: PortraitScreen) -> None:
        drawn.append(1)
        draw(screen)

    monkeypatch.setattr(PortraitScreen, "_draw", counted)
    shown(pack, tmp_path / "one", shift_time=1e-9, shift=1)
    assert len(drawn) > FRAMES // 2, "by the burn-in care, between two frames"


@packs
def test_a_portrait_rendered_again_is_compiled_again(pack: Pack, tmp_path: Path) -> None:
    first = shown(pack, tmp_path / "one")
    other = base_image().point(lambda level: 255 - level)
    write_pack(pack.folder, grid_info(title="again"), other, grid_patches(other))
    again = shown(Pack(pack.folder), tmp_path / "two")
    assert np.array_equal(again[-1], np.asarray(other)) and not np.array_equal(again[-1], first[-1])
    assert len(caches()) == 1


@packs
def test_each_screen_size_has_its_file_and_few_are_kept(pack: Pack, tmp_path: Path) -> None:
    for rotation in (0, 90, 180, 270):
        shown(pack, tmp_path / str(rotation), rotation=rotation)
        assert len(caches()) == min(rotation // 90, compiled_pack.MAX_KEPT) + 1


@packs
@pytest.mark.parametrize("lost", [DisplayLost("unplugged"), CameraStalled("hung")])
def test_a_display_lost_while_compiling_is_no_full_disk(
    pack: Pack, tmp_path: Path, lost: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def each() -> None:
        raise lost

    config = DisplayConfig(output=f"offscreen:{tmp_path / 'lit'}", width=SIZE[0], height=SIZE[1])
    with PortraitScreen(config) as screen:
        screen.light(pack)
        with pytest.raises(type(lost)):
            screen.load(pack, NEVER, each)
    assert not caplog.records
    assert not list(compiled_pack.cache_folder().glob(".*.part"))


def test_a_start_with_the_same_portrait_writes_nothing(pack: Pack, tmp_path: Path) -> None:
    shown(pack, tmp_path / "one")
    (first,) = caches()
    os.utime(first, (1e9, 1e9))  # on an overlay any change of it is a copy of it, in memory
    shown(pack, tmp_path / "two")
    assert first.stat().st_mtime == 1e9
    shown(pack, tmp_path / "turned", rotation=180)
    shown(pack, tmp_path / "three")
    assert first.stat().st_mtime > 1e9, "the one in use is kept longest"


def test_the_file_of_a_portrait_that_is_gone_is_deleted(pack: Pack, tmp_path: Path) -> None:
    shown(pack, tmp_path / "one")
    (old,) = caches()
    shutil.rmtree(pack.folder)
    write_pack(tmp_path / "new", small_info(), base_image(), small_patches())
    shown(Pack(tmp_path / "new"), tmp_path / "two")
    assert old not in caches() and len(caches()) == 1


def test_what_a_killed_process_left_is_deleted(pack: Pack, tmp_path: Path) -> None:
    compiled_pack.cache_folder().mkdir(exist_ok=True)
    (compiled_pack.cache_folder() / ".pack-0123.lit.part").write_bytes(b"half")
    shown(pack, tmp_path / "one")
    assert not list(compiled_pack.cache_folder().glob(".*.part"))


def hurt(cache: Path, how: str) -> None:
    """Change a byte of every part of a compiled_pack file, or cut it off behind its head."""
    starts = CompiledPack(cache, None)._starts
    if how == "cut":
        os.truncate(cache, starts[0])
    else:
        data = bytearray(cache.read_bytes())
        for start in starts[:-1]:
            data[start + 5] ^= 1
        with cache.open("r+b") as file:  # the same file, as a card that fails has it
            file.write(data)


@packs
@pytest.mark.parametrize("how", ["changed", "cut"])
@pytest.mark.parametrize("kept", [4.0, 0.0])
def test_bytes_that_change_on_the_card_while_it_runs_are_not_lit(
    pack: Pack, tmp_path: Path, how: str, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shown(pack, tmp_path / "one")
    at_rest = all_frames(pack)[-1]
    monkeypatch.setattr(frames_module, "KEPT_SCREENS", kept)
    config = DisplayConfig(output=f"offscreen:{tmp_path / 'two'}", width=SIZE[0], height=SIZE[1], shift=2)
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, NEVER)
        hurt(caches()[0], how)
        before = pixels(screen)
        assert np.array_equal(before, first[-1])
        screen.tick(time.monotonic() + 90 * config.shift_time, time.time())
        assert caches()[0].name in screen.damage
        assert np.array_equal(pixels(screen), before), "the picture did not move"
        for frames, picture in zip(all_frames(pack), first, strict=True):
            assert screen.show(frames) == (bool(kept) or frames == at_rest)
            assert np.array_equal(pixels(screen), picture if kept else first[-1])
        screen.light(pack)
        screen.load(pack, NEVER)
        assert not screen.damage
        assert screen.show(all_frames(pack)[0]) and np.array_equal(pixels(screen), first[0])


def test_a_fifo_for_a_compiled_file_does_not_stop_the_start(pack: Pack, tmp_path: Path) -> None:
    first = shown(pack, tmp_path / "one")
    (cache,) = caches()
    cache.unlink()
    os.mkfifo(cache)
    assert np.array_equal(shown(pack, tmp_path / "two"), first)
    assert caches()[0].is_file()


@packs
def test_the_base_is_freed_once_drawn_from_a_compiled_file(pack: Pack, tmp_path: Path) -> None:
    shown(pack, tmp_path / "one")
    config = DisplayConfig(output=f"offscreen:{tmp_path / 'two'}", width=SIZE[0], height=SIZE[1])
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, NEVER)
        assert screen._frames and screen._frames.base is None
        screen.fade(0.01)
        assert screen._frames.base is None


@packs
@pytest.mark.parametrize("obstacle", ["read-only", "full", "busy"])
def test_without_a_place_to_compile_the_pack_is_still_lit(
    pack: Pack,
    tmp_path: Path,
    obstacle: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = shown(pack, tmp_path / "one")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    if obstacle == "read-only":
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "file" / "cache"))
    elif obstacle == "full":
        monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limit[1]))
    else:
        monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
        (tmp_path / "cache").mkdir()
        lock = os.open(tmp_path / "cache" / ".lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
    caplog.clear()
    try:
        assert np.array_equal(shown(pack, tmp_path / "two"), first)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    (line,) = [record for record in caplog.records if record.name == "appliance.display.frame_loader"]
    assert line.msg == frame_loader.CACHE_NOT_KEPT
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
def test_the_service_can_replace_a_file_compiled_by_root(
    pack: Pack, tmp_path: Path, service_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(service_folder / ".cache"))
    mask = os.umask(0o077)
    try:
        shown(pack, tmp_path / "one")
    finally:
        os.umask(mask)
    (cache,) = caches()
    os.seteuid(SERVICE)
    try:
        CompiledPack(cache, None)
        with compiled_pack._write_lock(cache.parent):
            cache.unlink()
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
@pytest.mark.parametrize("place", [".cache/.lock", ".cache"])
def test_calibrating_as_root_gives_no_linked_file_away(
    pack: Pack,
    tmp_path: Path,
    service_folder: Path,
    secrets: Path,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(service_folder / ".cache"))
    link = service_folder / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(secrets / "key" if place.endswith(".lock") else secrets)
    for planted in (link.parent, link):
        os.chown(planted, SERVICE, SERVICE, follow_symlinks=False)
    shown(pack, tmp_path / "one")
    assert (secrets / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in secrets.iterdir()] == ["key"]
    assert [record.msg for record in caplog.records].count(frame_loader.CACHE_NOT_KEPT) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
def test_calibrating_as_root_overwrites_no_linked_file(
    pack: Pack, tmp_path: Path, service_folder: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(service_folder / ".cache"))
    shown(pack, tmp_path / "one")
    (cache,) = caches()
    cache.unlink()
    cache.with_name(f".{cache.name}.part").symlink_to(secrets / "key")
    shown(pack, tmp_path / "two")
    assert (secrets / "key").read_text() == "secret"
    assert caches() == [cache] and cache.stat().st_uid == SERVICE


@packs
def test_a_damaged_pack_is_shown_as_it_was_last_compiled(
    pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = shown(pack, tmp_path / "one")
    for name in (pack.info.patch_name(7), "base.png"):
        (pack.folder / name).write_bytes(b"damaged")
        caplog.clear()
        assert np.array_equal(shown(pack, tmp_path / name), first)
        (line,) = [record for record in caplog.records if record.name == "appliance.display.frame_loader"]
        assert line.msg == frame_loader.SHOWING_LAST_COMPILED and name in line.getMessage()


@packs
def test_a_damaged_pack_never_compiled_shows_its_resting_frame(pack: Pack, tmp_path: Path) -> None:
    name = pack.info.patch_name(7)
    (pack.folder / name).write_bytes(b"damaged")
    config = DisplayConfig(output=f"offscreen:{tmp_path / 'lit'}", width=SIZE[0], height=SIZE[1])
    with PortraitScreen(config) as screen:
        screen.light(pack)
        with pytest.raises(BadPack, match=f"{name}: damaged"):
            screen.load(pack, NEVER)
        at_rest = pixels(screen)
        assert not screen.show(all_frames(pack)[0])
        assert np.array_equal(pixels(screen), at_rest) and np.array_equal(at_rest, np.asarray(pack.base()))
    assert not caches()


@packs
def test_frames_beyond_the_memory_bound_are_shown_too(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shown(pack, tmp_path / "one")
    monkeypatch.setattr(frames_module, "KEPT_SCREENS", 0.33)
    config = DisplayConfig(output=f"offscreen:{tmp_path / 'two'}", width=SIZE[0], height=SIZE[1])
    order = list(zip(all_frames(pack), first, strict=True))
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, NEVER)
        for frames, picture in itertools.chain(random.Random(1).choices(order, k=200), order):
            screen.show(frames)
            assert np.array_equal(pixels(screen), picture)
            assert screen._frames
            kept = [patch.get_buffer().length for each in screen._frames._kept for patch in each.values()]
            assert sum(kept) <= 0.33 * 4 * SIZE[0] * SIZE[1]


@packs
@pytest.mark.parametrize("scale", [1, 2, 1.5])
def test_what_is_lit_is_composed_of_each_sitters_own_pixels(pack: Pack, tmp_path: Path, scale: float) -> None:
    size = round(SIZE[0] * scale), round(SIZE[1] * scale)
    with PortraitScreen(
        DisplayConfig(output=f"offscreen:{tmp_path}", width=size[0], height=size[1])
    ) as screen:
        screen.light(pack)
        screen.load(pack, NEVER)
        for frames in random.Random(2).sample(all_frames(pack), len(all_frames(pack))):
            screen.show(frames)
            whole = Image.fromarray(composed(pack, frames)).resize(size, Image.Resampling.LANCZOS)
            differ = np.abs(pixels(screen).astype(int) - np.asarray(whole)).max(axis=2) > 1
            if scale == 1 or len(frames) == 1:
                assert not differ.any()
            else:  # where sitters meet, scaling mixes pixels of both
                place = np.argwhere(differ)
                assert all(abs((y + x + 1) / scale - 120) < 8 for y, x in place)


@packs
def test_with_little_memory_the_nearest_frames_are_shown(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shown(pack, tmp_path / "one")
    whole = CompiledPack(caches()[0], None).contents.patches_bytes
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(frames_module, "MAX_KEPT_BYTES", whole // 2)
    others = shown(pack, tmp_path / "two")
    assert np.array_equal(others[-1], first[-1])
    different = {other.tobytes() for other in others}
    assert len(all_frames(pack)) / 8 < len(different) < 2 * len(all_frames(pack)) / 3
    if len(pack.info.sitters) == 1:
        assert different < {one.tobytes() for one in first}
