"""The white of the eye where the iris covered it, filled in from what lies beside it."""

import math
from typing import Final

import numpy as np

from appliance.portrait.iris import Iris
from appliance.portrait.lids import EyeView, Lids, columns, rows, smooth
from appliance.portrait.sampling import Array, blur, smoothstep, soft_edge

# Strips beside the hole are read from so many sigmas of the rim off it, where white may already end, to so
# far beyond the hole, in eye widths.
_OFF_RIM: Final = 1.6
_FARTHEST: Final = 0.2
_LUMA: Final = np.array([0.299, 0.587, 0.114])
# The hole's edge has this sigma at least, in eye widths, and this part of the rim's.
_EDGE: Final = 0.015
_AS_SOFT: Final = 0.8
# Strips are read from a picture blurred by this much: single specks and cracks are not the white.
_CALM: Final = 0.015
# What a side in a corner or in deep shadow borrows from the other is darkened to this, over the
# iris's middle and at the hole's edge: the eye is a ball.
_SHADE: Final = (0.95, 0.74)
# The filled white follows what is painted so close beside the hole if it is the side's own, so far if it
# is borrowed; clear of lids and corner by so much, where half the hole's chord is at least such a part
# of its radius; averaged over such a height. All in eye widths. Rows that have none there take part in
# a wider average of such weight; with less than the last in all, nothing is known.
_BESIDE: Final = (0.02, 0.06)
_CLEAR_LIDS: Final = 0.08
_CLEAR_CORNER: Final = 0.05
_MIDST: Final = 0.6
_ALIKE: Final = (0.04, 0.12)
_NEXT: Final = 0.1
_DOUBT: Final = 0.002
# It begins to so far beyond the iris's middle, in half chords.
_BEGINS: Final = 0.5
# How far a side's own white and borrowed white follow: limits of the logarithm of a ratio of light.
_OWN: Final = (-0.3, 0.15)
_LENT: Final = (-0.9, 0.3)
# White beside flesh is darkened by this part of what white beside shadow is.
_FLESHY: Final = 0.4
# Grey levels added to both lights of a ratio: in the dark it says little.
_DIM: Final = 8.0
# The step around the hole is read in so many directions, and blurred along the rim by the second constant.
# Inwards white or shadow fades over this, the longer one where the step is so large a part of the filled
# light; flesh fades over the last one. Lengths in eye widths, judged on the close-ups of 45 pictures.
_TURNS: Final = 120
_STEP_BLUR: Final = 0.03
_FADES: Final = (0.07, 0.2)
_MUCH: Final = 0.4
_FLESH_FADES: Final = 0.04
# The iris's blur has ended so many sigmas off its rim.
_BLURRED: Final = 1.5
# White is so far off the lids and corners, in eye widths, and lighter than what is filled by at most this
# part of it: a catch-light is no white.
_INSIDE: Final = 0.04
_LIGHTER: Final = 0.5
# Flesh is darker than white by less than this, in logarithms of light; from twice that on it is shadow. In
# the step around the hole what is darker by this part is shadow.
_HARDLY: Final = 0.25
# White is borrowed where a side is less sure than this.
_ENOUGH: Final = 0.2
# White next to the rim is at most so many times as light as what lies beyond it.
_BRIGHTEST: Final = 1.25
# Light that redness takes from a strip: so many grey levels for each level of red above green.
_REDDER: Final = 1.5
# So much redder than the other side, (R - G) / luminance, is flesh.
_FLESH: Final = 0.08
# The lids go on beyond their edges by this much, in eye widths.
_BEYOND: Final = 0.1
# Texture is what is finer than this, and a field of white must be this large, in eye widths.
_COARSE: Final = 0.03
_LEAST_FIELD: Final = 0.07
_MUTED: Final = 0.75


def hole(iris: Iris, distance: Array) -> Array:
    """Return 1 where the painted iris and its shadow must go, 0 beyond; `distance` from its centre."""
    return soft_edge(reach(iris) - distance, _edge(iris))


def fill(view: EyeView, lids: Lids, iris: Iris) -> Array:
    """Paint the eye's ground without its iris.

    Every point takes its colour from strips left and right of the hole, at its own distance from
    the lids, so that the lids' shadow goes on across. Of each strip the bright parts count most,
    else the rim's shadow and the lashes would grey the white.

    Returns
    -------
    RGB of the view's shape, the picture itself outside a rectangle around the hole; within the rectangle the
    caller takes only what lies in the hole
    """
    far = reach(iris)
    part = _part(lids, iris)
    u, v = np.meshgrid(columns()[part[1]], rows()[part[0]])
    upper, lower = lids.at(u)
    above, height = v - upper, np.maximum(lower - upper, 1e-3)
    chord = np.sqrt(np.maximum(far**2 - np.clip(v - iris.v, -far, far) ** 2, 0))
    edge = (chord + far) / 2
    calm = smooth(view.colour, _CALM)
    nearest = iris.radius + _OFF_RIM * iris.softness - far
    strips = np.linspace(nearest, _FARTHEST, 10)
    sides = [_beside(view, calm, lids, iris.u + side * edge, side, above, height, strips) for side in (-1, 1)]
    white, shadow = _white(sides, _luminance(calm, iris))
    (left, sure_left), (right, sure_right) = _lent(sides, white, shadow, abs(u - iris.u) / far)
    across = smoothstep((u - iris.u + chord) / (2 * chord + 1e-3))
    from_left: Array = (1.05 - across) * sure_left + 1e-4
    from_right: Array = (0.05 + across) * sure_right + 1e-4
    share: Array = (from_left / (from_left + from_right))[..., None]
    filled = smooth(right + share * (left - right), 0.012)
    for side, trust, dark in zip((-1, 1), white, shadow, strict=True):
        filled *= _as_beside(calm[part], lids, iris, filled, (u, v), side, trust, dark)
    ground = view.colour.copy()
    ground[part] = filled
    ground[part] += _step_around(view, calm, ground, lids, iris, (u, v))
    # Beyond the iris's blur what is lighter than the filled white is no rest of the iris.
    lighter = (calm[part] - ground[part]) @ _LUMA
    beyond = smoothstep((np.hypot(u - iris.u, v - iris.v) - iris.radius) / iris.softness - _BLURRED)
    kept = (beyond * np.clip(lighter / _DIM, 0, 1))[..., None]
    ground[part] += _grain(view, lids, iris, above.shape, white)
    ground[part] += kept * (view.colour[part] - ground[part])
    return ground


def reach(iris: Iris) -> float:
    """Return the radius of the hole that an iris leaves, in eye widths."""
    return iris.radius + 2.4 * iris.softness + 0.03


def _edge(iris: Iris) -> float:
    """Return the sigma of the hole's edge: as soft as what is painted there, in eye widths."""
    return max(_EDGE, _AS_SOFT * iris.softness)


def _part(lids: Lids, iris: Iris) -> tuple[slice, slice]:
    """Return the rows and columns of the view that the hole can show in."""
    far = reach(iris) + 6 * _edge(iris)
    first, last = np.searchsorted(columns(), [iris.u - far, iris.u + far])
    top, bottom = lids.upper[first:last].min(), lids.lower[first:last].max()
    up, down = np.searchsorted(rows(), [top - _BEYOND, bottom + _BEYOND])
    return slice(up, down), slice(first, last)


def _luminance(calm: Array, iris: Iris) -> float:
    """Return the mean luminance of the iris's inner part in grey levels."""
    u, v = np.meshgrid(columns(), rows())
    inner = np.hypot(u - iris.u, v - iris.v) < 0.8 * iris.radius
    return float((calm[inner] @ _LUMA).mean())


def _white(sides: list[tuple[Array, Array]], dark: float) -> tuple[list[float], list[float]]:
    """Return how white each side is, and how far it is shadow or white rather than flesh, 0 to 1.

    Not white is what hardly outshines the iris, of luminance `dark`, because of shadow, and what is
    redder than the other side: the corner's flesh, or skin where the iris leaves no white.
    """
    means = [np.average(colour.reshape(-1, 3), axis=0, weights=sure.ravel() + 1e-6) for colour, sure in sides]
    lights = [float(mean @ _LUMA) - dark for mean in means]
    reds = [float(_red(mean)) for mean in means]
    lit = [min(max(2 * light / max(*lights, 1.0), 0.0), 1.0) for light in lights]
    pale = [min(max(1.5 - (red - min(reds)) / _FLESH, 0.0), 1.0) for red in reds]
    both = list(zip(lit, pale, strict=True))
    return [a * b for a, b in both], [1 - a * (1 - b) for a, b in both]


def _red(colours: Array) -> Array:
    """Return how red colours are: red above green against the light."""
    red: Array = (colours[..., 0] - colours[..., 1]) / np.maximum(colours @ _LUMA, 1.0)
    return red


def _lent(
    sides: list[tuple[Array, Array]], white: list[float], shadow: list[float], away: Array
) -> list[tuple[Array, Array]]:
    """Let a side that is not white borrow from the other, the more shaded the farther `away`, 0 to 1.

    A side in shadow borrows nothing at the hole's edge, since there the shadow goes on.
    """
    shade = (_SHADE[0] + (_SHADE[1] - _SHADE[0]) * np.clip(away, 0, 1))[..., None]
    lent = []
    for number, (colour, sure) in enumerate(sides):
        trust, (other, other_sure) = white[number], sides[1 - number]
        dark = (1 - trust) * shadow[number] * smoothstep(away)
        own = np.maximum(trust * np.clip(sure / _ENOUGH, 0, 1), dark)[..., None]
        lent.append(
            (
                own * colour + (1 - own) * shade * other,
                np.maximum(trust * sure, (1 - own[..., 0]) * other_sure),
            )
        )
    return lent


def _as_beside(
    calm: Array,
    lids: Lids,
    iris: Iris,
    filled: Array,
    grid: tuple[Array, Array],
    side: int,
    trust: float,
    shadow: float,
) -> Array:
    """Return by what to multiply the filled white so that it goes on from what is painted beside the hole.

    White of the side's own is matched in colour. Borrowed white is matched in light, and in colour only
    to shadow: flesh beside it must not redden it, nor darken it as much.

    Parameters
    ----------
    calm, filled : the painting and the filled white, RGB of the grid's shape
    grid : u and v
    trust, shadow : how white the side is, and how far it is shadow rather than flesh, 0 to 1
    """
    u, v = grid
    far = reach(iris)
    chord = np.sqrt(np.maximum(far**2 - (v[:, 0] - iris.v) ** 2, 0))
    edge = iris.u + side * chord
    upper, lower = lids.at(edge)
    corner = lids.left if side < 0 else lids.right
    # Beside the hole there must be white, clear of the lids and of the corner.
    sure = np.clip(((corner - edge) * side - _CLEAR_CORNER) / _CLEAR_CORNER, 0, 1)
    for room in (v[:, 0] - upper - _CLEAR_LIDS, lower - v[:, 0] - _CLEAR_LIDS):
        sure *= np.clip(room / 0.03, 0, 1)
    sure *= np.clip((chord / far - _MIDST) / 0.2, 0, 1)
    row = np.arange(len(v))
    at, close, beside = (
        np.clip(np.searchsorted(u[0], edge + side * off), 0, u.shape[1] - 1) for off in (0, *_BESIDE)
    )
    painted = calm[row, beside] + trust * (calm[row, close] - calm[row, beside])
    ratio = np.log((np.maximum(painted, 0) + _DIM) / (np.maximum(filled[row, at], 0) + _DIM))
    # What is redder and hardly darker is flesh, where the white ends: it says nothing.
    fleshy = np.clip((_red(painted) - _red(filled[row, at])) / _FLESH - 0.5, 0, 1)
    sure *= 1 - fleshy * np.clip(2 + (ratio @ _LUMA) / _HARDLY, 0, 1)
    # Rows without such white go with the nearest that have it.
    near, far_off = (_down(np.column_stack([sure[:, None] * ratio, sure]), height) for height in _ALIKE)
    total = near + _NEXT * far_off
    ratio = total[:, :3] / (total[:, 3:] + _DOUBT)
    light = (ratio @ _LUMA)[:, None]
    own = np.clip(ratio, *_OWN)
    lent = np.clip(light, *_LENT)
    lent = np.where(lent < 0, _FLESHY + (1 - _FLESHY) * shadow, 1) * lent
    lent = lent + shadow * np.clip(ratio - light, *_OWN)
    level = lent + trust * (own - lent)
    across = smoothstep((u - iris.u) * side / np.maximum(chord, 1e-3)[:, None] + _BEGINS)
    factor: Array = np.exp(across[..., None] * level[:, None])
    return factor


def _step_around(
    view: EyeView, calm: Array, ground: Array, lids: Lids, iris: Iris, grid: tuple[Array, Array]
) -> Array:
    """Return what to add to the filled white so that it meets what is painted around it without a step.

    At the hole's edge what is painted there goes on unchanged. Next to the iris's rim the step is read anew,
    since the white may be narrower than the hole; from there inwards it fades.

    Parameters
    ----------
    calm, ground : the painting, and with the hole filled, RGB of the view's shape
    grid : u and v
    """
    turn = np.linspace(-math.pi, math.pi, _TURNS, endpoint=False)
    # Between the rim and the edge the whitest of what is painted counts: the rest may be the iris's shadow.
    first, last = iris.radius + _BLURRED * iris.softness, reach(iris)
    away = np.linspace(first, last, 6)[:, None]
    u, v = iris.u + away * np.cos(turn), iris.v + away * np.sin(turn)
    painted, filled = view.at(calm, u, v), view.at(ground, u, v)
    outer = painted[-1] - filled[-1]
    upper, lower = lids.at(u)
    inside = smoothstep(np.minimum.reduce([v - upper, lower - v, u - lids.left, lids.right - u]) / _INSIDE)
    whiteness = painted @ _LUMA - _REDDER * (painted[..., 0] - painted[..., 1])
    chosen = (inside * (whiteness - whiteness[0])).argmax(0), np.arange(_TURNS)
    inside, painted, filled = inside[chosen], painted[chosen], filled[chosen]
    inner = painted - filled
    # White and shadow go on far inwards; flesh, which is redder, and the light of lids and corners do not.
    pale = inside * (1 - np.clip((_red(painted) - _red(filled)) / _FLESH, 0, 1))
    lighter = inner @ _LUMA / (filled @ _LUMA + _DIM)
    dark = np.clip(-lighter / _HARDLY, 0, 1)
    share = (dark + (1 - dark) * pale * _LIGHTER / np.maximum(lighter, _LIGHTER))[:, None]
    deep = _FADES[0] + (_FADES[1] - _FADES[0]) * smoothstep(abs(lighter * share[:, 0]) / _MUCH - 0.5)
    # Along the edge it is blurred; the circle closes.
    sigma = _STEP_BLUR * _TURNS / (2 * math.pi * iris.radius)
    steps = np.tile(np.column_stack([outer, share * inner, (1 - share) * inner, deep]), (3, 1))
    steps = np.stack([blur(column, sigma)[_TURNS : 2 * _TURNS] for column in steps.T])
    u, v = grid[0] - iris.u, grid[1] - iris.v
    at, away = np.arctan2(v, u), np.hypot(u, v)
    steps = np.stack([np.interp(at, turn, step, period=2 * math.pi) for step in steps], -1)
    outwards = np.clip((away - first) / (last - first), 0, 1)[..., None]
    inwards = np.maximum(iris.radius - away, 0)[..., None]
    added: Array = steps[..., 3:6] * np.exp(-((inwards / steps[..., 9:]) ** 2))
    added += steps[..., 6:9] * np.exp(-((inwards / _FLESH_FADES) ** 2))
    added += outwards * (steps[..., :3] - added)
    return added


def _down(values: Array, height: float) -> Array:
    """Average each column of values (rows, n) over a height, in eye widths."""
    return np.column_stack([smooth(column, height) for column in values.T])


def _grain(view: EyeView, lids: Lids, iris: Iris, shape: tuple[int, ...], white: list[float]) -> Array:
    """Return fine texture of a shape: brush, cracks and canvas like those of the white around.

    A sample is cut from the larger side that is white, or, where there is hardly any, from the skin
    under the lower lid. White noise filtered by the sample has its variance, direction and colours
    and repeats nothing (Galerne, Gousseau and Morel, "Random Phase Textures", 2011).
    """
    far = reach(iris)
    fields = [
        _field(lids, lids.left + 0.1, iris.u - far - 0.02),
        _field(lids, iris.u + far + 0.02, lids.right - 0.1),
    ]
    sizes = [min(f[1] - f[0], f[3] - f[2]) * (trust > 0.7) for f, trust in zip(fields, white, strict=True)]
    bottom = float(lids.at(np.array([iris.u]))[1][0])
    fine = view.colour - smooth(view.colour, _COARSE)
    skin = sample = _cut(fine, (iris.u - 0.25, iris.u + 0.25, bottom + 0.07, bottom + 0.25))
    if max(sizes) > _LEAST_FIELD:
        sample = _cut(fine, fields[sizes.index(max(sizes))])
    if min(sample.size, skin.size) < 300:
        return np.zeros((*shape, 3))
    # Shading that is left in the sample must not make its grain louder than the skin's.
    loud = float(sample.std())
    sample = np.clip(sample - sample.mean((0, 1)), -2.5 * loud, 2.5 * loud)
    across, down = (float(abs(np.diff(sample, axis=axis)).mean()) for axis in (1, 0))
    # What runs one way is wrinkles, or the blocks of an enlarged JPEG: as grain it would be stripes.
    even = (min(across, down) / max(across, down, 1e-6)) ** 2
    quiet = _MUTED * even * min(1.0, float(skin.std()) / max(loud, 1e-6))
    # Without a window the sample's edges would run through all of the texture as streaks.
    window = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) for n in sample.shape[:2]))[..., None]
    sample *= window * quiet / math.sqrt(float((window * window).sum()))
    whole = (shape[0] + sample.shape[0], shape[1] + sample.shape[1])
    noise = np.random.default_rng(0).normal(size=whole)
    spectrum = np.fft.rfft2(noise)[..., None] * np.fft.rfft2(sample, whole, axes=(0, 1))
    texture: Array = np.fft.irfft2(spectrum, whole, axes=(0, 1))[-shape[0] :, -shape[1] :]
    return texture


def _cut(image: Array, field: tuple[float, float, float, float]) -> Array:
    left, right = np.searchsorted(columns(), field[:2])
    top, below = np.searchsorted(rows(), field[2:])
    return image[top:below, left:right]


def _field(lids: Lids, left: float, right: float) -> tuple[float, float, float, float]:
    """Return (left, right, top, bottom) of the clean white between two u, as far as the lids leave it."""
    upper, lower = lids.at(np.linspace(left, max(right, left), 9))
    return left, right, float(upper.max()) + 0.07, float(lower.min()) - 0.05


def _beside(
    view: EyeView,
    calm: Array,
    lids: Lids,
    start: Array,
    side: int,
    above: Array,
    height: Array,
    strips: Array,
) -> tuple[Array, Array]:
    """Return the colour found beside the hole, and how sure it is to be the white of the eye, 0 to 1."""
    corner = lids.left if side < 0 else lids.right
    along = smoothstep(above / height)
    colours, sure = [], []
    for strip in strips.tolist():
        u = start + side * strip
        upper, lower = lids.at(u)
        room = lower - upper
        down = np.where(above < 0, above, np.minimum(above, room)) * (1 - along)
        down += along * np.maximum(room - height + above, 0)
        colours.append(view.at(calm, u, upper + np.clip(down, -_BEYOND, room + _BEYOND)))
        inside = np.clip(((corner - u) * side - 0.03) / 0.05, 0, 1) * np.clip((room - 0.1) / 0.08, 0, 1)
        off = max(strip, 0.0)
        sure.append(inside * math.exp(-off / 0.07) + 1e-4 * math.exp(-off / 0.03))
    colour, weight = np.array(colours), np.array(sure)
    # A catch-light at the rim is much brighter than all beyond: as white it would be a streak.
    most = _BRIGHTEST * (colour[strips >= 0] @ _LUMA).max(0)
    colour *= np.minimum(most / np.maximum(colour @ _LUMA, 1.0), 1)[..., None]
    # Flesh may be lighter than white, but it is redder.
    light = colour @ _LUMA - _REDDER * (colour[..., 0] - colour[..., 1])
    brightest = np.where(weight > 0.05, light, -1).max(0)
    darker = np.minimum(light - np.where(brightest < 0, light[0], brightest), 0) / (0.12 * view.contrast)
    chosen = weight * np.exp(darker * smoothstep((above - 0.02) / 0.12))
    mean = (chosen[..., None] * colour).sum(0) / chosen.sum(0)[..., None]
    return mean, np.clip(0.4 * weight.sum(0), 0, 1)
