"""A painted eye in layers: its white, the iris that moves over it, the light, the lids that stay."""

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from appliance.camera.sampling import Pixels
from appliance.portrait.catch_light import CATCH_LIGHT_FOLLOWS, find_catch_lights, inpaint
from appliance.portrait.iris import IrisCircle, fit_corners, fit_iris, iris_window
from appliance.portrait.landmarks import EyeLandmarks, FaceLandmarks
from appliance.portrait.lids import (
    EYE_VIEW_RASTER,
    VIEW_BLUR,
    EyeAxes,
    Eyelids,
    EyeView,
    fit_lids,
    lids_from_contours,
    resample_eye,
    smooth_view,
)
from appliance.portrait.sampling import LUMA, Array, Mask, sample_sharp, smoothstep, soft_edge
from appliance.portrait.sclera import fill_sclera, iris_hole_radius, iris_hole_weight

# Taking an eye apart: chosen on the close-ups of 24 paintings unless another origin is given; lengths are in
# eye widths.

_RIM: Final = 1.6  # the blur of the rim reaches this many times its sigma inwards (by eye)
# Ground darker than this many grey levels says little about how much shade lies on it (by eye).
DARK_LEVEL: Final = 8.0
# Blur (sigma) of what is compared: what is finer always goes with the rim, otherwise the rim becomes soft.
_CALM: Final = 0.012
_RING: Final = 0.008  # width of the rings around the iris in which its parts are compared
_ROUND: Final = 0.025  # blur (sigma) of the outline of white painted over the disc
_OFF_LIDS: Final = (0.14, 0.07)  # the iris is surely visible this far off the upper and the lower lid
# In a narrow eye it is surely visible at these fractions of the opening, if that is less.
_OF_OPENING: Final = (0.4, 0.25)
# It is never surely visible nearer to a lid than this, because the lids are placed a little outside.
_LEAST_OFF: Final = 0.06
_OFF_CORNERS: Final = 0.06  # it is surely visible this far off the corners
# Shade that exceeds that all around by this fraction of the white's light is not the iris's.
_SHADE: Final = 0.1
_LIT: Final = 0.15  # light along a lid that is this fraction of the white's is the lid itself
_FLESH: Final = 0.12  # nearer to a corner than this, what lies at the rim is the corner's flesh
# A part brighter than all around by this fraction of the step from iris to white begins to be no iris.
_BRIGHT: Final = 0.3
_RIM_BAND: Final = 0.03  # width of the band along the rim in which that is judged
# White is told from a pale part of the iris where it is brighter than the rim by this fraction of the
# contrast.
_PLAIN: Final = 0.25
_BENDS: Final = 4  # exponent of the p-norm by which a catch-light's way slows towards its end (by eye)
_MARGIN: Final = 0.1  # the iris's rest has ended this far beyond the hole

# Moving an eye: chosen by eye unless another origin is given; lengths are in eye widths.

# The distance of the iris's plane from the eye's centre of rotation, in iris radii (anatomy: 10.2 and 5.85
# mm).
IRIS_LEVER: Final = 10.2 / 5.85
# The radius of an iris as a fraction of half the face's width (anatomy: 5.85 of 73 mm).
_OF_HALF_FACE: Final = 0.08
# The models' contour is widened by this factor, because its corners lie too near each other.
_WIDER: Final = 1.08
_SHARP: Final = 0.025  # a rim of this sigma is sharp enough to end at the lids (20 paintings)
# A softer rim reaches over the lower lid by this many times the sigma beyond it (20 paintings).
_OVER: Final = 1.5
_RADII: Final = (0.11, 0.38)  # least and greatest radius of painted irises
_UPPER_FADE: Final = 0.075  # width over which the drawn eye fades into the painting at the upper lid
_LOWER_FADE: Final = 0.035  # the same at the lower lid
_CORNER_FADE: Final = 0.05  # the same inside a corner
# Width of the fade over a lid as a multiple of the blur (sigma) of the iris's rim, where the rim is softer
# than the fades above: a step blurred by sigma resembles a smooth step 4.5 sigma wide.
_AS_SOFT: Final = 4.0
_UPPER_STICK: Final = 0.14  # how far from the upper lid the iris's content sticks to the lid
_LOWER_STICK: Final = 0.07  # the same of the lower lid
# The iris takes no shade along from a place where the eye is open by less than this fraction of the opening
# at the new place, and all of it from twice this fraction on.
_NARROW: Final = 0.35
_FOLLOW: Final = 0.15  # the fraction of the iris's way across that the lids go with it
_FOLLOW_REACH: Final = 0.55  # how far above and below the eye's middle that fades to nothing
# The fractions of the iris's way up or down that the upper and the lower lid go with it (10 portraits; with
# less the lower lid cuts an iris that looks down).
LID_LIFT: Final = (0.75, 0.6)
# The skin gives way to the lids this far above the upper and below the lower one; with less a seam shows.
_GIVE: Final = (0.55, 0.4)
_FADE: Final = 0.05  # the iris's shift over which errors of the filled white fade
_BRIGHTER: Final = 1.3  # shade becomes lighter by at most this factor where the ground is lighter
# The fraction of a turned iris's true foreshortening that is drawn: all of it looks too strong on paintings.
_FORESHORTENING: Final = 0.6


class EyeParts(NamedTuple):
    """The parts of the painting at some points.

    `ground`, `iris`, `rest` and `stray` are RGB (..., 3) in grey levels: the ground without iris, the iris as
    far as it covers, what remains (shade, grain), and the part of the rest that does not belong to the iris.
    `clear` is how much of the ground the iris leaves visible, `held` how closely the rest is tied to the
    iris; both are (..., 1), 0 to 1.
    """

    clear: Array
    held: Array
    ground: Array
    iris: Array
    rest: Array
    stray: Array


@dataclass(frozen=True, slots=True)
class CatchLight:
    """One catch-light of an eye.

    `colours` (rows, columns, 4) of the view are the light, RGB in grey levels, and its opacity, 0 to 1.
    `bright` (2, n) are the u and v of its bright points from the iris's middle; the iris is white beyond
    `inner`. Both are in eye widths.
    """

    view: EyeView
    colours: Array
    bright: Array
    inner: float

    def at(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Return the light at points of the eye, RGB (..., 3), and its opacity, (..., 1)."""
        there = self.view.at(self.colours, u, v)
        return there[..., :3], there[..., 3:]

    def offset(self, shift: float, down: float) -> tuple[float, float]:
        """Return how far the light moves when the iris moves by `shift` across and `down`, in eye widths.

        It lags behind the iris, but stays on it, or as near to it as it was painted.
        """
        lag = (1 - CATCH_LIGHT_FOLLOWS) * math.hypot(shift, down)
        if not lag:
            return 0.0, 0.0
        u, v = self.bright
        along = -(u * shift + v * down) / math.hypot(shift, down)
        most = np.maximum(np.hypot(u, v), self.inner)
        room = float((np.sqrt(along**2 + most**2 - u**2 - v**2) - along).min())
        lags = (1 - CATCH_LIGHT_FOLLOWS) * room / (room**_BENDS + lag**_BENDS) ** (1 / _BENDS)
        return (1 - lags) * shift, (1 - lags) * down


@dataclass(frozen=True, slots=True)
class EyeLayers:
    """The layers of an eye, on its view's rows and columns.

    painting = (1 - clear) * bare + clear * ground + rest + light. `bare` are the iris's colours without
    light, continued beyond its rim; the rest is all else that is painted: shade, a dark rim, grain. `colours`
    is (rows, columns, 13): RGB of ground, bare, light and of the rest that is not the iris's, and how much
    white is painted over its disc. `own` has bare and that white alone.
    """

    view: EyeView
    iris: IrisCircle
    colours: Array
    own: Array
    lights: tuple[CatchLight, ...]

    def parts_at(self, u: Array, v: Array, painting: Array) -> EyeParts:
        """Take the painting apart at points of the eye.

        `u` and `v` are in eye widths, of any shape; `painting` has the colours there, RGB (..., 3).
        """
        distance = np.hypot(u - self.iris.u, v - self.iris.v)
        there = self.view.at(self.colours, u, v)
        clear = self._clear(distance, there[..., 12:])
        # Beyond the hole the ground is the painting itself.
        ground = painting + iris_hole_weight(self.iris, distance)[..., None] * (there[..., :3] - painting)
        iris = (1 - clear) * there[..., 3:6]
        rest = painting - iris - clear * ground - there[..., 6:9]
        held = 1 - smoothstep((distance - self.iris.radius) / self.iris.softness / 2 - 0.5)[..., None]
        return EyeParts(clear, held, ground, iris, rest, there[..., 9:12])

    def iris_at(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Return how much ground an iris leaves visible, (..., 1), and its colours, RGB (..., 3)."""
        there = self.view.at(self.own, u, v)
        return self._clear(np.hypot(u - self.iris.u, v - self.iris.v), there[..., 3:]), there[..., :3]

    def _clear(self, distance: Array, cut: Array) -> Array:
        round_: Array = soft_edge(distance - self.iris.radius, self.iris.softness)[..., None]
        return round_ + (1 - round_) * cut


def separate_eye_layers(view: EyeView, lids: Eyelids, iris: IrisCircle) -> EyeLayers:
    """Separate an eye into ground, iris and catch-lights."""
    # Far from the iris everything is ground, and there is no light.
    nothing = np.zeros((*view.light.shape, 7))
    colours = np.concatenate([view.colour, view.colour, nothing], -1, dtype=np.float32)
    part = iris_window(iris, iris_hole_radius(iris) + _MARGIN)
    u, v = EYE_VIEW_RASTER.mesh(part)
    away = np.hypot(u - iris.u, v - iris.v)
    free = _seen(lids, u, v) > 0.99

    glints = find_catch_lights(view, lids, iris)
    # Under a light at the rim the iris's colours are unknown.
    unlit = inpaint(view.colour, glints.lit > 0, glints.disc)
    # At the rim iris and white are mixed, so the iris's colours are taken from inside the blur.
    inwards = np.minimum(1, (iris.radius - _RIM * iris.softness) / np.maximum(away, 1e-6))
    inner_u, inner_v = iris.u + inwards * (u - iris.u), iris.v + inwards * (v - iris.v)
    bare = view.at(unlit, inner_u, inner_v)
    ground = fill_sclera(view, lids, iris)[part]
    dark = _all_around(bare, away, free, 1 / 2)
    # A rim has the same brightness all around; where it is brighter, flesh or white covers the disc.
    brighter = ((bare - dark) @ LUMA) / np.maximum((ground - dark) @ LUMA, DARK_LEVEL)
    rim = smoothstep((away - iris.radius + 2 * _RIM_BAND) / _RIM_BAND)
    brighter = smooth_view(brighter, _CALM)
    outshines = smoothstep((smooth_view((ground - dark) @ LUMA, _CALM) / view.contrast - _PLAIN) / _PLAIN)
    foreign = rim * smoothstep((brighter - _BRIGHT) / _BRIGHT)
    # Parts of the iris behind lids and corners are filled from visible parts at the same distance; white
    # painted over its disc stays.
    seen = _seen(lids, inner_u, inner_v)
    bare += np.maximum(foreign, 1 - seen)[..., None] * (dark - bare)
    white = rim * outshines * smoothstep((brighter - 2 * _BRIGHT) / _BRIGHT)
    cut = smooth_view(white * seen, _ROUND)[..., None]

    clear = soft_edge(away - iris.radius, iris.softness)[..., None]
    clear += (1 - clear) * cut
    more = view.colour[part] - (1 - clear) * bare - clear * ground
    # The light is everything its surroundings lack; any remainder would stay behind as a ring.
    lit = np.maximum(more - inpaint(more, glints.lit[part] > 0, ~glints.beyond[part]), 0)
    # It fades where it was cut off from the white.
    lit *= 1 - np.clip(2 * smooth_view(glints.beyond[part].astype(float), _CALM), 0, 1)[..., None]
    more -= lit
    shade = smooth_view(abs(more).max(-1) / (ground.mean(-1) + DARK_LEVEL), _CALM)
    # Shade is also equal all around; more of it is a corner, flesh or lashes beside the rim.
    usual = _all_around(shade[..., None], away, free, 1 / 2)[..., 0] + _SHADE
    excess = rim * (1 - np.minimum(usual / np.maximum(shade, 1e-3), 1) ** 2)
    # Shade beside the rim goes with the iris; light does not, because it is white that was filled in too
    # dark. Light along a lid is the lid itself.
    lighter = smooth_view(more @ LUMA, _CALM)
    beside = smoothstep((away - iris.radius) / iris.softness / 1.5 + 1)
    pale = beside * np.clip(lighter / DARK_LEVEL, 0, 1)
    lidded = smoothstep(lighter / (_LIT * (ground @ LUMA + DARK_LEVEL)))
    cornered = rim * (1 - smoothstep(np.minimum(u - lids.left, lids.right - u) / _FLESH))
    stays = np.maximum.reduce([foreign, excess, pale, lidded * (1 - _seen(lids, u, v)), cornered])
    stray = smooth_view(stays[..., None] * more, _CALM)
    colours[part] = np.concatenate([ground, bare, lit, stray, cut], -1)
    own = np.ascontiguousarray(colours[..., [3, 4, 5, 12]])
    parts = [lit * (glints.lit[part] == n + 1)[..., None] for n in range(glints.lit.max())]
    return EyeLayers(view, iris, colours, own, tuple(_light(view, iris, part, p) for p in parts if p.any()))


def _light(view: EyeView, iris: IrisCircle, part: tuple[slice, slice], lit: Array) -> CatchLight:
    """Return a catch-light with its opacity: at its brightest it hides what is under it."""
    light = lit @ LUMA
    painted = view.colour[part] @ LUMA
    peak = float(painted[light > 0.5 * light.max()].max(initial=0))
    opaque = np.clip(light / np.maximum(peak - painted + light, DARK_LEVEL), 0, 1)
    colours = np.zeros((*view.light.shape, 4), np.float32)
    colours[part] = np.concatenate([lit, opaque[..., None]], -1)
    u, v = np.meshgrid(EYE_VIEW_RASTER.columns()[part[1]] - iris.u, EYE_VIEW_RASTER.rows()[part[0]] - iris.v)
    bright = np.stack([u, v])[:, opaque > min(0.5, float(opaque.max()) / 2)]
    return CatchLight(view, colours, bright, iris.radius - iris.softness)


def _seen(lids: Eyelids, u: Array, v: Array) -> Array:
    """Return how surely a point of the iris is visible: 1 in the opening, 0 at lids and corners."""
    upper, lower = lids.at(u)
    opening = lower - upper
    above, below = (
        np.minimum(most, np.maximum(part * opening, _LEAST_OFF))
        for most, part in zip(_OFF_LIDS, _OF_OPENING, strict=True)
    )
    seen: Array = smoothstep((v - upper) / above * 2 - 1) * smoothstep((lower - v) / below * 2 - 1)
    left, right = (smoothstep(room / _OFF_CORNERS - 0.5) for room in (u - lids.left, lids.right - u))
    seen *= left * right
    return seen


def _all_around(values: Array, away: Array, free: Mask, part: float) -> Array:
    """Return for each point the quantile of the values at its distance from the iris's centre, (..., n).

    `values` is (..., n), `away` the distance from the iris's centre in eye widths, (...); `free` says where
    values count. `part` is the quantile, 0 to 1.
    """
    ring = (away / _RING).astype(int)
    level = np.zeros((ring.max() + 1, values.shape[-1]))
    order = np.argsort(ring[free], kind="stable")
    rings, starts = np.unique(ring[free][order], return_index=True)
    for i, members in zip(rings, np.split(values[free][order], starts[1:]), strict=False):
        level[i] = np.quantile(members, part, axis=0)
    if len(rings):
        # A ring that is hidden altogether takes the value of the nearest one.
        level = level[rings[abs(np.arange(len(level))[:, None] - rings).argmin(1)]]
    around: Array = level[ring]
    return around


@dataclass(frozen=True, slots=True)
class PaintedEye:
    """An eye taken apart, ready to look elsewhere.

    The iris and its shade move over the ground, a catch-light goes half as far. Without a movement the layers
    add up to the painting. Points `x` and `y` are in picture pixels, of any shape.
    """

    view: EyeView
    lids: Eyelids
    iris: IrisCircle
    layers: EyeLayers

    @property
    def radius_px(self) -> float:
        """Radius of the iris in picture pixels."""
        return self.iris.radius * self.view.axes.width

    def lids_at(self, u: Array, down: float) -> tuple[Array, Array]:
        """Return v of both lids at u when the iris has gone `down`, in eye widths."""
        opening = self._opening(u, down)
        return opening.upper, opening.lower

    @property
    def opening_px(self) -> float:
        """The distance of the lids over the iris's middle, in picture pixels."""
        upper, lower = self.lids.at(np.array(self.iris.u))
        return float(lower - upper) * self.view.axes.width

    @property
    def room_px(self) -> tuple[float, float]:
        """The iris's room to picture left and right before it leaves the eye, in picture pixels."""
        width, kept = self.view.axes.width, self.iris.radius
        left, right = self.iris.u - kept - self.lids.left, self.lids.right - self.iris.u - kept
        return max(left, 0) * width, max(right, 0) * width

    @property
    def span(self) -> tuple[float, float]:
        """The u between which something can change: from corner to corner, and where the iris was."""
        gone = iris_hole_radius(self.iris) + _CORNER_FADE
        return min(self.lids.left, self.iris.u - gone), max(self.lids.right, self.iris.u + gone)

    def corners(self, down: bool = False) -> tuple[Array, Array]:
        """Return the corners of the area that can change, x and y in picture pixels, each (2, 2).

        `down` tells whether the iris goes up or down, too.
        """
        u, v = np.meshgrid(self.span, self._reach if down else [-_FOLLOW_REACH, _FOLLOW_REACH])
        return self.view.axes.to_picture(u, v)

    @property
    def _reach(self) -> tuple[float, float]:
        """The v between which a gaze up or down can change something."""
        upper, lower = self.lids.at(np.linspace(self.lids.left, self.lids.right))
        top, bottom = float(upper.min()) - _GIVE[0], float(lower.max()) + _GIVE[1]
        return min(top, -_FOLLOW_REACH), max(bottom, _FOLLOW_REACH)

    def drawn_weight(self, x: Array, y: Array) -> Array:
        """Return how much of the drawn eye shows at points of the painting: 1 inside, 0 at the lids."""
        u, v = self.view.axes.to_eye(x, y)
        upper, lower = self.lids.at(u)
        shown: Array = _between(u, *self.span)
        blurred = math.sqrt(max(self.iris.softness**2 - VIEW_BLUR**2, 0))
        for off, least in ((v - upper, _UPPER_FADE), (lower - v, _LOWER_FADE)):
            fade = max(least, _AS_SOFT * blurred, 0.6 / self.view.axes.width)
            shown *= smoothstep(off / fade + (1 - least / fade) / 2)
        return shown

    def can_change(self, x: Array, y: Array, down: bool = False) -> Mask:
        """Return which points of the painting the lids or the iris can change.

        `down` tells whether the iris goes up or down, too; the skin around the lids then gives way.
        """
        u, v = self.view.axes.to_eye(x, y)
        upper, lower = self.lids.at(u)
        inside = (u > self.span[0]) & (u < self.span[1])
        reached: Mask = inside & ((abs(v) < _FOLLOW_REACH) | (v > upper) & (v < lower))
        if down:
            reached |= inside & (v > self._reach[0]) & (v < self._reach[1])
        return reached

    def lids_content_from(self, x: Array, y: Array, shift: float, down: float = 0.0) -> tuple[Array, Array]:
        """Return where the lids' content comes from, x and y: they follow the iris in part; see `draw`."""
        u, v = self.view.axes.to_eye(x, y)
        u = u - shift / self.view.axes.width * self._following(u, v)
        return self.view.axes.to_picture(u, self._lidded(u, v, down / self.view.axes.width))

    def _lidded(self, u: Array, v: Array, down: float) -> Array:
        """Return the v that content comes from when the iris, and the lids with it, go `down` in eye widths.

        What lies near a lid stays near it, the white in between stays in place, and the skin beyond the lids
        gives way.
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
        lifted, sunk = LID_LIFT[0] * part, LID_LIFT[1] * part
        return _Opening(upper + lifted, lower + sunk, lifted, sunk)

    def _following(self, u: Array, v: Array) -> Array:
        across = 1 - np.square((u - self.lids.middle) / self.lids.half)
        down = 1 - np.square(v / _FOLLOW_REACH)
        followed: Array = _FOLLOW * np.square(np.maximum(across, 0) * np.maximum(down, 0))
        return followed

    def draw(self, pixels: Pixels, x: Array, y: Array, shift: float, down: float = 0.0) -> Array:
        """Draw the eye at points `x`, `y` of the frame with its iris moved.

        `pixels` is the painting, RGB uint8 of shape (height, width, 3). The iris is moved by `shift` along
        the face to picture right and by `down` down the face, in pixels. The result is RGB (..., 3) in grey
        levels, not rounded: the painting beyond the lids, except that the skin follows the lids.
        """
        from_x, from_y = self.lids_content_from(x, y, shift, down)
        out = sample_sharp(pixels, from_x, from_y)
        shown = self.drawn_weight(from_x, from_y) > 0
        base = out[shown]
        x, y, from_x, from_y = x[shown], y[shown], from_x[shown], from_y[shown]
        axes = self.view.axes
        # The lids have already carried the iris a part of its way across; move it by the rest.
        carried = self._following(np.array(self.iris.u + shift / axes.width), np.array(self.iris.v))
        shift, down = shift * (1 - float(carried)) / axes.width, down / axes.width
        u, lid_v = axes.to_eye(from_x, from_y)
        v = axes.to_eye(x, y)[1] if down else lid_v
        from_u, from_v, disc_v = self._origin(u, v, shift, down)
        moved = sample_sharp(pixels, *axes.to_picture(from_u, from_v))
        there, here = self.layers.parts_at(from_u, from_v, moved), self.layers.parts_at(u, lid_v, base)
        # The iris stays round, because the disc is sampled without the lids' movement.
        clear, bare = self.layers.iris_at(from_u, disc_v)
        # The rest is mostly shade, so it is weaker on darker ground.
        ratio = np.minimum((here.ground + DARK_LEVEL) / (there.ground + DARK_LEVEL), _BRIGHTER)
        held = ratio * there.held * self._as_open(u, from_u)[..., None]
        drawn = (1 - clear) * bare + clear * here.ground + held * (there.rest - there.stray)
        # All that the iris does not take along (errors of the filled white, flesh) stays in place and fades.
        stays = here.rest + here.held * (here.stray - here.rest)
        drawn += math.exp(-((math.hypot(shift, down) / _FADE) ** 2)) * stays
        # Limit the sum to known colours, because overlapping rests would add up to specks and dark arcs.
        known = [here.ground, bare, *(p.iris + p.clear * p.ground + p.rest for p in (there, here))]
        drawn = np.clip(drawn, np.minimum.reduce(known), np.maximum.reduce(known))
        # The catch-light is as opaque as it was painted.
        for glint in self.layers.lights:
            along, across = glint.offset(shift, down)
            light_u, light_v = u - along, v - across
            light, opaque = glint.at(light_u, light_v)
            drawn += light
            lit = opaque[..., 0] > 0
            painted = sample_sharp(pixels, *axes.to_picture(light_u[lit], light_v[lit]))
            drawn[lit] += opaque[lit] * (painted - drawn[lit])
        # No iris is drawn beyond a corner; white is, where an iris was painted there.
        within = _between(u, self.lids.left, self.lids.right)[..., None]
        hole = iris_hole_weight(self.iris, np.hypot(u - self.iris.u, lid_v - self.iris.v))
        within += (1 - within) * clear * hole[..., None]
        out[shown] = base + self.drawn_weight(from_x, from_y)[..., None] * within * (drawn - base)
        return out

    def _as_open(self, u: Array, from_u: Array) -> Array:
        """Return 1 where the eye is as open at `u` as at `from_u`, 0 where much narrower there."""
        (upper, lower), (upper_there, lower_there) = self.lids.at(u), self.lids.at(from_u)
        part = (lower_there - upper_there) / np.maximum(lower - upper, 1e-3)
        as_open: Array = smoothstep((part - _NARROW) / _NARROW)
        return as_open

    def _origin(self, u: Array, v: Array, shift: float, down: float) -> tuple[Array, Array, Array]:
        """Return where the painting has what lies on a moved iris at (u, v), and its v on the disc."""
        iris = self.iris
        squash, squat = (_foreshortened(way / (IRIS_LEVER * iris.radius)) for way in (shift, down))
        from_u = iris.u + (u - iris.u - shift) / squash
        opening = self._opening(u, down)
        lowered = (v - iris.v - down) / squat - (v - iris.v)
        # Shadow and lashes near a lid stay near it where the lid is higher or lower.
        upper_there, lower_there = self.lids.at(from_u)
        rise, fall = upper_there - opening.upper - lowered, lower_there - opening.lower - lowered
        near_upper, near_lower = opening.near(v, rise, fall)
        return from_u, v + lowered + rise * near_upper + fall * near_lower, v + lowered


class _Opening(NamedTuple):
    """The opening between the lids at some points, in v, and how far each lid has moved, in eye widths."""

    upper: Array
    lower: Array
    lifted: Array
    sunk: Array

    def near(self, v: Array, rise: Array, fall: Array) -> tuple[Array, Array]:
        """Return how much a point sticks to each lid, whose content moves by `rise` and by `fall`."""
        # In a narrow opening the lids cut the iris; stick less, so that the iris is not squeezed.
        opening = np.maximum(self.lower - self.upper, 1e-3)
        upper_stick = np.minimum(_UPPER_STICK, 0.4 * opening)
        lower_stick = np.minimum(_LOWER_STICK, 0.25 * opening)
        near_upper: Array = 1 - smoothstep((v - self.upper) / np.maximum(upper_stick, 2 * abs(rise)))
        near_lower: Array = 1 - smoothstep((self.lower - v) / np.maximum(lower_stick, 2 * abs(fall)))
        return near_upper, near_lower


def fit_eyes(pixels: Pixels, face: FaceLandmarks) -> tuple[PaintedEye, PaintedEye]:
    """Take both eyes of a painting apart.

    `pixels` is the painting, RGB uint8 of shape (height, width, 3). The eye at picture left comes first.
    """
    left, right = (PaintedEye(v, d, i, separate_eye_layers(v, d, i)) for v, i, d in find_irises(pixels, face))
    return left, right


def find_irises(pixels: Pixels, face: FaceLandmarks) -> list[tuple[EyeView, IrisCircle, Eyelids]]:
    """Find iris and lids of both eyes, the one at picture left first."""
    axes = [EyeAxes(float(m.middle[0]), float(m.middle[1]), m.width, face.tilt) for m in face.eyes]
    views = [resample_eye(pixels, a) for a in axes]
    guess = (face.eyes[0].radius + face.eyes[1].radius) / 4 + _OF_HALF_FACE * face.half_width / 2
    first = [_fit(v, m, guess, 0.12, _RADII) for v, m in zip(views, face.eyes, strict=True)]
    # Both irises have the same size; the clearer one has more weight.
    weights = [max(iris.score, 0.02) for iris, _ in first]
    radii = [iris.radius * a.width for (iris, _), a in zip(first, axes, strict=True)]
    common = float(np.average(radii, weights=weights))
    found = []
    for view, marks, inner in zip(views, face.eyes, (1, -1), strict=True):
        radius = common / view.axes.width
        iris, lids = _fit(view, marks, common, 0.03, (0.95 * radius, 1.05 * radius))
        # A blurred rim is blurred over the lower lid, too.
        lids = replace(lids, lower=lids.lower + _OVER * max(iris.softness - _SHARP, 0))
        found.append((view, iris, fit_corners(view, lids, iris, inner)))
    return found


def _fit(
    view: EyeView, marks: EyeLandmarks, radius: float, slack: float, radii: tuple[float, float]
) -> tuple[IrisCircle, Eyelids]:
    """Fit iris and lids in turn; `radius` is the one expected, in picture pixels."""
    upper, lower = (
        np.column_stack(view.axes.to_eye(points[:, 0], points[:, 1])) * (_WIDER, 1)
        for points in (marks.upper, marks.lower)
    )
    rough = lids_from_contours(upper, lower)
    u, v = view.axes.to_eye(np.array(marks.iris[0]), np.array(marks.iris[1]))
    prior = IrisCircle(float(u), float(v), radius / view.axes.width)
    lids = fit_lids(view, rough)
    return fit_iris(view, lids, prior, slack, radii), lids


def _between(u: Array, left: float, right: float) -> Array:
    """Return 0 outside two corners, rising to 1 a little inside them."""
    inside: Array = smoothstep((u - left) / _CORNER_FADE) * smoothstep((right - u) / _CORNER_FADE)
    return inside


def _foreshortened(sine: float) -> float:
    """Return an iris's width when turned by an angle of that sine, as a fraction of its width in front."""
    return 1 - _FORESHORTENING * (1 - math.sqrt(max(1 - sine * sine, 0.5)))
