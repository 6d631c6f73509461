"""A lens: from a place in front of the camera to a pixel, and back to a direction."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole in the middle of a picture with square pixels, bent a little outwards or inwards.

    `width` and `height` are in pixels, `horizontal_fov` is the angle across the width in degrees.
    Places are millimetres in the camera's frame: x to picture right, y down, z away from the lens.
    Pixel coordinates are continuous: pixel i covers [i, i + 1). `distortion` is Brown's first radial
    coefficient k1: a ray at r focal lengths from the axis falls r (1 + k1 r^2) from the middle, in
    units that leave the picture's left and right edges where they are; below 0 is a barrel.

    Source: Brown, "Decentering Distortion of Lenses", Photogrammetric Engineering 32, 1966.
    """

    width: int
    height: int
    horizontal_fov: float
    distortion: float = 0.0

    @property
    def focal(self) -> float:
        """Focal length in pixels, in the middle of the picture."""
        edge = math.tan(math.radians(self.horizontal_fov) / 2)
        return self.width / 2 / (edge * (1 + self.distortion * edge * edge))

    def project(self, x_mm: float, y_mm: float, z_mm: float) -> tuple[float, float]:
        """Return where a place in front of the lens (z > 0) falls in the picture, in pixels."""
        x, y = x_mm / z_mm, y_mm / z_mm
        scale = self.focal * (1 + self.distortion * (x * x + y * y))
        return self.width / 2 + x * scale, self.height / 2 + y * scale

    def ray(self, x: float, y: float) -> tuple[float, float]:
        """Return the direction a pixel sees: millimetres to picture right and down per millimetre ahead."""
        u, v = (x - self.width / 2) / self.focal, (y - self.height / 2) / self.focal
        seen = math.hypot(u, v)
        if self.distortion == 0 or seen == 0:
            return u, v
        true = seen
        for _ in range(8):  # Newton; a barrel stops bending where its slope would turn
            slope = max(1 + 3 * self.distortion * true * true, 0.1)
            true -= (true * (1 + self.distortion * true * true) - seen) / slope
        return u * true / seen, v * true / seen

    def angle(self, x: float) -> float:
        """Return the horizontal angle of a picture column in degrees, positive to picture right."""
        return math.degrees(math.atan(self.ray(x, self.height / 2)[0]))
