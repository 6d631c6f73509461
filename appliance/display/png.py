"""PNG files of the screen, packed strip by strip: no second copy of the picture, and no Pillow."""

import struct
import zlib
from typing import BinaryIO, Final

from appliance.display.layout import Size

_STRIP: Final = 64  # rows packed at a time


def write_png(file: BinaryIO, pixels: bytes, size: Size) -> None:
    """Write an RGB picture; `pixels` has 3 bytes for each, row by row; raises `OSError`.

    Source: W3C, "Portable Network Graphics (PNG) Specification (Second Edition)", 2003.
    """
    width, height = size
    row = 3 * width
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(1)
    view = memoryview(pixels)
    for top in range(0, height, _STRIP):
        rows = range(top, min(top + _STRIP, height))
        # Every row begins with the number of its filter: none.
        strip = b"".join(part for y in rows for part in (b"\0", view[y * row : (y + 1) * row]))
        _chunk(file, b"IDAT", packer.compress(strip))
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
