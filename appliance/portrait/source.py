"""The original picture, read small enough for the screen: a scan of 150 megapixels must not fill memory."""

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.errors import BadImage
from appliance.images import read_image

# Without a screen's size, a picture is kept up to this, in pixels.
_LONGEST: Final = 3840
# Pillow holds 4 bytes a pixel. JPEG is reduced while it is read; other formats are held whole: as many
# pixels as these on any machine, more where a quarter of the free memory is enough for them.
MOST_WHOLE: Final = 45_000_000
_BYTES: Final = 4
_SHARE: Final = 0.25


def read_original(path: Path, size: tuple[int, int] | None) -> tuple[Pixels, float]:
    """Read a picture, reduced so that it still covers the screen.

    Parameters
    ----------
    size : (width, height) of the screen in pixels, or none

    Returns
    -------
    RGB uint8 of shape (height, width, 3), and its scale against the original, 1 or less

    Raises
    ------
    BadImage
        If the file is no whole image, or too large to be held while it is reduced.
    """
    width, height, kind = _look(path)
    most = max(MOST_WHOLE, int(_SHARE * free_memory() / _BYTES))
    if width * height > most and kind != "JPEG":
        raise BadImage(
            f"{path}: {width}x{height} pixels as {kind}; expected at most {most:,} pixels on this machine, "
            "or JPEG, which is reduced while it is read; save it as JPEG, or render on a larger machine"
        )
    # Twice the screen leaves room for cropping to the face and for clean resampling.
    image = read_image(path, 2 * max(size) if size else _LONGEST)
    # An upright picture may have its sides exchanged; the long one tells the scale.
    return np.array(image, np.uint8), max(image.size) / max(width, height)


def free_memory() -> int:
    """Return how many bytes of memory the machine has to spare; 0 if it does not tell."""
    try:
        rows = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(row.split()[1]) for row in rows if row.startswith("MemAvailable:")), 0)


def _look(path: Path) -> tuple[int, int, str]:
    """Return the width, height and format that a file claims, without reading its pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.width, image.height, image.format or "?"
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError):
        return 0, 0, "?"  # read_image finds the words
