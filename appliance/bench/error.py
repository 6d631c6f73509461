"""The figure of merit: the angle between where the sitter looks and where the viewer really is."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.camera.gallery import GalleryCamera
from appliance.camera.lens import Lens
from appliance.config import Config
from appliance.gaze.geometry import angle_to

_STEP = 0.02


@dataclass(frozen=True, slots=True)
class GazeError:
    """Gaze error in degrees over the moments somebody could be followed; `seconds` is their sum.

    `reachable` is the median where the viewer stood within the sitter's outermost gaze angles.
    """

    median: float
    p95: float
    reachable: float
    seconds: float


def true_angle(camera: GalleryCamera, config: Config) -> Callable[[float], float | None]:
    """Return the truth: moment -> degrees from the sitter to the nearest visitor in the picture.

    None where the camera sees nobody's eyes.
    """
    lens = Lens(config.camera.width, config.camera.height, camera.horizontal_fov)

    def angle(moment: float) -> float | None:
        there = camera.truth_at(moment)
        visible = [v for v in there if 0 <= lens.project(v.x_mm, v.y_mm, v.z_mm)[0] < lens.width]
        nearest = min(visible, key=lambda visitor: visitor.z_mm, default=None)
        return None if nearest is None else angle_to(nearest.x_mm, nearest.y_mm, nearest.z_mm, config.gaze)

    return angle


def gaze_error(
    flips: Sequence[tuple[float, int]],
    angles: Sequence[float],
    truth: Callable[[float], float | None],
    start: float,
    end: float,
) -> GazeError:
    """Compare what was lit with the truth, 50 times a second.

    Parameters
    ----------
    flips : (monotonic seconds, frame) of every flip, in order
    angles : the sitter's gaze in degrees, for every frame
    truth : the angle to the viewer at a moment in degrees, None when there is nobody to follow
    start, end : monotonic seconds; the first flip lies before `start`
    """
    moments = [moment for moment, _ in flips]
    errors, reachable = [], []
    for t in np.arange(start, end, _STEP):
        there = truth(float(t))
        if there is not None and (i := bisect_right(moments, t)):
            errors.append(abs(angles[flips[i - 1][1]] - there))
            if angles[0] <= there <= angles[-1]:
                reachable.append(errors[-1])
    if not reachable:
        return GazeError(math.nan, math.nan, math.nan, len(errors) * _STEP)
    median, p95 = np.percentile(errors, [50, 95])
    return GazeError(float(median), float(p95), float(np.median(reachable)), len(errors) * _STEP)
