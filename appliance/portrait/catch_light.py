"""The catch-light: a lamp's reflection in the eye, which stays with the lamp while the iris turns."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.portrait.iris import Iris, around
from appliance.portrait.lids import EyeView, Lids, columns, rows
from appliance.portrait.sampling import Array, Mask

# The cornea mirrors the lamp: when the eye turns, the reflection goes about half the iris's way (the
# cornea's centre of curvature lies some 5.3 mm in front of the eye's centre of rotation, the iris 10.2).
KEEPS_UP: Final = 0.55
# A catch-light is this much brighter than the iris around it, in parts of the eye's contrast. It is
# counted down to the first of these parts of its peak at which it stands alone.
_LEAST: Final = 0.38
_PARTS: Final = (0.22, 0.4, 0.55, 0.7)
# It covers at most this part of the iris's disc.
_LARGEST: Final = 0.16
_MANY: Final = 3
# After one was found, another must have this part of its height, else it is a fleck of the iris.
_DIMMER: Final = 0.5
# It is sought so far from the iris's middle: first inside, then across the rim, where it must end before the
# edge of what is looked at, in radii. If it does, it reaches at most so many times as far as a disc of its
# area, less in the second search: a strip of white at the rim is longer.
_INSIDE: Final = 0.85
_ACROSS: Final = 1.15
_OUT: Final = 1.6
_EDGE: Final = 0.05
_COMPACT: Final = (1.7, 1.4)
# One that touches the white is cut off at the rim. It reaches so near to the centre, in radii, and
# along the rim no farther than so many times its depth: else it is white that the disc covers.
_DEEP: Final = 0.8
_ALONG: Final = 2.3
_NEAR_RIM: Final = 0.9
# A narrow bridge from the catch-light to the white is removed by eroding it, by the first of these numbers of
# samples that is enough. The rest ends at the second constant times its own reach, because a lamp is round.
_THIN: Final = (0, 3, 6)
_ROUND: Final = 1.2
# Its glow goes on while each ring around it, one sample wide, is darker than the one before by this
# part of the eye's contrast, for at least and at most so many rings.
_FALLS: Final = 0.006
_RINGS: Final = (3, 20)
# How far from the upper and the lower lid it is sought, in eye widths, and how much farther off it must end:
# what touches a lid is skin or its wet rim.
_OFF_LIDS: Final = (0.03, 0.05)
_CLEAR_OF_LIDS: Final = 0.01
_SWEEPS: Final = 400


class Glints(NamedTuple):
    """The catch-lights of an eye, on its view's rows and columns.

    `lit` has the number, from 1 on, of the one that is there with its glow, else 0. `beyond` is where one
    was cut off from the white at the rim: what is painted there says nothing about what is under the light.
    `disc` is where the iris is seen.
    """

    lit: NDArray[np.uint8]
    beyond: Mask
    disc: Mask


def find_glints(view: EyeView, lids: Lids, iris: Iris) -> Glints:
    """Find the catch-lights on an iris and across its rim."""
    near = around(iris, _OUT * iris.radius)
    away, turn, seen = _disc(lids, iris, near)
    disc = seen & (away < 1)
    ends = seen & ~_disc(lids, iris, near, _CLEAR_OF_LIDS)[2]
    light = view.light[near]
    glints = Glints(*(np.zeros(view.light.shape, kind) for kind in (np.uint8, bool, bool)))
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


def painted_over(image: Array, gone: Mask, known: Mask) -> Array:
    """Fill an image (rows, columns, n) where something is gone, as smoothly as its surroundings can hold."""
    filled: Array = image.copy()
    gone = gone.copy()
    gone[[0, -1]] = gone[:, [0, -1]] = False  # on the border not all neighbours are known
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
    lids: Lids, iris: Iris, part: tuple[slice, slice], farther: float = 0.0
) -> tuple[Array, Array, Mask]:
    """Return distance from the iris's centre in radii, direction, and what is off the lids, in a part."""
    u, v = np.meshgrid(columns()[part[1]], rows()[part[0]])
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
    """Cut a spot that touches the white off at the rim; nothing if it rather lies along the rim."""
    for thin in _THIN:
        core = spot & (away < _NEAR_RIM)
        # What is thinner than the spot, white along the rim that joins it, is worn away.
        for _ in range(thin):
            core = ~_grown(~core)
        if not core.any():
            break
        nearest = float(away[core].min())
        core = _connected(core & (away == nearest), core)
        for _ in range(thin):
            core = _grown(core) & spot
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
    """Return what lies in the directions of a spot, seen from the centre, and the angle it takes up."""
    towards = np.angle(np.exp(1j * turn[spot]).mean())
    off = abs(np.angle(np.exp(1j * (turn - towards))))
    widest = float(off[spot].max())
    return off <= widest, 2 * widest


def _with_glow(spot: Mask, disc: Mask, light: Array) -> Mask:
    """Grow a spot over its glow: as long as it gets darker outwards."""
    least, most = _RINGS
    level = float(light[spot].mean())
    for count in range(most):
        # Beyond a valley it is the white, or another light.
        ring = _grown(spot) & disc & ~spot & (light <= _highest(np.where(spot, light, -9)))
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
            grown = _grown(grown) & allowed
    return grown


def _grown(mask: Mask) -> Mask:
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    return wide


def _highest(values: Array) -> Array:
    """Return the largest of each point and its four neighbours."""
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
