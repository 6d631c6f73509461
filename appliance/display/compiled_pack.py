"""A pack compiled for one screen: a raw file in the screen's own pixels, and the folder of them.

Starting then costs no decoding and no scaling. The file is a head (magic, length, checksum, JSON),
then the whole screen with the resting picture, then the patch of every frame of every sitter. It holds
checksums instead of being flushed to the disk: what a power cut leaves is noticed at the next start and
made anew.

Patches are not compressed, because zlib saves only 30 % and takes 4 ms to unpack a patch that is read from
the kernel's cache in 0.4 ms (measured on the Mona Lisa's at 1080x1920).

Every read is compared with its checksum. The file is not memory-mapped, because the kernel may drop a
mapped page and read it again from a card whose bytes have changed since, and where the card gives none,
touching the page ends the process with SIGBUS.
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

from appliance.display.layout import Layout, Size
from appliance.errors import ApplianceError, BadCache, CannotWrite
from appliance.files import as_owner
from appliance.library import library
from appliance.pack import Box, Pack

_FAMILY: Final = b"mona-lisa lit "
MAGIC: Final = _FAMILY + b"3\n"
# Parts begin on multiples of this, bytes: a card's blocks.
_PAGE: Final = 4096
# Bytes of a head: the checksums of all frames that a pack may have take less.
_MOST_HEAD: Final = 1 << 22
_HEAD: Final = struct.Struct("<16sII")


@dataclass(frozen=True, slots=True)
class Patches:
    """The patches of one sitter in a compiled file.

    `box` is where they lie on the screen, (x0, y0, x1, y1), `frames` how many there are, `resting` which
    of them is the base. `keyed` patches have pixels of the colour key, which belong to another sitter.
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
class Plan:
    """What a compiled file holds.

    `key` says of which pack and layout it was made, `pack` where that pack lies; `size` is (width,
    height) of the screen, `depth` its bytes per pixel, `sitters` the patches in the pack's order.
    Rows are padded to whole 4 bytes, as SDL's are.
    """

    key: str
    pack: str
    size: Size
    depth: int
    sitters: tuple[Patches, ...]

    @property
    def base_bytes(self) -> int:
        """Length of the base."""
        return _bytes(self.size, self.depth)

    def patch_bytes(self, sitter: int) -> int:
        """Length of a sitter's patch."""
        return _bytes(self.sitters[sitter].size, self.depth)

    @property
    def patches_bytes(self) -> int:
        """Length of all patches together."""
        return sum(self.patch_bytes(i) * patches.frames for i, patches in enumerate(self.sitters))

    @property
    def parts(self) -> int:
        """How many parts: the base and the patches."""
        return 1 + sum(patches.frames for patches in self.sitters)


class Compiled:
    """A compiled pack, open for reading as long as this object lives."""

    def __init__(self, path: Path, key: str | None) -> None:
        """Open a compiled file and check its head.

        Parameters
        ----------
        key : what it must have been made of; None takes any

        Raises
        ------
        BadCache
            If it is damaged or, its `stale` set, made of something else.
        FileNotFoundError
            If there is none.
        """
        self.path = path
        try:
            with as_owner(path):
                # Not blocking: a FIFO would never answer.
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
            self.plan, self._sums = _read_head(self._file)
            if key is not None and self.plan.key != key:
                raise BadCache(f"{path}: made of another pack or for another screen", stale=True)
            self._starts = _starts(self.plan)
            if found.st_size != (length := self._starts[-1]):
                raise BadCache(f"{path}: {found.st_size} bytes, expected {length}")
        except BadCache:
            raise
        except Exception as error:  # TypeError, KeyError, RecursionError: a head says what it likes
            raise BadCache(f"{path}: its head is damaged ({error})") from error

    def read_base(self, pixels: memoryview) -> None:
        """Fill `pixels` with the whole screen at rest; raises `BadCache` if it is not as it was written."""
        self._read(0, pixels, "base")

    def read_patch(self, sitter: int, frame: int, pixels: memoryview) -> None:
        """Fill `pixels` with a frame's patch; raises `BadCache` if it is not as it was written."""
        before = sum(patches.frames for patches in self.plan.sitters[:sitter])
        self._read(1 + before + frame, pixels, f"patch {frame} of sitter {sitter}")

    def check(self, each: Callable[[], object], apart_from: Sequence[Container[int]] = ()) -> None:
        """Read all patches, or of each sitter all but some, calling `each` in between; raises `BadCache`."""
        for sitter, patches in enumerate(self.plan.sitters):
            known = apart_from[sitter] if apart_from else ()
            with memoryview(bytearray(self.plan.patch_bytes(sitter))) as pixels:
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
                    raise BadCache(f"{self.path}: its {name} is cut off")
                done += got
        except OSError as error:
            raise BadCache(f"{self.path}: the disk does not give its {name} ({error.strerror})") from error
        if zlib.crc32(pixels) != self._sums[part]:
            raise BadCache(f"{self.path}: its {name} is damaged")


def _read_head(file: int) -> tuple[Plan, list[int]]:
    """Return what a file's head says, and the checksum of each part.

    Raises
    ------
    BadCache
        If it is of another version.
    Exception
        Of any kind, if it is damaged.
    """
    magic, length, checksum = _HEAD.unpack(os.pread(file, _HEAD.size, 0))
    if magic != MAGIC and magic.startswith(_FAMILY):
        raise BadCache("compiled by another version", stale=True)
    if magic != MAGIC or length > _MOST_HEAD:
        raise ValueError("no head")
    text = os.pread(file, length, _HEAD.size)
    if zlib.crc32(text) != checksum:
        raise ValueError("wrong checksum")
    tree: dict[str, Any] = json.loads(text)
    sums = tree.pop("sums")
    width, height = tree.pop("size")
    sitters = tuple(_patches(**patches) for patches in tree.pop("sitters"))
    plan = Plan(**tree, size=(width, height), sitters=sitters)
    numbers = [width, height, plan.depth, *sums]
    for patches in sitters:
        numbers += [*patches.box, patches.frames, patches.resting]
    if not (
        all(type(number) is int for number in numbers)
        and all(_fits(patches, plan.size) for patches in sitters)
        and 1 <= plan.depth <= 4
        and sitters
        and plan.parts == len(sums)
        and isinstance(plan.key, str)
        and isinstance(plan.pack, str)
    ):
        raise ValueError("impossible values")
    return plan, sums


def _patches(box: list[int], frames: int, resting: int, keyed: bool) -> Patches:
    x0, y0, x1, y1 = box
    return Patches((x0, y0, x1, y1), frames, resting, keyed)


def _fits(patches: Patches, screen: Size) -> bool:
    x0, y0, x1, y1 = patches.box
    inside = 0 <= x0 < x1 <= screen[0] and 0 <= y0 < y1 <= screen[1]
    return inside and 0 <= patches.resting < patches.frames and type(patches.keyed) is bool


def write_compiled(file: int, plan: Plan, parts: Iterable[memoryview]) -> None:
    """Write a compiled pack to an open file descriptor; raises `OSError`.

    `parts` are the base, then each sitter's patches. A part is let go of before the next is asked for: a
    surface cannot be drawn from meanwhile.
    """
    sums = []
    starts = _starts(plan)
    for start, part in zip(starts, parts, strict=False):
        with part:
            sums.append(zlib.crc32(part))
            _write(file, part, start)
    os.ftruncate(file, starts[-1])
    text = json.dumps(asdict(plan) | {"sums": sums}).encode()
    _write(file, _HEAD.pack(MAGIC, len(text), zlib.crc32(text)) + text, 0)


def _write(file: int, data: bytes | memoryview, start: int) -> None:
    written = 0
    with memoryview(data) as view:
        while written < len(view):
            with view[written:] as rest:
                written += os.pwrite(file, rest, start + written)


def _starts(plan: Plan) -> list[int]:
    """Return where each part begins, and where the last one ends."""
    text = json.dumps(asdict(plan) | {"sums": [0xFFFFFFFF] * plan.parts})  # no checksum is longer
    starts = [_pages(_HEAD.size + len(text))]
    lengths = [plan.base_bytes]
    for sitter, patches in enumerate(plan.sitters):
        lengths += [plan.patch_bytes(sitter)] * patches.frames
    for length in lengths:
        starts.append(starts[-1] + _pages(length))
    return starts


def _bytes(size: Size, depth: int) -> int:
    return -(-size[0] * depth // 4) * 4 * size[1]


def _pages(length: int) -> int:
    return -(-length // _PAGE) * _PAGE


# Compiled packs kept besides the newest: the portrait before, and a screen of another size.
KEPT: Final = 2
_SUFFIX: Final = ".lit"
_PART: Final = ".part"
_LOCK: Final = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def cache_folder() -> Path:
    """Return where compiled packs lie: systemd's CACHE_DIRECTORY, else beside the portraits."""
    if folder := os.environ.get("CACHE_DIRECTORY"):
        return Path(folder.split(":")[0])
    return library() / ".cache"


def key_of(pack: Pack, layout: Layout, pixels: str) -> str:
    """Return what a compiled pack is made of, as a hash: files as they are now, layout, pixel format."""
    names = ["pack.toml", "base.png", *pack.info.patch_names()]
    found = hashlib.sha256(MAGIC)
    for name in names:
        path = pack.folder / name
        try:
            stat = path.stat()
            found.update(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode())
        except OSError:
            found.update(f"{name} missing\n".encode())
    found.update(f"{pack.info}\n{layout}\n{pixels}".encode())
    return found.hexdigest()


def path_of(pack: Pack, layout: Layout, pixels: str) -> Path:
    """Return where a pack's compiled file for a screen lies, whichever version of the pack it holds."""
    place = hashlib.sha256(os.fsencode(f"{pack.folder.absolute()}\n{layout}\n{pixels}")).hexdigest()
    return cache_folder() / f"{pack.folder.absolute().name}-{place[:12]}{_SUFFIX}"


def make(path: Path, plan: Plan, parts: Iterable[memoryview]) -> Compiled:
    """Write a compiled pack and open it; older ones beyond `KEPT`, and those of packs gone, are deleted.

    `parts` are the pixels of the base and of each patch.

    Raises
    ------
    CannotWrite
        If the folder cannot be written, is full, or another process is writing there.
    BadPack, DisplayLost, CameraStalled
        What drawing the patches raises, and what goes on meanwhile; nothing is left behind.
    """
    part = path.with_name(f".{path.name}{_PART}")
    try:
        with _alone(path.parent):
            with as_owner(path.parent):
                _tidy(path)
                file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                try:
                    write_compiled(file, plan, parts)
                finally:
                    os.close(file)
                with as_owner(path.parent):
                    part.replace(path)
            finally:
                with as_owner(path.parent):
                    part.unlink(missing_ok=True)
        return Compiled(path, plan.key)
    except BadCache as error:
        raise CannotWrite(f"{path}: does not read as written ({error})") from error
    except ApplianceError:
        raise  # of who draws: a display that is lost is an OSError, too
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror or error})") from error


def used(path: Path) -> None:
    """Note that a compiled pack is in use, so that others are deleted before it.

    Not where it is the newest anyway: on a root that is an overlay its new time would copy it all to memory.
    """
    with suppress(OSError), as_owner(path.parent):
        if path.stat().st_mtime < max(other.stat().st_mtime for other in path.parent.glob(f"*{_SUFFIX}")):
            os.utime(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes from writing there; raises `BlockingIOError` if one does.

    What root makes, as in calibrating, it makes as the folder's owner: the service must be able to use it.
    """
    with as_owner(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", _LOCK, 0o644)  # only read: an earlier version's may be root's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _tidy(path: Path) -> None:
    """Delete what killed processes left, and compiled packs beyond those kept."""
    for part in path.parent.glob(f".*{_PART}"):
        part.unlink(missing_ok=True)
    others = [other for other in path.parent.glob(f"*{_SUFFIX}") if other != path]
    others.sort(key=lambda other: other.lstat().st_mtime, reverse=True)
    kept = 0
    for other in others:
        if kept < KEPT and _has_pack(other):
            kept += 1
        else:
            other.unlink(missing_ok=True)


def _has_pack(path: Path) -> bool:
    try:
        return (Path(Compiled(path, None).plan.pack) / "pack.toml").is_file()
    except (BadCache, OSError):
        return False
