"""One sweep of a film from side to side, and the moments in it at which the gaze has gone equal steps."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadFilm
from appliance.fomm.hull import hull_area
from appliance.fomm.watch import Watched
from appliance.portrait.sampling import Array, blur

# The landmarks' readings scatter: they are averaged over about this many pictures.
_SIGMA: Final = 1.0
# A sweep goes from the outermost part of the film's range on one side to that on the other.
_OUTER: Final = 0.08
# The part of the sweep that the start must leave to either side.
_ASIDE: Final = 0.3
# What the gaze must do at least to either side, in degrees, to make frames of.
_LEAST: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep: pictures `first` to `last` of the film, and what is taken from it.

    `motion` (n,) is the whole film's gaze in degrees, smoothed; `start` is the picture whose pose is
    nearest to the painting's; `moments` are the pictures of the frames, from the one that looks
    farthest to picture left, as whole and broken numbers: 2.5 lies between the third and the fourth;
    `reach` is how far the outermost look to either side of the start, in degrees.
    """

    first: int
    last: int
    motion: Array
    start: int
    moments: Array
    reach: float


def find_sweep(watched: Watched, frames: int, pose: Array, start_s: float | None = None) -> Sweep:
    """Find the film's best sweep and the moments of its frames.

    Parameters
    ----------
    frames : how many, odd; the middle one is the start
    pose : the painting's face mesh, (468, 2), in any pixels
    start_s : when the picture to start from is shown, in seconds; the one in the sweep with the pose
        most like the painting's, if not given

    Raises
    ------
    BadFilm
        If the gaze does not go from side to side, or there is no such picture.
    """
    motion = smooth(watched.motion)
    first, last = best_pass(motion, watched.sure)
    part = motion[first : last + 1]
    low, high = float(part.min()), float(part.max())
    aside = np.minimum(part - low, high - part)
    if start_s is None:
        unlike = [difference(mesh, pose) for mesh in watched.mesh[first : last + 1]]
        fit = (aside >= _ASIDE * (high - low)) & watched.sure[first : last + 1]
        start = first + int(np.where(fit, unlike, np.inf).argmin())
    elif not first <= (start := int(np.abs(watched.times - start_s).argmin())) <= last:
        ends = f"{watched.times[first]:.2f} to {watched.times[last]:.2f}"
        raise BadFilm(f"--start {start_s:g}; expected a moment of the best sweep, {ends} s")
    reach = float(aside[start - first])
    if reach < _LEAST:
        raise BadFilm(
            f"from the pose at {watched.times[start]:.2f} s the gaze goes only {reach:.1f} degrees to one "
            f"side; expected {_LEAST:.0f} or more to either: look and turn farther (deploy/guide/filming.md)"
        )
    rising = part if part[-1] > part[0] else part[::-1]
    wanted = motion[start] + np.linspace(-reach, reach, frames)
    moments = crossings(rising, wanted)
    moments = first + moments if rising is part else last - moments
    moments[frames // 2] = start
    return Sweep(first, last, motion, start, moments, reach)


def smooth(values: Array) -> Array:
    """Average readings (n,) over neighbouring pictures."""
    smoothed: Array = blur(np.asarray(values, np.float64)[:, None], _SIGMA)[:, 0]
    return smoothed


def best_pass(motion: Array, sure: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first and last picture of the best sweep from one side to the other.

    It is the one with the fewest pictures that are not `sure` (n,), and among those the one that turns
    back least.
    """
    low, high = float(motion.min()), float(motion.max())
    outer = _OUTER * (high - low)
    side = np.where(motion <= low + outer, -1, np.where(motion >= high - outer, 1, 0))
    ends = np.flatnonzero(side)
    passes = [(int(a), int(b)) for a, b in pairwise(ends) if side[a] != side[b]]
    if not passes:
        raise BadFilm("the gaze does not move; expected it to go from side to side")

    def faults(pair: tuple[int, int]) -> tuple[int, float]:
        part = slice(pair[0], pair[1] + 1)
        steps = np.diff(motion[part])
        return int((~sure[part]).sum()), float(np.abs(steps).sum() - abs(steps.sum()))

    first, last = min(passes, key=faults)
    # The turning points lie a little beyond.
    sign = np.sign(motion[last] - motion[first])
    while first > 0 and sure[first - 1] and sign * (motion[first] - motion[first - 1]) > 0:
        first -= 1
    while last < len(motion) - 1 and sure[last + 1] and sign * (motion[last + 1] - motion[last]) > 0:
        last += 1
    return first, last


def crossings(motion: Array, wanted: Array) -> Array:
    """Return when a motion (n,) first reaches each of the rising values, in pictures and parts of them."""
    moments = np.empty(len(wanted))
    for i, value in enumerate(wanted):
        after = int((motion >= value - 1e-9).argmax())
        step = motion[after] - motion[after - 1] if after else 1.0
        moments[i] = after - np.clip((motion[after] - value) / step, 0, 1) * (after > 0)
    return moments


def difference(mesh: Array, pose: Array) -> float:
    """Return how unlike two poses are, by landmarks freed of place and size; as the official code does."""

    def normal(points: Array) -> Array:
        away = points - points.mean(0)
        freed: Array = away / max(hull_area(away.tolist()), 1e-9) ** 0.5
        return freed

    return float(np.square(normal(mesh) - normal(pose)).sum(1).mean())
