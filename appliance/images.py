"""Image files of any kind as upright RGB, opened and read within bounds of bytes, pixels and memory."""

import ctypes
import functools
import importlib.util
import logging
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from appliance.errors import ApplianceError, BadImage
from appliance.files import open_regular

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what is wrong with a file is told once, by `BadImage`
# A painting photographed at 15,000 x 20,000 is still a painting; more is a mistake or an attack.
MAX_PIXELS = 300_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own refuses already 179 million
# Largest file that is read in parts, in bytes: `MAX_PIXELS` of 16 bits in four colours, not compressed.
_MOST_IN_PARTS: Final = 2_500_000_000
# Largest file that is read whole, by us or by Pillow, in bytes: 25 million such pixels.
_MOST_AT_ONCE: Final = 200_000_000
# Bytes of memory that a picture read at full size may take: 25 million pixels, as a camera of 24 megapixels
# has them, and with Python, the models and a picture half done below 300 MB (measured).
_MOST_HELD: Final = 200_000_000
# Bytes a pixel that reading at full size takes once the file is decoded: Pillow's copy and a turned one.
_COST_WHOLE: Final = 8
# Bytes a pixel while it is decoded: Pillow's own, and what the format's library holds besides. A
# progressive JPEG's coefficients are all held.
COST: Final = {"BMP": 4, "GIF": 4, "JPEG": 6, "PNG": 4, "PPM": 4, "TIFF": 8}
COST_OF_OTHERS: Final = 16
# The same of a JPEG in four colours read at full size, if it is progressive (measured: 11).
_COST_OF_INKS: Final = 11
# Rows that are converted at a time, so that a picture is held in one mode only.
_ROWS: Final = 64
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Pillow's names of what curators bring: its readers of other formats are rarely used and less tested. It
# reads AVIF by itself from 11.3 on.
_FORMATS: Final = (
    *("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"),
    *(["AVIF"] if importlib.util.find_spec("PIL.AvifImagePlugin") else []),
)
# What Pillow and its like raise on a damaged file (seen in thousands of mutated files of each format).
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


# How a picture is turned upright, by EXIF's orientation.
_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS: Final = 258
_PHOTOMETRIC: Final = 262
_SAMPLE_FORMAT: Final = 339
ADDRESS: Final = ("http:", "https:")
NOT_DOWNLOADED: Final = "a web address; download the picture and give the file's name"
# How files begin that people take for pictures, what they are, and what to do.
_OTHER_KINDS: Final = (
    (rb"$", "an empty file; copy it again"),
    (rb"%PDF", "a PDF; save its page as a PNG or a TIFF"),
    (rb"....ftyp(hei|hev|mif1|msf1)", "a HEIC photograph; save it as a JPEG"),
    (rb"....ftypavif", "an AVIF picture, which this Pillow cannot read; save it as a PNG"),
    (rb"....ftyp", "a film; save one picture of it as a PNG"),
    (rb"8BPS", "a Photoshop file; save a flattened copy as a PNG or a TIFF"),
    (rb"gimp xcf", "a GIMP file; export it as a PNG or a TIFF"),
    (rb"\s*<(!doctype|html)", "a web page; download the picture itself"),
    (rb"\s*<(\?xml|svg)", "a drawing (SVG) or other XML; export it as a PNG"),
    (
        rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
        "a TIFF of a kind that cannot be read here (JPEG 2000 or WebP in it, floating-point or 32-bit "
        "values, or a camera's raw picture); save it with 8 or 16 bits and LZW compression or none",
    ),
    (rb"PK\x03\x04", "a ZIP archive or an office document; take the picture out of it"),
)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file without reading its pixels; faults that show while it is read become `BadImage`.

    Raises
    ------
    BadImage
        If the file is missing, not regular, not an image, truncated, or larger than its format may be or
        `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and damaged EXIF
            # The file is ours to close: Pillow 9.4 (Bookworm) trips over an image that was closed before.
            with open_regular(path) as file:
                _check_bytes(path, file)
                with Image.open(file, formats=_FORMATS) as image:
                    if image.format == "TIFF":
                        _silence_libtiff()
                    check_pixels(path, image)
                    yield image
    except Image.DecompressionBombError as error:
        raise BadImage(f"{path}: too many pixels, expected at most {MAX_PIXELS:,}") from error
    except FileNotFoundError as error:
        what = NOT_DOWNLOADED if str(path).startswith(ADDRESS) else "no such file"
        raise BadImage(f"{path}: {what}") from error
    except DAMAGE as error:
        if isinstance(error, ApplianceError):
            raise
        what = _known_by_its_beginning(path) if isinstance(error, UnidentifiedImageError) else _brief(error)
        raise BadImage(f"{path}: not a whole, readable image ({what})") from error


@dataclass(frozen=True, slots=True)
class Grey:
    """How grey values deeper than 8 bits are meant, which Pillow leaves open.

    `white` is the value of white; `white_is_zero` is TIFF's other way round.
    """

    white: float = 255.0
    white_is_zero: bool = False


def format_of(image: Image.Image) -> str:
    """Return the name of an opened file's format."""
    return "JPEG" if image.format == "MPO" else image.format or "?"  # a telephone's, with a preview behind it


def grey_of(image: Image.Image) -> Grey:
    """Tell how the grey values of a file that was read whole are meant; 8 bits need no help."""
    if not image.mode.startswith("I") and image.mode != "F":
        return Grey()
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (0,))[0] if tags.get(_SAMPLE_FORMAT, (1,))[0] == 1 else 0
    if image.format == "PNG" or image.mode.startswith("I;16"):  # older Pillow has a PNG's 16 bits as mode I
        bits = 16
    if bits in {16, 32}:
        white = 2.0**bits - 1
    else:  # nothing tells: programs write floats from 0 to 1, and whole numbers of 8 or of 16 bits
        most = float(np.max(image.getextrema()))
        white = 1.0 if image.mode == "F" and most <= 1 else 255.0 if most <= 255 else 65535.0
    return Grey(white, tags.get(_PHOTOMETRIC) == 0)


def read_image(path: Path) -> Image.Image:
    """Read an image file at full size as an upright PIL image of mode RGB.

    EXIF rotation is applied, 16-bit grey is scaled, transparency lies on black, CMYK is converted.

    Raises
    ------
    BadImage
        As `opened`; also if it would take more than some 200 MB of memory.
    """
    with opened(path) as image:
        kind = format_of(image)
        cost = max(COST.get(kind, COST_OF_OTHERS), _COST_WHOLE)
        if kind == "JPEG" and image.mode == "CMYK":
            cost = _COST_OF_INKS
        most = _MOST_HELD // cost
        check_pixels(path, image, most, f" as {kind}", "; make it smaller")
        image.load()
        # Pillow turns a TIFF as it loads it, and old versions would turn it again.
        turn = None if kind == "TIFF" else _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        whole = _converted(image)
    return whole if turn is None else whole.transpose(turn)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Read an image file as upright RGB, uint8 of shape (height, width, 3); raises `BadImage`."""
    image = read_image(path)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, band in _bands(image):  # at once, NumPy would hold it twice
        pixels[top : top + band.height] = band
    return pixels


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder in name order, by suffix."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def rgb(image: Image.Image, grey: Grey | None = None) -> Image.Image:
    """Return an image of any mode as RGB; `grey` says how deep grey values are meant, else they tell."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = grey or grey_of(image)
        values = np.asarray(image, np.float64)
        if grey.white > 65535:
            values = np.where(values < 0, values + 2.0**32, values)  # Pillow reads 32 bits as signed
        light = np.clip(values / grey.white, 0, 1)
        light = 1 - light if grey.white_is_zero else light
        image = Image.fromarray((light * 255 + 0.5).astype(np.uint8))
    if image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (0, 0, 0, 255))
        canvas.alpha_composite(image)
        image = canvas
    return image.convert("RGB")


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    for top in range(0, image.height, _ROWS):
        band = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        band.info = image.info  # which colour is transparent
        yield top, band


def _converted(image: Image.Image) -> Image.Image:
    """Return a loaded image as RGB; the one given is let go."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    grey, whole = grey_of(image), Image.new("RGB", image.size)
    for top, band in _bands(image):
        whole.paste(rgb(band, grey), (0, top))
    image.close()
    return whole


@functools.cache
def _silence_libtiff() -> None:
    """Keep the libtiff that Pillow has loaded from writing to the terminal what is wrong with a file."""
    for row in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        if "/libtiff" in row:
            ctypes.CDLL(row[row.index("/") :]).TIFFSetErrorHandler(None)
            return


def _check_bytes(path: Path, file: BinaryIO) -> None:
    """Check an open file's size; Pillow reads a WebP whole before it tells how many pixels there are."""
    size, head = os.fstat(file.fileno()).st_size, file.read(12)
    file.seek(0)
    most = _MOST_AT_ONCE if head[8:] == b"WEBP" else _MOST_IN_PARTS
    if size > most:
        raise BadImage(f"{path}: {size:,} bytes, expected at most {most:,}")


def check_pixels(
    path: Path, image: Image.Image, most: int = MAX_PIXELS, kind: str = "", todo: str = ""
) -> None:
    """Raise `BadImage` if an open image has more pixels than `most`; the message ends with `todo`."""
    if image.width * image.height > most:
        raise BadImage(f"{path}: {image.width}x{image.height} pixels{kind}, expected at most {most:,}{todo}")


def _known_by_its_beginning(path: Path) -> str:
    """Say what a file is that Pillow cannot read, and what to save it as."""
    with open_regular(path) as file:
        start = file.read(32)
    for beginning, what in _OTHER_KINDS:
        if re.match(beginning, start, re.DOTALL | re.IGNORECASE):
            return what
    return "of no kind known here; expected JPEG, PNG, TIFF, WebP, BMP or GIF"


def _brief(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
