"""A painted eye as layers of colour: the ground without its iris, the iris, and the light on it."""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from appliance.portrait.glint import KEEPS_UP, find_glints, painted_over
from appliance.portrait.iris import Iris, around
from appliance.portrait.lids import Lids
from appliance.portrait.sampling import Array, Mask, smoothstep, soft_edge
from appliance.portrait.sclera import fill, hole, reach
from appliance.portrait.view import EyeView, columns, rows, smooth

_LUMA: Final = np.array([0.299, 0.587, 0.114])
# The blur of the rim reaches so many times its sigma inwards.
_RIM: Final = 1.6
# Ground darker than so many grey levels says little of how much shade lies on it.
DARK: Final = 8.0
# Values of the tuned constants below: judged on the close-ups of twenty-four paintings.
# Blur of what is compared (what is finer always goes with the rim, else the rim goes soft), width of the
# rings it is compared in, and blur of the white's outline over the disc, in eye widths.
_CALM: Final = 0.012
_RING: Final = 0.008
_ROUND: Final = 0.025
# The iris is surely seen so far off the upper and the lower lid, in eye widths, but in a narrow eye at
# most at such parts of the opening; at least so far, since the lids lie a little outside; and so far off
# the corners.
_OFF_LIDS: Final = (0.14, 0.07)
_OF_OPENING: Final = (0.4, 0.25)
_LEAST_OFF: Final = 0.06
_OFF_CORNERS: Final = 0.06
# So much more shade than all around, as a part of the white's light, is no shade of the iris.
_SHADE: Final = 0.1
# So much more light along a lid, as a part of the white's, is the lid.
_LIT: Final = 0.15
# So near a corner what lies at the rim is the corner's flesh, in eye widths.
_FLESH: Final = 0.12
# So much brighter than all around, as a part of the step from iris to white, begins to be no iris, in
# a band of such a width along the rim.
_BRIGHT: Final = 0.3
_RIM_BAND: Final = 0.03
# White is told from a pale part of the iris where it outshines the rim by this part of the contrast.
_PLAIN: Final = 0.25
# The catch-light's way bends towards its end, by the power of a p-norm.
_BENDS: Final = 4
# Beyond the hole by this much the iris's rest has ended.
_MARGIN: Final = 0.1


class Parts(NamedTuple):
    """What the painting is made of at some points, in grey levels.

    `ground`, `iris`, `rest` and `stray` are RGB (..., 3), the iris as much as it covers, and stray what of
    the rest is none of its own; `clear`, how much of the ground the iris leaves to be seen, and `held`,
    how near the rest is to it, are (..., 1).
    """

    clear: Array
    held: Array
    ground: Array
    iris: Array
    rest: Array
    stray: Array


@dataclass(frozen=True, slots=True)
class Light:
    """One catch-light of an eye.

    `colours` (rows, columns, 4) of the view are the light, RGB, and how opaque it is. `bright` (2, n) are the
    u and v of its bright points, from the middle of an iris that is white beyond `inner`, in eye widths.
    """

    view: EyeView
    colours: Array
    bright: Array
    inner: float

    def at(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Return the light at points of the eye, RGB, and how opaque it is there, (..., 1)."""
        there = self.view.at(self.colours, u, v)
        return there[..., :3], there[..., 3:]

    def way(self, shift: float, down: float) -> tuple[float, float]:
        """Return how far the light goes when the iris goes `shift` and `down`, in eye widths.

        It lags behind the iris, but only so far that it stays on it, or as near as it was painted.
        """
        lag = (1 - KEEPS_UP) * math.hypot(shift, down)
        if not lag:
            return 0.0, 0.0
        u, v = self.bright
        along = -(u * shift + v * down) / math.hypot(shift, down)
        most = np.maximum(np.hypot(u, v), self.inner)
        room = float((np.sqrt(along**2 + most**2 - u**2 - v**2) - along).min())
        lags = (1 - KEEPS_UP) * room / (room**_BENDS + lag**_BENDS) ** (1 / _BENDS)
        return (1 - lags) * shift, (1 - lags) * down


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of an eye, on its view's rows and columns.

    The painting is iris over ground, and light: painting = (1 - clear) * bare + clear * ground + rest
    + light. `bare` are the iris's colours without its light, which go on beyond its rim, and the rest
    is all that the painting has besides: shade, a dark rim, grain.
    `colours` is (rows, columns, 13): RGB of ground, bare, light and what of the rest is not the iris's,
    and how much white is painted over its disc; `own` has bare and that white alone.
    """

    view: EyeView
    iris: Iris
    colours: Array
    own: Array
    lights: tuple[Light, ...]

    def apart(self, u: Array, v: Array, painting: Array) -> Parts:
        """Take the painting apart at points of the eye where its colours (..., 3) are known."""
        distance = np.hypot(u - self.iris.u, v - self.iris.v)
        there = self.view.at(self.colours, u, v)
        clear = self._clear(distance, there[..., 12:])
        # Beyond the hole the ground is the painting itself.
        ground = painting + hole(self.iris, distance)[..., None] * (there[..., :3] - painting)
        iris = (1 - clear) * there[..., 3:6]
        rest = painting - iris - clear * ground - there[..., 6:9]
        held = 1 - smoothstep((distance - self.iris.radius) / self.iris.softness / 2 - 0.5)[..., None]
        return Parts(clear, held, ground, iris, rest, there[..., 9:12])

    def iris_at(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Return how much ground an iris leaves to be seen, (..., 1), and its own colours, RGB."""
        there = self.view.at(self.own, u, v)
        return self._clear(np.hypot(u - self.iris.u, v - self.iris.v), there[..., 3:]), there[..., :3]

    def _clear(self, distance: Array, cut: Array) -> Array:
        round_: Array = soft_edge(distance - self.iris.radius, self.iris.softness)[..., None]
        return round_ + (1 - round_) * cut


def paint_layers(view: EyeView, lids: Lids, iris: Iris) -> Layers:
    """Take an eye apart."""
    # Far from the iris all is ground, and there is no light.
    nothing = np.zeros((*view.light.shape, 7))
    colours = np.concatenate([view.colour, view.colour, nothing], -1, dtype=np.float32)
    part = around(iris, reach(iris) + _MARGIN)
    u, v = np.meshgrid(columns()[part[1]], rows()[part[0]])
    away = np.hypot(u - iris.u, v - iris.v)
    free = _seen(lids, u, v) > 0.99

    glints = find_glints(view, lids, iris)
    # Under a light at the rim nothing is known of the iris beyond it.
    unlit = painted_over(view.colour, glints.lit > 0, glints.disc)
    # At its rim the iris is mixed with the white: its colours are those further in, beyond the blur.
    inwards = np.minimum(1, (iris.radius - _RIM * iris.softness) / np.maximum(away, 1e-6))
    inner_u, inner_v = iris.u + inwards * (u - iris.u), iris.v + inwards * (v - iris.v)
    bare = view.at(unlit, inner_u, inner_v)
    ground = fill(view, lids, iris)[part]
    dark = _all_around(bare, away, free, 1 / 2)
    # A rim is alike all around: where it is much brighter, flesh or white reaches into the disc.
    brighter = ((bare - dark) @ _LUMA) / np.maximum((ground - dark) @ _LUMA, DARK)
    rim = smoothstep((away - iris.radius + 2 * _RIM_BAND) / _RIM_BAND)
    brighter = smooth(brighter, _CALM)
    outshines = smoothstep((smooth((ground - dark) @ _LUMA, _CALM) / view.contrast - _PLAIN) / _PLAIN)
    foreign = rim * smoothstep((brighter - _BRIGHT) / _BRIGHT)
    # What lids and corners hide of the iris is painted from what is seen at the same distance; white
    # painted over its disc stays as it is.
    seen = _seen(lids, inner_u, inner_v)
    bare += np.maximum(foreign, 1 - seen)[..., None] * (dark - bare)
    white = rim * outshines * smoothstep((brighter - 2 * _BRIGHT) / _BRIGHT)
    cut = smooth(white * seen, _ROUND)[..., None]

    clear = soft_edge(away - iris.radius, iris.softness)[..., None]
    clear += (1 - clear) * cut
    more = view.colour[part] - (1 - clear) * bare - clear * ground
    # The light is all that its surroundings do not have: what would stay behind is seen as a ring.
    lit = np.maximum(more - painted_over(more, glints.lit[part] > 0, ~glints.beyond[part]), 0)
    # Where it was cut off from the white, it fades.
    lit *= 1 - np.clip(2 * smooth(glints.beyond[part].astype(float), _CALM), 0, 1)[..., None]
    more -= lit
    shade = smooth(abs(more).max(-1) / (ground.mean(-1) + DARK), _CALM)
    # Shade is alike all around, too: more of it is a corner, flesh or lashes beside the rim.
    usual = _all_around(shade[..., None], away, free, 1 / 2)[..., 0] + _SHADE
    excess = rim * (1 - np.minimum(usual / np.maximum(shade, 1e-3), 1) ** 2)
    # Shade beside the rim goes with the iris; light does not, since it is white filled in too dark. Light
    # along a lid is the lid itself.
    lighter = smooth(more @ _LUMA, _CALM)
    beside = smoothstep((away - iris.radius) / iris.softness / 1.5 + 1)
    pale = beside * np.clip(lighter / DARK, 0, 1)
    lidded = smoothstep(lighter / (_LIT * (ground @ _LUMA + DARK)))
    cornered = rim * (1 - smoothstep(np.minimum(u - lids.left, lids.right - u) / _FLESH))
    stays = np.maximum.reduce([foreign, excess, pale, lidded * (1 - _seen(lids, u, v)), cornered])
    stray = smooth(stays[..., None] * more, _CALM)
    colours[part] = np.concatenate([ground, bare, lit, stray, cut], -1)
    own = np.ascontiguousarray(colours[..., [3, 4, 5, 12]])
    parts = [lit * (glints.lit[part] == n + 1)[..., None] for n in range(glints.lit.max())]
    return Layers(view, iris, colours, own, tuple(_light(view, iris, part, p) for p in parts if p.any()))


def _light(view: EyeView, iris: Iris, part: tuple[slice, slice], lit: Array) -> Light:
    """Tell how opaque a catch-light is: what is as bright as its brightest covers all that is under it."""
    light = lit @ _LUMA
    painted = view.colour[part] @ _LUMA
    peak = float(painted[light > 0.5 * light.max()].max(initial=0))
    opaque = np.clip(light / np.maximum(peak - painted + light, DARK), 0, 1)
    colours = np.zeros((*view.light.shape, 4), np.float32)
    colours[part] = np.concatenate([lit, opaque[..., None]], -1)
    u, v = np.meshgrid(columns()[part[1]] - iris.u, rows()[part[0]] - iris.v)
    bright = np.stack([u, v])[:, opaque > min(0.5, float(opaque.max()) / 2)]
    return Light(view, colours, bright, iris.radius - iris.softness)


def _seen(lids: Lids, u: Array, v: Array) -> Array:
    """Return how surely a point of the iris is seen: 1 in the opening, falling to 0 at lids and corners."""
    upper, lower = lids.at(u)
    opening = lower - upper
    above, below = (
        np.minimum(most, np.maximum(part * opening, _LEAST_OFF))
        for most, part in zip(_OFF_LIDS, _OF_OPENING, strict=True)
    )
    seen: Array = smoothstep((v - upper) / above * 2 - 1) * smoothstep((lower - v) / below * 2 - 1)
    seen *= smoothstep((u - lids.left) / _OFF_CORNERS - 0.5) * smoothstep(
        (lids.right - u) / _OFF_CORNERS - 0.5
    )
    return seen


def _all_around(values: Array, away: Array, free: Mask, part: float) -> Array:
    """Return for each point the quantile of the values (..., n) at its distance from the iris, where free."""
    ring = (away / _RING).astype(int)
    level = np.zeros((ring.max() + 1, values.shape[-1]))
    order = np.argsort(ring[free], kind="stable")
    rings, starts = np.unique(ring[free][order], return_index=True)
    for i, members in zip(rings, np.split(values[free][order], starts[1:]), strict=False):
        level[i] = np.quantile(members, part, axis=0)
    if len(rings):
        # Where a whole ring is hidden, the nearest one stands for it.
        level = level[rings[abs(np.arange(len(level))[:, None] - rings).argmin(1)]]
    around: Array = level[ring]
    return around
