"""A pack compiled for one screen: a raw file in the screen's own pixels.

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

import json
import os
import stat
import struct
import weakref
import zlib
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance.display.layout import Size
from appliance.errors import BadCache
from appliance.grid import Box
from appliance.rights import as_owner

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
