"""The catch-light: a lamp's reflection in the eye, which lags behind when the iris turns."""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.portrait.iris import IrisCircle, iris_window
from appliance.portrait.lids import EYE_VIEW_RASTER, Eyelids, EyeView
from appliance.portrait.sampling import Array, Mask

# Chosen by eye unless another origin is given.

# The fraction of the iris's way that the reflection goes when the eye turns: the cornea's centre of curvature
# lies some 5.3 mm in front of the eye's centre of rotation, the iris 10.2 mm (anatomy).
CATCH_LIGHT_FOLLOWS: Final = 0.55
# A catch-light is brighter than the iris by at least this fraction of the eye's contrast.
_LEAST: Final = 0.38
# Fractions of its peak down to which it is counted; the first at which it stands alone is taken.
_PARTS: Final = (0.22, 0.4, 0.55, 0.7)
_LARGEST: Final = 0.16  # it covers at most this fraction of the iris's disc
_MANY: Final = 3  # at most this many are looked for inside the iris, and as many across its rim
# A further catch-light has at least this fraction of the first one's height, otherwise it is a fleck of the
# iris.
_DIMMER: Final = 0.5
_INSIDE: Final = 0.85  # the first search goes this far from the iris's middle, in radii
_ACROSS: Final = 1.15  # the second search, across the rim, goes this far, in radii
_OUT: Final = 1.6  # the part of the view that is searched ends this far from the middle, in radii
_EDGE: Final = 0.05  # a catch-light must end this far before that part's edge, in radii
# Its reach against that of a disc of its area, at most: inside and across the rim, where a strip of white is
# longer than a lamp.
_COMPACT: Final = (1.7, 1.4)
# One that touches the white must reach nearer to the centre than this, in radii; otherwise it is white.
_DEEP: Final = 0.8
_ALONG: Final = 2.3  # its width along the rim is at most this many times its depth; otherwise it is white
_NEAR_RIM: Final = 0.9  # from here outwards it touches the rim, in radii
# A narrow bridge from the catch-light to the white is removed by eroding it by the first of these numbers of
# samples that is enough.
_THIN: Final = (0, 3, 6)
_ROUND: Final = 1.2  # what remains then ends at this many times its own reach, because a lamp is round
# Its glow continues while each ring around it, one sample wide, is darker than the one before by this
# fraction of the eye's contrast.
_FALLS: Final = 0.006
_RINGS: Final = (3, 20)  # least and greatest number of such rings
# It is looked for this far off the upper and the lower lid, in eye widths, because what touches a lid is skin
# or its wet rim.
_OFF_LIDS: Final = (0.03, 0.05)
_CLEAR_OF_LIDS: Final = 0.01  # it must end this much farther off the lids, in eye widths
_SWEEPS: Final = 400  # rounds of averaging that fill a gap


class CatchLightMap(NamedTuple):
    """The catch-lights of an eye, each array (rows, columns) of its view.

    `lit` is the number of the catch-light, from 1 on, at the samples that it and its glow cover, else 0.
    `beyond` marks where one was cut off from the white at the rim: what is painted there says nothing about
    what lies under the light. `disc` marks where the iris is seen.
    """

    lit: NDArray[np.uint8]
    beyond: Mask
    disc: Mask


def find_catch_lights(view: EyeView, lids: Eyelids, iris: IrisCircle) -> CatchLightMap:
    """Find the catch-lights on an iris and across its rim."""
    near = iris_window(iris, _OUT * iris.radius)
    away, turn, seen = _disc(lids, iris, near)
    disc = seen & (away < 1)
    ends = seen & ~_disc(lids, iris, near, _CLEAR_OF_LIDS)[2]
    light = view.light[near]
    glints = CatchLightMap(*(np.zeros(view.light.shape, kind) for kind in (np.uint8, bool, bool)))
    numbers, beyond = glints.lit[near], glints.beyond[near]
    glints.disc[near] = disc
    if not disc.any():
        return glints
    dark, size = float(np.median(light[disc])), int((away < 1).sum())
    found = np.zeros(disc.shape, bool)
    for inside in (True, False):
        rest = seen & (away < (_INSIDE if inside else _ACROSS)) & ~found
        least = _LEAST
        for _ in range(_MANY):
            peak = float(np.where(rest, light, -9).max())
            if not rest.any() or peak - dark < least:
                break
            least = max(least, _DIMMER * (peak - dark))
            seed = rest & (light == peak)
            parts = [~found & (light > dark + part * (peak - dark)) for part in _PARTS]
            spot, alone = _first(seed, [seen & part for part in parts], ends | (away > _OUT - _EDGE))
            alone &= bool((spot & disc).any()) and _reach(spot) < _COMPACT[not inside]
            within = seen
            if inside:
                inner, clear = _first(seed, [disc & part for part in parts], ends | (away > _NEAR_RIM))
                if clear:
                    spot, alone, within = inner, True, disc & (away < _NEAR_RIM)
                elif not alone:
                    spot, within = _cut_off(inner, away, turn), disc
                    alone = bool(spot.any()) and not (spot & ends).any() and _peaks_inside(spot, away, light)
            if alone and spot.sum() < _LARGEST * size:
                lit = _with_glow(spot, within, light)
                found |= lit
                numbers[lit] = numbers.max() + 1
                if within is disc:
                    beyond |= seen & (away >= 1) & _behind(lit, turn)[0]
            rest &= ~(spot | found)
    return glints


def inpaint(image: Array, gone: Mask, known: Mask) -> Array:
    """Fill what is missing in an image (rows, columns, n) as its surroundings suggest (Laplace's equation).

    The samples in `gone` are filled, except on the image's border, from those in `known`.
    """
    filled: Array = image.copy()
    gone = gone.copy()
    gone[[0, -1]] = gone[:, [0, -1]] = False  # samples on the border lack a neighbour
    if not gone.any():
        return filled
    down, across = (np.flatnonzero(gone.any(axis)) for axis in (1, 0))
    part = slice(down[0] - 1, down[-1] + 2), slice(across[0] - 1, across[-1] + 2)
    gone, inside = gone[part], (known | gone)[part].astype(float)[..., None]
    count = np.maximum(_neighbours(inside), 1)[gone]
    around = inside * ~gone[..., None]
    level = (filled[part] * around).sum((0, 1)) / max(around.sum(), 1)
    crop = np.where(gone[..., None], level, filled[part])
    for _ in range(_SWEEPS):
        crop[gone] = _neighbours(crop * inside)[gone] / count
    filled[part] = crop
    return filled


def _disc(
    lids: Eyelids, iris: IrisCircle, part: tuple[slice, slice], farther: float = 0.0
) -> tuple[Array, Array, Mask]:
    """Return distance from the iris's centre in radii, direction in radians, and what is off the lids."""
    u, v = EYE_VIEW_RASTER.mesh(part)
    away = np.hypot(u - iris.u, v - iris.v) / iris.radius
    upper = lids.upper[part[1]] + _OFF_LIDS[0] + farther
    lower = lids.lower[part[1]] - _OFF_LIDS[1] - farther
    seen = (v > upper) & (v < lower)
    return away, np.arctan2(v - iris.v, u - iris.u), seen


def _first(seed: Mask, parts: list[Mask], off: Mask) -> tuple[Mask, bool]:
    """Return the first spot around a seed that stays off a border, else the last; and whether it does."""
    for part in parts:
        spot = _connected(seed, part)
        if not (spot & off).any():
            return spot, True
    return spot, False


def _reach(spot: Mask) -> float:
    """Return how far a spot reaches from its middle, in radii of a disc of its area; a lamp is round."""
    down, across = np.nonzero(spot)
    farthest = np.hypot(down - down.mean(), across - across.mean()).max()
    return float(farthest / math.sqrt(spot.sum() / math.pi))


def _cut_off(spot: Mask, away: Array, turn: Array) -> Mask:
    """Cut a spot that touches the white off at the rim; return nothing if it rather lies along the rim."""
    for thin in _THIN:
        core = spot & (away < _NEAR_RIM)
        # Erosion removes white along the rim that is thinner than the spot.
        for _ in range(thin):
            core = ~_highest(~core)
        if not core.any():
            break
        nearest = float(away[core].min())
        core = _connected(core & (away == nearest), core)
        for _ in range(thin):
            core = _highest(core) & spot
        nearest = float(away[core].min())
        behind, angle = _behind(core, turn)
        if nearest < _DEEP and angle < _ALONG * (1 - nearest):
            across, down = away * np.cos(turn), away * np.sin(turn)
            apart = np.hypot(across - across[core].mean(), down - down[core].mean())
            cut: Mask = spot & behind & (apart < _ROUND * apart[core].max())
            return cut
    return np.zeros_like(spot)


def _peaks_inside(spot: Mask, away: Array, light: Array) -> bool:
    """Return whether a spot is brighter inside than at the rim; white in the disc brightens up to there."""
    rim, inner = spot & (away > _NEAR_RIM), spot & (away < _DEEP)
    return not rim.any() or float(light[inner].max()) > float(light[rim].mean())


def _behind(spot: Mask, turn: Array) -> tuple[Mask, float]:
    """Return the samples in the directions of a spot, seen from the centre, and the angle that it covers."""
    towards = np.angle(np.exp(1j * turn[spot]).mean())
    off = abs(np.angle(np.exp(1j * (turn - towards))))
    widest = float(off[spot].max())
    return off <= widest, 2 * widest


def _with_glow(spot: Mask, disc: Mask, light: Array) -> Mask:
    """Grow a spot over its glow: as long as it gets darker outwards."""
    least, most = _RINGS
    level = float(light[spot].mean())
    for count in range(most):
        # Do not grow across a dark valley: beyond it lies the white, or another light.
        ring = _highest(spot) & disc & ~spot & (light <= _highest(np.where(spot, light, -9)))
        here = float(light[ring].mean()) if ring.any() else level
        if count >= least and level - here < _FALLS:
            break
        spot, level = spot | ring, here
    return spot


def _connected(seed: Mask, allowed: Mask) -> Mask:
    """Grow a seed through all that is allowed and touches it."""
    grown: Mask = seed & allowed
    count = 0
    while grown.sum() != count:
        count = int(grown.sum())
        for _ in range(8):
            grown = _highest(grown) & allowed
    return grown


def _highest(values: NDArray[Any]) -> NDArray[Any]:
    """Return the largest of each point and its four neighbours; a mask is grown by one sample."""
    highest = values.copy()
    for to, of in ((np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:])):
        highest[to] = np.maximum(highest[to], values[of])
        highest[:, to] = np.maximum(highest[:, to], values[:, of])
    return highest


def _neighbours(values: Array) -> Array:
    """Return the sum of the four neighbours of each point but those on the border."""
    total: Array = np.zeros(values.shape)
    total[1:-1, 1:-1] = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    return total
