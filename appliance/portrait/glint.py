"""The catch-light: a lamp's reflection in the eye, which stays with the lamp while the iris turns."""

from typing import Final

import numpy as np

from appliance.portrait.iris import Iris
from appliance.portrait.sampling import Array, Mask, smoothstep
from appliance.portrait.view import EyeView, columns, rows, smooth

# The cornea mirrors the lamp: when the eye turns, the reflection goes about half the iris's way (the
# cornea's centre of curvature lies some 5.3 mm in front of the eye's centre of rotation, the iris 10.2).
KEEPS_UP: Final = 0.55
# A catch-light is this much brighter than the iris around it, in parts of the eye's contrast. Its
# glow is counted down to the first of these parts of its peak at which it stands alone.
_LEAST: Final = 0.3
_GLOWS: Final = (0.22, 0.4, 0.55, 0.7)
# It covers at most this part of the iris's disc.
_LARGEST: Final = 0.16
_INSIDE: Final = 0.93
# Its surroundings, for what lies under it, in eye widths.
_AROUND: Final = 0.035
_HALO: Final = 0.018
_MANY: Final = 3


def find_glint(view: EyeView, iris: Iris) -> Array:
    """Return the light that catch-lights add to an iris, RGB of the view's shape, 0 elsewhere."""
    u, v = np.meshgrid(columns(), rows())
    away = np.hypot(u - iris.u, v - iris.v) / iris.radius
    disc = away < _INSIDE
    light = view.light
    glow = np.zeros(light.shape)
    rest = disc & (away < 0.85)
    dark = float(np.median(light[disc]))
    for _ in range(_MANY):
        peak = float(np.where(rest, light, -9).max())
        if not rest.any() or peak - dark < _LEAST:
            break
        seed = rest & (light == peak)
        for part in _GLOWS:
            spot = _connected(seed, disc & (light > dark + part * (peak - dark)))
            if spot.sum() < _LARGEST * (away < 1).sum() and not (spot & (away > 0.9)).any():
                glow[spot] = 1
                break
        rest &= ~spot
    if not glow.any():
        return np.zeros(view.colour.shape)
    wide = smoothstep(smooth(glow, _HALO) * 4)
    under = _filled(view.colour, wide, disc & (wide < 0.05))
    added: Array = wide[..., None] * (view.colour - under)
    return added


def _filled(colour: Array, hole: Array, known: Mask) -> Array:
    """Return the colours with a hole filled by what is known around it."""
    weight = smooth(known.astype(float), _AROUND)[..., None]
    mean = smooth(colour * known[..., None], _AROUND) / np.maximum(weight, 1e-3)
    # Far inside a large hole nothing known is near: there the mean of all that is known.
    whole = colour[known].mean(0) if known.any() else colour.mean((0, 1))
    share = np.clip(weight / 0.05, 0, 1)
    filled: Array = np.where(hole[..., None] > 0, share * mean + (1 - share) * whole, colour)
    return filled


def _connected(seed: Mask, allowed: Mask) -> Mask:
    """Grow a seed through all that is allowed and touches it."""
    grown: Mask = seed & allowed
    count = 0
    while grown.sum() != count:
        count = int(grown.sum())
        for _ in range(8):
            wide = grown.copy()
            wide[1:] |= grown[:-1]
            wide[:-1] |= grown[1:]
            wide[:, 1:] |= grown[:, :-1]
            wide[:, :-1] |= grown[:, 1:]
            grown = wide & allowed
    return grown
