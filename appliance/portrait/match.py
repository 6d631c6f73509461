"""How far a detail has moved between the painting and a frame, by matching what was painted."""

from typing import Final

import numpy as np

from appliance.camera.averaging import Pixels
from appliance.portrait.eyes import Eye
from appliance.portrait.sampling import Array, cubic

# The part of the iris that is matched, in radii: its middle, away from lids and white.
_INNER: Final = 0.62
_COVERED: Final = 1.2
_LUMA: Final = np.array([0.299, 0.587, 0.114])


def iris_shift(painting: Pixels, frame: Pixels, eye: Eye, near: float = 0.0) -> float:
    """Return the shift in pixels along the face at which a frame's inner iris matches best.

    Parameters
    ----------
    near : where the search begins, in pixels; it goes a third of the eye's width to either side
    """
    reach = _INNER * eye.iris.radius
    across = np.linspace(-reach, reach, 17)
    u, v = np.meshgrid(eye.iris.u + across, eye.iris.v + across * 0.7)
    upper, lower = eye.lids.at(u)
    free = (v > upper + 0.08) & (v < lower - 0.05)
    # The catch-light stays where the lamp shows it: it is no part of the iris.
    free &= eye.layers.light_at(u, v)[0].max(-1) < 4
    if free.sum() < 30:
        free = np.ones(u.shape, bool)
    u, v = u[free], v[free]
    axes, best = eye.view.axes, near / eye.view.axes.width
    template = cubic(painting, *axes.to_picture(u, v)) @ _LUMA
    for step, count in ((0.02, 16), (0.002, 12)):
        shifts = best + step * np.arange(-count, count + 1)
        errors = [_unlike(cubic(frame, *axes.to_picture(u + d, v)) @ _LUMA, template) for d in shifts]
        best = float(shifts[int(np.argmin(errors))])
    return best * axes.width


def moved_by(painting: Pixels, frame: Pixels, left: int, top: int, side: int, reach: int = 6) -> float:
    """Return how far a square of the painting has moved in a frame along the rows, in pixels.

    Parameters
    ----------
    left, top, side : of the square, in pixels; it must lie `reach` or more inside the picture
    """
    template = painting[top : top + side, left : left + side] @ _LUMA
    strip = frame[top : top + side, left - reach : left + side + reach] @ _LUMA
    errors = np.array([_unlike(strip[:, d : d + side], template) for d in range(2 * reach + 1)])
    best = int(errors.argmin())
    if not 0 < best < 2 * reach:
        return float(abs(best - reach))
    before, here, after = errors[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(abs(best - reach + (0.5 * (before - after) / bend if bend > 1e-9 else 0.0)))


def _unlike(seen: Array, template: Array) -> float:
    """Return how unlike two patches are, but for brightness; what is quite different counts as covered."""
    difference = seen - template
    away = np.abs(difference - np.median(difference))
    return float(np.square(np.minimum(away, _COVERED * template.std() + 2)).mean())
