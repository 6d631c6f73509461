"""Read image files of many formats as upright RGB, with limits on bytes, pixels and memory."""

import codecs
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from appliance.errors import ApplianceError, BadImage
from appliance.files import open_regular

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # `BadImage` reports what is wrong with a file
# Largest picture, in pixels: that of a painting may have 15,000 x 20,000; more is a mistake or an attack.
MAX_PIXELS = 300_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own limit is 179 million
# Largest file, in bytes: `MAX_PIXELS` of 16 bits in four colours, uncompressed.
_MAX_FILE_BYTES: Final = 2_500_000_000
# Largest file that Pillow reads as a whole, in bytes: 25 million such pixels.
_MAX_WEBP_BYTES: Final = 200_000_000
# Largest memory that reading a picture at full size may take, in bytes: 25 million pixels, as of a camera
# with 24 megapixels. With Python, the models and a half rendered picture it is below 300 MB (measured).
_MAX_HELD_BYTES: Final = 200_000_000
_BYTES_WHOLE: Final = 8  # bytes per pixel of a decoded picture: Pillow's copy and a rotated one
# Bytes per pixel while a format is decoded: Pillow's copy, and what the format's library holds, such as all
# coefficients of a progressive JPEG.
DECODING_BYTES: Final = {"BMP": 4, "GIF": 4, "JPEG": 6, "PNG": 4, "PPM": 4, "TIFF": 8}
DECODING_BYTES_OF_OTHERS: Final = 16  # the same for all other formats (origin unknown)
_BYTES_CMYK: Final = 11  # the same for a progressive JPEG in four colours, read at full size (measured: 11)
# Rows that are converted at a time, so that a picture is not held in two modes (origin unknown).
_BAND_ROWS: Final = 64
# Suffixes of image files in a folder.
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Pillow's names of the formats that are read. Its readers of other formats are rarely used and less tested.
# Pillow reads AVIF from 11.3 on.
_FORMATS: Final = (
    *("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"),
    *(["AVIF"] if importlib.util.find_spec("PIL.AvifImagePlugin") else []),
)
# Errors of Pillow and other decoders for damaged files (seen with thousands of mutated files of each format).
DECODER_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError),
    *(RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)

_ORIENTATION: Final = 0x0112  # EXIF's tag for the orientation
# Pillow's transposition that turns a picture upright, by that tag's value.
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TAG_BITS: Final = 258  # TIFF's tag for the bits per sample
_TAG_PHOTOMETRIC: Final = 262  # TIFF's tag for the meaning of values: 0 if 0 is white
_TAG_SAMPLE_FORMAT: Final = 339  # TIFF's tag for the type of samples: 1 for whole numbers without a sign
URL_PREFIXES: Final = ("http:", "https:")  # beginnings of a web address
URL_INSTEAD_OF_FILE: Final = "a web address; download the picture and give the file's name"
FOLDER_INSTEAD_OF_FILE: Final = "a folder; expected a picture's file"
# Files that people mistake for pictures: how they begin, what they are, and what to do.
_OTHER_KINDS: Final = (
    (rb"$", "an empty file; copy it again"),
    (rb"%PDF", "a PDF; save its page as a PNG or a TIFF"),
    (rb"....ftyp(hei|hev|mif1|msf1)", "a HEIC photograph; save it as a JPEG"),
    (rb"....ftypavif", "an AVIF picture, which this Pillow cannot read; save it as a PNG"),
    (rb"....ftyp", "a film; save one picture of it as a PNG"),
    (rb"%!PS", "a PostScript or EPS drawing; export it as a PNG"),
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
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file without reading its pixels; later errors of reading become `BadImage` too.

    Raises `BadImage` if the file is missing, not regular, not an image, truncated, or larger than its format
    may be or `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and damaged EXIF
            # We close the file, because Pillow 9.4 (Bookworm) fails if the image was closed before.
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
        if str(path).startswith(URL_PREFIXES):  # a path has lost one of the two slashes
            raise BadImage(f"{str(path).replace(':/', '://', 1)}: {URL_INSTEAD_OF_FILE}") from error
        raise BadImage(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise BadImage(f"{path}: {FOLDER_INSTEAD_OF_FILE}") from error
    except DECODER_ERRORS as error:
        if isinstance(error, ApplianceError):
            raise
        what = _describe_other_kind(path) if isinstance(error, UnidentifiedImageError) else _one_line(error)
        raise BadImage(f"{path}: not a whole, readable image ({what})") from error


@dataclass(frozen=True, slots=True)
class GreyLevels:
    """The meaning of grey values with more than 8 bits, which Pillow does not convert.

    `white` is the value of white, or of black if `white_is_zero`, as in some TIFF files.
    """

    white: float = 255.0
    white_is_zero: bool = False


def image_format(image: Image.Image) -> str:
    """Return the name of an opened file's format."""
    return "JPEG" if image.format == "MPO" else image.format or "?"  # a telephone's JPEG with a preview


def grey_levels_of(image: Image.Image) -> GreyLevels:
    """Return the meaning of the grey values of a loaded image."""
    if not image.mode.startswith("I") and image.mode != "F":
        return GreyLevels()
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_TAG_BITS, (0,))[0] if tags.get(_TAG_SAMPLE_FORMAT, (1,))[0] == 1 else 0
    if image.format == "PNG" or image.mode.startswith("I;16"):  # older Pillow has a PNG's 16 bits as mode I
        bits = 16
    if bits in {16, 32}:
        white = 2.0**bits - 1
    else:  # unknown: programs write floats from 0 to 1, and integers of 8 or 16 bits
        most = float(np.max(image.getextrema()))
        white = 1.0 if image.mode == "F" and most <= 1 else 255.0 if most <= 255 else 65535.0
    return GreyLevels(white, tags.get(_TAG_PHOTOMETRIC) == 0)


def read_image(path: Path) -> Image.Image:
    """Read an image file at full size as an upright PIL image of mode RGB.

    EXIF rotation is applied, 16-bit grey is scaled, transparent pixels become black, CMYK is converted.
    Raises `BadImage` as `open_image`, and if reading would take more than about 200 MB of memory.
    """
    with open_image(path) as image:
        kind = image_format(image)
        cost = max(DECODING_BYTES.get(kind, DECODING_BYTES_OF_OTHERS), _BYTES_WHOLE)
        if kind == "JPEG" and image.mode == "CMYK":
            cost = _BYTES_CMYK
        check_pixels(path, image, _MAX_HELD_BYTES // cost, f" as {kind}", "; make it smaller")
        image.load()
        # Pillow rotates a TIFF while loading it, and old versions would rotate it again.
        turn = None if kind == "TIFF" else _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
        whole = _converted(image)
    return whole if turn is None else whole.transpose(turn)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Read an image file as upright RGB, uint8 of shape (height, width, 3); raises `BadImage`."""
    image = read_image(path)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, band in _bands(image):  # in bands, because NumPy would hold the whole picture twice
        pixels[top : top + band.height] = band
    return pixels


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder in name order, by suffix."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def to_rgb(image: Image.Image, grey: GreyLevels | None = None) -> Image.Image:
    """Return an image of any mode as RGB; `grey` is the meaning of its deep grey values, if known."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = grey or grey_levels_of(image)
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
    for top in range(0, image.height, _BAND_ROWS):
        band = image.crop((0, top, image.width, min(top + _BAND_ROWS, image.height)))
        band.info = image.info  # it has the transparent colour
        yield top, band


def _converted(image: Image.Image) -> Image.Image:
    """Return a loaded image as RGB, and close it."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    grey, whole = grey_levels_of(image), Image.new("RGB", image.size)
    for top, band in _bands(image):
        whole.paste(to_rgb(band, grey), (0, top))
    image.close()
    return whole


@functools.cache
def _silence_libtiff() -> None:
    """Stop the libtiff that Pillow has loaded from writing errors to the terminal."""
    for row in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        if "/libtiff" in row:
            ctypes.CDLL(row[row.index("/") :]).TIFFSetErrorHandler(None)
            return


def _check_bytes(path: Path, file: BinaryIO) -> None:
    """Check an open file's size; WebP has a lower limit, because Pillow reads it as a whole when opening."""
    size, head = os.fstat(file.fileno()).st_size, file.read(12)
    file.seek(0)
    most = _MAX_WEBP_BYTES if head[8:] == b"WEBP" else _MAX_FILE_BYTES
    if size > most:
        raise BadImage(f"{path}: {size:,} bytes, expected at most {most:,}")


def check_pixels(
    path: Path, image: Image.Image, most: int = MAX_PIXELS, kind: str = "", todo: str = ""
) -> None:
    """Raise `BadImage` if an open image has more pixels than `most`; the message ends with `todo`."""
    if image.width * image.height > most:
        raise BadImage(f"{path}: {image.width}x{image.height} pixels{kind}, expected at most {most:,}{todo}")


def _describe_other_kind(path: Path) -> str:
    """Return what a file is that Pillow cannot read, and what to do."""
    with open_regular(path) as file:
        start = file.read(32)
    known = (what for begins, what in _OTHER_KINDS if re.match(begins, start, re.DOTALL | re.IGNORECASE))
    with suppress(UnicodeDecodeError):
        text = codecs.getincrementaldecoder("utf-8")().decode(start)  # its last letter may be cut off
        if not re.search(r"[\x00-\x08\x0e-\x1f]", text):
            return next(known, "a text; expected a picture's file")
    return next(known, "of no kind known here; expected JPEG, PNG, TIFF, WebP, BMP or GIF")


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
