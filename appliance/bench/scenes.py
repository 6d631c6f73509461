"""A photographed face of a given size at a given place: what benches and tests look at."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from appliance.assets import photograph_path
from appliance.camera.averaging import Pixels
from appliance.images import read_image

_WALL: Final = (110, 104, 96)


@dataclass(frozen=True, slots=True)
class Sitting:
    """Where the face is in a photograph, in its pixels: the middle and width of BlazeFace's box."""

    file: str
    x: float
    y: float
    width: float


ASTRONAUT: Final = Sitting("astronaut.png", 225, 128, 94)
HOPPER: Final = Sitting("grace_hopper.jpg", 267, 244, 199)


def scene(sitting: Sitting, size: tuple[int, int], share: float, at: tuple[float, float]) -> Pixels:
    """Return a picture of a plain wall with one face on it, RGB uint8.

    Parameters
    ----------
    size : (width, height) of the picture in pixels
    share : width of the face's box, as a share of the picture's width
    at : where the middle of the face is, as shares of the picture's width and height
    """
    photograph = read_image(photograph_path(sitting.file))
    scale = share * size[0] / sitting.width
    small = photograph.resize(
        (round(photograph.width * scale), round(photograph.height * scale)), Image.Resampling.LANCZOS
    )
    picture = Image.new("RGB", size, _WALL)
    picture.paste(
        small, (round(at[0] * size[0] - sitting.x * scale), round(at[1] * size[1] - sitting.y * scale))
    )
    return np.array(picture)


def to_yuv(rgb: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Return the Y, U and V planes of an RGB picture with even sides: BT.601, full range, 4:2:0."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / 1.772 + 128, (red - y) / 1.402 + 128
    height, width = y.shape
    planes = [y]
    planes += [plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for plane in (u, v)]
    first, second, third = (np.clip(plane + 0.5, 0, 255).astype(np.uint8) for plane in planes)
    return first, second, third
