"""Image files of any kind as upright RGB."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from appliance.errors import BadImage

# A painting photographed at 15,000 x 20,000 is still a painting; more is a mistake or an attack.
MAX_PIXELS = 300_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own refuses already 179 million
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
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
                yield image
    except Image.DecompressionBombError as error:
        raise BadImage(f"{path}: too many pixels, expected at most {MAX_PIXELS:,}") from error
    except FileNotFoundError as error:
        raise BadImage(f"{path}: no such file") from error
    except DAMAGE as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"{path}: not a whole, readable image ({_brief(error)})") from error


def read_image(path: Path) -> Image.Image:
    """Read an image file as an upright PIL image of mode RGB; raises `BadImage`.

    EXIF rotation is applied, 16-bit grey is scaled, transparency lies on black, CMYK is converted.
    """
    with opened(path) as image:
        image.load()
        # Pillow turns a TIFF as it loads it, and old versions would turn it again.
        upright = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        return rgb(upright, deep=image.format == "PNG")


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Read an image file as upright RGB, uint8 of shape (height, width, 3); raises `BadImage`."""
    return np.array(read_image(path), np.uint8)


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder in name order, by suffix."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def rgb(image: Image.Image, deep: bool = False) -> Image.Image:
    """Return an image of any mode as RGB.

    Parameters
    ----------
    deep : mode I holds 16 bits, as older Pillow has it for PNG; else its values tell
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        deep = deep or image.mode.startswith("I;16") or values.max(initial=0) > 255
        image = Image.fromarray(
            (np.clip(values / (65535.0 if deep else 255.0), 0, 1) * 255 + 0.5).astype(np.uint8)
        )
    if image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (0, 0, 0, 255))
        canvas.alpha_composite(image)
        image = canvas
    return image.convert("RGB")


def _brief(error: Exception) -> str:
    # A telephone's HEIC, a PDF: Pillow would name a Python object.
    if isinstance(error, UnidentifiedImageError):
        return "of no kind known here; expected JPEG, PNG, TIFF, WebP, BMP or GIF"
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
