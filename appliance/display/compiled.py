"""A pack compiled for one screen: a raw file in the screen's own pixels.

Starting then costs no decoding and no scaling. The file is a head (magic, length, checksum, JSON),
then the whole screen with the resting picture, then the patch of every frame. It holds checksums
instead of being flushed to the disk: what a power cut leaves is noticed at the next start and made anew.

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
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance.display.layout import Size
from appliance.errors import BadCache
from appliance.grid import Box
from appliance.rights import as_owner

_FAMILY: Final = b"mona-lisa lit "
MAGIC: Final = _FAMILY + b"2\n"
# Parts begin on multiples of this, bytes: the largest of the kernel's pages. Earlier versions map the file.
_PAGE: Final = 65536
_HEAD: Final = struct.Struct("<16sII")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a compiled file holds.

    `key` says of which pack and layout it was made, `pack` where that pack lies; `size` is (width,
    height) of the screen, `depth` its bytes per pixel, `box` where the patches lie on it, (x0, y0,
    x1, y1). Rows are padded to whole 4 bytes, as SDL's are.
    """

    key: str
    pack: str
    size: Size
    depth: int
    box: Box
    frames: int
    resting: int

    @property
    def patch_size(self) -> Size:
        """Width and height of a patch."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def base_bytes(self) -> int:
        """Length of the base."""
        return _row(self.size[0], self.depth) * self.size[1]

    @property
    def patch_bytes(self) -> int:
        """Length of a patch."""
        return _row(self.patch_size[0], self.depth) * self.patch_size[1]


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
            self.plan, self._sums = _read_head(os.pread(self._file, _PAGE, 0))
            if key is not None and self.plan.key != key:
                raise BadCache(f"{path}: made of another pack or for another screen", stale=True)
            if found.st_size != (length := _start(self.plan, self.plan.frames + 1)):
                raise BadCache(f"{path}: {found.st_size} bytes, expected {length}")
        except BadCache:
            raise
        except Exception as error:  # TypeError, KeyError, RecursionError: a head says what it likes
            raise BadCache(f"{path}: its head is damaged ({error})") from error

    def read_base(self, pixels: memoryview) -> None:
        """Fill `pixels` with the whole screen at rest; raises `BadCache` if it is not as it was written."""
        self._read(0, pixels, "base")

    def read_patch(self, frame: int, pixels: memoryview) -> None:
        """Fill `pixels` with a frame's patch; raises `BadCache` if it is not as it was written."""
        self._read(frame + 1, pixels, f"patch {frame}")

    def check(self, each: Callable[[], object], apart_from: Iterable[int] = ()) -> None:
        """Read the patches of all frames but some, calling `each` in between; raises `BadCache`."""
        with memoryview(bytearray(self.plan.patch_bytes)) as pixels:
            for frame in set(range(self.plan.frames)).difference(apart_from):
                self.read_patch(frame, pixels)
                each()

    def _read(self, part: int, pixels: memoryview, name: str) -> None:
        start, done = _start(self.plan, part), 0
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


def _read_head(data: bytes) -> tuple[Plan, list[int]]:
    """Return what a head says, and the checksum of each part.

    Raises
    ------
    BadCache
        If it is of another version.
    Exception
        Of any kind, if it is damaged.
    """
    magic, length, checksum = _HEAD.unpack_from(data)
    if magic != MAGIC and magic.startswith(_FAMILY):
        raise BadCache("compiled by another version", stale=True)
    text = data[_HEAD.size : _HEAD.size + length]
    if magic != MAGIC or zlib.crc32(text) != checksum:
        raise ValueError("wrong checksum")
    tree: dict[str, Any] = json.loads(text)
    sums = tree.pop("sums")
    (width, height), (x0, y0, x1, y1) = tree["size"], tree["box"]
    tree["size"], tree["box"] = (width, height), (x0, y0, x1, y1)
    plan = Plan(**tree)
    numbers = [width, height, x0, y0, x1, y1, plan.depth, plan.frames, plan.resting, *sums]
    if not (
        all(type(number) is int for number in numbers)
        and 0 <= x0 < x1 <= width
        and 0 <= y0 < y1 <= height
        and 1 <= plan.depth <= 4
        and 0 <= plan.resting < plan.frames == len(sums) - 1
        and isinstance(plan.key, str)
        and isinstance(plan.pack, str)
    ):
        raise ValueError("impossible values")
    return plan, sums


def write_compiled(file: int, plan: Plan, parts: Iterable[memoryview]) -> None:
    """Write a compiled pack to an open file descriptor: the base, then each patch; raises `OSError`.

    A part is let go of before the next is asked for: a surface cannot be drawn from meanwhile.
    """
    sums = []
    for number, part in enumerate(parts):
        with part:
            sums.append(zlib.crc32(part))
            _write(file, part, _start(plan, number))
    os.ftruncate(file, _start(plan, plan.frames + 1))
    text = json.dumps(asdict(plan) | {"sums": sums}).encode()
    _write(file, _HEAD.pack(MAGIC, len(text), zlib.crc32(text)) + text, 0)


def _write(file: int, data: bytes | memoryview, start: int) -> None:
    written = 0
    with memoryview(data) as view:
        while written < len(view):
            with view[written:] as rest:
                written += os.pwrite(file, rest, start + written)


def _start(plan: Plan, part: int) -> int:
    """Return where a part begins: 0 is the base, then the patches, then the end."""
    head = _pages(_HEAD.size + 512 + 12 * (plan.frames + 1))
    if part == 0:
        return head
    return head + _pages(plan.base_bytes) + (part - 1) * _pages(plan.patch_bytes)


def _row(width: int, depth: int) -> int:
    return -(-width * depth // 4) * 4


def _pages(length: int) -> int:
    return -(-length // _PAGE) * _PAGE
