"""Image files of any kind as upright RGB."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from appliance.errors import BadImage

# A painting photographed at 15,000 x 20,000 is still a painting; more is a mistake or an attack.
MAX_PIXELS = 300_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own refuses already 179 million
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def read_image(path: Path, longest: int | None = None) -> Image.Image:
    """Read an image file as an upright PIL image of mode RGB.

    EXIF rotation is applied, 16-bit grey is scaled, transparency lies on black, CMYK is converted.

    Parameters
    ----------
    longest : the long side in pixels down to which a larger picture is reduced before anything
        else is done to it, JPEG already while it is read; none keeps its size

    Raises
    ------
    BadImage
        If the file is missing, not an image, truncated or larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and damaged EXIF
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadImage(
                        f"{path}: {image.width}x{image.height} pixels, expected at most {MAX_PIXELS:,}"
                    )
                return _rgb(ImageOps.exif_transpose(_reduced(image, longest)))
    except Image.DecompressionBombError as error:
        raise BadImage(f"{path}: too many pixels, expected at most {MAX_PIXELS:,}") from error
    except FileNotFoundError as error:
        raise BadImage(f"{path}: no such file") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"{path}: not a whole, readable image ({_brief(error)})") from error


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Read an image file as upright RGB, uint8 of shape (height, width, 3); raises `BadImage`."""
    return np.array(read_image(path), np.uint8)


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder in name order, by suffix."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _reduced(image: Image.Image, longest: int | None) -> Image.Image:
    if longest is None or max(image.size) <= longest:
        image.load()
        return image
    part = longest / max(image.size)
    size = max(round(image.width * part), 1), max(round(image.height * part), 1)
    image.draft(None, size)
    image.load()
    if image.mode not in {"RGB", "RGBA", "L", "CMYK"} or max(image.size) <= longest:
        return image
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info = image.info
    return small


def _brief(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        top = 65535.0 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 255.0
        image = Image.fromarray((np.clip(values / top, 0, 1) * 255 + 0.5).astype(np.uint8))
    if image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (0, 0, 0, 255))
        canvas.alpha_composite(image)
        image = canvas
    return image.convert("RGB")
