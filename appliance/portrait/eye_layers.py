"""A painted eye in layers: its white, the iris that moves over it, the light, the lids that stay."""

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from appliance.camera.sampling import Pixels
from appliance.portrait.catch_light import KEEPS_UP, find_glints, painted_over
from appliance.portrait.iris import Iris, around, fit_corners, fit_iris
from appliance.portrait.landmarks import EyeMarks, Landmarks
from appliance.portrait.lids import (
    Axes,
    EyeView,
    Lids,
    columns,
    fit_lids,
    lids_through,
    rows,
    smooth,
    view_eye,
)
from appliance.portrait.sampling import Array, Mask, crisp, smoothstep, soft_edge
from appliance.portrait.sclera import fill, hole, reach

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


# A human iris has a radius of 5.85 mm and turns at 10.2 mm from the eye's centre of rotation; half
# a face is some 73 mm wide.
LEVER: Final = 10.2 / 5.85
_OF_HALF_FACE: Final = 0.08
# The models' corners lie a little too near each other.
_WIDER: Final = 1.08
# A rim of this sigma, in eye widths, is sharp enough to end at the lids; what is more reaches so many
# times as far over the lower one (judged on twenty paintings).
_SHARP: Final = 0.025
_OVER: Final = 1.5
# Radii of painted irises, in eye widths.
_RADII: Final = (0.11, 0.38)
# How far from the lids what is drawn fades to the painting, in eye widths.
_UPPER_FADE: Final = 0.075
_LOWER_FADE: Final = 0.035
_CORNER_FADE: Final = 0.05
# Width of the fade over a lid as a multiple of the blur (sigma) of the iris's rim, where the rim is softer
# than the fades above (a step blurred by sigma is most like a smooth one 4.5 wide). It goes out- and inwards.
_AS_SOFT: Final = 4.0
# The view in which the rim is measured is itself blurred by this sigma, in eye widths.
_SEEN_BLUR: Final = 0.012
# How far from the lids the iris's content sticks to them.
_UPPER_STICK: Final = 0.14
_LOWER_STICK: Final = 0.07
# The iris takes no shade along from a place where the eye is open by less than this fraction of the
# opening at the new place, and all of it from twice that fraction on.
_NARROW: Final = 0.35
# The part of the iris's way that the lids go with it, and how far above and below that fades, in
# eye widths.
_FOLLOW: Final = 0.15
_FOLLOW_REACH: Final = 0.55
# The parts of the iris's way up or down that the upper and the lower lid go with it (judged on ten
# portraits; with less the lower lid cuts an iris that looks down).
LIFT: Final = (0.75, 0.6)
# How far above the upper and below the lower lid the skin gives way to them, in eye widths: less shows a
# seam at the lid.
_GIVE: Final = (0.55, 0.4)
# The shift in eye widths over which errors of the filled white fade.
_FADE: Final = 0.05
# Shade is hardly ever brightened.
_BRIGHTER: Final = 1.3
# Full foreshortening of the turned iris looks too much on paintings.
_FORESHORTENING: Final = 0.6


@dataclass(frozen=True, slots=True)
class Eye:
    """An eye taken apart, ready to look elsewhere.

    Iris and shade move over the ground, the light goes half the way; moved by nothing, the layers
    give the painting again.
    """

    view: EyeView
    lids: Lids
    iris: Iris
    layers: Layers

    @property
    def radius(self) -> float:
        """Radius of the iris in picture pixels."""
        return self.iris.radius * self.view.axes.width

    def lids_at(self, u: Array, down: float) -> tuple[Array, Array]:
        """Return v of both lids at u when the iris has gone `down`, in eye widths."""
        opening = self._opening(u, down)
        return opening.upper, opening.lower

    @property
    def opening(self) -> float:
        """How far the lids are apart over the iris's middle, in picture pixels."""
        upper, lower = self.lids.at(np.array(self.iris.u))
        return float(lower - upper) * self.view.axes.width

    @property
    def room(self) -> tuple[float, float]:
        """How far the iris can go to picture left and right without leaving the eye, in pixels."""
        width, kept = self.view.axes.width, self.iris.radius
        left, right = self.iris.u - kept - self.lids.left, self.lids.right - self.iris.u - kept
        return max(left, 0) * width, max(right, 0) * width

    @property
    def span(self) -> tuple[float, float]:
        """From where to where something can change, in u: between the corners, and where the iris was."""
        gone = reach(self.iris) + _CORNER_FADE
        return min(self.lids.left, self.iris.u - gone), max(self.lids.right, self.iris.u + gone)

    def corners(self, down: bool = False) -> tuple[Array, Array]:
        """Return the corners of what can change, x and y in picture pixels; `down` as in `reaches`."""
        u, v = np.meshgrid(self.span, self._reach if down else [-_FOLLOW_REACH, _FOLLOW_REACH])
        return self.view.axes.to_picture(u, v)

    @property
    def _reach(self) -> tuple[float, float]:
        """From where to where a gaze up or down can change something, in v."""
        upper, lower = self.lids.at(np.linspace(self.lids.left, self.lids.right))
        return min(float(upper.min()) - _GIVE[0], -_FOLLOW_REACH), max(
            float(lower.max()) + _GIVE[1], _FOLLOW_REACH
        )

    def weight(self, x: Array, y: Array) -> Array:
        """Return how much of what is drawn shows at points of the picture: 0 from the lids outwards."""
        u, v = self.view.axes.to_eye(x, y)
        upper, lower = self.lids.at(u)
        shown: Array = _between(u, *self.span)
        blurred = math.sqrt(max(self.iris.softness**2 - _SEEN_BLUR**2, 0))
        for off, least in ((v - upper, _UPPER_FADE), (lower - v, _LOWER_FADE)):
            fade = max(least, _AS_SOFT * blurred, 0.6 / self.view.axes.width)
            shown *= smoothstep(off / fade + (1 - least / fade) / 2)
        return shown

    def reaches(self, x: Array, y: Array, down: bool = False) -> Mask:
        """Return which points of the painting the lids or the iris can change.

        Parameters
        ----------
        x, y : points of the painting, in its pixels
        down : whether the iris goes up or down, too; the skin around the lids then gives way
        """
        u, v = self.view.axes.to_eye(x, y)
        upper, lower = self.lids.at(u)
        inside = (u > self.span[0]) & (u < self.span[1])
        reached: Mask = inside & ((abs(v) < _FOLLOW_REACH) | (v > upper) & (v < lower))
        if down:
            reached |= inside & (v > self._reach[0]) & (v < self._reach[1])
        return reached

    def follow(self, x: Array, y: Array, shift: float, down: float = 0.0) -> tuple[Array, Array]:
        """Return where the lids' content comes from: they follow the iris in part, the corners stay.

        Parameters
        ----------
        x, y : points of the painting, in its pixels
        shift : of the iris along the face to picture right, in pixels
        down : its shift down the face, in pixels
        """
        u, v = self.view.axes.to_eye(x, y)
        u = u - shift / self.view.axes.width * self._following(u, v)
        return self.view.axes.to_picture(u, self._lidded(u, v, down / self.view.axes.width))

    def _lidded(self, u: Array, v: Array, down: float) -> Array:
        """Return the v that content comes from when the iris, and the lids with it, go `down` in eye widths.

        What lies near a lid stays near it, the white in between stays where it is, and the skin on the
        lids' other side gives way.
        """
        if not down:
            return v
        opening = self._opening(u, down)
        upper_skin = 1 - smoothstep((opening.upper - v) / _GIVE[0])
        lower_skin = 1 - smoothstep((v - opening.lower) / _GIVE[1])
        near_upper, near_lower = opening.near(v, opening.lifted, opening.sunk)
        above, below = v < opening.upper, v > opening.lower
        out: Array = v - np.where(above, upper_skin, near_upper) * opening.lifted * ~below
        out -= np.where(below, lower_skin, near_lower) * opening.sunk * ~above
        return out

    def _opening(self, u: Array, down: float) -> "_Opening":
        """Return the opening between the lids when the iris has gone `down`, in eye widths."""
        upper, lower = self.lids.at(u)
        part = down * np.maximum(1 - np.square((u - self.lids.middle) / self.lids.half), 0)
        return _Opening(upper + LIFT[0] * part, lower + LIFT[1] * part, LIFT[0] * part, LIFT[1] * part)

    def _following(self, u: Array, v: Array) -> Array:
        across = 1 - np.square((u - self.lids.middle) / self.lids.half)
        down = 1 - np.square(v / _FOLLOW_REACH)
        followed: Array = _FOLLOW * np.square(np.maximum(across, 0) * np.maximum(down, 0))
        return followed

    def draw(self, pixels: Pixels, x: Array, y: Array, shift: float, down: float = 0.0) -> Array:
        """Draw the eye with its iris moved.

        Parameters
        ----------
        pixels : the painting, RGB uint8 of shape (height, width, 3)
        x, y : points of the painting, in its pixels
        shift : of the iris along the face to picture right, in pixels
        down : its shift down the face, in pixels

        Returns
        -------
        RGB (..., 3): the painting from the lids outwards, but that the skin follows the lids
        """
        from_x, from_y = self.follow(x, y, shift, down)
        out = crisp(pixels, from_x, from_y)
        shown = self.weight(from_x, from_y) > 0
        base = out[shown]
        x, y, from_x, from_y = x[shown], y[shown], from_x[shown], from_y[shown]
        axes = self.view.axes
        # Across, the lids have carried the iris a part of its way, as much as they do where it arrives.
        carried = self._following(np.array(self.iris.u + shift / axes.width), np.array(self.iris.v))
        shift, down = shift * (1 - float(carried)) / axes.width, down / axes.width
        u, lid_v = axes.to_eye(from_x, from_y)
        v = axes.to_eye(x, y)[1] if down else lid_v
        from_u, from_v, disc_v = self._origin(u, v, shift, down)
        moved = crisp(pixels, *axes.to_picture(from_u, from_v))
        there, here = self.layers.apart(from_u, from_v, moved), self.layers.apart(u, lid_v, base)
        # The iris itself stays round where the lids leave it more room, or less, than at rest.
        clear, bare = self.layers.iris_at(from_u, disc_v)
        # The rest is mostly shade: on darker ground there is less of it.
        ratio = np.minimum((here.ground + DARK) / (there.ground + DARK), _BRIGHTER)
        held = ratio * there.held * self._as_open(u, from_u)[..., None]
        drawn = (1 - clear) * bare + clear * here.ground + held * (there.rest - there.stray)
        # The other rest is what the filled white got wrong, or flesh: it fades where it is.
        stays = here.rest + here.held * (here.stray - here.rest)
        drawn += math.exp(-((math.hypot(shift, down) / _FADE) ** 2)) * stays
        # Rests that meet where the ground is of their own kind add up to specks and dark arcs.
        known = [here.ground, bare, *(p.iris + p.clear * p.ground + p.rest for p in (there, here))]
        drawn = np.clip(drawn, np.minimum.reduce(known), np.maximum.reduce(known))
        # The catch-light covers what is under it as much as it did where it was painted.
        for glint in self.layers.lights:
            along, across = glint.way(shift, down)
            light_u, light_v = u - along, v - across
            light, opaque = glint.at(light_u, light_v)
            drawn += light
            lit = opaque[..., 0] > 0
            painted = crisp(pixels, *axes.to_picture(light_u[lit], light_v[lit]))
            drawn[lit] += opaque[lit] * (painted - drawn[lit])
        # Beyond a corner there is no iris, but the white that takes the place of one painted there.
        within = _between(u, self.lids.left, self.lids.right)[..., None]
        within += (
            (1 - within) * clear * hole(self.iris, np.hypot(u - self.iris.u, lid_v - self.iris.v))[..., None]
        )
        out[shown] = base + self.weight(from_x, from_y)[..., None] * within * (drawn - base)
        return out

    def _as_open(self, u: Array, from_u: Array) -> Array:
        """Return 1 where the eye is as open at `u` as at `from_u`, 0 where it was much narrower there."""
        (upper, lower), (upper_there, lower_there) = self.lids.at(u), self.lids.at(from_u)
        part = (lower_there - upper_there) / np.maximum(lower - upper, 1e-3)
        as_open: Array = smoothstep((part - _NARROW) / _NARROW)
        return as_open

    def _origin(self, u: Array, v: Array, shift: float, down: float) -> tuple[Array, Array, Array]:
        """Return where the painting has what lies on a moved iris at (u, v), and its v on the disc itself."""
        iris = self.iris
        squash, squat = (_foreshortened(way / (LEVER * iris.radius)) for way in (shift, down))
        from_u = iris.u + (u - iris.u - shift) / squash
        opening = self._opening(u, down)
        lowered = (v - iris.v - down) / squat - (v - iris.v)
        # What lies near a lid, shadow and lashes, stays near it where the lid runs higher or lower.
        upper_there, lower_there = self.lids.at(from_u)
        rise, fall = upper_there - opening.upper - lowered, lower_there - opening.lower - lowered
        near_upper, near_lower = opening.near(v, rise, fall)
        return from_u, v + lowered + rise * near_upper + fall * near_lower, v + lowered


class _Opening(NamedTuple):
    """The opening between the lids at some points, in v, and how far each lid has moved to get there."""

    upper: Array
    lower: Array
    lifted: Array
    sunk: Array

    def near(self, v: Array, rise: Array, fall: Array) -> tuple[Array, Array]:
        """Return how much a point sticks to each lid, whose content moves by `rise` and by `fall`."""
        # In a narrow opening the lids cut the iris; what sticks to them must not squeeze it.
        opening = np.maximum(self.lower - self.upper, 1e-3)
        upper_stick = np.minimum(_UPPER_STICK, 0.4 * opening)
        lower_stick = np.minimum(_LOWER_STICK, 0.25 * opening)
        near_upper: Array = 1 - smoothstep((v - self.upper) / np.maximum(upper_stick, 2 * abs(rise)))
        near_lower: Array = 1 - smoothstep((self.lower - v) / np.maximum(lower_stick, 2 * abs(fall)))
        return near_upper, near_lower


def fit_eyes(pixels: Pixels, face: Landmarks) -> tuple[Eye, Eye]:
    """Take both eyes of a painting apart, the one at picture left first."""
    left, right = (Eye(v, d, i, paint_layers(v, d, i)) for v, i, d in find_irises(pixels, face))
    return left, right


def find_irises(pixels: Pixels, face: Landmarks) -> list[tuple[EyeView, Iris, Lids]]:
    """Find iris and lids of both eyes, the one at picture left first."""
    axes = [_axes(marks, face.tilt) for marks in face.eyes]
    views = [view_eye(pixels, a) for a in axes]
    guess = (face.eyes[0].radius + face.eyes[1].radius) / 4 + _OF_HALF_FACE * face.half_width / 2
    first = [_fit(v, m, guess, 0.12, _RADII) for v, m in zip(views, face.eyes, strict=True)]
    # Both irises are of one size: the clearer one counts more.
    weights = [max(iris.score, 0.02) for iris, _ in first]
    radii = [iris.radius * a.width for (iris, _), a in zip(first, axes, strict=True)]
    common = float(np.average(radii, weights=weights))
    found = []
    for view, marks, inner in zip(views, face.eyes, (1, -1), strict=True):
        radius = common / view.axes.width
        iris, lids = _fit(view, marks, common, 0.03, (0.95 * radius, 1.05 * radius))
        # What is blurred at the rim is blurred over the lower lid, too.
        lids = replace(lids, lower=lids.lower + _OVER * max(iris.softness - _SHARP, 0))
        found.append((view, iris, fit_corners(view, lids, iris, inner)))
    return found


def _axes(marks: EyeMarks, tilt: float) -> Axes:
    first, last = marks.lower[0], marks.lower[-1]
    x, y = ((first + last) / 2).tolist()
    return Axes(x, y, math.dist(first, last), tilt)


def _fit(
    view: EyeView, marks: EyeMarks, radius: float, slack: float, radii: tuple[float, float]
) -> tuple[Iris, Lids]:
    """Fit iris and lids in turn; `radius` is the one expected, in picture pixels."""
    upper, lower = (
        np.column_stack(view.axes.to_eye(points[:, 0], points[:, 1])) * (_WIDER, 1)
        for points in (marks.upper, marks.lower)
    )
    rough = lids_through(upper, lower)
    u, v = view.axes.to_eye(np.array(marks.iris[0]), np.array(marks.iris[1]))
    prior = Iris(float(u), float(v), radius / view.axes.width)
    lids = fit_lids(view, rough)
    return fit_iris(view, lids, prior, slack, radii), lids


def _between(u: Array, left: float, right: float) -> Array:
    """Return 0 outside two corners, rising to 1 a little inside them."""
    inside: Array = smoothstep((u - left) / _CORNER_FADE) * smoothstep((right - u) / _CORNER_FADE)
    return inside


def _foreshortened(sine: float) -> float:
    """Return the width of an iris turned by an angle of that sine, as a part of its width in front."""
    return 1 - _FORESHORTENING * (1 - math.sqrt(max(1 - sine * sine, 0.5)))
