"""A pack compiled for one screen: a raw file in the screen's own pixels, and the folder of them.

With it a start needs no decoding and no scaling. The file has a head (magic, length, checksum, JSON), then
the whole screen with the resting picture, then the patch of every frame of every sitter. It is not flushed to
the disk; instead it holds checksums, so that damage by a power cut is noticed at the next start and the file
is made anew.

Patches are not compressed, because zlib saves only 30 % and takes 4 ms to unpack a patch that is read from
the kernel's cache in 0.4 ms (measured with the Mona Lisa at 1080x1920).

Every read is compared with its checksum. The file is not memory-mapped, because the kernel may drop a mapped
page and read it again from a card whose bytes have changed; and if the card cannot be read then, access to
the page ends the process with SIGBUS.
"""

import fcntl
import hashlib
import json
import os
import stat
import struct
import weakref
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance.display.layout import ScreenLayout, Size
from appliance.errors import ApplianceError, BadCache, CannotWrite
from appliance.files import as_owner
from appliance.library import library_folder
from appliance.pack import Box, Pack

_FAMILY: Final = b"mona-lisa lit "
COMPILED_MAGIC: Final = _FAMILY + b"3\n"
_ALIGNMENT: Final = 4096  # parts begin at multiples of this, in bytes: the block size of a card
# Largest size of the head, in bytes: the checksums of the largest pack take less.
_MAX_HEAD_BYTES: Final = 1 << 22
_HEAD: Final = struct.Struct("<16sII")  # start of the head: magic, length and checksum of the JSON text


@dataclass(frozen=True, slots=True)
class CompiledPatches:
    """The patches of one sitter in a compiled file.

    `box` is their place on the screen, (x0, y0, x1, y1), `frames` their number, and `resting` the one that is
    the base. `keyed` patches contain pixels in the colour key, which belong to another sitter.
    """

    box: Box
    frames: int
    resting: int
    keyed: bool

    @property
    def size(self) -> Size:
        """Width and height of a patch."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


@dataclass(frozen=True, slots=True)
class CompiledContents:
    """The contents of a compiled file.

    `key` identifies the pack and layout it was made from, `pack` is the path of that pack. `size` is (width,
    height) of the screen and `depth` its bytes per pixel; `sitters` are the patches in the pack's order. Rows
    are padded to a multiple of 4 bytes, like SDL's.
    """

    key: str
    pack: str
    size: Size
    depth: int
    sitters: tuple[CompiledPatches, ...]

    @property
    def base_bytes(self) -> int:
        """Length of the base in bytes."""
        return _image_bytes(self.size, self.depth)

    def patch_bytes(self, sitter: int) -> int:
        """Length of one patch of a sitter in bytes."""
        return _image_bytes(self.sitters[sitter].size, self.depth)

    @property
    def patches_bytes(self) -> int:
        """Length of all patches together in bytes."""
        return sum(self.patch_bytes(i) * patches.frames for i, patches in enumerate(self.sitters))

    @property
    def parts(self) -> int:
        """Number of parts: the base and the patches."""
        return 1 + sum(patches.frames for patches in self.sitters)


class CompiledPack:
    """A compiled pack, open for reading as long as this object lives."""

    def __init__(self, path: Path, key: str | None) -> None:
        """Open a compiled file and check its head.

        `key` is what it must have been made from; None accepts any. Raises `BadCache` if it is damaged, or
        with `stale` set if it was made from something else, and `FileNotFoundError` if there is none.
        """
        self.path = path
        try:
            with as_owner(path):
                # O_NONBLOCK, because opening a FIFO would wait for ever.
                self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(path) from error
        except OSError as error:
            raise BadCache(f"{path}: cannot be read ({error.strerror})") from error
        weakref.finalize(self, os.close, self._file)
        try:
            found = os.fstat(self._file)
            if not stat.S_ISREG(found.st_mode):
                raise BadCache(f"{path}: no regular file")
            self.contents, self._sums = _read_head(self._file)
            if key is not None and self.contents.key != key:
                raise BadCache(f"{path}: made of another pack or for another screen", stale=True)
            self._starts = _part_offsets(self.contents)
            if found.st_size != (length := self._starts[-1]):
                raise BadCache(f"{path}: {found.st_size} bytes, expected {length}")
        except BadCache:
            raise
        except Exception as error:  # a damaged head raises many kinds: TypeError, KeyError, RecursionError
            raise BadCache(f"{path}: its head is damaged ({error})") from error

    def read_base(self, pixels: memoryview) -> None:
        """Read the whole screen at rest into `pixels`; raises `BadCache` if the checksum differs."""
        self._read(0, pixels, "base")

    def read_patch(self, sitter: int, frame: int, pixels: memoryview) -> None:
        """Read a frame's patch into `pixels`; raises `BadCache` if the checksum differs."""
        before = sum(patches.frames for patches in self.contents.sitters[:sitter])
        self._read(1 + before + frame, pixels, f"patch {frame} of sitter {sitter}")

    def verify_patches(self, each: Callable[[], object], apart_from: Sequence[Container[int]] = ()) -> None:
        """Verify all patches but those in `apart_from`, a set for each sitter; call `each` after every patch.

        Raises `BadCache`.
        """
        for sitter, patches in enumerate(self.contents.sitters):
            known = apart_from[sitter] if apart_from else ()
            with memoryview(bytearray(self.contents.patch_bytes(sitter))) as pixels:
                for frame in range(patches.frames):
                    if frame not in known:
                        self.read_patch(sitter, frame, pixels)
                        each()

    def _read(self, part: int, pixels: memoryview, name: str) -> None:
        start, done = self._starts[part], 0
        try:
            while done < len(pixels):
                with pixels[done:] as rest:
                    got = os.preadv(self._file, [rest], start + done)
                if not got:
                    raise BadCache(f"{self.path}: its {name} is incomplete")
                done += got
        except OSError as error:
            why = f"cannot be read from the disk ({error.strerror})"
            raise BadCache(f"{self.path}: its {name} {why}") from error
        if zlib.crc32(pixels) != self._sums[part]:
            raise BadCache(f"{self.path}: its {name} is damaged")


def _read_head(file: int) -> tuple[CompiledContents, list[int]]:
    """Return the contents and the checksum of each part, from a file's head.

    Raises `BadCache` if it is of another version, and an exception of any kind if it is damaged.
    """
    magic, length, checksum = _HEAD.unpack(os.pread(file, _HEAD.size, 0))
    if magic != COMPILED_MAGIC and magic.startswith(_FAMILY):
        raise BadCache("compiled by another version", stale=True)
    if magic != COMPILED_MAGIC or length > _MAX_HEAD_BYTES:
        raise ValueError("no head")
    text = os.pread(file, length, _HEAD.size)
    if zlib.crc32(text) != checksum:
        raise ValueError("wrong checksum")
    tree: dict[str, Any] = json.loads(text)
    sums = tree.pop("sums")
    width, height = tree.pop("size")
    sitters = tuple(_parse_patches(**patches) for patches in tree.pop("sitters"))
    contents = CompiledContents(**tree, size=(width, height), sitters=sitters)
    numbers = [width, height, contents.depth, *sums]
    numbers += [n for patches in sitters for n in (*patches.box, patches.frames, patches.resting)]
    if not (
        all(type(number) is int for number in numbers)
        and all(_are_possible(patches, contents.size) for patches in sitters)
        and 1 <= contents.depth <= 4
        and sitters
        and contents.parts == len(sums)
        and isinstance(contents.key, str)
        and isinstance(contents.pack, str)
    ):
        raise ValueError("impossible values")
    return contents, sums


def _parse_patches(box: list[int], frames: int, resting: int, keyed: bool) -> CompiledPatches:
    x0, y0, x1, y1 = box
    return CompiledPatches((x0, y0, x1, y1), frames, resting, keyed)


def _are_possible(patches: CompiledPatches, screen: Size) -> bool:
    x0, y0, x1, y1 = patches.box
    inside = 0 <= x0 < x1 <= screen[0] and 0 <= y0 < y1 <= screen[1]
    return inside and 0 <= patches.resting < patches.frames and type(patches.keyed) is bool


def write_compiled(file: int, contents: CompiledContents, parts: Iterable[memoryview]) -> None:
    """Write a compiled pack to an open file descriptor; raises `OSError`.

    `parts` are the base, then each sitter's patches. Each part is released before the next one is requested,
    because a surface whose pixels are held cannot be used.
    """
    sums = []
    starts = _part_offsets(contents)
    for start, part in zip(starts, parts, strict=False):
        with part:
            sums.append(zlib.crc32(part))
            _write_all(file, part, start)
    os.ftruncate(file, starts[-1])
    text = json.dumps(asdict(contents) | {"sums": sums}).encode()
    _write_all(file, _HEAD.pack(COMPILED_MAGIC, len(text), zlib.crc32(text)) + text, 0)


def _write_all(file: int, data: bytes | memoryview, start: int) -> None:
    written = 0
    with memoryview(data) as view:
        while written < len(view):
            with view[written:] as rest:
                written += os.pwrite(file, rest, start + written)


def _part_offsets(contents: CompiledContents) -> list[int]:
    """Return the offset of each part, and the end of the last one."""
    text = json.dumps(asdict(contents) | {"sums": [0xFFFFFFFF] * contents.parts})  # the longest checksum
    starts = [_aligned(_HEAD.size + len(text))]
    lengths = [contents.base_bytes]
    for sitter, patches in enumerate(contents.sitters):
        lengths += [contents.patch_bytes(sitter)] * patches.frames
    for length in lengths:
        starts.append(starts[-1] + _aligned(length))
    return starts


def _image_bytes(size: Size, depth: int) -> int:
    return -(-size[0] * depth // 4) * 4 * size[1]


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT


# Compiled packs that are kept besides the newest: the portrait before it, and that for another screen size.
MAX_KEPT: Final = 2
_SUFFIX: Final = ".lit"
_PART: Final = ".part"
_LOCK: Final = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def cache_folder() -> Path:
    """Return the cache folder: systemd's CACHE_DIRECTORY, or else one beside the portraits."""
    if folder := os.environ.get("CACHE_DIRECTORY"):
        return Path(folder.split(":")[0])
    return library_folder() / ".cache"


def cache_key(pack: Pack, layout: ScreenLayout, pixels: str) -> str:
    """Return a hash of all that a compiled pack depends on: its files, the layout, the pixel format."""
    names = ["pack.toml", "base.png", *pack.info.patch_names()]
    found = hashlib.sha256(COMPILED_MAGIC)
    for name in names:
        try:
            stat = (pack.folder / name).stat()
            found.update(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode())
        except OSError:
            found.update(f"{name} missing\n".encode())
    found.update(f"{pack.info}\n{layout}\n{pixels}".encode())
    return found.hexdigest()


def cache_path(pack: Pack, layout: ScreenLayout, pixels: str) -> Path:
    """Return the path of a pack's compiled file for a screen; it is the same for all versions of the pack."""
    place = hashlib.sha256(os.fsencode(f"{pack.folder.absolute()}\n{layout}\n{pixels}")).hexdigest()
    return cache_folder() / f"{pack.folder.absolute().name}-{place[:12]}{_SUFFIX}"


def write_to_cache(path: Path, contents: CompiledContents, parts: Iterable[memoryview]) -> CompiledPack:
    """Write a compiled pack and open it; delete older ones beyond `MAX_KEPT` and those of missing packs.

    `parts` are the pixels of the base and of each patch. Raises `CannotWrite` if the folder cannot be
    written, is full, or another process is writing there. Errors of drawing the patches and of the display
    meanwhile pass (`BadPack`, `DisplayLost`, `CameraStalled`); no file is left behind.
    """
    part = path.with_name(f".{path.name}{_PART}")
    try:
        with _write_lock(path.parent):
            with as_owner(path.parent):
                _delete_old(path)
                file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                try:
                    write_compiled(file, contents, parts)
                finally:
                    os.close(file)
                with as_owner(path.parent):
                    part.replace(path)
            finally:
                with as_owner(path.parent):
                    part.unlink(missing_ok=True)
        return CompiledPack(path, contents.key)
    except BadCache as error:
        raise CannotWrite(f"{path}: damaged right after writing ({error})") from error
    except ApplianceError:
        raise  # of drawing; DisplayLost is an OSError, too
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror or error})") from error


def mark_as_used(path: Path) -> None:
    """Mark a compiled pack as used, so that others are deleted before it.

    The newest is not touched, because on an overlay file system a new time would copy the file to memory.
    """
    with suppress(OSError), as_owner(path.parent):
        if path.stat().st_mtime < max(other.stat().st_mtime for other in path.parent.glob(f"*{_SUFFIX}")):
            os.utime(path)


@contextmanager
def _write_lock(folder: Path) -> Iterator[None]:
    """Create the cache folder, and lock it against other writers; raises `BlockingIOError` if there is one.

    Root, as in `calibrate`, creates it as its parent's owner, so that the service can write to it.
    """
    with as_owner(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", _LOCK, 0o644)  # read only: an earlier lock may be root's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _delete_old(path: Path) -> None:
    """Delete the remains of killed processes, and compiled packs beyond those kept."""
    for part in path.parent.glob(f".*{_PART}"):
        part.unlink(missing_ok=True)
    others = [other for other in path.parent.glob(f"*{_SUFFIX}") if other != path]
    others.sort(key=lambda other: other.lstat().st_mtime, reverse=True)
    kept = 0
    for other in others:
        if kept < MAX_KEPT and _has_pack(other):
            kept += 1
        else:
            other.unlink(missing_ok=True)


def _has_pack(path: Path) -> bool:
    try:
        return (Path(CompiledPack(path, None).contents.pack) / "pack.toml").is_file()
    except (BadCache, OSError):
        return False
