"""The iris as a circle, found by the iris model and then in the picture; the eye's corners beside it."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from appliance.portrait.lids import EyeView, Lids, columns, rows, smooth
from appliance.portrait.sampling import Array

# The rim is looked at beside and below the pupil (degrees, 0 to picture right, 90 down); above, the
# upper lid and its shadow cover it.
_RIM: Final = np.radians(np.arange(-38, 219, 6))
# The lowest part of the rim, by the cosine of its direction, must be clear of the lower lid by so
# much, in eye widths: the lid's own edge is no rim.
_LOWEST: Final = 0.26
_CLEAR_BELOW: Final = 0.06
# How far the search goes from its best so far, and in which steps, of u, v and radius in eye widths:
# coarse over all radii, then finer, then by the edge alone. Each compares light so far inside and
# outside the rim; a pale or dark rim misleads the wide comparison by its own width.
_WIDE: Final = (0.02, 0.05, 0.09)
_NARROW: Final = (0.015, 0.03)
_COARSE: Final = ((0.025, 5), (0.025, 3), 0.015)
_FINE: Final = (((0.01, 3), (0.01, 3), (0.005, 3)), ((0.004, 3), (0.004, 3), (0.003, 8)))
# A rim in shade has white around it that is so much darker than the brightest white beyond, as a part
# of the eye's contrast. Where it is still darker, the circle lies inside the iris.
_GREYER: Final = 0.12
# The least and the largest step of light that a point of the rim counts with.
_STEP: Final = (-0.3, 0.8)
# What a radius unlike the prior costs at most, in squared scatters: painters and models err.
_UNLIKELY: Final = 2.0
# White is looked for so far off the lids and the corners, and blurred so much, in eye widths.
_OFF_LIDS: Final = 0.05
_OFF_CORNERS: Final = 0.08
_CALM: Final = 0.015
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


def fit_iris(view: EyeView, lids: Lids, prior: Iris, slack: float, radii: tuple[float, float]) -> Iris:
    """Find the circle that is dark inside and has the eye's white around it, near a prior.

    Parameters
    ----------
    slack : scatter expected of the prior's radius, as a part of it
    radii : the least and the largest radius tried, in eye widths
    """
    search = _Search(view, lids, prior, slack, _whitest(view, lids))
    (du, across), (dv, down), dr = _COARSE
    best, _ = search.best(
        prior.u + du * np.arange(-across, across + 1),
        prior.v + dv * np.arange(-down, down + 1),
        np.linspace(*radii, round((radii[1] - radii[0]) / dr) + 1),
        _WIDE,
    )
    scores = []
    for grid, reach in zip(_FINE, (_WIDE, _NARROW), strict=True):
        u, v, r = (b + step * np.arange(-n, n + 1) for b, (step, n) in zip(best, grid, strict=True))
        best, score = search.best(u, v, np.unique(np.clip(r, *radii)), reach)
        scores.append(score)
    # The edge alone places the rim; how clear the iris is, the wide comparison says.
    found = replace(prior, u=float(best[0]), v=float(best[1]), radius=float(best[2]), score=scores[0])
    return replace(found, softness=_softness(view, lids, found))


@dataclass(frozen=True, slots=True)
class _Search:
    """What circles are judged by; `whitest` is as `_whitest` returns it."""

    view: EyeView
    lids: Lids
    prior: Iris
    slack: float
    whitest: Array

    def best(self, u: Array, v: Array, radii: Array, reach: tuple[float, ...]) -> tuple[Array, float]:
        """Return the best circle of a grid, as u, v and radius, and its score."""
        circles = np.stack(np.meshgrid(u, v, radii, indexing="ij"), -1).reshape(-1, 3)
        scores = self._scores(circles, reach)
        return circles[scores.argmax()], float(scores.max())

    def _scores(self, circles: Array, reach: tuple[float, ...]) -> Array:
        """Return the score of each circle, (circles, 3) of u, v and radius."""
        prior = self.prior
        cu, cv, r = (circles[:, i, None] for i in range(3))
        c, s = np.cos(_RIM), np.sin(_RIM)
        u, v = cu + r * c, cv + r * s
        weight = _within(self.lids, u, v + _CLEAR_BELOW * (abs(c) < _LOWEST)) * (0.4 + 0.6 * c * c)
        outside, inside = (
            sum((self.view.light_near(u + d * c, v + d * s) for d in side), np.zeros(1)) / len(reach)
            for side in (reach, [-d for d in reach])
        )
        # A circle inside the iris has more iris around it, and the white only beyond.
        beyond = np.where(c < 0, *(self.view.near(side, u, v) for side in self.whitest))
        lacks = np.maximum(beyond - outside - _GREYER, 0)
        step = np.clip(outside - inside - lacks, *_STEP)
        seen = (step * weight).sum(1) / (weight.sum(1) + 4)
        far = ((circles[:, 0] - prior.u) / 0.05) ** 2 + ((circles[:, 1] - prior.v) / 0.04) ** 2
        far += np.minimum(((circles[:, 2] - prior.radius) / (self.slack * prior.radius)) ** 2, _UNLIKELY)
        scores: Array = seen - 0.04 * far
        return scores


def _whitest(view: EyeView, lids: Lids) -> Array:
    """Return the brightest light from each point to the corner, along a row between the lids.

    Returns
    -------
    Towards picture left and right, (2, rows, columns); -1 where there is no clean white
    """
    upper, lower = lids.upper + _OFF_LIDS, lids.lower - _OFF_LIDS
    u, v = columns(), rows()[:, None]
    clean = (v > upper) & (v < lower) & (u > lids.left + _OFF_CORNERS) & (u < lids.right - _OFF_CORNERS)
    light = np.where(clean, smooth(view.light, _CALM), -1)
    left, right = np.maximum.accumulate(light, 1), np.maximum.accumulate(light[:, ::-1], 1)[:, ::-1]
    return np.stack([left, right])


def _within(lids: Lids, u: Array, v: Array) -> Array:
    """Return 1 inside the opening, falling to 0 at the upper lid and the corners and below the lower lid."""
    upper, lower = lids.at(u)
    soft = [(v - upper - 0.01), (lower + 0.02 - v), (u - lids.left), (lids.right - u)]
    inside: Array = np.prod([np.clip(distance / 0.03, 0, 1) for distance in soft], axis=0)
    return inside


def _softness(view: EyeView, lids: Lids, iris: Iris) -> float:
    """Measure the blur of the rim: the way from 50 % to 84 % of the step from iris to sclera.

    Half the way from 16 % to 84 % if that is less: a pale rim makes the inner half wide, shade the outer.
    """
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
    low, middle, high = np.interp([0.16, 0.5, 0.84], rise + np.arange(len(along)) * 1e-6, along)
    return float(np.clip(min((high - low) / 2, high - middle), max(0.012, 0.5 / view.axes.width), 0.05))


# Columns are looked at this far apart, in eye widths, from this far beyond the iris's rim.
_CORNER_STEP: Final = 0.01
_OFF_RIM: Final = 0.04
# A column is read so far up and down from its middle: as a part of the opening, and at least, in eye widths.
_MIDDLE: Final = 0.3
_LEAST: Final = 0.02
# The model's corner is trusted by this scatter, in eye widths; one column says at most so much.
_SCATTER: Final = 0.06
_SAYS: Final = 1.5
# What is drawn ends softly up to this far beyond the last white.
_BEYOND: Final = 0.05
# Skin is more coloured than white. Nearer than this in saturation they are alike; from twice that on
# they are told apart in full.
_ALIKE: Final = 0.012
# The flesh in the inner corner, which no iris covers, takes up this much, in eye widths (on people 3 of
# 30 mm, and the corners were moved outwards by 4 % before).
_FLESH: Final = 0.08
# White is read in the half next to the rim of a side with this much room.
_ROOM: Final = 0.06
# Skin is read beyond the lower lid, from and to so far below it.
_BELOW: Final = (0.07, 0.2)


def fit_corners(view: EyeView, lids: Lids, iris: Iris, inner: int) -> Lids:
    """Move the corners inwards to where the colours beside the iris turn from white to skin.

    The models put the corners where an eye's are, not where this one's were painted; seen from the
    side, the far eye ends early. Where white and skin are alike, the model's outer corner stays, and the
    inner one moves off its flesh.

    Parameters
    ----------
    inner : the side of the nose, -1 to picture left or 1 to picture right
    """
    saturation = _saturation(view.colour)
    left, right = (_corner(saturation, lids, iris, side, side == inner) for side in (-1, 1))
    return replace(lids, left=left, right=right)


def _corner(saturation: Array, lids: Lids, iris: Iris, side: int, inner: bool) -> float:
    """Return the u of one corner: where, seen from the rim, columns begin to look like skin."""
    first, last = iris.u + side * (iris.radius + _OFF_RIM), lids.left if side < 0 else lids.right
    count = int((last - first) * side / _CORNER_STEP)
    white = _white(saturation, lids, iris)
    skin = _below(saturation, lids, *sorted((iris.u, last + side * 0.1)))
    if count < 2:
        return last
    if skin - white < _ALIKE:
        flesh = min(_FLESH, (last - first) * side) if inner else 0.0
        return last - side * flesh
    ends = first + side * _CORNER_STEP * np.arange(count + 1)
    seen = np.array([_column(saturation, lids, at) for at in ends[:-1]])
    # What a column looks like, from -1, white, to 1, skin, as far as the two can be told apart.
    like = np.clip((2 * seen - white - skin) / (skin - white), -1, 1)
    like *= _SAYS * min((skin - white) / _ALIKE - 1, 1.0)
    # All columns before the corner should be white, all from it on skin.
    cost = 2 * np.r_[0, like.cumsum()] + ((ends - last) / _SCATTER) ** 2
    found = float(ends[int(cost.argmin())]) + side * _BEYOND
    return min(found, last) if side > 0 else max(found, last)


def _saturation(colour: Array) -> Array:
    """Return how far colours are from grey, (rows, columns): the same in light and in shade."""
    safe = np.maximum(colour, 0) + 8
    off: Array = safe / safe.sum(-1, keepdims=True) - 1 / 3
    distance: Array = np.sqrt((off * off).sum(-1))
    return distance


def _white(saturation: Array, lids: Lids, iris: Iris) -> float:
    """Return the saturation of the eye's white: that of the greyer side of the iris."""
    sides = [1.0]
    for side, corner in ((-1, lids.left), (1, lids.right)):
        rim = iris.u + side * (iris.radius + _OFF_RIM)
        room = (corner - rim) * side
        if room > _ROOM:
            sides.append(_column(saturation, lids, rim + side * room / 4, room / 4))
    return min(sides)


def _column(saturation: Array, lids: Lids, at: float, half: float = _CORNER_STEP) -> float:
    """Return the mean along the middle of the opening around a column."""
    upper, lower = (float(v) for v in lids.at(np.array(at)))
    middle, far = (upper + lower) / 2, max(_MIDDLE * (lower - upper), _LEAST)
    return _mean(saturation, (at - half, at + half), (middle - far, middle + far))


def _below(saturation: Array, lids: Lids, left: float, right: float) -> float:
    """Return the mean of the skin below the lower lid between two u."""
    lowest = float(lids.at(np.linspace(left, right, 9))[1].max())
    return _mean(saturation, (left, right), (lowest + _BELOW[0], lowest + _BELOW[1]))


def _mean(saturation: Array, across: tuple[float, float], down: tuple[float, float]) -> float:
    first, last = np.searchsorted(columns(), across)
    top, below = np.searchsorted(rows(), down)
    field = saturation[top:below, first:last]
    return float(field.mean()) if field.size else 0.0
