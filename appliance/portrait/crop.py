"""A turned square of a picture, as the face and iris models want it."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from appliance.portrait.sampling import Array


class Crop(NamedTuple):
    """A turned square of the picture: centre and side in pixels, angle in radians; maybe mirrored."""

    x: float
    y: float
    side: float
    angle: float
    mirrored: bool = False

    def moved(self, angle: float, scale: float, x: float, y: float) -> "Crop":
        """Return this crop turned, scaled, and shifted by parts of its side."""
        return self._replace(
            x=self.x + x * self.side,
            y=self.y + y * self.side,
            side=self.side * scale,
            angle=self.angle + angle,
        )

    def matrix(self, size: int) -> Array:
        """Return the (2, 3) matrix from points of the crop, `size` pixels wide, to the picture."""
        scale = self.side / size
        c, s = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        turn = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if self.mirrored else 1.0, 1.0])
        return np.column_stack([turn, np.array([self.x, self.y]) - turn @ np.full(2, size / 2)])

    def read(self, image: Image.Image, size: int) -> Array:
        """Return the crop as RGB in [0, 1], (size, size, 3), averaged down; black beyond the picture."""
        fine = max(1, round(self.side / size))
        data = self.matrix(size * fine).ravel().tolist()
        kind, filter_ = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return np.asarray(image.transform((size * fine,) * 2, kind, data, filter_).reduce(fine)) / 255.0


def apply(matrix: Array, points: Array) -> Array:
    """Apply a (2, 3) matrix to points (..., 2)."""
    moved: Array = points @ matrix[:, :2].T + matrix[:, 2]
    return moved
