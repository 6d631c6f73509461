"""PNG files in bands of rows: inflated bit by bit, and decoded by Pillow as many small PNGs.

Format: Portable Network Graphics, ISO/IEC 15948, W3C 2003; its filters are undone byte by byte, so
that samples of 16 bits can be taken for twice as many of 8.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.portrait.bands import WIDEST, Banded, rows_per_band

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PIECE: Final = 65536
# Samples per pixel by the header's colour type, and the type of 8-bit pictures by their samples.
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_COLOUR: Final = {1: 0, 2: 4, 3: 2, 4: 6}
# What colours depend on goes to every band; what says how to turn the picture may be anywhere.
_COLOURS: Final = frozenset({b"PLTE", b"tRNS"})
_TURN: Final = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
_LONGEST_TEXT: Final = 4_000_000


def open_png(file: BinaryIO) -> Banded | None:
    """Return the bands of a PNG; none if it is interlaced or animated, which cannot be read so.

    Raises one of `DAMAGE`, also while the bands are drawn, if the file is damaged or truncated: the
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
        ended = bool(data)  # data go on without a break, as Pillow has it
        if kind in _COLOURS | _TURN and length <= _LONGEST_TEXT:
            chunk = _chunk(kind, _read(file, offset, length))
            colours, turn = (colours + chunk, turn) if kind in _COLOURS else (colours, turn + chunk)
    if interlaced or width > WIDEST:
        return None
    line = 1 + (width * depth * _SAMPLES[colour] + 7) // 8
    blank = _png((width, 1, depth, colour), bytes(line), colours + turn)
    orientation = int(_decoded(blank).getexif().get(0x0112, 1))
    bands = _bands(file, data, (width, height, depth, colour), line, colours)
    return Banded((width, height), bands, orientation)


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
    width, height, depth, colour = header
    pixel = max(1, depth * _SAMPLES[colour] // 8)
    heights = [rows_per_band(width)] * (height // rows_per_band(width))
    heights += [height - sum(heights)] if sum(heights) < height else []
    pieces = _pieces(file, data)
    above = np.zeros(line - 1, np.uint8)
    for rows, inflated in zip(heights, _inflated(pieces, [line * rows for rows in heights]), strict=True):
        plain = _unfiltered(np.frombuffer(inflated, np.uint8).reshape(rows, line), above, pixel)
        above = plain[-1].copy()
        if depth == 8 and not colours:  # the samples are the colours
            yield Image.fromarray(plain.reshape(rows, width, pixel) if pixel > 1 else plain)
        else:
            unfiltered = np.pad(plain, ((0, 0), (1, 0))).tobytes()
            yield _decoded(_png((width, rows, depth, colour), unfiltered, colours))
    for _ in pieces:
        pass  # their checksums


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

    Parameters
    ----------
    filtered : uint8 (rows, 1 + bytes per row), the filter before each row
    above : the row before them, without filter
    pixel : bytes from one pixel to the next

    A byte is filtered by the same byte of its neighbours alone: pixels of 6 or 8 bytes are done in halves.
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
