"""What a curator would frown at in the eyes: rims, arcs, white, irises, measured on the frames.

Every measure says which pixels it reads. Lids, old iris and new iris alone decide them, and all of
them count: no patch is chosen by how it looks.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.pack import Box
from appliance.portrait.eye_layers import Eye
from appliance.portrait.eye_recordings import SAMPLES, EyeFrames, EyeRecorder, columns, rows
from appliance.portrait.landmarks import EyeMarks
from appliance.portrait.sampling import Array, Mask, bilinear, blur
from appliance.portrait.sitter import Sitter

# The white beside the uncovered one is read in two strips of this width, in eye widths.
_STRIP: Final = 0.05
# They begin so far beyond the painted iris's rim, where shade and blur have ended, in eye widths.
_BESIDE: Final = 0.07
# Grey levels added to both sides of a ratio: of brightness, the noise of 8 bits; of brightness as seen,
# a lit room on a screen (one percent of its white is level 25); of grain, the noise of 8 bits.
_BLACK: Final = 4.0
_ROOM: Final = 25.0
_NOISE: Final = 2.0
# What is finer than this is grain, in eye widths.
_FINE: Final = 0.02
# The brightest white is this part of what is painted on a side of the iris. With fewer samples, or less
# than so many grey levels brighter than the iris, nothing white is painted there.
_BRIGHTEST: Final = 0.3
_LEAST: Final = 20
_WHITER: Final = 20.0
# The moved iris's blur reaches so far beyond its rim, in eye widths.
_BLUR: Final = 0.02


@dataclass(frozen=True, slots=True)
class White:
    """The white that one frame uncovers, against what is painted beside it on that side.

    `light` is the ratio of their brightness, `seen` the same as it shows in a lit room and without the
    shade that the painting has there, `hue` the difference of their colours in grey levels at medium
    brightness, and `grain` the ratio of what is finer than a fiftieth of the eye's width.
    """

    light: float
    seen: float
    hue: float
    grain: float


def uncovered_white(eye: EyeFrames) -> list[White | None]:
    """Compare the white that each frame uncovers with what is painted beside it, on the same side.

    Uncovered are all samples between the lids that the painted iris covered and the moved one with
    its shade does not. Beside lie two strips of 0.05 eye widths, from the painted iris's shade on
    towards the corner. All are read over the same rows, and every row counts as much as the shorter of
    the two, so that the lids' shade is alike in both. An eye is a ball: where the painting brightens
    from the outer to the inner strip, the uncovered white may be brighter by that ratio once more, and
    so with darkening; `seen` is what remains. `hue` is the way between both mean colours, each as red and
    blue less green and as it would be in a lit room at a brightness of 128.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    opened = eye.opened(across, down)
    was_iris = opened & (np.hypot(across - u, down - v) < radius)
    edge = np.sqrt(np.maximum(radius**2 - np.square(down - v), 0)) + _BESIDE
    painted = eye.colours[eye.resting] @ LUMA
    out: list[White | None] = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        away = (across - u) * (-1 if shift > 0 else 1)
        bare = was_iris & (away > 0) & (np.hypot(across - u - shift, down - v) > radius + SHADE)
        inner = opened & (away > edge) & (away < edge + _STRIP)
        outer = opened & (away >= edge + _STRIP) & (away < edge + 2 * _STRIP)
        counts = np.minimum(bare.sum(1), (inner | outer).sum(1))
        if counts.sum() < FEW:
            out.append(None)
            continue
        light = eye.colours[frame] @ LUMA
        fine = light - blur(light, _FINE * SAMPLES)
        new, old = (_mean(light, mask, counts) for mask in (bare, inner | outer))
        first, second = (_hue(eye.colours[frame], mask, counts) for mask in (bare, inner | outer))
        both = np.minimum(inner.sum(1), outer.sum(1))
        shade = 1.0
        if both.sum() >= FEW:
            near, far = (_mean(painted, mask, both) for mask in (inner, outer))
            shade = (near + _ROOM) / (far + _ROOM)
        new_fine, old_fine = (fine[m & (counts > 0)[:, None]].std() for m in (bare, inner | outer))
        out.append(
            White(
                light=(new + _BLACK) / (old + _BLACK),
                seen=_less_shade((new + _ROOM) / (old + _ROOM), shade),
                hue=float(np.hypot(*(first - second))),
                grain=float((new_fine + _NOISE) / (old_fine + _NOISE)),
            )
        )
    return out


def white_levels(eye: EyeFrames) -> list[float]:
    """Return how bright the white is in each frame against the painted one, on the side the iris leaves.

    Read are all samples between the lids on that side: in the painting beyond the painted iris's rim, in
    the frame beyond the moved one's. Both times the brightest count, as many as three tenths of the
    painted ones, less the painted iris's median. Below 1 the painter's white has gone, and skin or shade
    has come in its place; above 1 there is a white where the painter had none. 1 where the iris has not
    moved, or nothing white is painted.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    opened = eye.opened(across, down)
    painted, away = eye.colours[eye.resting] @ LUMA, np.hypot(across - u, down - v)
    iris = opened & (away < radius)
    if iris.sum() < FEW:
        return [1.0] * len(eye.shifts)
    dark, rim = float(np.median(painted[iris])), max(radius, rim_radius(eye))
    out = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        side = -1 if shift > 0 else 1
        before = opened & (away > rim) & ((across - u) * side > 0)
        after = opened & ((across - u - shift) * side > 0)
        after &= np.hypot(across - u - shift, down - v) > rim + _BLUR
        count = round(_BRIGHTEST * before.sum())
        if abs(shift) < MOVED or count < _LEAST or after.sum() < count:
            out.append(1.0)
            continue
        old = float(np.sort(painted[before])[-count:].mean()) - dark
        new = float(np.sort((eye.colours[frame] @ LUMA)[after])[-count:].mean()) - dark
        out.append(new / old if old > _WHITER else 1.0)
    return out


def _mean(light: Array, mask: Mask, counts: Array) -> float:
    """Return the mean light of a mask, its rows weighted."""
    means = (light * mask).sum(1) / np.maximum(mask.sum(1), 1)
    return float(np.average(means, weights=counts))


def _hue(colours: Array, mask: Mask, counts: Array) -> Array:
    """Return a mask's red and blue less its green, at a brightness of 128."""
    red, green, blue = (_mean(colours[..., i], mask, counts) for i in range(3))
    light = np.array([red, green, blue]) @ LUMA
    hue: Array = np.array([red - green, blue - green]) * 128 / (light + _ROOM)
    return hue


def _less_shade(ratio: float, shade: float) -> float:
    """Return a ratio less a shade of the same sense, but not beyond 1."""
    return max(ratio / max(shade, 1), 1) if ratio > 1 else min(ratio / min(shade, 1), 1)


# An iris less than this darker than the white, in grey levels, has no edge that could be cut (a guess).
_LEAST_STEP: Final = 24.0
# Nearer to a corner than this, in eye widths, lids cover every iris.
_CORNER: Final = 0.14
# A catch-light is a spot of one of these radii, in eye widths, within this part of the iris's radius. It is
# one if it is brighter by this than what lies around it in every direction, at the third constant times its
# own radius, in grey levels: grain and brushwork reach 25.
_SPOTS: Final = (0.02, 0.035, 0.05)
_WITHIN: Final = 1.15
_AROUND: Final = 2.2
_STANDS_OUT: Final = 30.0
# It is sought so far off the upper and the lower lid at rest, and so far above and below its place then, in
# eye widths.
_OFF_LIDS: Final = (0.02, 0.03)
_ASIDE: Final = (-0.03, 0.0, 0.03)


def cut_iris(eye: EyeFrames) -> list[float]:
    """Return which part of the moved iris's outer half is missing in each frame, a mean over all directions.

    From the rim inwards to 0.45 of the radius, in directions 6 degrees apart, where the lids leave room and
    farther than 0.14 eye widths from the corners, all that is brighter than half way from the painted iris
    to the painted white is missing, up to the first dark sample; directions under a lid count as whole.
    What is missing in the painting at rest is not counted.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    away, opened = np.hypot(across - u, down - v), eye.opened(across, down)
    painted = eye.colours[eye.resting] @ LUMA
    iris, white = painted[opened & (away < 0.85 * radius)], painted[opened & (away > radius + HOLE)]
    if min(iris.size, white.size) < FEW or np.median(white) - np.median(iris) < _LEAST_STEP:
        return [0.0] * len(eye.shifts)
    limit = (np.median(iris) + np.median(white)) / 2
    direction = np.radians(np.arange(-180, 180, 6))[:, None]
    reach = np.linspace(radius - 0.03, 0.45 * radius, 14)

    def missing(frame: int, shift: float) -> Array:
        x, y = u + shift + reach * np.cos(direction), v + reach * np.sin(direction)
        seen = eye.opened(x, y) & (x > eye.corners[0] + _CORNER) & (x < eye.corners[1] - _CORNER)
        bright = (eye.at(frame, x, y) @ LUMA > limit) | ~seen
        gone: Array = (np.cumprod(bright, axis=1) * seen).mean(1)
        return gone

    usual = missing(eye.resting, 0.0)
    return [
        float(np.maximum(missing(frame, shift) - usual, 0).mean())
        for frame, shift in enumerate(eye.shifts.tolist())
    ]


def catch_lights(eye: EyeFrames) -> list[float]:
    """Return how far the catch-light stands out in each frame against the painting; 1 where it has none.

    It is the spot on the iris or its rim, between the lids, that stands out most from what lies around it
    in the direction where it does least; by less than 30 grey levels it is none. In a frame it is sought on
    the way from where it was to where the iris has taken it, and measured against the median around it.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    open_ = (down > eye.upper + _OFF_LIDS[0]) & (down < eye.lower - _OFF_LIDS[1])
    iris = open_ & (np.hypot(across - u, down - v) < _WITHIN * radius)
    if iris.sum() < FEW:
        return [1.0] * len(eye.shifts)
    x, y = across[iris], down[iris]
    clear = [_stands_out(eye, eye.resting, x, y, size).min(-1) for size in _SPOTS]
    best = int(np.argmax([one.max() for one in clear]))
    if clear[best].max() < _STANDS_OUT:
        return [1.0] * len(eye.shifts)
    size, spot = _SPOTS[best], int(clear[best].argmax())
    part, aside = (way.ravel() for way in np.meshgrid(np.linspace(0, 1, 9), _ASIDE))

    def strength(frame: int, shift: float) -> float:
        spots = _stands_out(eye, frame, x[spot] + part * shift, y[spot] + aside, size)
        return float(np.median(spots, axis=-1).max())

    painted = strength(eye.resting, 0.0)
    return [strength(frame, shift) / painted for frame, shift in enumerate(eye.shifts.tolist())]


def _stands_out(eye: EyeFrames, frame: int, u: Array, v: Array, size: float) -> Array:
    """Return how much brighter spots (n,) are than what lies around them in 12 directions, (n, 12)."""
    turn = np.arange(12) * math.pi / 6
    rings = [
        eye.at(frame, u[:, None] + r * size * np.cos(turn), v[:, None] + r * size * np.sin(turn)) @ LUMA
        for r in (0.4, 0.8, _AROUND)
    ]
    middle = eye.at(frame, u, v) @ LUMA
    # The middle, and rings that stand for so much of the disc.
    mean = 0.04 * middle + 0.32 * rings[0].mean(-1) + 0.64 * rings[1].mean(-1)
    brighter: Array = mean[:, None] - rings[2]
    return brighter


def over_corner(frames: EyeFrames, eye: Eye, marks: EyeMarks) -> list[float]:
    """Return how far each frame's iris lies over a corner of the eye, in eye widths; 0 where it does not.

    The corners are those that the face's landmarks have, not those that the engine found in the picture:
    these may be too wide where white and skin are alike, and an iris that goes there looks crossed. As
    far as the painted iris lies over a corner at rest is no fault.
    """
    (first, last), _ = eye.view.axes.to_eye(*marks.lower[[0, -1]].T)
    u, _, radius = frames.iris
    middles = u + frames.shifts
    over = np.maximum(np.maximum(first - middles + radius, middles + radius - last), 0)
    return [float(way) for way in np.maximum(over - over[frames.resting], 0)]


LUMA: Final = np.array([0.299, 0.587, 0.114])
# The iris's blur and shade reach so far beyond its rim, in eye widths.
SHADE: Final = 0.05
# The hole that the iris leaves in the white ends at most so far beyond its rim, in eye widths.
HOLE: Final = 0.1
# An iris that has moved less than this, in eye widths, has uncovered nothing to be read.
MOVED: Final = 0.05
# Fewer samples than this say nothing (of 16,384 in a square eye width).
FEW: Final = 40

# The ghost rim is looked for in directions up to 54 degrees off the side that the iris has left (degrees).
_ARC: Final = np.radians(np.arange(-54, 55, 3))
# The eye's own rim is looked for to both sides (degrees).
_RIM: Final = np.radians(np.r_[np.arange(-40, 46, 4), np.arange(140, 226, 4)])
# A jump is compared to the slopes beside it over twice this way, in eye widths.
_JUMP: Final = 0.015
# Fewer directions than this (24 degrees of arc) are not called an arc.
_LEAST_ARC: Final = 9
# An old rim or an arc stays at its radius in this part of the frames in a row: three of 33. Grain and
# the lids' shadow do not.
_LASTS: Final = 1 / 11
# An arc beside the iris is looked for from a shift of this, as a line of half this width, and is the
# painting's own if that has one within this distance; all in eye widths.
_BEGUN: Final = 0.03
_LINE: Final = 0.025
_ABOUT: Final = 0.03
# Radii are tried in steps of this, in eye widths.
_STEP: Final = 0.01

# New edges are looked for so far beyond lids and corners, and are the painting's own if that has one
# within the second distance, in eye widths: the lids go a little way with the iris.
_RIM_MARGIN: Final = 0.05
_NEAR: Final = 0.05
# The part of the area that counts.
_HARDEST: Final = 1 / 30


def contrast(eye: EyeFrames) -> float:
    """Return the painted eye's own contrast in grey levels: the brightest against the darkest twentieth.

    Read is all between the lids and the corners, in the resting frame.
    """
    light = (eye.colours[eye.resting] @ LUMA)[eye.opened(*np.meshgrid(columns(), rows()))]
    if light.size < FEW:
        return 0.0
    dark, bright = np.quantile(light, (0.05, 0.95))
    return float(bright - dark)


def ghost_rim(eye: EyeFrames) -> list[float]:
    """Return how strongly an old rim shows in each frame, in grey levels; 0 where none can be seen.

    Read are all arcs around the painted iris's middle, from 0.6 of its radius to beyond the hole it
    leaves, on the side that it has left, between the lids and off the moved iris. A rim is a jump in
    any colour along an arc: the step across 0.03 eye widths less the steps of the same sense on both
    sides of it, which a smooth shade has, too. What three quarters of the arc show counts, and what
    stays at the same radius in three of 33 frames in a row. Beyond the hole only what exceeds the
    painting's own jump counts.
    """
    u, v, radius = eye.iris
    outermost = max(radius, rim_radius(eye))
    radii = np.arange(0.6 * radius, min(1.35 * outermost + SHADE, 0.45), _STEP)
    steps = _JUMP * np.array([-3, -1, 1, 3])
    found = np.zeros((len(eye.shifts), len(radii)))
    for frame, shift in enumerate(eye.shifts.tolist()):
        if abs(shift) < MOVED:
            continue
        side = -1 if shift > 0 else 1
        reach = (radii + steps[:, None])[:, None]
        x, y = u + side * reach * np.cos(_ARC)[:, None], v + reach * np.sin(_ARC)[:, None]
        seen = eye.opened(x, y) & (np.hypot(x - u - shift, y - v) > outermost + 0.7 * SHADE)
        painted = _jumps(eye.at(eye.resting, x, y), seen)
        jumps = _jumps(eye.at(frame, x, y), seen)
        own = np.where(radii[:, None] > outermost + HOLE, abs(painted), 0)
        jumps = np.sign(jumps) * np.maximum(abs(jumps) - own, 0)
        there = seen[1] & seen[2]
        found[frame] = np.maximum(_most_of(jumps, there), _most_of(-jumps, there))
    return _lasting(found)


def limbus_arcs(eye: EyeFrames) -> list[float]:
    """Return how strongly an arc shows beside the moved iris in each frame, in grey levels.

    Read are all arcs around the moved iris's middle, from 0.7 of its radius to beyond its shade, to
    either side. An arc is a line, in any colour, darker or brighter than what lies 0.025 eye widths
    inside and outside of it. What three quarters of the arc show counts, and what stays at the same
    radius in three of 33 frames in a row. Lines that the painted iris has at about the same distance,
    like a dark rim, are no fault.
    """
    radius = max(eye.iris[2], rim_radius(eye))
    radii = np.arange(0.7 * eye.iris[2], 1.25 * radius + SHADE, _STEP)
    painted = _lines(eye, eye.resting, 0.0, radii)
    about = round(_ABOUT / _STEP)
    own = np.array([painted[max(i - about, 0) : i + about + 1].max() for i in range(len(radii))])
    found = np.zeros((len(eye.shifts), len(radii)))
    for frame, shift in enumerate(eye.shifts.tolist()):
        if abs(shift) > _BEGUN:
            found[frame] = np.maximum(_lines(eye, frame, shift, radii) - own, 0)
    return _lasting(found)


def _lines(eye: EyeFrames, frame: int, shift: float, radii: Array) -> Array:
    """Return the strongest line at each radius around the iris moved by `shift`, in grey levels."""
    u, v, _ = eye.iris
    strongest = np.zeros(len(radii))
    for side in (-1, 1):
        reach = (radii + _LINE * np.array([-1, 0, 1])[:, None])[:, None]
        x, y = u + shift + side * reach * np.cos(_ARC)[:, None], v + reach * np.sin(_ARC)[:, None]
        seen = eye.opened(x, y).all(0)
        inside, here, outside = eye.at(frame, x, y)
        for line in (np.minimum(inside, outside) - here, here - np.maximum(inside, outside)):
            strongest = np.maximum(strongest, _most_of(line, seen))
    return strongest


def _most_of(values: Array, seen: Mask) -> Array:
    """Return what three quarters of the directions exceed, at each radius and in any colour, or 0.

    Parameters
    ----------
    values : (directions, radii, 3)
    seen : (directions, radii); at radii with too few of them the answer is 0
    """
    count = seen.sum(0)
    rising = np.sort(np.where(seen[..., None], values, np.inf), axis=0)
    quarter = np.take_along_axis(rising, (np.maximum(count - 1, 0) // 4)[None, :, None], axis=0)[0]
    most: Array = np.where(count >= _LEAST_ARC, np.maximum(quarter.max(-1), 0), 0.0)
    return most


def _lasting(found: Array) -> list[float]:
    """Return the strongest value of each frame that stays at its radius over frames in a row.

    Parameters
    ----------
    found : (frames, radii)
    """
    row = max(round(_LASTS * len(found)), 1)
    lasting = np.lib.stride_tricks.sliding_window_view(found, row, axis=0).min(-1)
    around = np.pad(lasting, [(row - 1, row - 1), (0, 0)])
    strongest = np.lib.stride_tricks.sliding_window_view(around, row, axis=0).max(-1).max(1)
    return [float(value) for value in strongest]


def _jumps(colours: Array, seen: Mask) -> Array:
    """Return the jump at the middle of four colours (4, ..., 3) in a row, as far as they are seen."""
    before, here, after = np.diff(colours, axis=0)
    beside = [
        np.where(there[..., None], step * np.sign(here), 0)
        for there, step in ((seen[0], before), (seen[3], after))
    ]
    jump: Array = np.sign(here) * np.maximum(abs(here) - np.maximum(np.maximum(*beside), 0), 0)
    return jump


def rim_radius(eye: EyeFrames) -> float:
    """Return the radius in eye widths at which the painting itself brightens most around the iris.

    The steepest median over all directions to both sides, from 0.7 to 1.7 of the radius that the
    engine found: it may have found it wrong.
    """
    u, v, radius = eye.iris
    radii = np.arange(0.7 * radius, min(1.7 * radius, 0.42), _STEP)
    reach = (radii + np.array([-0.03, 0.03])[:, None])[:, None]
    x, y = u + reach * np.cos(_RIM)[:, None], v + reach * np.sin(_RIM)[:, None]
    seen = eye.opened(x, y).all(0)
    sure = seen.sum(0) >= _LEAST_ARC
    if not sure.any():
        return radius
    inside, outside = eye.at(eye.resting, x, y) @ LUMA
    steps = np.nanmedian(np.where(seen, outside - inside, np.nan)[:, sure], axis=0)
    return float(radii[sure][steps.argmax()])


def new_edges(eye: EyeFrames) -> list[float]:
    """Return how hard the hardest edges are around the white that each frame uncovers, in grey levels.

    Read is all on the side that the iris has left: the hole that the painted iris leaves, and the lids
    and corners around it, off the moved iris. An edge is the step in any colour over 0.03 eye widths. Of
    it only what exceeds the painting counts: its strongest step within 0.05, and the edge of its lids,
    because white ends at a lid. That is the median over all columns and both lids of the strongest step
    within 0.05 of the lid. The hardest are a thirtieth of the area.
    """
    u, v, radius = eye.iris
    radius = max(radius, rim_radius(eye))
    across, down = np.meshgrid(columns(), rows())
    inside = (down > eye.upper - _RIM_MARGIN) & (down < eye.lower + _RIM_MARGIN)
    inside &= (across > eye.corners[0] - _RIM_MARGIN) & (across < eye.corners[1] + _RIM_MARGIN)
    inside &= np.hypot(across - u, down - v) < radius + HOLE
    resting = _steepness(eye.colours[eye.resting])
    between = (columns() > eye.corners[0]) & (columns() < eye.corners[1])
    lids = [np.where(abs(down - lid) < _NEAR, resting, 0).max(0)[between] for lid in (eye.upper, eye.lower)]
    painted = np.maximum(_greatest(resting), np.median(lids))
    out = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        there = inside & ((across - u - shift) * (-1 if shift > 0 else 1) > 0)
        there &= np.hypot(across - u - shift, down - v) > radius + 0.7 * SHADE
        if abs(shift) < MOVED or there.sum() < FEW:
            out.append(0.0)
            continue
        new = np.maximum(_steepness(eye.colours[frame])[there] - painted[there], 0)
        out.append(float(np.quantile(new, 1 - _HARDEST)))
    return out


def _steepness(colours: Array) -> Array:
    """Return the step across each sample of an image (rows, columns, 3), in grey levels."""
    steps = np.zeros((2, *colours.shape[:2]))
    steps[0, :, 2:-2] = abs(colours[:, 4:] - colours[:, :-4]).max(-1)
    steps[1, 2:-2] = abs(colours[4:] - colours[:-4]).max(-1)
    steep: Array = np.hypot(*steps)
    return steep


def _greatest(values: Array) -> Array:
    """Return the greatest value within 0.05 eye widths across and down of each sample."""
    reach = round(_NEAR * SAMPLES)
    for axis in (0, 1):
        padded = np.pad(values, [(reach, reach) if i == axis else (0, 0) for i in (0, 1)], "edge")
        values = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis).max(-1)
    return values


# The skin around an eye is read over its width, from so far above the upper and below the lower lid, in
# eye widths: nearer, lashes and lids move with the iris; farther, the field may bend.
_SKIN: Final = (np.linspace(-0.18, -0.05, 10), np.linspace(0.04, 0.16, 10))
_ACROSS: Final = np.linspace(-0.5, 0.5, 41)
# The eye's way is looked for so far from where the head's field has it, in eye widths, and its width so
# far from the painted one; then refined in steps that end below the last, in pixels.
_OFF: Final = np.arange(-0.08, 0.081, 0.02)
_WIDER: Final = np.arange(-0.3, 0.31, 0.03)
_ROUNDS: Final = 15
_SMALL: Final = 0.01

# A detail is matched by a square of this side, in half faces, up to so far from where the head's field
# has it, and in steps of this.
_SQUARE: Final = 0.16
_OFF_FIELD: Final = 0.12
_MATCH_STEP: Final = 0.004
# Skin with less deviation than this, in grey levels, shows nothing that could be matched.
_PLAIN: Final = 5.0
# Mesh points: the nose's bridge and tip, and the upper lip.
_BRIDGE, _TIP, _LIP = 168, 1, 0


def eye_widths(sitter: Sitter, box: Box, ends: list[Array]) -> Array:
    """Return each eye's width in the outermost frames against the painting, (2 eyes, 2 frames).

    Read is all the skin over the eye's width from 0.05 to 0.18 eye widths above the upper lid, and from
    0.04 to 0.16 below the lower one, where the face's landmarks have the lids. The painting's skin is laid
    over the frame, moved and stretched along the face as a whole, so that both differ least; the stretch
    is the width. Every sample counts, but one that stays much more different than the median counts less.
    Against the known field of 50 portraits the result was at most 0.03 off.

    Parameters
    ----------
    ends : luminance of the patches in both outermost frames
    """
    return np.array(
        [
            [
                _width(sitter, box, end, marks, turn)
                for end, turn in zip(ends, (sitter.plan.turns[0], sitter.plan.turns[-1]), strict=True)
            ]
            for marks in sitter.face.eyes
        ]
    )


def _width(sitter: Sitter, box: Box, frame: Array, marks: EyeMarks, turn: float) -> float:
    along = np.array([math.cos(sitter.head.tilt), math.sin(sitter.head.tilt)])
    down = np.array([-along[1], along[0]])
    middle = (marks.lower[0] + marks.lower[-1]) / 2
    u, v = np.concatenate([_beside_lid(marks, lid, middle, along, down) for lid in (0, 1)], axis=1)
    x, y = (middle + marks.width * (u[:, None] * along + v[:, None] * down)).T
    template = _painted(sitter, x, y)
    if template.std() < _PLAIN:
        return 1.0

    def seen(ways: Array) -> Array:
        """Return the frame's light where the skin has gone, in eye widths along the face."""
        away = marks.width * ways
        return bilinear(frame, x + away * along[0] - box[0], y + away * along[1] - box[1])

    shape = np.column_stack([np.ones(len(u)), u])
    near = np.linalg.lstsq(shape, sitter.head.moves(x, y, turn).along / marks.width, rcond=None)[0]
    tries = [near + np.array([off, wider - near[1]]) for off in _OFF for wider in _WIDER]
    # Where soft skin fits many ways nearly as well, the head's field decides.
    unlike = [
        np.square(seen(shape @ way) - template).mean() / template.var() + np.square(way - near).sum()
        for way in tries
    ]
    way = tries[int(np.argmin(unlike))]
    step = 1 / marks.width  # a pixel
    for _ in range(_ROUNDS):
        ways = shape @ way
        error = seen(ways) - template
        slope = (seen(ways + step / 2) - seen(ways - step / 2)) / step
        away = abs(error - np.median(error))
        trust = 1 / np.maximum(away / (1.5 * np.median(away) + 1), 1)
        lever = slope[:, None] * shape
        change = -np.linalg.lstsq((lever * trust[:, None]).T @ lever, lever.T @ (trust * error), rcond=None)[
            0
        ]
        way = way + np.clip(change, -step, step)
        if abs(change).max() < _SMALL * step:
            break
    return 1 + float(way[1])


def _beside_lid(marks: EyeMarks, lid: int, middle: Array, along: Array, down: Array) -> Array:
    """Return the skin's points beside the upper (0) or the lower lid (1): (2, n), u and v in eye widths."""
    line = ((marks.upper, marks.lower)[lid] - middle) / marks.width
    order = np.argsort(line @ along)
    u, off = np.meshgrid(_ACROSS, _SKIN[lid])
    v = np.interp(u, (line @ along)[order], (line @ down)[order]) + off
    points: Array = np.stack([u.ravel(), v.ravel()])
    return points


def nose_way(sitter: Sitter, box: Box, ends: list[Array]) -> float:
    """Return how far the nose's tip goes from the first frame to the last, against bridge and upper lip.

    All three are matched in the frames, see `_way`; 1 is the mean of bridge and lip. A real nose goes
    as far as these in three-quarter view, and farther seen from the front.
    """
    ways = []
    for point in (_TIP, _BRIDGE, _LIP):
        x, y = sitter.face.mesh[point, :2].tolist()
        turns = sitter.plan.turns[0], sitter.plan.turns[-1]
        first, last = (_way(sitter, box, end, x, y, t) for end, t in zip(ends, turns, strict=True))
        ways.append(last - first)
    mean = (ways[1] + ways[2]) / 2
    # Without an answer, a way is not a number, and compares as False.
    answered = mean > _SQUARE / 4 * sitter.face.half_width and not math.isnan(ways[0])
    return ways[0] / mean if answered else 1.0


def _way(sitter: Sitter, box: Box, frame: Array, x: float, y: float, turn: float) -> float:
    """Return how far a detail of the painting has gone along the face in a frame, in pixels, by matching.

    Not a number where nothing is painted that could be matched.

    Parameters
    ----------
    frame : luminance of the patch
    x, y : the detail's middle in the painting
    turn : of the head, in degrees
    """
    half, tilt = sitter.face.half_width, sitter.head.tilt
    c, s = math.cos(tilt), math.sin(tilt)
    a, b = np.meshgrid(*2 * [np.linspace(-_SQUARE / 2, _SQUARE / 2, 20) * half])
    px, py = x + a * c - b * s, y + a * s + b * c
    template = _painted(sitter, px, py)
    near = float(sitter.head.moves(np.array(x), np.array(y), turn).along)
    ways = near + half * np.arange(-_OFF_FIELD, _OFF_FIELD + _MATCH_STEP / 2, _MATCH_STEP)
    seen = bilinear(frame, px + ways[:, None, None] * c - box[0], py + ways[:, None, None] * s - box[1])
    unlike = seen - template
    unlike -= unlike.mean((1, 2), keepdims=True)
    if template.std() < _PLAIN:
        return math.nan
    # Where a soft patch fits many places nearly as well, the head's field decides.
    off = np.square((ways - near) / (_OFF_FIELD * half))
    return float(ways[(np.square(unlike).mean((1, 2)) / template.var() + off).argmin()])


def _painted(sitter: Sitter, x: Array, y: Array) -> Array:
    """Return the painting's light at points; only their part of it is sampled.

    Points may lie outside the picture: a chin below its edge.
    """
    height, width = sitter.pixels.shape[:2]
    left, top = (min(max(math.floor(p.min()) - 2, 0), n - 1) for p, n in ((x, width), (y, height)))
    right, below = (max(math.ceil(p.max()) + 2, start + 1) for p, start in ((x, left), (y, top)))
    return bilinear(sitter.pixels[top:below, left:right] @ LUMA, x - left, y - top)


@dataclass(frozen=True, slots=True)
class Figures:
    """The measures of a portrait; of two eyes, the one at picture left first.

    `contrasts` is each painted eye's own, see `contrast`; `rims`, `arcs`, `edges`, `levels`, `cuts`,
    `lights` and `corners` are (2, frames), see `ghost_rim`, `limbus_arcs`, `new_edges`, `white_levels`,
    `cut_iris`, `catch_lights` and `over_corner`; `whites` has each eye's frames, None where nothing can
    be compared, see `uncovered_white`; `widths` is (2, 2), each eye's width in the first and the last
    frame, see `eye_widths`; `nose` see `nose_way`; `angles` is the gaze in the outermost frames in degrees;
    `step` is how many columns of the grid lie from one frame to the next.
    """

    contrasts: tuple[float, float]
    rims: Array
    arcs: Array
    edges: Array
    whites: tuple[list[White | None], list[White | None]]
    levels: Array
    cuts: Array
    lights: Array
    corners: Array
    widths: Array
    nose: float
    angles: tuple[float, float]
    step: int = 1


def measure(recorder: EyeRecorder, angles: tuple[float, ...]) -> Figures:
    """Measure a portrait once all its patches have passed the recorder.

    Parameters
    ----------
    angles : the gaze that the pack names for each frame, in degrees
    """
    eyes, sitter, box = recorder.eyes(), recorder.sitter, recorder.box
    first, second = eyes
    ends = [end @ LUMA for end in recorder.ends]
    found = zip(eyes, sitter.eyes, sitter.face.eyes, strict=True)
    return Figures(
        contrasts=(contrast(first), contrast(second)),
        rims=np.array([ghost_rim(eye) for eye in eyes]),
        arcs=np.array([limbus_arcs(eye) for eye in eyes]),
        edges=np.array([new_edges(eye) for eye in eyes]),
        whites=(uncovered_white(first), uncovered_white(second)),
        levels=np.array([white_levels(eye) for eye in eyes]),
        cuts=np.array([cut_iris(eye) for eye in eyes]),
        lights=np.array([catch_lights(eye) for eye in eyes]),
        corners=np.array([over_corner(frames, eye, marks) for frames, eye, marks in found]),
        widths=eye_widths(sitter, box, ends),
        nose=nose_way(sitter, box, ends),
        angles=(angles[0], angles[-1]),
        step=recorder.step,
    )
