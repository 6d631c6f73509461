"""The painting's fine detail, put back into head frames that lost it: brush, cracks, canvas.

What is finer than the frames can hold is taken from the painting and moved with the face, whose
motion is read from the landmarks of both.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.averaging import Pixels
from appliance.portrait.landmarks import EyeMarks
from appliance.portrait.sampling import Array, bilinear, cubic, smoothstep

# The motion is averaged over this part of the square, on a grid of so many steps; far from the face
# this much of a landmark's full weight pulls it to zero.
_REACH: Final = 0.05
_STEPS: Final = 48
_STILL: Final = 0.05


class Detail:
    """The fine detail of a square of the painting, without the eyes: these move by themselves."""

    def __init__(self, square: Pixels, mesh: Array, eyes: Sequence[EyeMarks], frame_side: int) -> None:
        """Take the detail out of the painting.

        Parameters
        ----------
        square : the part of the painting that the frames show, RGB uint8 (side, side, 3)
        mesh : the painted face's landmarks in its pixels, (points, 2)
        eyes : of the painted face, in the same pixels
        frame_side : of the frames as they came; what so many pixels can hold is theirs already
        """
        side = len(square)
        self._mesh = mesh
        # Reduced as the models' pictures are: a frame that repeats its picture gets the painting back.
        small = Image.fromarray(square).resize((frame_side, frame_side), Image.Resampling.BILINEAR)
        held = np.asarray(small.resize((side, side), Image.Resampling.LANCZOS), np.float64)
        self._fine = (square - held) * _outside(eyes, side)[..., None]

    def put_back(self, frame: Pixels, mesh: Array, strength: float) -> Pixels:
        """Add the detail to a frame of the square's size, moved as the landmarks are.

        Parameters
        ----------
        frame : RGB uint8 (side, side, 3)
        mesh : the same landmarks in the frame's pixels, (points, 2)
        strength : the part of the detail that is added, 0 to 1
        """
        return self.carry(frame, self._motion(mesh, len(frame)), np.full((1, 1), strength))

    def carry(self, frame: Pixels, motion: Array, strength: Array) -> Pixels:
        """Add the detail to a frame of the square's size, moved as given.

        Parameters
        ----------
        frame : RGB uint8 (side, side, 3)
        motion : where each cell's content lies in the painting, relative to the frame, in its
            pixels, (cells, cells, 2)
        strength : the part of the detail that is added, 0 to 1, (cells, cells)
        """
        side = len(frame)
        y, x = np.mgrid[0:side, 0:side] + 0.5
        moved = bilinear(motion, x * len(motion) / side, y * len(motion) / side)
        share = bilinear(strength, x * len(strength) / side, y * len(strength) / side)
        fine = cubic(self._fine, x + moved[..., 0], y + moved[..., 1])
        return np.clip(np.rint(frame + share[..., None] * fine), 0, 255).astype(np.uint8)

    def _motion(self, mesh: Array, side: int) -> Array:
        """Return where each grid cell's content lies in the painting, relative to the frame, in pixels."""
        y, x = (np.mgrid[0:_STEPS, 0:_STEPS] + 0.5) * (side / _STEPS)
        away = np.stack([x, y], -1)[:, :, None] - mesh
        pull = np.exp(-0.5 * (away**2).sum(-1) / (_REACH * side) ** 2)
        motion: Array = (pull @ (self._mesh - mesh)) / (pull.sum(-1) + _STILL)[..., None]
        return motion


def _outside(eyes: Sequence[EyeMarks], side: int) -> Array:
    """Return 0 in the eyes and 1 away from them, (side, side)."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    weight = np.ones((side, side))
    for eye in eyes:
        middle = (eye.lower[0] + eye.lower[-1]) / 2
        far = np.hypot((x - middle[0]) / (0.62 * eye.width), (y - middle[1]) / (0.36 * eye.width))
        weight *= smoothstep((far - 0.9) / 0.35)
    return weight
