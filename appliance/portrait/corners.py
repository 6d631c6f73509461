"""Where an eye ends beside its iris: the corners, from the colours of white and skin."""

from dataclasses import replace
from typing import Final

import numpy as np

from appliance.portrait.iris import Iris
from appliance.portrait.lids import Lids
from appliance.portrait.sampling import Array
from appliance.portrait.view import EyeView, columns, rows

# Columns are looked at this far apart, in eye widths, from this far beyond the iris's rim.
_STEP: Final = 0.01
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
    count = int((last - first) * side / _STEP)
    white = _white(saturation, lids, iris)
    skin = _below(saturation, lids, *sorted((iris.u, last + side * 0.1)))
    if count < 2:
        return last
    if skin - white < _ALIKE:
        flesh = min(_FLESH, (last - first) * side) if inner else 0.0
        return last - side * flesh
    ends = first + side * _STEP * np.arange(count + 1)
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


def _column(saturation: Array, lids: Lids, at: float, half: float = _STEP) -> float:
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
