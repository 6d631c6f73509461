"""A pinhole lens: from a place in front of the camera to a pixel, and back to an angle."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole in the middle of a picture with square pixels.

    `width` and `height` are in pixels, `horizontal_fov` is the angle across the width in degrees.
    Places are millimetres in the camera's frame: x to picture right, y down, z away from the lens.
    Pixel coordinates are continuous: pixel i covers [i, i + 1).
    """

    width: int
    height: int
    horizontal_fov: float

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / math.tan(math.radians(self.horizontal_fov) / 2)

    def project(self, x_mm: float, y_mm: float, z_mm: float) -> tuple[float, float]:
        """Return where a place in front of the lens (z > 0) falls in the picture, in pixels."""
        scale = self.focal / z_mm
        return self.width / 2 + x_mm * scale, self.height / 2 + y_mm * scale

    def angle(self, x: float) -> float:
        """Return the horizontal angle of a picture column in degrees, positive to picture right."""
        return math.degrees(math.atan2(x - self.width / 2, self.focal))
