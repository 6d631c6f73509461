"""The original picture, read small enough for the screen: a scan of 150 megapixels must not fill memory."""

import io
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import Image, ImageCms, ImageOps

from appliance.camera.averaging import Pixels
from appliance.errors import BadImage
from appliance.files import open_regular
from appliance.images import COST, COST_OF_OTHERS, Grey, check_pixels, format_of, grey_of, opened, rgb
from appliance.portrait.bands import Banded, cut, reduce
from appliance.portrait.png import open_png
from appliance.portrait.tiff import largest_page, open_tiff

# Without a screen's size, a picture is kept up to this, in pixels.
_LONGEST: Final = 3840
# What cannot be reduced while it is read is held whole, if that takes no more bytes than this, or than
# a quarter of the free memory.
MOST_WHOLE: Final = 140_000_000
_SHARE: Final = 0.25
# A JPEG is reduced to 1/2, 1/4 or 1/8 as it is decoded, down to this many pixels.
_MOST_JPEG: Final = 36_000_000
_ORIENTATION: Final = 0x0112
# A profile is sRGB if it moves no test colour by more than this, in grey levels: colour libraries round
# differently (measured: sRGB's own profiles by several makers move them by 1 at most, Adobe RGB by 40).
_SAME: Final = 2


def read_original(path: Path, size: tuple[int, int] | None) -> tuple[Pixels, float]:
    """Read a picture, reduced so that it still covers the screen.

    Parameters
    ----------
    size : (width, height) of the screen in pixels, or none

    Returns
    -------
    sRGB uint8 of shape (height, width, 3), and its scale against the original, 1 or less

    Raises
    ------
    BadImage
        If the file is no whole image, or too large to be held while it is reduced.
    """
    # Twice the screen leaves room for cropping to the face and for clean resampling.
    longest = 2 * max(size) if size else _LONGEST
    with opened(path) as image, open_regular(path) as file:
        page, offset = largest_page(file) if image.format == "TIFF" else (0, 0)
        if page:  # a scanner may put a preview before the picture
            image.seek(page)
            check_pixels(path, image)
        full = max(image.size)
        banded = _banded(image, file, offset) if full > longest else None
        if banded is None:
            banded = _whole(image, path, longest)
        small = _reduced(banded, longest, grey_of(image), _screen_colours(image))
        # An upright picture may have its sides exchanged; the long one tells the scale.
        return np.array(small, np.uint8), max(small.size) / full


def free_memory() -> int:
    """Return how many bytes of memory the machine has to spare; 0 if it does not tell."""
    try:
        rows = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(row.split()[1]) for row in rows if row.startswith("MemAvailable:")), 0)


def _banded(image: Image.Image, file: BinaryIO, offset: int) -> Banded | None:
    """Return the bands of a picture whose file can be read so; `offset` is where a TIFF's page begins."""
    if image.format == "PNG":
        return open_png(file)
    # How values of 32 bits are to be scaled only the whole tells.
    return open_tiff(file, offset) if image.format == "TIFF" and image.mode not in {"I", "F"} else None


def _whole(image: Image.Image, path: Path, longest: int) -> Banded:
    """Read a picture whole, if there is the memory for it; a JPEG reduced."""
    width, height = image.size
    kind = format_of(image)
    if kind != "JPEG" or "progressive" in image.info:
        most = max(MOST_WHOLE, int(_SHARE * free_memory())) // COST.get(kind, COST_OF_OTHERS)
        if width * height > most:
            raise BadImage(
                f"{path}: {width}x{height} pixels as {kind}, which is read whole; expected at most {most:,} "
                "on this machine; save it as a JPEG that is not progressive, a PNG that is not interlaced or "
                "a TIFF in small strips: these are read in parts"
            )
    if kind == "JPEG":
        part = 1
        while part < 8 and (
            2 * part * longest <= max(width, height) or width * height > part**2 * _MOST_JPEG
        ):
            part *= 2
        image.draft(None, (max(width // part, 1), max(height // part, 1)))
    image.load()
    turned = kind == "TIFF"  # by Pillow, as it loads it
    return Banded(image.size, cut(image), 1 if turned else image.getexif().get(_ORIENTATION, 1))


def _screen_colours(image: Image.Image) -> dict[str, ImageCms.ImageCmsTransform]:
    """Return how a picture's colours become the screen's, by its mode: as the ICC profile in it tells.

    Empty where they are the screen's already, so that every bit stays: the profile's colours tell that,
    because names lie ("sRGB built-in, linear").
    """
    try:
        profile = ImageCms.getOpenProfile(io.BytesIO(image.info["icc_profile"]))
        mode = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}[profile.profile.xcolor_space]
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode != "CMYK" and _changes_nothing(transform, mode):
            return {}
        return {mode: transform}
    except (KeyError, TypeError, OSError, ImageCms.PyCMSError):  # none, a damaged one, or of another mode
        return {}


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether a transform leaves a grid of test colours as they are."""
    levels = np.linspace(0, 255, 6).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    test = Image.fromarray(colours if mode == "RGB" else levels[None])
    shown = np.asarray(transform.apply(test), int)
    return bool(np.abs(shown - np.asarray(test.convert("RGB"), int)).max() <= _SAME)


def _reduced(
    banded: Banded, longest: int, grey: Grey, colours: dict[str, ImageCms.ImageCmsTransform]
) -> Image.Image:
    """Return the picture upright, as RGB, its long side at most `longest`."""

    def shown(band: Image.Image) -> Image.Image:
        if band.mode == "CMYK" and "CMYK" in colours:
            return colours["CMYK"].apply(band)
        return rgb(band, grey)

    width, height = banded.size
    part = min(longest / max(width, height), 1.0)
    size = max(round(width * part), 1), max(round(height * part), 1)
    small = reduce(map(shown, banded.bands), banded.size, size)
    if "RGB" in colours:
        small = colours["RGB"].apply(small)
    if "L" in colours:
        small = colours["L"].apply(small.convert("L"))
    if banded.orientation == 1:
        return small
    small.getexif()[_ORIENTATION] = banded.orientation
    return ImageOps.exif_transpose(small)
