"""Image files of any kind as upright RGB."""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from appliance.errors import BadImage

# A painting photographed at 15,000 x 20,000 is still a painting; more is a mistake or an attack.
MAX_PIXELS = 300_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own refuses already 179 million
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
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
# What Pillow and its like raise on a damaged file.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error, zlib.error)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file without reading its pixels; faults that show while it is read become `BadImage`.

    Raises
    ------
    BadImage
        If the file is missing, not an image, truncated or larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and damaged EXIF
            # The file is ours to close: Pillow 9.4 (Bookworm) trips over an image that was closed before.
            with path.open("rb") as file, Image.open(file) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadImage(
                        f"{path}: {image.width}x{image.height} pixels, expected at most {MAX_PIXELS:,}"
                    )
                if image.format == "PSD":  # Pillow reads it, but not as Photoshop shows it
                    raise UnidentifiedImageError
                yield image
    except Image.DecompressionBombError as error:
        raise BadImage(f"{path}: too many pixels, expected at most {MAX_PIXELS:,}") from error
    except FileNotFoundError as error:
        what = NOT_DOWNLOADED if str(path).startswith(ADDRESS) else "no such file"
        raise BadImage(f"{path}: {what}") from error
    except DAMAGE as error:
        if isinstance(error, BadImage):
            raise
        what = _known_by_its_beginning(path) if isinstance(error, UnidentifiedImageError) else _brief(error)
        raise BadImage(f"{path}: not a whole, readable image ({what})") from error


@dataclass(frozen=True, slots=True)
class Grey:
    """How a file means its grey values where Pillow leaves that open (modes I and F).

    `bits` are those of a sample, 0 where the values must tell; `white_is_zero` is TIFF's way round.
    """

    bits: int = 0
    white_is_zero: bool = False


def grey_of(image: Image.Image) -> Grey:
    """Read from an opened file how its deep grey values are meant; a picture of 8 bits needs no help."""
    if not image.mode.startswith("I") and image.mode != "F":
        return Grey()
    if image.format == "PNG":
        return Grey(16)  # older Pillow has it as mode I
    tags = getattr(image, "tag_v2", {})
    whole = tags.get(_SAMPLE_FORMAT, (1,))[0] == 1
    return Grey(int(tags.get(_BITS, (0,))[0]) if whole else 0, tags.get(_PHOTOMETRIC) == 0)


def read_image(path: Path) -> Image.Image:
    """Read an image file as an upright PIL image of mode RGB; raises `BadImage`.

    EXIF rotation is applied, 16-bit grey is scaled, transparency lies on black, CMYK is converted.
    """
    with opened(path) as image:
        grey = grey_of(image)
        image.load()
        # Pillow turns a TIFF as it loads it, and old versions would turn it again.
        upright = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        return rgb(upright, grey)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Read an image file as upright RGB, uint8 of shape (height, width, 3); raises `BadImage`."""
    return np.array(read_image(path), np.uint8)


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder in name order, by suffix."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def rgb(image: Image.Image, grey: Grey = Grey()) -> Image.Image:
    """Return an image of any mode as RGB; `grey` says how deep grey values are meant."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        if grey.bits == 32:
            values = np.where(values < 0, values + 2.0**32, values)  # Pillow reads them as signed
        light = np.clip(values / _white(image.mode, values, grey.bits), 0, 1)
        light = 1 - light if grey.white_is_zero else light
        image = Image.fromarray((light * 255 + 0.5).astype(np.uint8))
    if image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (0, 0, 0, 255))
        canvas.alpha_composite(image)
        image = canvas
    return image.convert("RGB")


def _white(mode: str, values: NDArray[np.float64], bits: int) -> float:
    """Return the value that stands for white."""
    if bits in {16, 32}:
        return 2.0**bits - 1
    if mode.startswith("I;16"):
        return 65535.0
    # Nothing tells: programs write floats from 0 to 1, and whole numbers of 8 or of 16 bits.
    most = float(values.max(initial=0))
    return 1.0 if mode == "F" and most <= 1 else 255.0 if most <= 255 else 65535.0


def _known_by_its_beginning(path: Path) -> str:
    """Say what a file is that Pillow cannot read, and what to save it as."""
    with path.open("rb") as file:
        start = file.read(32)
    for beginning, what in _OTHER_KINDS:
        if re.match(beginning, start, re.DOTALL | re.IGNORECASE):
            return what
    return "of no kind known here; expected JPEG, PNG, TIFF, WebP, BMP or GIF"


def _brief(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
