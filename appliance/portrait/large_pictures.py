"""Scans too large for memory: PNG and TIFF read in bands of rows, reduced as they pass.

Format: Portable Network Graphics, ISO/IEC 15948, W3C 2003. Its filters are undone byte by byte, so that
samples of 16 bits can be treated as twice as many of 8.

Formats: TIFF 6.0, Adobe 1992, and BigTIFF.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from PIL import Image

from appliance.camera.sampling import Pixels

BAND_BYTES: Final = 4_000_000  # size of a band in bytes, at four bytes for a pixel
# Greatest width that is read in bands, in pixels: there a row is a band, and wider pictures are no paintings.
MAX_WIDTH: Final = BAND_BYTES // 4
_BLOCK: Final = 64  # rows of the reduced picture that are computed at a time
_REACH: Final = 3  # rows of the reduced picture that Lanczos's filter reaches beyond them


@dataclass(frozen=True, slots=True)
class BandedPicture:
    """A picture as its file holds it: `size` (width, height) in pixels, and its `bands` from the top.

    The bands have its width and any mode; `orientation` is EXIF's, 1 to 8: how to turn it upright.
    """

    size: tuple[int, int]
    bands: Iterator[Image.Image]
    orientation: int


def rows_per_band(width: int) -> int:
    """Return how many rows of a picture of this width make a band."""
    return max(1, BAND_BYTES // (4 * width))


def cut_into_bands(image: Image.Image) -> Iterator[Image.Image]:
    """Cut a picture that is held whole into bands; it is closed after the last one."""
    rows = rows_per_band(image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        band.info = image.info  # says which colour is transparent
        yield band
    image.close()


def reduce_bands(bands: Iterable[Image.Image], full: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """Reduce a picture by Pillow's Lanczos filter, across as its bands pass, then down.

    `bands` are RGB, of any heights, from the top. `full` and `size` are (width, height) in pixels, before and
    after; `full` is nowhere smaller. The result is RGB of `size`, the same whatever the bands' heights.
    """
    width, height = size
    step = full[1] / height
    out = Image.new("RGB", size)
    held = np.empty((0, width, 3), np.uint8)
    top = done = 0

    def window(row: int) -> tuple[int, int, int]:
        """Return the last row of the block that begins at `row`, and the rows of the picture it needs."""
        last = min(row + _BLOCK, height)
        low, high = math.floor((row - _REACH) * step) - 1, math.ceil((last + _REACH) * step) + 1
        return last, max(low, 0), min(high, full[1])

    for band in bands:
        across = band.resize((width, band.height), Image.Resampling.LANCZOS)
        held = np.concatenate([held, np.asarray(across)])
        while done < height:
            last, low, high = window(done)
            if high > top + len(held):
                break
            box = (0, done * step - low, width, min(last * step, full[1]) - low)
            part = Image.fromarray(held[low - top : high - top])
            out.paste(part.resize((width, last - done), Image.Resampling.LANCZOS, box), (0, done))
            done = last
        low = window(done)[1]
        held, top = held[max(low - top, 0) :], max(low, top)
    return out


_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"  # the first bytes of every PNG
_PIECE: Final = 65536  # compressed bytes that are read at a time
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples per pixel by the header's colour type
_COLOUR: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # the colour type of an 8-bit picture by its samples per pixel
_COLOURS: Final = frozenset({b"PLTE", b"tRNS"})  # chunks on which colours depend: every band needs them
# Chunks that may say how to turn the picture; they may stand anywhere.
_TURN: Final = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
_LONGEST_TEXT: Final = 4_000_000  # longer chunks than this, in bytes, are skipped


def open_png_in_bands(file: BinaryIO) -> BandedPicture | None:
    """Return the bands of a PNG; none if it is interlaced or animated, which cannot be read so.

    Raises one of `images.DAMAGE`, also while the bands are drawn, if the file is damaged or truncated: the
    image data are checked against their checksums.
    """
    chunks = _chunks(file)
    kind, offset, length = next(chunks, (b"", 0, 0))
    if kind != b"IHDR" or length != 13:
        raise OSError("no PNG header")
    file.seek(offset)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", file.read(13))
    colours, turn = b"", b""
    data: list[tuple[int, int]] = []
    ended = False
    for kind, offset, length in chunks:
        if kind == b"acTL":
            return None
        if kind == b"IDAT" and not ended:
            data.append((offset, length))
            continue
        ended = bool(data)  # image data are consecutive chunks, as Pillow expects
        if kind in _COLOURS | _TURN and length <= _LONGEST_TEXT:
            chunk = _chunk(kind, _read(file, offset, length))
            colours, turn = (colours + chunk, turn) if kind in _COLOURS else (colours, turn + chunk)
    if interlaced or width > MAX_WIDTH:
        return None
    line = 1 + (width * depth * _SAMPLES[colour] + 7) // 8
    blank = _png((width, 1, depth, colour), bytes(line), colours + turn)
    orientation = int(_decoded(blank).getexif().get(0x0112, 1))
    bands = _bands(file, data, (width, height, depth, colour), line, colours)
    return BandedPicture((width, height), bands, orientation)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of every chunk."""
    offset = len(_SIGNATURE)
    while len(head := _read(file, offset, 8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield kind, offset + 8, length
        offset += length + 12


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _bands(
    file: BinaryIO, data: list[tuple[int, int]], header: tuple[int, int, int, int], line: int, colours: bytes
) -> Iterator[Image.Image]:
    """Yield the bands; `line` is the bytes of a row with its filter, `colours` the chunks that each band
    needs.
    """
    width, height, depth, colour = header
    pixel = max(1, depth * _SAMPLES[colour] // 8)
    heights = [rows_per_band(width)] * (height // rows_per_band(width))
    heights += [height - sum(heights)] if sum(heights) < height else []
    pieces = _pieces(file, data)
    above = np.zeros(line - 1, np.uint8)
    for rows, inflated in zip(heights, _inflated(pieces, [line * rows for rows in heights]), strict=True):
        plain = _unfiltered(np.frombuffer(inflated, np.uint8).reshape(rows, line), above, pixel)
        above = plain[-1].copy()
        if depth == 8 and not colours:  # the samples already are the colours
            yield Image.fromarray(plain.reshape(rows, width, pixel) if pixel > 1 else plain)
        else:
            unfiltered = np.pad(plain, ((0, 0), (1, 0))).tobytes()
            yield _decoded(_png((width, rows, depth, colour), unfiltered, colours))
    for _ in pieces:
        pass  # read on, because this checks the checksums


def _pieces(file: BinaryIO, data: list[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the compressed data in small pieces, and check each chunk's sum."""
    for offset, length in data:
        file.seek(offset)
        total = zlib.crc32(b"IDAT")
        while length:
            piece = file.read(min(length, _PIECE))
            if not piece:
                raise OSError("image file is truncated")
            total = zlib.crc32(piece, total)
            length -= len(piece)
            yield piece
        if int.from_bytes(file.read(4), "big") != total:
            raise OSError("wrong checksum of image data")


def _inflated(pieces: Iterator[bytes], sizes: list[int]) -> Iterator[bytearray]:
    """Yield as many bytes as each of `sizes` says, and never hold more, whatever the data claim."""
    inflater = zlib.decompressobj()
    for size in sizes:
        block = bytearray()
        while len(block) < size:
            piece = inflater.unconsumed_tail or next(pieces, b"")
            inflated = inflater.decompress(piece, size - len(block))
            if not inflated and (inflater.eof or not piece):
                raise OSError("image file is truncated")
            block += inflated
        yield block


def _unfiltered(filtered: Pixels, above: Pixels, pixel: int) -> Pixels:
    """Undo the filters of some rows.

    `filtered` is uint8 (rows, 1 + bytes per row), the filter before each row; `above` is the row before them,
    without filter; `pixel` is the number of bytes from one pixel to the next. A byte is filtered by the same
    byte of its neighbours alone: pixels of 6 or 8 bytes are done in halves.
    """
    rows, line = len(filtered) + 1, len(above)
    filters = np.concatenate([[0], filtered[:, 0]]).astype(np.uint8)[:, None]
    samples = np.concatenate([above[None], filtered[:, 1:]]).reshape(rows, -1, pixel)
    plain = np.empty((rows - 1, line // pixel, pixel), np.uint8)
    depth = pixel if pixel <= 4 else pixel // 2
    for first in range(0, pixel, depth):
        part = samples[:, :, first : first + depth].reshape(rows, -1)
        header = (part.shape[1] // depth, rows, 8, _COLOUR[depth])
        image = _decoded(_png(header, np.hstack([filters, part]).tobytes()))
        plain[:, :, first : first + depth] = np.asarray(image).reshape(rows, -1, depth)[1:]
    return plain.reshape(rows - 1, line)


def _png(header: tuple[int, int, int, int], data: bytes, chunks: bytes = b"") -> bytes:
    """Return a PNG of these rows, each with its filter; the header is width, height, depth, colour type."""
    start = _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))
    return start + chunks + _chunk(b"IDAT", zlib.compress(data, 0)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")


def _decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()
        return image


# Tags of a page's directory (TIFF 6.0): its size and what its samples mean, ...
_WIDTH, _HEIGHT, _BITS, _COMPRESSION = 256, 257, 258, 259
_LIGHT, _TIFF_TURN, _TIFF_SAMPLES, _PLANES = 262, 274, 277, 284
# ... where its strips lie, ...
_STRIPS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
# ... where its tiles lie, ...
_TILE_WIDTH, _TILE_ROWS, _TILES, _TILE_BYTES = 322, 323, 324, 325
# ... and what the page is; this bit says that it is a mask of another one.
_SUBFILE, _MASK = 254, 4
# Tags on which colours depend: fill order, fax options, predictor, palette, inks, alpha, format, JPEG, YCbCr.
_TIFF_COLOURS: Final = {266, 292, 293, 317, 320, 332, 338, 339, 347, 529, 530, 531, 532}
# Tags of the samples' layout.
_LAYOUT: Final = {_WIDTH, _BITS, _COMPRESSION, _LIGHT, _TIFF_SAMPLES, _PLANES, _TILE_WIDTH, _TILE_ROWS}
_KEPT: Final = _TIFF_COLOURS | _LAYOUT  # tags that every band gets
# Tags that are read.
_READ: Final = _KEPT | {
    _SUBFILE,
    _HEIGHT,
    _TIFF_TURN,
    _STRIPS,
    _STRIP_ROWS,
    _STRIP_BYTES,
    _TILES,
    _TILE_BYTES,
}
# Values of compression (none, JPEG as TIFF 6.0 had it) and of `_LIGHT` (YCbCr).
_PLAIN, _OLD_JPEG, _YCBCR = 1, 6, 6
# Size in bytes of each type of value; 16 to 18 are BigTIFF's.
_SIZES: Final = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8), 1)) | {16: 8, 17: 8, 18: 8}
# The `struct` letter of each type that is a whole number.
_LETTERS: Final = {1: "B", 3: "H", 4: "I", 16: "Q", 18: "Q"}
_LONG: Final = 4  # the type of a number of 32 bits
_MOST_VALUES: Final = 300_000  # entries of more values than this are skipped
# At most this many pages are looked at; a picture has a preview or two, or the steps of a pyramid.
_MOST_PAGES: Final = 64
_SPARE: Final = 8  # a strip or a row of tiles may be this many times as large as a band


class _Entry(NamedTuple):
    kind: int
    length: int
    data: bytes


class _Directory:
    """A directory (page) of a TIFF: the entries that matter, as they stand, in the file's byte order.

    `offset` is where it lies in the file, `following` where the next one does, 0 after the last.
    """

    def __init__(self, file: BinaryIO, offset: int = 0) -> None:
        """Read the directory at an offset, by default the first; raises one of `images.DAMAGE`."""
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

        `numbers` has further entries; an empty one takes where the parts lie.
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


def largest_tiff_page(file: BinaryIO) -> tuple[int, int]:
    """Return number, from 0, and offset of the page with the most pixels; raises one of `images.DAMAGE`."""
    pages = [_Directory(file)]
    while (following := pages[-1].following) and len(pages) < _MOST_PAGES:
        if any(following == page.offset for page in pages):
            raise OSError("its pages form a circle")
        pages.append(_Directory(file, following))
    number = max(range(len(pages)), key=lambda i: pages[i].area)
    return number, pages[number].offset


def open_tiff_in_bands(file: BinaryIO, offset: int = 0) -> BandedPicture | None:
    """Return the bands of a TIFF's page; none if its strips or tiles are too large, or its planes separate.

    `offset` is where the page's directory lies, 0 for the first. Raises one of `images.DAMAGE`, also while
    the bands are drawn, if the file is damaged or truncated.
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
    if min(width, height, rows, wide) < 1 or width > MAX_WIDTH or compression == _OLD_JPEG:
        return None
    if directory.value(_PLANES, 1) != 1 and directory.value(_TIFF_SAMPLES, 1) != 1:
        return None
    if len(offsets) == 1 and not tiled and compression == _PLAIN and directory.value(_LIGHT, 0) != _YCBCR:
        bits = directory.values(_BITS) or (1,)
        line = (width * sum(bits) + 7) // 8  # one strip without compression can be read as many
        rows = min(rows_per_band(width), height)
        starts = range(0, height, rows)
        offsets = tuple(offsets[0] + line * row for row in starts)
        counts = tuple(line * min(rows, height - row) for row in starts)
    across, down = math.ceil(width / wide), math.ceil(height / rows)
    together = max(1, rows_per_band(width) // rows)  # rows of strips or tiles that make a band
    if across * down != len(offsets) or len(offsets) != len(counts):
        return None
    if max(4 * rows * wide * across, max(counts) * across * together) > _SPARE * BAND_BYTES:
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

    return BandedPicture((width, height), bands(), directory.value(_TIFF_TURN, 1))
