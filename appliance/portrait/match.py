"""How far a detail has moved between the painting and a frame, by matching what was painted."""

from itertools import product
from typing import Final

import numpy as np

from appliance.camera.averaging import Pixels
from appliance.portrait.eyes import Eye
from appliance.portrait.sampling import Array, cubic

# The part of the iris that is matched, in radii: its middle, away from lids and white.
_INNER: Final = 0.62
_COVERED: Final = 1.2
# Side of a piece of skin that is matched, in eye widths.
_SKIN: Final = 0.4
_LUMA: Final = np.array([0.299, 0.587, 0.114])


def iris_shift(painting: Pixels, frame: Pixels, eye: Eye, near: float = 0.0) -> float:
    """Return the shift in pixels along the face at which a frame's inner iris matches best.

    Parameters
    ----------
    near : where the search begins, in pixels; it goes a third of the eye's width to either side
    """
    u, v, template = _inner_iris(painting, eye)
    axes, best = eye.view.axes, near / eye.view.axes.width
    for step, count in ((0.02, 16), (0.002, 12)):
        shifts = best + step * np.arange(-count, count + 1)
        errors = [_unlike(cubic(frame, *axes.to_picture(u + d, v)) @ _LUMA, template) for d in shifts]
        best = float(shifts[int(np.argmin(errors))])
    return best * axes.width


def iris_way(painting: Pixels, frame: Pixels, eye: Eye, near: Array) -> tuple[float, float]:
    """Return the way along and down the face, in pixels, at which a frame's inner iris matches best.

    Parameters
    ----------
    near : (2,), where the search begins, in pixels; it goes .3 of the eye's width across, .15 up and down
    """
    return _best_way(frame, eye, *_inner_iris(painting, eye), near, (10, 5))


def socket_way(painting: Pixels, frame: Pixels, eye: Eye, near: Array) -> tuple[float, float]:
    """Return the way along and down the face, in pixels, of the skin around an eye: the median of four.

    Parameters
    ----------
    near : (2,), where the search begins, in pixels; it goes .12 of the eye's width to each side
    """
    ways = []
    a, b = (side.ravel() for side in np.meshgrid(*2 * [np.linspace(-_SKIN / 2, _SKIN / 2, 13)]))
    for u, v in product((-0.35, 0.35), (-0.55, 0.5)):
        template = cubic(painting, *eye.view.axes.to_picture(u + a, v + b)) @ _LUMA
        ways.append(_best_way(frame, eye, u + a, v + b, template, near, (4, 4)))
    along, down = np.median(ways, axis=0).tolist()
    return along, down


def _best_way(
    frame: Pixels, eye: Eye, u: Array, v: Array, template: Array, near: Array, reach: tuple[int, int]
) -> tuple[float, float]:
    """Return where samples of an eye's surroundings match best in a frame, along and down, in pixels."""
    axes, best = eye.view.axes, near / eye.view.axes.width
    for step, (across, down) in ((0.03, reach), (0.006, (5, 5))):
        steps = product(range(-across, across + 1), range(-down, down + 1))
        ways = [best + step * np.array(way) for way in steps]
        errors = [
            _unlike(cubic(frame, *axes.to_picture(u + way[0], v + way[1])) @ _LUMA, template) for way in ways
        ]
        best = ways[int(np.argmin(errors))]
    return float(best[0] * axes.width), float(best[1] * axes.width)


def _inner_iris(painting: Pixels, eye: Eye) -> tuple[Array, Array, Array]:
    """Return u and v of the samples of the inner iris that are matched, and their luminance as painted."""
    reach = _INNER * eye.iris.radius
    across = np.linspace(-reach, reach, 17)
    u, v = np.meshgrid(eye.iris.u + across, eye.iris.v + across * 0.7)
    upper, lower = eye.lids.at(u)
    free = (v > upper + 0.08) & (v < lower - 0.05)
    # The catch-light stays where the lamp shows it: it is no part of the iris.
    for light in eye.layers.lights:
        free &= light.at(u, v)[0].max(-1) < 4
    if free.sum() < 30:
        free = np.ones(u.shape, bool)
    u, v = u[free], v[free]
    return u, v, cubic(painting, *eye.view.axes.to_picture(u, v)) @ _LUMA


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
