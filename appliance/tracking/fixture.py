"""What looks like a face and is none: a picture on the wall."""

import math
from dataclasses import dataclass
from typing import Final

from appliance.camera.averaging import Region
from appliance.vision.blazeface import Face

# So far off, as a share of its width, is what a look at a region measures of small faces.
_COARSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Fixture:
    """A face that is none, in picture pixels; what is only doubted is left alone `until` a moment."""

    x: float
    y: float
    width: float
    until: float = math.inf

    def is_at(self, face: Face, region: Region) -> bool:
        """Tell whether a face is this one, as far as a look at the region can tell."""
        coarse = region.width * _COARSE if self.until == math.inf else 0.0
        away = math.dist(face.eye_midpoint, (self.x, self.y))
        size = abs(math.log(face.width / self.width))
        return away < 0.25 * self.width + coarse and size < 0.35 + coarse / min(self.width, face.width)
