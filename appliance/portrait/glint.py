"""The catch-light: a lamp's reflection in the eye, which stays with the lamp while the iris turns."""

from typing import Final

import numpy as np

from appliance.portrait.iris import Iris, around
from appliance.portrait.lids import Lids
from appliance.portrait.sampling import Array, Mask
from appliance.portrait.view import EyeView, columns, rows

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
# part of the eye's contrast, and at most so many rings.
_FALLS: Final = 0.006
_RINGS: Final = (3, 20)
# How far from the upper and the lower lid it is sought, in eye widths, and how far off it must end:
# what touches a lid is skin or its wet rim.
_OFF_LIDS: Final = (0.03, 0.05)
_CLEAR_OF_LIDS: Final = 0.01
_MARGIN: Final = 0.02
_SWEEPS: Final = 400


def find_glints(view: EyeView, lids: Lids, iris: Iris) -> Mask:
    """Find the catch-lights on an iris with their glow.

    Returns
    -------
    Where they are, of the view's rows and columns; all within the iris's disc
    """
    near = around(iris, iris.radius + _MARGIN)
    away, turn, disc = _disc(lids, iris, near)
    ends = disc & ~_disc(lids, iris, near, _CLEAR_OF_LIDS)[2]
    light = view.light[near]
    everywhere = np.zeros(view.light.shape, bool)
    found = everywhere[near]
    if not disc.any():
        return everywhere
    rest = disc & (away < 0.85)
    dark, size = float(np.median(light[disc])), int((away < 1).sum())
    least = _LEAST
    for _ in range(_MANY):
        peak = float(np.where(rest, light, -9).max())
        if not rest.any() or peak - dark < least:
            break
        least = max(least, _DIMMER * (peak - dark))
        seed = rest & (light == peak)
        for part in _PARTS:
            spot = _connected(seed, disc & ~found & (light > dark + part * (peak - dark)))
            alone = not (spot & (ends | (away > _NEAR_RIM))).any()
            if not alone and part == _PARTS[-1]:
                spot = _cut_off(spot, away, turn)
                alone = bool(spot.any()) and not (spot & ends).any() and _peaks_inside(spot, away, light)
            if alone and spot.sum() < _LARGEST * size:
                at_rim = bool((spot & (away > _NEAR_RIM)).any()) & _behind(spot, turn)[0]
                found |= _with_glow(spot, disc & ((away < _NEAR_RIM) | at_rim), light)
                break
        rest &= ~(spot | found)
    return everywhere


def without_glints(view: EyeView, lids: Lids, iris: Iris, glints: Mask) -> Array:
    """Paint the iris without its catch-lights: as smooth a skin as what surrounds them can hold.

    Returns
    -------
    RGB of the view's shape, the picture itself beyond the catch-lights
    """
    colour: Array = view.colour.copy()
    if not glints.any():
        return colour
    down, across = (np.flatnonzero(glints.any(axis)) for axis in (1, 0))
    part = slice(down[0] - 1, down[-1] + 2), slice(across[0] - 1, across[-1] + 2)
    # Where one ends at the rim nothing is known beyond: only the disc counts.
    domain = _disc(lids, iris, part)[2] | glints[part]
    gone, inside = glints[part], domain.astype(float)[..., None]
    count = np.maximum(_neighbours(inside), 1)[gone]
    known = inside * ~gone[..., None]
    level = (colour[part] * known).sum((0, 1)) / max(known.sum(), 1)
    filled: Array = np.where(gone[..., None], level, colour[part])
    for _ in range(_SWEEPS):
        filled[gone] = _neighbours(filled * inside)[gone] / count
    colour[part] = filled
    return colour


def _disc(
    lids: Lids, iris: Iris, part: tuple[slice, slice], farther: float = 0.0
) -> tuple[Array, Array, Mask]:
    """Return distance from the iris's centre in radii, direction, and where its disc is seen, in a part."""
    u, v = np.meshgrid(columns()[part[1]], rows()[part[0]])
    away = np.hypot(u - iris.u, v - iris.v) / iris.radius
    upper = lids.upper[part[1]] + _OFF_LIDS[0] + farther
    lower = lids.lower[part[1]] - _OFF_LIDS[1] - farther
    seen = (away < 1) & (v > upper) & (v < lower)
    return away, np.arctan2(v - iris.v, u - iris.u), seen


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
