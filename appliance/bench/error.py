"""The figure of merit: the angle between where the sitter looks and where the viewer really is."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.camera.gallery import GalleryCamera
from appliance.config import Config
from appliance.gaze.geometry import Direction, angle_to, pitch_to
from appliance.grid import FrameGrid

_STEP = 0.02

# Where the viewer is at a moment, seen from the sitter; None when there is nobody to follow.
Truth = Callable[[float], Direction | None]


@dataclass(frozen=True, slots=True)
class GazeError:
    """Gaze error in degrees in one direction, over the moments somebody could be followed.

    `seconds` is the sum of these moments. `reachable` is the median where the viewer stood within the
    sitter's outermost gaze angles in this direction.
    """

    median: float
    p95: float
    reachable: float
    seconds: float


def true_direction(camera: GalleryCamera, config: Config) -> Truth:
    """Return the truth: moment -> degrees to picture right and up from the sitter to whom it should follow.

    None where the camera sees nobody's eyes.
    """

    def direction(moment: float) -> Direction | None:
        viewer = camera.followed_at(moment)
        if viewer is None:
            return None
        point = viewer.x_mm, viewer.y_mm, viewer.z_mm
        return angle_to(*point, config.gaze), pitch_to(*point, config.gaze)

    return direction


def direction_of(grid: FrameGrid, number: int) -> Direction:
    """Return where the sitter looks in a frame: degrees to picture right and up."""
    row, column = grid.place(number)
    return grid.angles[column], grid.pitches[row]


def gaze_error(
    flips: Sequence[tuple[float, int]], grid: FrameGrid, truth: Truth, start: float, end: float
) -> tuple[GazeError, GazeError]:
    """Compare what was lit with the truth, 50 times a second.

    Parameters
    ----------
    flips : (monotonic seconds, number of the frame) of every flip, in order
    grid : the sitter's frames
    start, end : monotonic seconds; the first flip lies before `start`

    Returns
    -------
    The error sideways, and that up and down.
    """
    moments = [moment for moment, _ in flips]
    there, lit = [], []
    for t in np.arange(start, end, _STEP):
        wanted = truth(float(t))
        if wanted is not None and (i := bisect_right(moments, t)):
            there.append(wanted)
            lit.append(direction_of(grid, flips[i - 1][1]))
    if not there:
        nothing = GazeError(math.nan, math.nan, math.nan, 0.0)
        return nothing, nothing
    wanted_there = np.array(there)
    errors = np.abs(np.array(lit) - wanted_there)
    ends = (grid.angles[0], grid.angles[-1]), (grid.pitches[-1], grid.pitches[0])
    aside, up = (
        _figures(errors[:, axis], (low <= wanted_there[:, axis]) & (wanted_there[:, axis] <= high))
        for axis, (low, high) in enumerate(ends)
    )
    return aside, up


def _figures(errors: NDArray[np.float64], within: NDArray[np.bool_]) -> GazeError:
    median, p95 = np.percentile(errors, [50, 95])
    reachable = float(np.median(errors[within])) if within.any() else math.nan
    return GazeError(float(median), float(p95), reachable, len(errors) * _STEP)
