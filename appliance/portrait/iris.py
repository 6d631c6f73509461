"""The iris as a circle, found by the iris model and then in the picture; the eye's corners beside it."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from appliance.portrait.lids import EYE_VIEW_RASTER, Eyelids, EyeView, smooth_view
from appliance.portrait.sampling import Array

# Chosen by eye unless another origin is given; lengths are in eye widths.

# The circle:

# Directions in which the rim is looked at, beside and below the pupil (radians; 0 to picture right,
# clockwise): above, the upper lid and its shadow cover it.
_RIM: Final = np.radians(np.arange(-38, 219, 6))
# The rim is lowest where the cosine of the direction is less than this: there it must be clear of the lower
# lid.
_LOWEST: Final = 0.26
# It must be clear of the lower lid by this there, because the lid's own edge is no rim.
_CLEAR_BELOW: Final = 0.06
_WIDE: Final = (0.02, 0.05, 0.09)  # light is compared this far inside and outside the rim
# The same of the last search, which uses the edge alone: a pale or dark rim misleads the wide comparison by
# its own width.
_NARROW: Final = (0.015, 0.03)
# First search: steps of u and v in eye widths with their number to each side, and the step of the radius.
_COARSE: Final = ((0.025, 5), (0.025, 3), 0.015)
# The two finer searches: the same of u, v and radius, around the best so far.
_FINE: Final = (((0.01, 3), (0.01, 3), (0.005, 3)), ((0.004, 3), (0.004, 3), (0.003, 8)))
# A rim in shade has white around it that is darker than the brightest white beyond by this fraction of the
# eye's contrast. Where it is darker still, the circle lies inside the iris.
_GREYER: Final = 0.12
_STEP: Final = (-0.3, 0.8)  # the least and the largest step of light that one point of the rim counts with
# The most that a radius unlike the prior costs, in squared scatters, because painters and models err.
_UNLIKELY: Final = 2.0
_OFF_LIDS: Final = 0.05  # white is looked for this far off the lids
_OFF_CORNERS: Final = 0.08  # the same off the corners
_CALM: Final = 0.015  # blur (sigma) of the light in which the brightest white is looked for
# Directions in which the rim's blur is measured, to both sides (radians).
_SIDES: Final = np.radians(np.r_[np.arange(-25, 40, 5), np.arange(140, 206, 5)])

# The corners of the eye:

_CORNER_STEP: Final = 0.01  # distance of the columns that are read
_OFF_RIM: Final = 0.04  # the first column lies this far beyond the iris's rim
_MIDDLE: Final = 0.3  # a column is read this far up and down from its middle, as a fraction of the opening
_LEAST: Final = 0.02  # it is read at least this far
_SCATTER: Final = 0.06  # scatter expected of the model's corner
_SAYS: Final = 1.5  # the most that one column says against the model, in squared scatters
_BEYOND: Final = 0.05  # drawing ends this far beyond the last white, where it fades
# White and skin whose saturations differ by less than this look alike; from twice this on they are told apart
# in full.
_ALIKE: Final = 0.012
# Width of the flesh in the inner corner, which no iris covers (on people 3 of 30 mm; the contour had been
# widened by 4 % to this side before, see `eye_layers._WIDER`).
_FLESH: Final = 0.08
_ROOM: Final = 0.06  # white is read in the half next to the rim of a side with this much room
_BELOW: Final = (0.07, 0.2)  # skin is read from and to this far below the lower lid


@dataclass(frozen=True, slots=True)
class IrisCircle:
    """A circle in eye widths around (`u`, `v`).

    `softness` is the sigma of its blurred rim. `score` is how much darker than its surroundings it is, as a
    fraction of the eye's contrast: about 0.3 is clear, 0.18 is doubtful.
    """

    u: float
    v: float
    radius: float
    softness: float = 0.02
    score: float = 0.0


def iris_window(iris: IrisCircle, reach: float) -> tuple[slice, slice]:
    """Return the rows and columns of a view within `reach` eye widths of an iris's centre."""
    return EYE_VIEW_RASTER.window((iris.u - reach, iris.u + reach), (iris.v - reach, iris.v + reach))


def fit_iris(
    view: EyeView, lids: Eyelids, prior: IrisCircle, slack: float, radii: tuple[float, float]
) -> IrisCircle:
    """Find the circle that is dark inside and has the white of the eye around it, near a prior.

    `prior` is the circle expected, from the iris model, and `slack` the scatter expected of its radius, as a
    fraction of it; `radii` are the least and the largest radius tried, in eye widths.
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
    # The rim's place comes from the narrow comparison, the score from the wide one.
    found = replace(prior, u=float(best[0]), v=float(best[1]), radius=float(best[2]), score=scores[0])
    return replace(found, softness=_softness(view, lids, found))


@dataclass(frozen=True, slots=True)
class _Search:
    """Scores circles by the light around their rims; `whitest` is as `_whitest` returns it."""

    view: EyeView
    lids: Eyelids
    prior: IrisCircle
    slack: float
    whitest: Array

    def best(self, u: Array, v: Array, radii: Array, reach: tuple[float, ...]) -> tuple[Array, float]:
        """Return the best circle of a grid, as u, v and radius, and its score."""
        circles = np.stack(np.meshgrid(u, v, radii, indexing="ij"), -1).reshape(-1, 3)
        scores = self._scores(circles, reach)
        return circles[scores.argmax()], float(scores.max())

    def _scores(self, circles: Array, reach: tuple[float, ...]) -> Array:
        """Return the score of each circle, (circles, 3) of u, v and radius."""
        prior, light = self.prior, self.view.light
        cu, cv, r = (circles[:, i, None] for i in range(3))
        c, s = np.cos(_RIM), np.sin(_RIM)
        u, v = cu + r * c, cv + r * s
        weight = _within(self.lids, u, v + _CLEAR_BELOW * (abs(c) < _LOWEST)) * (0.4 + 0.6 * c * c)
        outside, inside = (
            sum((self.view.near(light, u + d * c, v + d * s) for d in side), np.zeros(1)) / len(reach)
            for side in (reach, [-d for d in reach])
        )
        # A circle inside the iris is surrounded by iris; the white begins farther out.
        beyond = np.where(c < 0, *(self.view.near(side, u, v) for side in self.whitest))
        lacks = np.maximum(beyond - outside - _GREYER, 0)
        step = np.clip(outside - inside - lacks, *_STEP)
        seen = (step * weight).sum(1) / (weight.sum(1) + 4)
        far = ((circles[:, 0] - prior.u) / 0.05) ** 2 + ((circles[:, 1] - prior.v) / 0.04) ** 2
        far += np.minimum(((circles[:, 2] - prior.radius) / (self.slack * prior.radius)) ** 2, _UNLIKELY)
        scores: Array = seen - 0.04 * far
        return scores


def _whitest(view: EyeView, lids: Eyelids) -> Array:
    """Return the brightest light from each point to the corner, along a row between the lids.

    The result is towards picture left and right, (2, rows, columns); -1 where there is no clean white.
    """
    upper, lower = lids.upper + _OFF_LIDS, lids.lower - _OFF_LIDS
    u, v = EYE_VIEW_RASTER.columns(), EYE_VIEW_RASTER.rows()[:, None]
    clean = (v > upper) & (v < lower) & (u > lids.left + _OFF_CORNERS) & (u < lids.right - _OFF_CORNERS)
    light = np.where(clean, smooth_view(view.light, _CALM), -1)
    left, right = np.maximum.accumulate(light, 1), np.maximum.accumulate(light[:, ::-1], 1)[:, ::-1]
    return np.stack([left, right])


def _within(lids: Eyelids, u: Array, v: Array) -> Array:
    """Return 1 inside the opening, falling to 0 at the upper lid and the corners and below the lower lid."""
    upper, lower = lids.at(u)
    soft = [(v - upper - 0.01), (lower + 0.02 - v), (u - lids.left), (lids.right - u)]
    inside: Array = np.prod([np.clip(distance / 0.03, 0, 1) for distance in soft], axis=0)
    return inside


def _softness(view: EyeView, lids: Eyelids, iris: IrisCircle) -> float:
    """Measure the blur of the rim as a sigma in eye widths: from 50 % to 84 % of the step from iris to white.

    Half the way from 16 % to 84 % if that is less, because a pale rim widens the inner half, and shade the
    outer.
    """
    along = np.linspace(-0.1, 0.1, 41)
    u = iris.u + np.cos(_SIDES)[:, None] * (iris.radius + along)
    v = iris.v + np.sin(_SIDES)[:, None] * (iris.radius + along)
    upper, lower = lids.at(u)
    clear = ((v > upper + 0.03) & (v < lower - 0.01)).all(1)
    if clear.sum() < 4:
        return 0.02
    profiles = np.sort(view.at(view.light, u, v)[clear], axis=0)
    # The brighter profiles have clean white beside them.
    profile = np.maximum.accumulate(profiles[len(profiles) // 3 :].mean(0))
    rise = (profile - profile[0]) / max(float(profile[-1] - profile[0]), 1e-3)
    low, middle, high = np.interp([0.16, 0.5, 0.84], rise + np.arange(len(along)) * 1e-6, along)
    return float(np.clip(min((high - low) / 2, high - middle), max(0.012, 0.5 / view.axes.width), 0.05))


def fit_corners(view: EyeView, lids: Eyelids, iris: IrisCircle, inner: int) -> Eyelids:
    """Move the corners inwards to where the colours beside the iris turn from white to skin.

    The models put the corners where an eye has them, not where this one was painted: seen from the side, the
    far eye ends early. Where white and skin have the same colour, the model's outer corner stays, and the
    inner one moves off its flesh. `inner` is the side of the nose, -1 for picture left or 1 for picture
    right.
    """
    saturation = _saturation(view.colour)
    left, right = (_corner(saturation, lids, iris, side, side == inner) for side in (-1, 1))
    return replace(lids, left=left, right=right)


def _corner(saturation: Array, lids: Eyelids, iris: IrisCircle, side: int, inner: bool) -> float:
    """Return the u of one corner: from there on, seen from the rim, columns look like skin."""
    first, last = iris.u + side * (iris.radius + _OFF_RIM), lids.left if side < 0 else lids.right
    count = int((last - first) * side / _CORNER_STEP)
    white = _white(saturation, lids, iris)
    first_skin, last_skin = sorted((iris.u, last + side * 0.1))
    lowest = float(lids.at(np.linspace(first_skin, last_skin, 9))[1].max())
    skin = _mean(saturation, (first_skin, last_skin), (lowest + _BELOW[0], lowest + _BELOW[1]))
    if count < 2:
        return last
    if skin - white < _ALIKE:
        flesh = min(_FLESH, (last - first) * side) if inner else 0.0
        return last - side * flesh
    ends = first + side * _CORNER_STEP * np.arange(count + 1)
    seen = np.array([_column(saturation, lids, at) for at in ends[:-1]])
    # Each column's likeness: -1 is white, 1 is skin; weaker where the two hardly differ.
    like = np.clip((2 * seen - white - skin) / (skin - white), -1, 1)
    like *= _SAYS * min((skin - white) / _ALIKE - 1, 1.0)
    # The corner is where the columns before it look white, and those after it look like skin.
    cost = 2 * np.r_[0, like.cumsum()] + ((ends - last) / _SCATTER) ** 2
    found = float(ends[int(cost.argmin())]) + side * _BEYOND
    return min(found, last) if side > 0 else max(found, last)


def _saturation(colour: Array) -> Array:
    """Return how far colours are from grey, (rows, columns): the same in light and in shade."""
    safe = np.maximum(colour, 0) + 8
    off: Array = safe / safe.sum(-1, keepdims=True) - 1 / 3
    distance: Array = np.sqrt((off * off).sum(-1))
    return distance


def _white(saturation: Array, lids: Eyelids, iris: IrisCircle) -> float:
    """Return the saturation of the eye's white: that of the greyer side of the iris."""
    sides = [1.0]
    for side, corner in ((-1, lids.left), (1, lids.right)):
        rim = iris.u + side * (iris.radius + _OFF_RIM)
        room = (corner - rim) * side
        if room > _ROOM:
            sides.append(_column(saturation, lids, rim + side * room / 4, room / 4))
    return min(sides)


def _column(saturation: Array, lids: Eyelids, at: float, half: float = _CORNER_STEP) -> float:
    """Return the mean saturation around a column, along the middle of the opening."""
    upper, lower = (float(v) for v in lids.at(np.array(at)))
    middle, far = (upper + lower) / 2, max(_MIDDLE * (lower - upper), _LEAST)
    return _mean(saturation, (at - half, at + half), (middle - far, middle + far))


def _mean(saturation: Array, across: tuple[float, float], down: tuple[float, float]) -> float:
    """Return the mean saturation between two u (`across`) and two v (`down`); 0 where there is no sample."""
    field = saturation[EYE_VIEW_RASTER.window(across, down)]
    return float(field.mean()) if field.size else 0.0
