"""The square around a head that the model wants: face, hair and some air, as it was trained on."""

from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.portrait.blend import Place
from appliance.portrait.sampling import Array

# The square's side, in heights of the face mesh, which ends at forehead and chin; and how far its
# middle lies above the mesh's, in sides: hair is higher than a chin is deep.
_MARGIN: Final = 1.9
_ABOVE: Final = 0.04
# A head that moves through the picture keeps at least this margin in every one of them.
_MOVING: Final = 1.2


def head_square(meshes: Array, size: tuple[int, int]) -> Place:
    """Return the square around a face, the same for all pictures of a film.

    Parameters
    ----------
    meshes : face meshes in picture pixels, (pictures, points, 2)
    size : (width, height) of the picture, which the square does not leave
    """
    low, high = meshes.min(1), meshes.max(1)
    usual = _MARGIN * float(np.median((high - low).max(1)))
    moving = _MOVING * float((high.max(0) - low.min(0)).max())
    side = min(round(max(usual, moving)), *size)
    middle = (low.min(0) + high.max(0)) / 2 - (0.0, _ABOVE * side)
    x, y = (
        int(np.clip(round(m - side / 2), 0, s - side)) for m, s in zip(middle.tolist(), size, strict=True)
    )
    return Place(x, y, side)


def read_square(pixels: Pixels, place: Place, side: int) -> Array:
    """Return a square of a picture as RGB in [0, 1], float32 (side, side, 3), averaged if it is larger."""
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR, place.box)
    return np.asarray(image, np.float32) / np.float32(255)
