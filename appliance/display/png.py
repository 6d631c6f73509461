"""PNG files of the screen, packed strip by strip: never the whole picture in memory, and no Pillow."""

import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from appliance.display.layout import Size


def write_png(file: BinaryIO, strips: Iterable[bytes], size: Size) -> None:
    """Write an RGB picture; `strips` are whole rows of it, 3 bytes for each pixel; raises `OSError`.

    Source: W3C, "Portable Network Graphics (PNG) Specification (Second Edition)", 2003.
    """
    width, height = size
    row = 3 * width
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(1)
    for strip in strips:
        # Every row begins with the number of its filter: none.
        rows = b"".join(part for at in range(0, len(strip), row) for part in (b"\0", strip[at : at + row]))
        _chunk(file, b"IDAT", packer.compress(rows))
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
