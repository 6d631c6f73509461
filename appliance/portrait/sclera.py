"""The white of the eye (sclera) where the painted iris hid it, filled in from the white beside it."""

import math
from typing import Final

import numpy as np

from appliance.portrait.iris import IrisCircle
from appliance.portrait.lids import EYE_VIEW_RASTER, Eyelids, EyeView, smooth_view
from appliance.portrait.sampling import LUMA, Array, gaussian_blur, smoothstep, soft_edge

# Chosen by eye unless another origin is given; lengths are in eye widths.

# Strips beside the hole begin this many sigmas of the rim's blur off the rim: white may already end there.
_OFF_RIM: Final = 1.6
_FARTHEST: Final = 0.2  # strips beside the hole end this far beyond it
_HOLE_BLURS: Final = 2.4  # the hole reaches this many sigmas of the rim's blur beyond the iris
_HOLE_SHADOW: Final = 0.03  # it reaches this much farther because of the iris's shadow
_EDGE: Final = 0.015  # least sigma of the hole's edge
_AS_SOFT: Final = 0.8  # sigma of the hole's edge as a fraction of the rim's own
# Blur (sigma) of the picture that strips are read from: single specks and cracks are not the white.
_CALM: Final = 0.015
# Blur (sigma) of the filled white, so that no seam shows between the strips that were read at different
# heights; texture is added afterwards.
_SEAM_BLUR: Final = 0.012
# White borrowed from the other side is darkened by these factors, over the iris's middle and at the hole's
# edge, because the eye is a ball.
_SHADE: Final = (0.95, 0.74)
# Distance beside the hole at which the painting is read for matching: where the white is the side's own, and
# where it is borrowed.
_BESIDE: Final = (0.02, 0.06)
_CLEAR_LIDS: Final = 0.08  # matching uses only white this far off the lids
_CLEAR_CORNER: Final = 0.05  # matching uses only white this far off the corner
# Matching uses only rows in which half the hole's chord is at least this fraction of its radius.
_MIDST: Final = 0.6
# The match is averaged over this height: near rows, and a wider average for rows without usable white.
_ALIKE: Final = (0.04, 0.12)
_NEXT: Final = 0.1  # weight of the wider average against the near rows
_DOUBT: Final = 0.002  # with less weight than this in total, a row has nothing to match and is left alone
_BEGINS: Final = 0.5  # the match begins this far beyond the iris's middle on the other side, in half chords
_OWN: Final = (-0.3, 0.15)  # limits of the match of a side's own white, as the logarithm of a ratio of light
_LENT: Final = (-0.9, 0.3)  # limits of the match of borrowed white, as the logarithm of a ratio of light
_FLESHY: Final = 0.4  # white beside flesh is darkened by this fraction of what white beside shadow is
# Grey levels added to both sides of a ratio of light, because in the dark a ratio says little.
_DIM: Final = 8.0
_TURNS: Final = 120  # number of directions in which the step around the hole is read
_STEP_BLUR: Final = 0.03  # blur (sigma) of that step along the rim (45 pictures)
# A correction towards white or shadow fades inwards over these lengths: for a small step and for a large one
# (45 pictures).
_FADES: Final = (0.07, 0.2)
_MUCH: Final = 0.4  # a step is large if it is this fraction of the filled light (45 pictures)
_FLESH_FADES: Final = 0.04  # a correction towards flesh fades inwards over this length (45 pictures)
_BLURRED: Final = 1.5  # the iris's blur has ended this many sigmas off its rim
_INSIDE: Final = 0.04  # white next to the rim is read this far off lids and corners
# White next to the rim may be lighter than the filled white by this fraction: more is a catch-light.
_LIGHTER: Final = 0.5
# Flesh is darker than white by less than this, as the logarithm of a ratio of light; from twice this on it is
# shadow.
_HARDLY: Final = 0.25
_ENOUGH: Final = 0.2  # a side that is less sure of its white than this, 0 to 1, borrows
# White next to the rim is at most this many times as light as what lies beyond it: a catch-light there would
# become a streak.
_BRIGHTEST: Final = 1.25
# Grey levels of light taken from a strip for each level of red above green: flesh may be lighter than white,
# but is redder.
_REDDER: Final = 1.5
_FLESH: Final = 0.08  # what is redder than the other side by this, as (R - G) / luminance, is flesh
_BEYOND: Final = 0.1  # how far beyond their edges the lids are painted
_COARSE: Final = 0.03  # texture is what is finer than this blur (sigma)
_LEAST_FIELD: Final = 0.07  # least side of a field of white from which texture is taken
# The texture's strength as a fraction of the sample's: full strength looks noisier than the painting.
_MUTED: Final = 0.75


def iris_hole_weight(iris: IrisCircle, distance: Array) -> Array:
    """Return 1 where the painted iris and its shadow must be painted over, falling to 0 beyond.

    `distance` is that from the iris's centre, in eye widths, of any shape.
    """
    return soft_edge(iris_hole_radius(iris) - distance, _edge(iris))


def fill_sclera(view: EyeView, lids: Eyelids, iris: IrisCircle) -> Array:
    """Paint an eye without its iris.

    Every point takes its colour from strips left and right of the hole, at its own distance from the lids, so
    that the lids' shadow continues across. In each strip the bright parts count most, because the rim's
    shadow and the lashes would grey the white. The result is RGB of the view's shape (rows, columns, 3) in
    grey levels: the painting itself outside a rectangle around the hole. Within the rectangle only what lies
    in the hole is valid, see `iris_hole_weight`.
    """
    far = iris_hole_radius(iris)
    part = _part(lids, iris)
    u, v = EYE_VIEW_RASTER.mesh(part)
    upper, lower = lids.at(u)
    above, height = v - upper, np.maximum(lower - upper, 1e-3)
    chord = np.sqrt(np.maximum(far**2 - np.clip(v - iris.v, -far, far) ** 2, 0))
    edge = (chord + far) / 2
    calm = smooth_view(view.colour, _CALM)
    nearest = iris.radius + _OFF_RIM * iris.softness - far
    strips = np.linspace(nearest, _FARTHEST, 10)
    sides = [_beside(view, calm, lids, iris.u + side * edge, side, above, height, strips) for side in (-1, 1)]
    white, shadow = _white(sides, _luminance(calm, iris))
    (left, sure_left), (right, sure_right) = _lent(sides, white, shadow, abs(u - iris.u) / far)
    across = smoothstep((u - iris.u + chord) / (2 * chord + 1e-3))
    from_left: Array = (1.05 - across) * sure_left + 1e-4
    from_right: Array = (0.05 + across) * sure_right + 1e-4
    share: Array = (from_left / (from_left + from_right))[..., None]
    filled = smooth_view(right + share * (left - right), _SEAM_BLUR)
    for side, trust, dark in zip((-1, 1), white, shadow, strict=True):
        filled *= _as_beside(calm[part], lids, iris, filled, (u, v), side, trust, dark)
    ground = view.colour.copy()
    ground[part] = filled
    ground[part] += _step_around(view, calm, ground, lids, iris, (u, v))
    # Keep what is lighter than the filled white beyond the iris's blur: it cannot belong to the iris.
    lighter = (calm[part] - ground[part]) @ LUMA
    beyond = smoothstep((np.hypot(u - iris.u, v - iris.v) - iris.radius) / iris.softness - _BLURRED)
    kept = (beyond * np.clip(lighter / _DIM, 0, 1))[..., None]
    ground[part] += _grain(view, lids, iris, above.shape, white)
    ground[part] += kept * (view.colour[part] - ground[part])
    return ground


def iris_hole_radius(iris: IrisCircle) -> float:
    """Return the radius in eye widths of the hole that is painted over: the iris, its blur and its shadow."""
    return iris.radius + _HOLE_BLURS * iris.softness + _HOLE_SHADOW


def _edge(iris: IrisCircle) -> float:
    """Return the sigma of the hole's edge in eye widths: as soft as what is painted there."""
    return max(_EDGE, _AS_SOFT * iris.softness)


def _part(lids: Eyelids, iris: IrisCircle) -> tuple[slice, slice]:
    """Return the rows and columns of the view in which the hole can show."""
    far = iris_hole_radius(iris) + 6 * _edge(iris)
    first, last = np.searchsorted(EYE_VIEW_RASTER.columns(), [iris.u - far, iris.u + far])
    top, bottom = lids.upper[first:last].min(), lids.lower[first:last].max()
    up, down = np.searchsorted(EYE_VIEW_RASTER.rows(), [top - _BEYOND, bottom + _BEYOND])
    return slice(up, down), slice(first, last)


def _luminance(calm: Array, iris: IrisCircle) -> float:
    """Return the mean luminance of the iris's inner part in grey levels."""
    u, v = EYE_VIEW_RASTER.mesh()
    inner = np.hypot(u - iris.u, v - iris.v) < 0.8 * iris.radius
    return float((calm[inner] @ LUMA).mean())


def _white(sides: list[tuple[Array, Array]], dark: float) -> tuple[list[float], list[float]]:
    """Return how white each side is, and how far it is shadow or white rather than flesh, 0 to 1.

    A side is not white if it is hardly brighter than the iris (luminance `dark`), because it lies in shadow,
    or if it is redder than the other side: the corner's flesh, or skin where the iris leaves no white.
    """
    means = [np.average(colour.reshape(-1, 3), axis=0, weights=sure.ravel() + 1e-6) for colour, sure in sides]
    lights = [float(mean @ LUMA) - dark for mean in means]
    reds = [float(_red(mean)) for mean in means]
    lit = [min(max(2 * light / max(*lights, 1.0), 0.0), 1.0) for light in lights]
    pale = [min(max(1.5 - (red - min(reds)) / _FLESH, 0.0), 1.0) for red in reds]
    both = list(zip(lit, pale, strict=True))
    return [a * b for a, b in both], [1 - a * (1 - b) for a, b in both]


def _red(colours: Array) -> Array:
    """Return how red colours are: red above green against the light."""
    red: Array = (colours[..., 0] - colours[..., 1]) / np.maximum(colours @ LUMA, 1.0)
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
        sure = np.maximum(trust * sure, (1 - own[..., 0]) * other_sure)
        lent.append((own * colour + (1 - own) * shade * other, sure))
    return lent


def _as_beside(
    calm: Array,
    lids: Eyelids,
    iris: IrisCircle,
    filled: Array,
    grid: tuple[Array, Array],
    side: int,
    trust: float,
    shadow: float,
) -> Array:
    """Return factors by which the filled white matches what is painted beside the hole, RGB of the grid.

    A side's own white is matched in colour. Borrowed white is matched in light, and in colour only towards
    shadow, because flesh beside it must neither redden it nor darken it as much. `calm` and `filled` are the
    painting and the filled white, RGB of the grid's shape; `grid` is u and v. `trust` says how white the side
    is, `shadow` how far it is shadow rather than flesh, 0 to 1.
    """
    u, v = grid
    far = iris_hole_radius(iris)
    chord = np.sqrt(np.maximum(far**2 - (v[:, 0] - iris.v) ** 2, 0))
    edge = iris.u + side * chord
    upper, lower = lids.at(edge)
    corner = lids.left if side < 0 else lids.right
    # Match only where white lies beside the hole, clear of the lids and of the corner.
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
    # Ignore what is redder and hardly darker: it is flesh, where the white ends.
    fleshy = np.clip((_red(painted) - _red(filled[row, at])) / _FLESH - 0.5, 0, 1)
    sure *= 1 - fleshy * np.clip(2 + (ratio @ LUMA) / _HARDLY, 0, 1)
    # Rows without such white follow the nearest rows that have it.
    columns = np.column_stack([sure[:, None] * ratio, sure]).T
    near, far_off = (np.column_stack([smooth_view(column, h) for column in columns]) for h in _ALIKE)
    total = near + _NEXT * far_off
    ratio = total[:, :3] / (total[:, 3:] + _DOUBT)
    light = (ratio @ LUMA)[:, None]
    own = np.clip(ratio, *_OWN)
    lent = np.clip(light, *_LENT)
    lent = np.where(lent < 0, _FLESHY + (1 - _FLESHY) * shadow, 1) * lent
    lent = lent + shadow * np.clip(ratio - light, *_OWN)
    level = lent + trust * (own - lent)
    across = smoothstep((u - iris.u) * side / np.maximum(chord, 1e-3)[:, None] + _BEGINS)
    factor: Array = np.exp(across[..., None] * level[:, None])
    return factor


def _step_around(
    view: EyeView, calm: Array, ground: Array, lids: Eyelids, iris: IrisCircle, grid: tuple[Array, Array]
) -> Array:
    """Return what to add to the filled white so that it meets the painting around the hole without a step.

    At the hole's edge the painting continues unchanged. Next to the iris's rim the step is read again,
    because the white may be narrower than the hole. From there inwards the correction fades. `calm` and
    `ground` are the painting, and the painting with the hole filled, RGB of the view's shape. `grid` is u and
    v.
    """
    turn = np.linspace(-math.pi, math.pi, _TURNS, endpoint=False)
    # Between the rim and the edge the whitest sample counts: the others may be the iris's shadow.
    first, last = iris.radius + _BLURRED * iris.softness, iris_hole_radius(iris)
    away = np.linspace(first, last, 6)[:, None]
    u, v = iris.u + away * np.cos(turn), iris.v + away * np.sin(turn)
    painted, filled = view.at(calm, u, v), view.at(ground, u, v)
    outer = painted[-1] - filled[-1]
    upper, lower = lids.at(u)
    inside = smoothstep(np.minimum.reduce([v - upper, lower - v, u - lids.left, lids.right - u]) / _INSIDE)
    whiteness = painted @ LUMA - _REDDER * (painted[..., 0] - painted[..., 1])
    chosen = (inside * (whiteness - whiteness[0])).argmax(0), np.arange(_TURNS)
    inside, painted, filled = inside[chosen], painted[chosen], filled[chosen]
    inner = painted - filled
    # White and shadow continue far inwards. Flesh, which is redder, and light of lids and corners do not.
    pale = inside * (1 - np.clip((_red(painted) - _red(filled)) / _FLESH, 0, 1))
    lighter = inner @ LUMA / (filled @ LUMA + _DIM)
    dark = np.clip(-lighter / _HARDLY, 0, 1)
    share = (dark + (1 - dark) * pale * _LIGHTER / np.maximum(lighter, _LIGHTER))[:, None]
    deep = _FADES[0] + (_FADES[1] - _FADES[0]) * smoothstep(abs(lighter * share[:, 0]) / _MUCH - 0.5)
    # Blur along the edge, over three turns of the circle so that it closes.
    sigma = _STEP_BLUR * _TURNS / (2 * math.pi * iris.radius)
    steps = np.tile(np.column_stack([outer, share * inner, (1 - share) * inner, deep]), (3, 1))
    steps = np.stack([gaussian_blur(column, sigma)[_TURNS : 2 * _TURNS] for column in steps.T])
    u, v = grid[0] - iris.u, grid[1] - iris.v
    at, away = np.arctan2(v, u), np.hypot(u, v)
    steps = np.stack([np.interp(at, turn, step, period=2 * math.pi) for step in steps], -1)
    outwards = np.clip((away - first) / (last - first), 0, 1)[..., None]
    inwards = np.maximum(iris.radius - away, 0)[..., None]
    added: Array = steps[..., 3:6] * np.exp(-((inwards / steps[..., 9:]) ** 2))
    added += steps[..., 6:9] * np.exp(-((inwards / _FLESH_FADES) ** 2))
    added += outwards * (steps[..., :3] - added)
    return added


def _grain(
    view: EyeView, lids: Eyelids, iris: IrisCircle, shape: tuple[int, ...], white: list[float]
) -> Array:
    """Return texture of a shape, RGB around 0: brush strokes, cracks and canvas as in the white around.

    A sample is cut from the larger white side or, if there is hardly any white, from the skin under the lower
    lid. White noise filtered by the sample has its variance, direction and colours, and repeats nothing.
    Source: Galerne, Gousseau and Morel, "Random Phase Textures", 2011.
    """
    far = iris_hole_radius(iris)
    fields = [
        _field(lids, lids.left + 0.1, iris.u - far - 0.02),
        _field(lids, iris.u + far + 0.02, lids.right - 0.1),
    ]
    sizes = [min(f[1] - f[0], f[3] - f[2]) * (trust > 0.7) for f, trust in zip(fields, white, strict=True)]
    bottom = float(lids.at(np.array([iris.u]))[1][0])
    fine = view.colour - smooth_view(view.colour, _COARSE)
    below = EYE_VIEW_RASTER.window((iris.u - 0.25, iris.u + 0.25), (bottom + 0.07, bottom + 0.25))
    skin = sample = fine[below]
    if max(sizes) > _LEAST_FIELD:
        left, right, top, bottom = fields[sizes.index(max(sizes))]
        sample = fine[EYE_VIEW_RASTER.window((left, right), (top, bottom))]
    if min(sample.size, skin.size) < 300:
        return np.zeros((*shape, 3))
    # Shading left in the sample must not make its grain stronger than the skin's.
    loud = float(sample.std())
    sample = np.clip(sample - sample.mean((0, 1)), -2.5 * loud, 2.5 * loud)
    across, down = (float(abs(np.diff(sample, axis=axis)).mean()) for axis in (1, 0))
    # Wrinkles, and blocks of an enlarged JPEG, run in one direction; as grain they would become stripes.
    even = (min(across, down) / max(across, down, 1e-6)) ** 2
    quiet = _MUTED * even * min(1.0, float(skin.std()) / max(loud, 1e-6))
    # Without a window the sample's edges would become streaks in the texture.
    window = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) for n in sample.shape[:2]))[..., None]
    sample *= window * quiet / math.sqrt(float((window * window).sum()))
    whole = (shape[0] + sample.shape[0], shape[1] + sample.shape[1])
    noise = np.random.default_rng(0).normal(size=whole)
    spectrum = np.fft.rfft2(noise)[..., None] * np.fft.rfft2(sample, whole, axes=(0, 1))
    texture: Array = np.fft.irfft2(spectrum, whole, axes=(0, 1))[-shape[0] :, -shape[1] :]
    return texture


def _field(lids: Eyelids, left: float, right: float) -> tuple[float, float, float, float]:
    """Return (left, right, top, bottom) of the clean white between two u, as far as the lids leave it."""
    upper, lower = lids.at(np.linspace(left, max(right, left), 9))
    return left, right, float(upper.max()) + 0.07, float(lower.min()) - 0.05


def _beside(
    view: EyeView,
    calm: Array,
    lids: Eyelids,
    start: Array,
    side: int,
    above: Array,
    height: Array,
    strips: Array,
) -> tuple[Array, Array]:
    """Return the colour found beside the hole, and how surely it is the white of the eye, 0 to 1."""
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
    # Limit a catch-light at the rim, which would become a streak in the white.
    most = _BRIGHTEST * (colour[strips >= 0] @ LUMA).max(0)
    colour *= np.minimum(most / np.maximum(colour @ LUMA, 1.0), 1)[..., None]
    # Flesh may be lighter than white, but it is redder, so redness counts against it.
    light = colour @ LUMA - _REDDER * (colour[..., 0] - colour[..., 1])
    brightest = np.where(weight > 0.05, light, -1).max(0)
    darker = np.minimum(light - np.where(brightest < 0, light[0], brightest), 0) / (0.12 * view.contrast)
    chosen = weight * np.exp(darker * smoothstep((above - 0.02) / 0.12))
    mean = (chosen[..., None] * colour).sum(0) / chosen.sum(0)[..., None]
    return mean, np.clip(0.4 * weight.sum(0), 0, 1)
