"""TIFF files in bands of rows: some strips or a row of tiles at a time, decoded by Pillow as small TIFFs.

Formats: TIFF 6.0, Adobe 1992, and BigTIFF.
"""

import io
import math
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from PIL import Image

from appliance.portrait.bands import BAND, WIDEST, Banded, rows_per_band

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _LIGHT, _TURN, _SAMPLES, _PLANES = (
    256,
    257,
    258,
    259,
    262,
    274,
    277,
    284,
)
_STRIPS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_SUBFILE, _MASK = 254, 4  # what a page is; this bit says that it is a mask of another one
_TILE_WIDTH, _TILE_ROWS, _TILES, _TILE_BYTES = 322, 323, 324, 325
# What colours depend on: fill order, fax options, predictor, palette, inks, alpha, format, JPEG, YCbCr.
_COLOURS: Final = {266, 292, 293, 317, 320, 332, 338, 339, 347, 529, 530, 531, 532}
_KEPT: Final = _COLOURS | {_WIDTH, _BITS, _COMPRESSION, _LIGHT, _SAMPLES, _PLANES, _TILE_WIDTH, _TILE_ROWS}
_READ: Final = _KEPT | {_SUBFILE, _HEIGHT, _TURN, _STRIPS, _STRIP_ROWS, _STRIP_BYTES, _TILES, _TILE_BYTES}
_PLAIN, _OLD_JPEG, _YCBCR = 1, 6, 6
# Size in bytes of each type of value, and struct's letter of those that are whole numbers.
_SIZES: Final = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    16: 8,
    17: 8,
    18: 8,
}
_LETTERS: Final = {1: "B", 3: "H", 4: "I", 16: "Q", 18: "Q"}
_LONG: Final = 4
_MOST_VALUES: Final = 300_000
# Pages looked at; a picture has a preview or two, or the steps of a pyramid.
_MOST_PAGES: Final = 64
# How much larger than a band a strip or a row of tiles may be.
_SPARE: Final = 8


class _Entry(NamedTuple):
    kind: int
    length: int
    data: bytes


class _Directory:
    """A directory (page) of a TIFF: the entries that matter, as they stand, in the file's byte order.

    `offset` is where it lies in the file, `following` where the next one does, 0 after the last.
    """

    def __init__(self, file: BinaryIO, offset: int = 0) -> None:
        """Read the directory at an offset, by default the first; raises one of `DAMAGE`."""
        file.seek(0)
        head = file.read(16)
        if head[:2] not in {b"II", b"MM"}:
            raise OSError("no TIFF header")
        self.order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in {b"+\0", b"\0+"}
        letter, room = ("Q", 8) if big else ("I", 4)
        self.offset = offset or self._number(letter, head[room : 2 * room])
        file.seek(self.offset)
        number = self._number("Q" if big else "H", file.read(8 if big else 2))
        rows = file.read(min(number, 4096) * (4 + 2 * room))
        after = file.read(room)
        self.following = self._number(letter, after) if number <= 4096 and len(after) == room else 0
        self._entries: dict[int, _Entry] = {}
        for row in (rows[i : i + 4 + 2 * room] for i in range(0, len(rows), 4 + 2 * room)):
            tag, kind = struct.unpack_from(self.order + "HH", row)
            count, value = self._number(letter, row[4 : 4 + room]), row[4 + room :]
            length = count * _SIZES.get(kind, 0)
            if tag not in _READ or not 0 < length <= 8 * _MOST_VALUES:
                continue
            if length > room:
                file.seek(self._number(letter, value))
                value = file.read(length)
            if len(value) < length:
                raise OSError("image file is truncated")
            self._entries[tag] = _Entry(kind, count, value[:length])

    @property
    def area(self) -> int:
        """Pixels of the page; 0 for a mask."""
        mask = self.value(_SUBFILE, 0) & _MASK
        return 0 if mask else self.value(_WIDTH, 0) * self.value(_HEIGHT, 0)

    def values(self, tag: int) -> tuple[int, ...]:
        """Return the whole numbers of an entry; none if it is missing."""
        kind, count, data = self._entries.get(tag, _Entry(_LONG, 0, b""))
        return struct.unpack(f"{self.order}{count}{_LETTERS[kind]}", data) if kind in _LETTERS else ()

    def value(self, tag: int, default: int) -> int:
        """Return the first number of an entry."""
        return next(iter(self.values(tag)), default)

    def small(self, numbers: dict[int, tuple[int, ...]], parts: list[bytes]) -> bytes:
        """Return a TIFF of these strips or tiles, with the entries that colours depend on.

        Parameters
        ----------
        numbers : further entries; where an entry's is empty, it takes where the parts lie
        """
        out = bytearray((b"II*\0" if self.order == "<" else b"MM\0*") + bytes(4))
        starts = []
        for part in parts:
            starts.append(len(out))
            out += part + bytes(len(part) % 2)
        entries = {tag: self._narrowed(tag) for tag in _KEPT & self._entries.keys()}
        entries |= {tag: self._longs(values or tuple(starts)) for tag, values in numbers.items()}
        rows = b""
        for tag, (kind, count, data) in sorted(entries.items()):
            value = data.ljust(4, b"\0")
            if len(data) > 4:
                value = struct.pack(self.order + "I", len(out))
                out += data + bytes(len(data) % 2)
            rows += struct.pack(self.order + "HHI", tag, kind, count) + value
        out[4:8] = struct.pack(self.order + "I", len(out))
        return bytes(out + struct.pack(self.order + "H", len(entries)) + rows + bytes(4))

    def _narrowed(self, tag: int) -> _Entry:
        """Return an entry without BigTIFF's types."""
        entry = self._entries[tag]
        return entry if entry.kind < 16 else self._longs(self.values(tag))

    def _longs(self, values: tuple[int, ...]) -> _Entry:
        return _Entry(_LONG, len(values), struct.pack(f"{self.order}{len(values)}I", *values))

    def _number(self, letter: str, data: bytes) -> int:
        return int(struct.unpack(self.order + letter, data)[0])


def largest_page(file: BinaryIO) -> tuple[int, int]:
    """Return the number, from 0, and the offset of the page with the most pixels; raises one of `DAMAGE`."""
    pages = [_Directory(file)]
    while (following := pages[-1].following) and len(pages) < _MOST_PAGES:
        if any(following == page.offset for page in pages):
            raise OSError("its pages form a circle")
        pages.append(_Directory(file, following))
    number = max(range(len(pages)), key=lambda i: pages[i].area)
    return number, pages[number].offset


def open_tiff(file: BinaryIO, offset: int = 0) -> Banded | None:
    """Return the bands of a TIFF's page; none if its strips or tiles are too large, or its planes separate.

    `offset` is where the page's directory lies, 0 for the first. Raises one of `DAMAGE`, also while the
    bands are drawn, if the file is damaged or truncated.
    """
    directory = _Directory(file, offset)
    width, height = directory.value(_WIDTH, 0), directory.value(_HEIGHT, 0)
    tiled = bool(directory.values(_TILES))
    offsets = directory.values(_TILES if tiled else _STRIPS)
    counts = directory.values(_TILE_BYTES if tiled else _STRIP_BYTES)
    rows = min(
        directory.value(_TILE_ROWS if tiled else _STRIP_ROWS, height), height if not tiled else 1 << 32
    )
    wide = directory.value(_TILE_WIDTH, 0) if tiled else width
    compression = directory.value(_COMPRESSION, _PLAIN)
    if min(width, height, rows, wide) < 1 or width > WIDEST or compression == _OLD_JPEG:
        return None
    if directory.value(_PLANES, 1) != 1 and directory.value(_SAMPLES, 1) != 1:
        return None
    if len(offsets) == 1 and not tiled and compression == _PLAIN and directory.value(_LIGHT, 0) != _YCBCR:
        bits = directory.values(_BITS) or (1,)
        line = (width * sum(bits) + 7) // 8  # one strip without compression is as good as many
        rows = min(rows_per_band(width), height)
        starts = range(0, height, rows)
        offsets = tuple(offsets[0] + line * row for row in starts)
        counts = tuple(line * min(rows, height - row) for row in starts)
    across, down = math.ceil(width / wide), math.ceil(height / rows)
    together = max(1, rows_per_band(width) // rows)  # rows of strips or tiles
    if across * down != len(offsets) or len(offsets) != len(counts):
        return None
    if max(4 * rows * wide * across, max(counts) * across * together) > _SPARE * BAND:
        return None

    def bands() -> Iterator[Image.Image]:
        for first in range(0, down, together):
            last = min(first + together, down)
            parts = []
            for i in range(first * across, last * across):
                file.seek(offsets[i])
                parts.append(file.read(counts[i]))
                if len(parts[-1]) < counts[i]:
                    raise OSError("image file is truncated")
            numbers: dict[int, tuple[int, ...]] = {_HEIGHT: (min(last * rows, height) - first * rows,)}
            numbers |= {_TILES: ()} if tiled else {_STRIPS: (), _STRIP_ROWS: (rows,)}
            numbers[_TILE_BYTES if tiled else _STRIP_BYTES] = tuple(map(len, parts))
            with Image.open(io.BytesIO(directory.small(numbers, parts)), formats=("TIFF",)) as image:
                image.load()
                yield image

    return Banded((width, height), bands(), directory.value(_TURN, 1))
