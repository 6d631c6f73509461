"""The iris as a circle: from the iris model's guess, and then from the picture itself."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from appliance.portrait.lids import Lids
from appliance.portrait.sampling import Array
from appliance.portrait.view import EyeView, columns, rows

# The rim is looked at beside and below the pupil (degrees, 0 to picture right, 90 down); above, the
# upper lid and its shadow cover it.
_RIM: Final = np.radians(np.r_[np.arange(-38, 76, 6), np.arange(104, 219, 6)])
# Steps of u, v and radius in eye widths, and how many to either side: coarse, then ever finer.
_GRIDS: Final = (
    ((0.025, 0.025, 0.015), (5, 3, 3)),
    ((0.01, 0.01, 0.005), (3, 3, 3)),
    ((0.003, 0.003, 0.0015), (3, 3, 3)),
)
_ACROSS: Final = (0.02, 0.05, 0.09)
_SIDES: Final = np.radians(np.r_[np.arange(-25, 40, 5), np.arange(140, 206, 5)])


@dataclass(frozen=True, slots=True)
class Iris:
    """A circle in eye widths around (`u`, `v`); `softness` is the sigma of its blurred rim.

    `score` is how much darker than its surroundings it is: about 0.3 is clear, 0.18 is doubtful.
    """

    u: float
    v: float
    radius: float
    softness: float = 0.02
    score: float = 0.0


def around(iris: Iris, reach: float) -> tuple[slice, slice]:
    """Return the rows and columns of a view within `reach` of an iris's centre, in eye widths."""
    first, last = np.searchsorted(columns(), [iris.u - reach, iris.u + reach])
    top, below = np.searchsorted(rows(), [iris.v - reach, iris.v + reach])
    return slice(int(top), int(below)), slice(int(first), int(last))


def fit_iris(view: EyeView, lids: Lids, prior: Iris, slack: float, starts: tuple[float, ...]) -> Iris:
    """Find the circle that is dark inside and bright outside, near a prior.

    Parameters
    ----------
    slack : scatter expected of the prior's radius, as a part of it
    starts : multiples of the prior's radius that the search begins from
    """
    found = [_climb(view, lids, replace(prior, radius=prior.radius * k), prior, slack) for k in starts]
    best = max(found, key=lambda iris: iris.score)
    return replace(best, softness=_softness(view, lids, best))


def _climb(view: EyeView, lids: Lids, start: Iris, prior: Iris, slack: float) -> Iris:
    """Search a grid around `start`, then finer ones around the best."""
    best, score = np.array([start.u, start.v, start.radius]), 0.0
    for steps, counts in _GRIDS:
        axes = [b + s * np.arange(-n, n + 1) for b, s, n in zip(best, steps, counts, strict=True)]
        circles = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        scores = _scores(view, lids, circles, prior, slack)
        best, score = circles[scores.argmax()], float(scores.max())
    return replace(start, u=float(best[0]), v=float(best[1]), radius=float(best[2]), score=score)


def _scores(view: EyeView, lids: Lids, circles: Array, prior: Iris, slack: float) -> Array:
    """Return the score of each circle, (circles, 3) of u, v and radius."""
    cu, cv, r = (circles[:, i, None] for i in range(3))
    c, s = np.cos(_RIM), np.sin(_RIM)
    weight = _within(lids, cu + r * c, cv + r * s) * (0.4 + 0.6 * c * c)
    step = sum(
        (
            view.light_near(cu + (r + d) * c, cv + (r + d) * s)
            - view.light_near(cu + (r - d) * c, cv + (r - d) * s)
            for d in _ACROSS
        ),
        np.zeros(1),
    )
    seen = (np.clip(step / len(_ACROSS), -0.3, 0.6) * weight).sum(1) / (weight.sum(1) + 4)
    far = ((circles[:, 0] - prior.u) / 0.05) ** 2 + ((circles[:, 1] - prior.v) / 0.04) ** 2
    far += np.minimum(((circles[:, 2] - prior.radius) / (slack * prior.radius)) ** 2, 4)
    scores: Array = seen - 0.04 * far
    return scores


def _within(lids: Lids, u: Array, v: Array) -> Array:
    """Return 1 inside the opening, falling to 0 a little beyond the lids and at the corners."""
    upper, lower = lids.at(u)
    soft = [(v - upper + 0.05), (lower + 0.02 - v), (u - lids.left), (lids.right - u)]
    inside: Array = np.prod([np.clip(distance / 0.03, 0, 1) for distance in soft], axis=0)
    return inside


def _softness(view: EyeView, lids: Lids, iris: Iris) -> float:
    """Measure the blur of the rim: half the way from 16 % to 84 % of the step from iris to sclera."""
    along = np.linspace(-0.1, 0.1, 41)
    u = iris.u + np.cos(_SIDES)[:, None] * (iris.radius + along)
    v = iris.v + np.sin(_SIDES)[:, None] * (iris.radius + along)
    upper, lower = lids.at(u)
    clear = ((v > upper + 0.03) & (v < lower - 0.01)).all(1)
    if clear.sum() < 4:
        return 0.02
    profiles = np.sort(view.at(view.light, u, v)[clear], axis=0)
    # The brighter ones have clean sclera beside them.
    profile = np.maximum.accumulate(profiles[len(profiles) // 3 :].mean(0))
    rise = (profile - profile[0]) / max(float(profile[-1] - profile[0]), 1e-3)
    low, high = np.interp([0.16, 0.84], rise + np.arange(len(along)) * 1e-6, along)
    return float(np.clip((high - low) / 2, max(0.012, 0.5 / view.axes.width), 0.03))
