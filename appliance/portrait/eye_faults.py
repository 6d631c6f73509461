"""Faults of the eyes that a curator sees: rims, arcs, white, cut irises, measured on the frames.

Every measure states which pixels it reads. They follow from lids, old iris and new iris alone, and all of
them count, so that no measure chooses pixels by how they look.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from appliance.camera.sampling import Pixels
from appliance.pack import Box
from appliance.portrait.eye_layers import PaintedEye
from appliance.portrait.eye_recordings import EYE_FRAME_RASTER, EyeAlongRow, EyeRecorder
from appliance.portrait.landmarks import EyeLandmarks
from appliance.portrait.prepared_sitters import PreparedSitter
from appliance.portrait.sampling import LUMA, Array, Mask, dilate, gaussian_blur, sample_bilinear

# Chosen by eye unless another origin is given; lengths are in eye widths unless another unit is.

# Uncovered white:

_STRIP: Final = 0.05  # width of each of the two strips beside the uncovered white
# The strips begin this far beyond the painted iris's rim, where shade and blur have ended.
_BESIDE: Final = 0.07
_BLACK: Final = 4.0  # grey levels added to both sides of the ratio of brightness: the noise of 8 bits
# The same of brightness as seen: a lit room on a screen (one percent of its white is level 25).
_ROOM: Final = 25.0
_NOISE: Final = 2.0  # the same of grain: the noise of 8 bits
_FINE: Final = 0.02  # what is finer than this blur (sigma) is grain
_BRIGHTEST: Final = 0.3  # the brightest white is this fraction of what is painted on a side of the iris
_LEAST: Final = 20  # with fewer samples of it than this, nothing white is painted there
# If it is brighter than the iris by less than this, in grey levels, nothing white is painted there.
_WHITER: Final = 20.0
_BLUR: Final = 0.02  # how far the moved iris's blur reaches beyond its rim

# Cut irises and catch-lights:

# An iris less than this darker than the white, in grey levels, has no edge that could be cut (a guess).
_LEAST_STEP: Final = 24.0
_CORNER: Final = 0.14  # nearer to a corner than this, lids cover every iris
_SPOTS: Final = (0.02, 0.035, 0.05)  # radii of the spots that may be a catch-light
_WITHIN: Final = 1.15  # a catch-light lies within this many radii of the iris's middle
_AROUND: Final = 2.2  # its surroundings are read at this many times its own radius
# It is brighter than its surroundings in every direction by at least this, in grey levels (measured: grain
# and brushwork reach 25).
_STANDS_OUT: Final = 30.0
_OFF_LIDS: Final = (0.02, 0.03)  # it is looked for this far off the upper and the lower lid at rest
_ASIDE: Final = (-0.03, 0.0, 0.03)  # in a frame it is looked for this far below its place at rest

# All measures:

SHADE_WIDTH: Final = 0.05  # how far the iris's blur and shade reach beyond its rim
# Reach beyond the rim of the hole that the iris leaves in the white; it is larger only for a very soft rim.
HOLE_MARGIN: Final = 0.1
MIN_IRIS_SHIFT: Final = 0.05  # an iris that has moved less than this has uncovered nothing that can be read
MIN_SAMPLES: Final = 40  # fewer samples than this say nothing (of 16,384 in a square eye width)

# Rims, arcs and edges:

# Directions in which a ghost rim is looked for, relative to the side that the iris has left (radians).
_ARC: Final = np.radians(np.arange(-54, 55, 3))
# Directions in which the eye's own rim is looked for, to both sides (radians).
_RIM: Final = np.radians(np.r_[np.arange(-40, 46, 4), np.arange(140, 226, 4)])
_JUMP: Final = 0.015  # half the way between the samples of a jump
_LEAST_ARC: Final = 9  # fewer directions than this (24 degrees of arc) are not called an arc
# A fault of an eye lasts for this fraction of a row's frames, in frames next to each other: 3 of 33. What
# lasts shorter is brushwork, the lids' shadow or the measures' scatter (50 portraits).
LASTING_PART: Final = 1 / 11
_BEGUN: Final = 0.03  # an arc beside the iris is looked for from this shift on
_LINE: Final = 0.025  # half the width of the line that is an arc
_ABOUT: Final = 0.03  # an arc is the painting's own if that has one within this distance
_STEP: Final = 0.01  # step of the radii that are tried
_RIM_MARGIN: Final = 0.05  # new edges are looked for this far beyond lids and corners
# An edge is the painting's own if that has one within this distance, because the lids go a little way with
# the iris.
_NEAR: Final = 0.05
_HARDEST: Final = 1 / 30  # the fraction of the area that counts as its hardest edges

# Eye widths and the nose:

# Offsets at which skin is read above the upper and below the lower lid: nearer, lashes and lids move with the
# iris; farther, the field may bend.
_SKIN: Final = (np.linspace(-0.18, -0.05, 10), np.linspace(0.04, 0.16, 10))
_ACROSS: Final = np.linspace(-0.5, 0.5, 41)  # the u at which skin is read
_OFF: Final = np.arange(-0.08, 0.081, 0.02)  # ways of the eye that are tried, relative to the head's field
# Stretches of the eye that are tried, relative to the painted width.
_WIDER: Final = np.arange(-0.3, 0.31, 0.03)
_ROUNDS: Final = 15  # most rounds that refine the best of these
_SMALL: Final = 0.01  # the refinement ends at a change below this, in pixels
_SQUARE: Final = 0.16  # side of the square by which a detail is matched, in half faces
# A detail is looked for up to this far from where the head's field has it, in half faces.
_OFF_FIELD: Final = 0.12
_MATCH_STEP: Final = 0.004  # step of that search, in half faces
# Skin with a smaller standard deviation than this, in grey levels, shows nothing that could be matched.
_PLAIN: Final = 5.0
_BRIDGE, _TIP, _LIP = 168, 1, 0  # mesh points: the nose's bridge and tip, and the upper lip


@dataclass(frozen=True, slots=True)
class UncoveredWhite:
    """The white that one frame uncovers, against what is painted beside it on that side.

    `light` is the ratio of their brightness; `seen` is the same as it shows in a lit room and without the
    shade that the painting has there; `hue` is the difference of their colours in grey levels at medium
    brightness; `grain` is the ratio of what is finer than a fiftieth of the eye's width.
    """

    light: float
    seen: float
    hue: float
    grain: float


def compare_uncovered_white(eye: EyeAlongRow) -> list[UncoveredWhite | None]:
    """Compare the white that each frame uncovers with what is painted beside it, on the same side.

    Uncovered are all samples between the lids that the painted iris covered, and that the moved one with its
    shade does not cover. Beside it lie two strips of 0.05 eye widths, from the painted iris's shade towards
    the corner. All are read over the same rows, and every row counts as much as the shorter of the two, so
    that the lids' shade is alike in both. An eye is a ball: where the painting brightens from the outer to
    the inner strip, the uncovered white may be brighter by that ratio once more, and so with darkening;
    `seen` is what remains. `hue` is the distance between both mean colours, each as red and blue less green
    and as it would be in a lit room at a brightness of 128.

    The result has one for each frame; None where the iris has uncovered too little to compare.
    """
    u, v, radius = eye.iris
    across, down = EYE_FRAME_RASTER.mesh()
    opened = eye.between_lids(across, down)
    was_iris = opened & (np.hypot(across - u, down - v) < radius)
    edge = np.sqrt(np.maximum(radius**2 - np.square(down - v), 0)) + _BESIDE
    painted = eye.colours[eye.painted_frame] @ LUMA
    out: list[UncoveredWhite | None] = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        away = (across - u) * (-1 if shift > 0 else 1)
        bare = was_iris & (away > 0) & (np.hypot(across - u - shift, down - v) > radius + SHADE_WIDTH)
        inner = opened & (away > edge) & (away < edge + _STRIP)
        outer = opened & (away >= edge + _STRIP) & (away < edge + 2 * _STRIP)
        counts = np.minimum(bare.sum(1), (inner | outer).sum(1))
        if counts.sum() < MIN_SAMPLES:
            out.append(None)
            continue
        light = eye.colours[frame] @ LUMA
        fine = light - gaussian_blur(light, _FINE * EYE_FRAME_RASTER.density)
        new, old = (_mean(light, mask, counts) for mask in (bare, inner | outer))
        first, second = (_hue(eye.colours[frame], mask, counts) for mask in (bare, inner | outer))
        both = np.minimum(inner.sum(1), outer.sum(1))
        shade = 1.0
        if both.sum() >= MIN_SAMPLES:
            near, far = (_mean(painted, mask, both) for mask in (inner, outer))
            shade = (near + _ROOM) / (far + _ROOM)
        new_fine, old_fine = (fine[m & (counts > 0)[:, None]].std() for m in (bare, inner | outer))
        light_ratio, seen = (new + _BLACK) / (old + _BLACK), _less_shade((new + _ROOM) / (old + _ROOM), shade)
        hue, grain = float(np.hypot(*(first - second))), float((new_fine + _NOISE) / (old_fine + _NOISE))
        out.append(UncoveredWhite(light_ratio, seen, hue, grain))
    return out


def white_brightness(eye: EyeAlongRow) -> list[float]:
    """Return how bright the white is in each frame against the painted one, on the side that the iris leaves.

    All samples between the lids on that side count: in the painting those beyond the painted iris's rim, in
    the frame those beyond the moved one's. In both, the mean of the same number of brightest samples, three
    tenths of the painted ones, is taken less the painted iris's median. A value below 1 means skin or shade
    in place of the painter's white; above 1, white where the painter had none. It is 1 where the iris has not
    moved, or where nothing white is painted.
    """
    u, v, radius = eye.iris
    across, down = EYE_FRAME_RASTER.mesh()
    opened = eye.between_lids(across, down)
    painted, away = eye.colours[eye.painted_frame] @ LUMA, np.hypot(across - u, down - v)
    iris = opened & (away < radius)
    if iris.sum() < MIN_SAMPLES:
        return [1.0] * len(eye.shifts)
    dark, rim = float(np.median(painted[iris])), max(radius, painted_rim_radius(eye))
    out = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        side = -1 if shift > 0 else 1
        before = opened & (away > rim) & ((across - u) * side > 0)
        after = opened & ((across - u - shift) * side > 0)
        after &= np.hypot(across - u - shift, down - v) > rim + _BLUR
        count = round(_BRIGHTEST * before.sum())
        if abs(shift) < MIN_IRIS_SHIFT or count < _LEAST or after.sum() < count:
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


def missing_iris_part(eye: EyeAlongRow) -> list[float]:
    """Return the fraction of the moved iris's outer half that is missing in each frame, over all directions.

    From the rim inwards to 0.45 of the radius, in directions 6 degrees apart, where the lids leave room and
    farther than 0.14 eye widths from the corners: missing is all that is brighter than half way from the
    painted iris to the painted white, up to the first dark sample. Directions under a lid count as whole.
    What is missing in the painting at rest is not counted.
    """
    u, v, radius = eye.iris
    across, down = EYE_FRAME_RASTER.mesh()
    away, opened = np.hypot(across - u, down - v), eye.between_lids(across, down)
    painted = eye.colours[eye.painted_frame] @ LUMA
    iris, white = painted[opened & (away < 0.85 * radius)], painted[opened & (away > radius + HOLE_MARGIN)]
    if min(iris.size, white.size) < MIN_SAMPLES or np.median(white) - np.median(iris) < _LEAST_STEP:
        return [0.0] * len(eye.shifts)
    limit = (np.median(iris) + np.median(white)) / 2
    direction = np.radians(np.arange(-180, 180, 6))[:, None]
    reach = np.linspace(radius - 0.03, 0.45 * radius, 14)

    def missing(frame: int, shift: float) -> Array:
        x, y = u + shift + reach * np.cos(direction), v + reach * np.sin(direction)
        seen = eye.between_lids(x, y) & (x > eye.corners[0] + _CORNER) & (x < eye.corners[1] - _CORNER)
        bright = (eye.at(frame, x, y) @ LUMA > limit) | ~seen
        gone: Array = (np.cumprod(bright, axis=1) * seen).mean(1)
        return gone

    usual = missing(eye.painted_frame, 0.0)
    parts = (missing(frame, shift) for frame, shift in enumerate(eye.shifts.tolist()))
    return [float(np.maximum(part - usual, 0).mean()) for part in parts]


def catch_light_strengths(eye: EyeAlongRow) -> list[float]:
    """Return how far the catch-light stands out in each frame against the painting; 1 where it has none.

    It is the spot on the iris or its rim, between the lids, that stands out most from its surroundings in the
    direction in which it stands out least; below 30 grey levels it is none. In a frame it is looked for on
    the way from where it was to where the iris has taken it, and measured against the median around it.
    """
    u, v, radius = eye.iris
    across, down = EYE_FRAME_RASTER.mesh()
    open_ = (down > eye.upper + _OFF_LIDS[0]) & (down < eye.lower - _OFF_LIDS[1])
    iris = open_ & (np.hypot(across - u, down - v) < _WITHIN * radius)
    if iris.sum() < MIN_SAMPLES:
        return [1.0] * len(eye.shifts)
    x, y = across[iris], down[iris]
    clear = [_stands_out(eye, eye.painted_frame, x, y, size).min(-1) for size in _SPOTS]
    best = int(np.argmax([one.max() for one in clear]))
    if clear[best].max() < _STANDS_OUT:
        return [1.0] * len(eye.shifts)
    size, spot = _SPOTS[best], int(clear[best].argmax())
    part, aside = (way.ravel() for way in np.meshgrid(np.linspace(0, 1, 9), _ASIDE))

    def strength(frame: int, shift: float) -> float:
        spots = _stands_out(eye, frame, x[spot] + part * shift, y[spot] + aside, size)
        return float(np.median(spots, axis=-1).max())

    painted = strength(eye.painted_frame, 0.0)
    return [strength(frame, shift) / painted for frame, shift in enumerate(eye.shifts.tolist())]


def _stands_out(eye: EyeAlongRow, frame: int, u: Array, v: Array, size: float) -> Array:
    """Return how many grey levels brighter spots (n,) are than what lies around in 12 directions, (n, 12)."""
    turn = np.arange(12) * math.pi / 6
    rings = [
        eye.at(frame, u[:, None] + r * size * np.cos(turn), v[:, None] + r * size * np.sin(turn)) @ LUMA
        for r in (0.4, 0.8, _AROUND)
    ]
    middle = eye.at(frame, u, v) @ LUMA
    # The middle and two rings, weighted by their share of the disc's area.
    mean = 0.04 * middle + 0.32 * rings[0].mean(-1) + 0.64 * rings[1].mean(-1)
    brighter: Array = mean[:, None] - rings[2]
    return brighter


def iris_over_corner(frames: EyeAlongRow, eye: PaintedEye, marks: EyeLandmarks) -> list[float]:
    """Return how far each frame's iris lies over a corner of the eye, in eye widths; 0 where it does not.

    The corners are those of the face's landmarks, not those that the engine found in the picture: these may
    lie too far out where white and skin are alike, and an iris that goes there looks crossed. How far the
    painted iris lies over a corner at rest is no fault.
    """
    (first, last), _ = eye.view.axes.to_eye(*marks.lower[[0, -1]].T)
    u, _, radius = frames.iris
    middles = u + frames.shifts
    over = np.maximum(np.maximum(first - middles + radius, middles + radius - last), 0)
    return [float(way) for way in np.maximum(over - over[frames.painted_frame], 0)]


def eye_contrast(eye: EyeAlongRow) -> float:
    """Return the painted eye's own contrast in grey levels: the brightest against the darkest twentieth.

    All samples between the lids and the corners in the resting frame count.
    """
    light = (eye.colours[eye.painted_frame] @ LUMA)[eye.between_lids(*EYE_FRAME_RASTER.mesh())]
    if light.size < MIN_SAMPLES:
        return 0.0
    dark, bright = np.quantile(light, (0.05, 0.95))
    return float(bright - dark)


def ghost_rims(eye: EyeAlongRow) -> list[float]:
    """Return how strongly an old rim shows in each frame, in grey levels; 0 where none can be seen.

    All arcs around the painted iris's middle count, from 0.6 of its radius to beyond the hole it leaves, on
    the side that it has left, between the lids and off the moved iris. A rim is a jump in any colour along an
    arc: the step across 0.03 eye widths, less the steps of the same sense on both sides of it, which a smooth
    shade has, too. A jump counts as far as three quarters of the arc show it, and if it stays at the same
    radius in three of 33 frames in a row. Beyond the hole only what exceeds the painting's own jump counts.
    """
    u, v, radius = eye.iris
    outermost = max(radius, painted_rim_radius(eye))
    radii = np.arange(0.6 * radius, min(1.35 * outermost + SHADE_WIDTH, 0.45), _STEP)
    steps = _JUMP * np.array([-3, -1, 1, 3])
    found = np.zeros((len(eye.shifts), len(radii)))
    for frame, shift in enumerate(eye.shifts.tolist()):
        if abs(shift) < MIN_IRIS_SHIFT:
            continue
        side = -1 if shift > 0 else 1
        reach = (radii + steps[:, None])[:, None]
        x, y = u + side * reach * np.cos(_ARC)[:, None], v + reach * np.sin(_ARC)[:, None]
        seen = eye.between_lids(x, y) & (np.hypot(x - u - shift, y - v) > outermost + 0.7 * SHADE_WIDTH)
        painted = _jumps(eye.at(eye.painted_frame, x, y), seen)
        jumps = _jumps(eye.at(frame, x, y), seen)
        own = np.where(radii[:, None] > outermost + HOLE_MARGIN, abs(painted), 0)
        jumps = np.sign(jumps) * np.maximum(abs(jumps) - own, 0)
        there = seen[1] & seen[2]
        found[frame] = np.maximum(_most_of(jumps, there), _most_of(-jumps, there))
    return _lasting(found)


def limbus_arcs(eye: EyeAlongRow) -> list[float]:
    """Return how strongly an arc shows beside the moved iris in each frame, in grey levels.

    All arcs around the moved iris's middle count, from 0.7 of its radius to beyond its shade, to either side.
    An arc is a line, in any colour, darker or brighter than what lies 0.025 eye widths inside and outside of
    it. It counts as far as three quarters of its length show it, and if it stays at the same radius in three
    of 33 frames in a row. Lines that the painted iris has at about the same distance, such as a dark rim, are
    no fault.
    """
    radius = max(eye.iris[2], painted_rim_radius(eye))
    radii = np.arange(0.7 * eye.iris[2], 1.25 * radius + SHADE_WIDTH, _STEP)
    painted = _lines(eye, eye.painted_frame, 0.0, radii)
    about = round(_ABOUT / _STEP)
    own = np.array([painted[max(i - about, 0) : i + about + 1].max() for i in range(len(radii))])
    found = np.zeros((len(eye.shifts), len(radii)))
    for frame, shift in enumerate(eye.shifts.tolist()):
        if abs(shift) > _BEGUN:
            found[frame] = np.maximum(_lines(eye, frame, shift, radii) - own, 0)
    return _lasting(found)


def _lines(eye: EyeAlongRow, frame: int, shift: float, radii: Array) -> Array:
    """Return the strongest line at each radius around the iris moved by `shift`, in grey levels."""
    u, v, _ = eye.iris
    strongest = np.zeros(len(radii))
    for side in (-1, 1):
        reach = (radii + _LINE * np.array([-1, 0, 1])[:, None])[:, None]
        x, y = u + shift + side * reach * np.cos(_ARC)[:, None], v + reach * np.sin(_ARC)[:, None]
        seen = eye.between_lids(x, y).all(0)
        inside, here, outside = eye.at(frame, x, y)
        for line in (np.minimum(inside, outside) - here, here - np.maximum(inside, outside)):
            strongest = np.maximum(strongest, _most_of(line, seen))
    return strongest


def _most_of(values: Array, seen: Mask) -> Array:
    """Return what three quarters of the directions exceed, at each radius and in any colour, or 0.

    `values` is (directions, radii, 3). `seen` is (directions, radii); at radii with too few of them the
    answer is 0.
    """
    count = seen.sum(0)
    rising = np.sort(np.where(seen[..., None], values, np.inf), axis=0)
    quarter = np.take_along_axis(rising, (np.maximum(count - 1, 0) // 4)[None, :, None], axis=0)[0]
    most: Array = np.where(count >= _LEAST_ARC, np.maximum(quarter.max(-1), 0), 0.0)
    return most


def _lasting(found: Array) -> list[float]:
    """Return each frame's strongest value that stays at its radius for some frames, of (frames, radii)."""
    row = max(round(LASTING_PART * len(found)), 1)
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


def painted_rim_radius(eye: EyeAlongRow) -> float:
    """Return the radius in eye widths at which the painting itself brightens most around the iris.

    The steepest median over all directions to both sides, from 0.7 to 1.7 of the radius that the
    engine found: it may have found it wrong.
    """
    u, v, radius = eye.iris
    radii = np.arange(0.7 * radius, min(1.7 * radius, 0.42), _STEP)
    reach = (radii + np.array([-0.03, 0.03])[:, None])[:, None]
    x, y = u + reach * np.cos(_RIM)[:, None], v + reach * np.sin(_RIM)[:, None]
    seen = eye.between_lids(x, y).all(0)
    sure = seen.sum(0) >= _LEAST_ARC
    if not sure.any():
        return radius
    inside, outside = eye.at(eye.painted_frame, x, y) @ LUMA
    steps = np.nanmedian(np.where(seen, outside - inside, np.nan)[:, sure], axis=0)
    return float(radii[sure][steps.argmax()])


def new_hard_edges(eye: EyeAlongRow) -> list[float]:
    """Return how hard the hardest edges are around the white that each frame uncovers, in grey levels.

    All samples on the side that the iris has left count: the hole that the painted iris leaves, and the lids
    and corners around it, off the moved iris. An edge is the step in any colour over 0.03 eye widths. Only
    what exceeds the painting counts: its strongest step within 0.05, and the edge of its lids, because white
    ends at a lid. That is the median over all columns and both lids of the strongest step within 0.05 of the
    lid. The hardest are a thirtieth of the area.
    """
    u, v, radius = eye.iris
    radius = max(radius, painted_rim_radius(eye))
    across, down = EYE_FRAME_RASTER.mesh()
    inside = (down > eye.upper - _RIM_MARGIN) & (down < eye.lower + _RIM_MARGIN)
    inside &= (across > eye.corners[0] - _RIM_MARGIN) & (across < eye.corners[1] + _RIM_MARGIN)
    inside &= np.hypot(across - u, down - v) < radius + HOLE_MARGIN
    resting = _steepness(eye.colours[eye.painted_frame])
    between = (EYE_FRAME_RASTER.columns() > eye.corners[0]) & (EYE_FRAME_RASTER.columns() < eye.corners[1])
    lids = [np.where(abs(down - lid) < _NEAR, resting, 0).max(0)[between] for lid in (eye.upper, eye.lower)]
    painted = np.maximum(dilate(resting, round(_NEAR * EYE_FRAME_RASTER.density)), np.median(lids))
    out = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        there = inside & ((across - u - shift) * (-1 if shift > 0 else 1) > 0)
        there &= np.hypot(across - u - shift, down - v) > radius + 0.7 * SHADE_WIDTH
        if abs(shift) < MIN_IRIS_SHIFT or there.sum() < MIN_SAMPLES:
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


class HeadFigures(NamedTuple):
    """Effects of the head's turn on the face in the outermost frames of the level row.

    `widths` is (2 eyes, 2 frames), see `eye_width_ratios`; `nose` see `nose_tip_travel`.
    """

    widths: Array
    nose: float


def measure_head(sitter: PreparedSitter, box: Box, ends: list[Pixels]) -> HeadFigures:
    """Measure the head's turn.

    `box` is where the patches lie in the picture. `ends` are the patches of both outermost frames of the
    level row, RGB uint8.
    """
    light = [end @ LUMA for end in ends]
    return HeadFigures(eye_width_ratios(sitter, box, light), nose_tip_travel(sitter, box, light))


def eye_width_ratios(sitter: PreparedSitter, box: Box, ends: list[Array]) -> Array:
    """Return each eye's width in the outermost frames against the painting, (2 eyes, 2 frames).

    All the skin over the eye's width counts, from 0.05 to 0.18 eye widths above the upper lid, and from 0.04
    to 0.16 below the lower one, where the face's landmarks have the lids. The painting's skin is laid over
    the frame, moved and stretched along the face as a whole, so that both differ least; the stretch is the
    width. Samples that differ much more than the median count less. Against the known field of 50 portraits
    the result was at most 0.03 off. `ends` is the luminance of the patches in both outermost frames, (rows,
    columns) each.
    """
    frames = list(zip(ends, (sitter.plan.turns[0], sitter.plan.turns[-1]), strict=True))
    return np.array([[_width(sitter, box, marks, *frame) for frame in frames] for marks in sitter.face.eyes])


def _width(sitter: PreparedSitter, box: Box, marks: EyeLandmarks, frame: Array, turn: float) -> float:
    """Return an eye's width in a frame against the painting; 1 where its skin shows nothing to match."""
    along = np.array([math.cos(sitter.head.tilt), math.sin(sitter.head.tilt)])
    down = np.array([-along[1], along[0]])
    u, v = np.concatenate([_beside_lid(marks, lid, along, down) for lid in (0, 1)], axis=1)
    x, y = (marks.middle + marks.width * (u[:, None] * along + v[:, None] * down)).T
    template = _painted(sitter, x, y)
    if template.std() < _PLAIN:
        return 1.0

    def seen(ways: Array) -> Array:
        """Return the frame's light where the skin has gone, in eye widths along the face."""
        away = marks.width * ways
        return sample_bilinear(frame, x + away * along[0] - box[0], y + away * along[1] - box[1])

    shape = np.column_stack([np.ones(len(u)), u])
    near = np.linalg.lstsq(shape, sitter.head.displacement(x, y, turn).along / marks.width, rcond=None)[0]
    tries = [near + np.array([off, wider - near[1]]) for off in _OFF for wider in _WIDER]
    # Prefer the head's field where soft skin fits many ways nearly as well.
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
        squared, pull = (lever * trust[:, None]).T @ lever, lever.T @ (trust * error)
        change = -np.linalg.lstsq(squared, pull, rcond=None)[0]
        way = way + np.clip(change, -step, step)
        if abs(change).max() < _SMALL * step:
            break
    return 1 + float(way[1])


def _beside_lid(marks: EyeLandmarks, lid: int, along: Array, down: Array) -> Array:
    """Return the skin's points beside the upper (0) or the lower lid (1): (2, n), u and v in eye widths."""
    line = ((marks.upper, marks.lower)[lid] - marks.middle) / marks.width
    order = np.argsort(line @ along)
    u, off = np.meshgrid(_ACROSS, _SKIN[lid])
    v = np.interp(u, (line @ along)[order], (line @ down)[order]) + off
    points: Array = np.stack([u.ravel(), v.ravel()])
    return points


def nose_tip_travel(sitter: PreparedSitter, box: Box, ends: list[Array]) -> float:
    """Return how far the nose's tip goes from the first frame to the last, against bridge and upper lip.

    All three are matched in the frames, see `_way`; 1 is the mean of bridge and lip. A real nose goes as far
    as these in three-quarter view, and farther seen from the front. `ends` is as in `eye_width_ratios`.
    """
    ways = []
    for point in (_TIP, _BRIDGE, _LIP):
        x, y = sitter.face.mesh[point, :2].tolist()
        turns = sitter.plan.turns[0], sitter.plan.turns[-1]
        first, last = (_way(sitter, box, end, x, y, t) for end, t in zip(ends, turns, strict=True))
        ways.append(last - first)
    mean = (ways[1] + ways[2]) / 2
    # A way without an answer is NaN, and NaN compares as False.
    answered = mean > _SQUARE / 4 * sitter.face.half_width and not math.isnan(ways[0])
    return ways[0] / mean if answered else 1.0


def _way(sitter: PreparedSitter, box: Box, frame: Array, x: float, y: float, turn: float) -> float:
    """Return how far a detail of the painting has gone along the face in a frame, in pixels, by matching.

    Not a number where nothing is painted that could be matched. `frame` is the luminance of the patch, (`x`,
    `y`) the detail's middle in the painting, `turn` the head's in degrees.
    """
    half, tilt = sitter.face.half_width, sitter.head.tilt
    c, s = math.cos(tilt), math.sin(tilt)
    a, b = np.meshgrid(*2 * [np.linspace(-_SQUARE / 2, _SQUARE / 2, 20) * half])
    px, py = x + a * c - b * s, y + a * s + b * c
    template = _painted(sitter, px, py)
    near = float(sitter.head.displacement(np.array(x), np.array(y), turn).along)
    ways = near + half * np.arange(-_OFF_FIELD, _OFF_FIELD + _MATCH_STEP / 2, _MATCH_STEP)
    away = ways[:, None, None]
    unlike = sample_bilinear(frame, px + away * c - box[0], py + away * s - box[1]) - template
    unlike -= unlike.mean((1, 2), keepdims=True)
    if template.std() < _PLAIN:
        return math.nan
    # Prefer the head's field where a soft patch fits many places nearly as well.
    off = np.square((ways - near) / (_OFF_FIELD * half))
    return float(ways[(np.square(unlike).mean((1, 2)) / template.var() + off).argmin()])


def _painted(sitter: PreparedSitter, x: Array, y: Array) -> Array:
    """Return the painting's luminance at points; only their part of it is sampled.

    Points may lie outside the picture, such as a chin below its edge.
    """
    height, width = sitter.pixels.shape[:2]
    left, top = (min(max(math.floor(p.min()) - 2, 0), n - 1) for p, n in ((x, width), (y, height)))
    right, below = (max(math.ceil(p.max()) + 2, start + 1) for p, start in ((x, left), (y, top)))
    return sample_bilinear(sitter.pixels[top:below, left:right] @ LUMA, x - left, y - top)


@dataclass(frozen=True, slots=True)
class PortraitFigures:
    """The measures of a portrait; of two eyes, the one at picture left first.

    `contrasts` is each painted eye's own, see `eye_contrast`. `rims`, `arcs`, `edges`, `levels`, `cuts`,
    `lights` and `corners` are (2, frames), see `ghost_rims`, `limbus_arcs`, `new_hard_edges`,
    `white_brightness`, `missing_iris_part`, `catch_light_strengths` and `iris_over_corner`. `whites` has each
    eye's frames, None where nothing can be compared, see `compare_uncovered_white`. `widths` and `nose` are
    as in `HeadFigures`. `angles` is the gaze in the outermost frames in degrees; `step` is how many columns
    of the grid lie from one frame to the next.
    """

    contrasts: tuple[float, float]
    rims: Array
    arcs: Array
    edges: Array
    whites: tuple[list[UncoveredWhite | None], list[UncoveredWhite | None]]
    levels: Array
    cuts: Array
    lights: Array
    corners: Array
    widths: Array
    nose: float
    angles: tuple[float, float]
    step: int = 1


def measure_frames_of_row(
    recorder: EyeRecorder, head: HeadFigures, angles: tuple[float, ...]
) -> PortraitFigures:
    """Measure a row of a portrait's frames once all its patches have passed the recorder.

    `head` has the figures of the level row, which the others share. `angles` is the gaze that the pack names
    for each frame, in degrees.
    """
    eyes, sitter = recorder.eyes(), recorder.sitter
    first, second = eyes
    found = zip(eyes, sitter.eyes, sitter.face.eyes, strict=True)
    return PortraitFigures(
        contrasts=(eye_contrast(first), eye_contrast(second)),
        rims=np.array([ghost_rims(eye) for eye in eyes]),
        arcs=np.array([limbus_arcs(eye) for eye in eyes]),
        edges=np.array([new_hard_edges(eye) for eye in eyes]),
        whites=(compare_uncovered_white(first), compare_uncovered_white(second)),
        levels=np.array([white_brightness(eye) for eye in eyes]),
        cuts=np.array([missing_iris_part(eye) for eye in eyes]),
        lights=np.array([catch_light_strengths(eye) for eye in eyes]),
        corners=np.array([iris_over_corner(frames, eye, marks) for frames, eye, marks in found]),
        widths=head.widths,
        nose=head.nose,
        angles=(angles[0], angles[-1]),
        step=recorder.step,
    )
