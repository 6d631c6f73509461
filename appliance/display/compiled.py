"""A pack compiled for one screen: a raw file in the screen's own pixels, memory-mapped.

Starting then costs no decoding and no scaling. The file is a head (magic, length, checksum, JSON),
then the whole screen with the resting picture, then the patch of every frame, each beginning on a
page of its own. It holds checksums instead of being flushed to the disk: what a power cut leaves
is noticed at the next start and made anew.
"""

import errno
import json
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance.display.layout import Size
from appliance.errors import BadCache
from appliance.pack import Box

_FAMILY: Final = b"mona-lisa lit "
MAGIC: Final = _FAMILY + b"2\n"
# The largest of the kernel's pages: a Pi 5's have 16 KiB, arm64 knows 64. What is let go of with madvise
# must begin on one.
_PAGE: Final = 65536
_HEAD: Final = struct.Struct("<16sII")
# madvise(2) of Linux 5.14: read pages in now and return an error, where touching one that the disk does not
# give any more would end the process with SIGBUS, at every start anew.
_MADV_POPULATE_READ: Final = 22


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
    """A compiled pack, mapped into memory."""

    def __init__(self, path: Path, key: str | None) -> None:
        """Map a compiled file and check its base.

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
            with path.open("rb") as file:
                self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except NotADirectoryError as error:
            raise FileNotFoundError(path) from error
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise BadCache(f"{path}: cannot be read ({error})") from error
        self.plan, self._sums = self._head()
        if key is not None and self.plan.key != key:
            raise BadCache(f"{path}: made of another pack or for another screen", stale=True)
        if len(self.map) != self._start(self.plan.frames + 1):
            raise BadCache(f"{path}: {len(self.map)} bytes, expected {self._start(self.plan.frames + 1)}")
        self._check(0, "base")

    def base(self) -> memoryview:
        """Return the pixels of the whole screen at rest."""
        return self._part(0)

    def patch(self, frame: int) -> memoryview:
        """Return the pixels of a frame's patch."""
        return self._part(frame + 1)

    def check(self, each: Callable[[], object]) -> None:
        """Compare every patch with its checksum, calling `each` in between; raises `BadCache`."""
        for frame in range(self.plan.frames):
            self._check(frame + 1, f"patch {frame}")
            self.forget(frame)
            each()

    def forget(self, frame: int = -1) -> None:
        """Let go of the memory of a patch, or of the base: it is read again when next wanted."""
        start, end = self._start(frame + 1), self._start(frame + 2)
        self.map.madvise(mmap.MADV_DONTNEED, start, end - start)

    def _head(self) -> tuple[Plan, list[int]]:
        self._read_in(0, _PAGE, "head")
        try:
            magic, length, checksum = _HEAD.unpack_from(self.map)
            if magic != MAGIC and magic.startswith(_FAMILY):
                raise BadCache(f"{self.path}: of another version", stale=True)
            text = self.map[_HEAD.size : _HEAD.size + length]
            if magic != MAGIC or zlib.crc32(text) != checksum:
                raise BadCache(f"{self.path}: its head is damaged")
            tree: dict[str, Any] = json.loads(text)
            sums = tree.pop("sums")
            tree["size"], tree["box"] = tuple(tree["size"]), tuple(tree["box"])
            return Plan(**tree), sums
        except BadCache:
            raise
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise BadCache(f"{self.path}: its head is damaged ({error})") from error

    def _start(self, part: int) -> int:
        return _start(self.plan, part)

    def _part(self, part: int) -> memoryview:
        start = self._start(part)
        length = self.plan.patch_bytes if part else self.plan.base_bytes
        return memoryview(self.map)[start : start + length]

    def _check(self, part: int, name: str) -> None:
        self._read_in(self._start(part), self._start(part + 1), name)
        if zlib.crc32(self._part(part)) != self._sums[part]:
            raise BadCache(f"{self.path}: its {name} is damaged")

    def _read_in(self, start: int, end: int, name: str) -> None:
        try:
            self.map.madvise(_MADV_POPULATE_READ, start, end - start)
        except OSError as error:
            if error.errno != errno.EINVAL:  # an older kernel
                raise BadCache(f"{self.path}: the disk does not give its {name}") from error


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
