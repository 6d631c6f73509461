"""What a curator would frown at, measured on the frames as they are shown.

Every measure says which pixels it reads. Lids, old iris and new iris alone decide them, and all of
them count: no patch is chosen by how it looks.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.grid import Box
from appliance.portrait.eye_frames import SAMPLES, EyeFrames, EyeRecorder, columns, rows
from appliance.portrait.sampling import Array, Mask, bilinear, blur
from appliance.portrait.sitter import Sitter

_LUMA: Final = np.array([0.299, 0.587, 0.114])
# The iris's blur and shade reach so far beyond its rim, in eye widths.
_SHADE: Final = 0.05
# The hole that the iris leaves in the white ends at most so far beyond its rim, in eye widths.
_HOLE: Final = 0.1
# An iris that has moved less than this, in eye widths, has uncovered nothing to be read.
_MOVED: Final = 0.05

# The ghost rim is looked for in directions up to 54 degrees off the side that the iris has left (degrees).
_ARC: Final = np.radians(np.arange(-54, 55, 3))
# The eye's own rim is looked for to both sides (degrees).
_RIM: Final = np.radians(np.r_[np.arange(-40, 46, 4), np.arange(140, 226, 4)])
# A jump is compared to the slopes beside it over twice this way, in eye widths.
_JUMP: Final = 0.015
# Fewer directions than this (24 degrees of arc) are not called an arc.
_LEAST_ARC: Final = 9
# An arc beside the iris is looked for from a shift of this, as a line of half this width, and is the
# painting's own if that has one within this distance; all in eye widths.
_BEGUN: Final = 0.03
_LINE: Final = 0.025
_ABOUT: Final = 0.03
# Radii are tried in steps of this, in eye widths.
_STEP: Final = 0.01

# New edges are looked for so far beyond lids and corners, and are the painting's own if that has one
# within the second distance, in eye widths: the lids go a little way with the iris.
_AROUND: Final = 0.05
_NEAR: Final = 0.05
# The part of the area that counts.
_HARDEST: Final = 1 / 30
# The white beside the uncovered one is read over this width, in eye widths.
_STRIP: Final = 0.1
# It begins so far beyond the painted iris's rim, where shade and blur have ended, in eye widths.
_BESIDE: Final = 0.07
# Fewer samples than this say nothing (of 16,384 in a square eye width).
_FEW: Final = 40
# Grey levels added to both sides of a ratio of brightness, and of grain: the noise of 8 bits.
_BLACK: Final = 4.0
_NOISE: Final = 2.0
# An iris less than twice this darker than the white, in grey levels, has no edge that could be cut.
_LEAST_STEP: Final = 12.0
# What is finer than this is grain, in eye widths.
_FINE: Final = 0.02

# A detail is matched by a square of this side, in half faces, up to so far from where the head's field
# has it, and in steps of this.
_SQUARE: Final = 0.16
_OFF_FIELD: Final = 0.12
_MATCH_STEP: Final = 0.004
# A square with less deviation than this, in grey levels, shows nothing that could be matched.
_PLAIN: Final = 5.0
# Fewer slopes than this say nothing of an eye's width.
_LEAST_SLOPES: Final = 6
# Details beside the lids lie so far above the upper and below the lower one, in eye widths.
_ABOVE, _BELOW = 0.2, 0.14
# Mesh points: the nose's bridge and tip, and the upper lip.
_BRIDGE, _TIP, _LIP = 168, 1, 0


@dataclass(frozen=True, slots=True)
class White:
    """The white that one frame uncovers, against what is painted beside it on that side.

    `light` is the ratio of their brightness, `difference` is in grey levels, and `grain` the ratio
    of what is finer than a fiftieth of the eye's width.
    """

    light: float
    difference: float
    grain: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The measures of a portrait; of two eyes, the one at picture left first.

    `rims`, `arcs`, `edges` and `cuts` are (2, frames), see `ghost_rim`, `limbus_arcs`, `new_edges`
    and `cut_iris`; `whites` has each eye's frames, None where nothing can be compared, see
    `uncovered_white`; `widths` is (2, 2), each eye's width in the first and the last frame, see
    `eye_widths`; `nose` see `nose_way`; `angles` is the gaze in the outermost frames in degrees.
    """

    rims: Array
    arcs: Array
    edges: Array
    whites: tuple[list[White | None], list[White | None]]
    cuts: Array
    widths: Array
    nose: float
    angles: tuple[float, float]


def measure(recorder: EyeRecorder, angles: tuple[float, ...]) -> Figures:
    """Measure a portrait once all its patches have passed the recorder.

    Parameters
    ----------
    angles : the gaze that the pack names for each frame, in degrees
    """
    eyes, sitter, box = recorder.eyes(), recorder.sitter, recorder.box
    first, second = (uncovered_white(eye) for eye in eyes)
    ends = [end @ _LUMA for end in recorder.ends]
    return Figures(
        rims=np.array([ghost_rim(eye) for eye in eyes]),
        arcs=np.array([limbus_arcs(eye) for eye in eyes]),
        edges=np.array([new_edges(eye) for eye in eyes]),
        whites=(first, second),
        cuts=np.array([cut_iris(eye) for eye in eyes]),
        widths=eye_widths(sitter, box, ends),
        nose=nose_way(sitter, box, ends),
        angles=(angles[0], angles[-1]),
    )


def ghost_rim(eye: EyeFrames) -> list[float]:
    """Return how strongly an old rim shows in each frame, in grey levels; 0 where none can be seen.

    Read are all arcs around the painted iris's middle, from 0.6 of its radius to beyond the hole it
    leaves, on the side that it has left, between the lids and off the moved iris. A rim is a jump in
    any colour along an arc: the step across 0.03 eye widths less the steps of the same sense on both
    sides of it, which a smooth shade has, too. The median over the arc counts, so a rim shows along
    half of it at least. Beyond the hole only what exceeds the painting's own jump counts.
    """
    u, v, radius = eye.iris
    outermost = max(radius, rim_radius(eye))
    radii = np.arange(0.6 * radius, min(1.35 * outermost + _SHADE, 0.45), _STEP)
    steps = _JUMP * np.array([-3, -1, 1, 3])
    out = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        side = -1 if shift > 0 else 1
        reach = (radii + steps[:, None])[:, None]
        x, y = u + side * reach * np.cos(_ARC)[:, None], v + reach * np.sin(_ARC)[:, None]
        seen = eye.opened(x, y) & (np.hypot(x - u - shift, y - v) > outermost + 0.7 * _SHADE)
        there = seen[1] & seen[2]
        arcs = there.sum(0) >= _LEAST_ARC
        if abs(shift) < _MOVED or not arcs.any():
            out.append(0.0)
            continue
        painted = _jumps(eye.at(eye.resting, x, y), seen)
        jumps = _jumps(eye.at(frame, x, y), seen)
        own = np.where(radii[:, None] > outermost + _HOLE, abs(painted), 0)
        jumps = np.sign(jumps) * np.maximum(abs(jumps) - own, 0)
        median = np.nanmedian(np.where(there[..., None], jumps, np.nan)[:, arcs], axis=0)
        out.append(float(abs(median).max()))
    return out


def limbus_arcs(eye: EyeFrames) -> list[float]:
    """Return how strongly an arc shows beside the moved iris in each frame, in grey levels.

    Read are all arcs around the moved iris's middle, from 0.7 of its radius to beyond its shade, to
    either side. An arc is a line, in any colour, darker or brighter than what lies 0.025 eye widths
    inside and outside of it; the median over the arc counts. Lines that the painted iris has at about
    the same distance, like a dark rim, are no fault.
    """
    radius = max(eye.iris[2], rim_radius(eye))
    radii = np.arange(0.7 * eye.iris[2], 1.25 * radius + _SHADE, _STEP)
    painted = _lines(eye, eye.resting, 0.0, radii)
    about = round(_ABOUT / _STEP)
    own = np.array([painted[max(i - about, 0) : i + about + 1].max() for i in range(len(radii))])
    return [
        float(np.maximum(_lines(eye, frame, shift, radii) - own, 0).max()) if abs(shift) > _BEGUN else 0.0
        for frame, shift in enumerate(eye.shifts.tolist())
    ]


def _lines(eye: EyeFrames, frame: int, shift: float, radii: Array) -> Array:
    """Return the strongest line at each radius around the iris moved by `shift`, in grey levels."""
    u, v, _ = eye.iris
    strongest = np.zeros(len(radii))
    for side in (-1, 1):
        reach = (radii + _LINE * np.array([-1, 0, 1])[:, None])[:, None]
        x, y = u + shift + side * reach * np.cos(_ARC)[:, None], v + reach * np.sin(_ARC)[:, None]
        seen = eye.opened(x, y).all(0)
        arcs = seen.sum(0) >= _LEAST_ARC
        if not arcs.any():
            continue
        inside, here, outside = np.where(seen[..., None], eye.at(frame, x, y), np.nan)[:, :, arcs]
        for line in (np.minimum(inside, outside) - here, here - np.maximum(inside, outside)):
            strongest[arcs] = np.maximum(strongest[arcs], np.nanmedian(line, axis=0).max(-1))
    return strongest


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
    inside, outside = eye.at(eye.resting, x, y) @ _LUMA
    steps = np.nanmedian(np.where(seen, outside - inside, np.nan)[:, sure], axis=0)
    return float(radii[sure][steps.argmax()])


def new_edges(eye: EyeFrames) -> list[float]:
    """Return how hard the hardest edges are around the white that each frame uncovers, in grey levels.

    Read is all on the side that the iris has left: the hole that the painted iris leaves, and the lids
    and corners around it, off the moved iris. An edge is the step in any colour over 0.03 eye widths,
    less the strongest step that the painting has within 0.05. The hardest are a thirtieth of the area.
    """
    u, v, radius = eye.iris
    radius = max(radius, rim_radius(eye))
    across, down = np.meshgrid(columns(), rows())
    inside = (down > eye.upper - _AROUND) & (down < eye.lower + _AROUND)
    inside &= (across > eye.corners[0] - _AROUND) & (across < eye.corners[1] + _AROUND)
    inside &= np.hypot(across - u, down - v) < radius + _HOLE
    painted = _greatest(_steepness(eye.colours[eye.resting]))
    out = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        there = inside & ((across - u - shift) * (-1 if shift > 0 else 1) > 0)
        there &= np.hypot(across - u - shift, down - v) > radius + 0.7 * _SHADE
        if abs(shift) < _MOVED or there.sum() < _FEW:
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


def uncovered_white(eye: EyeFrames) -> list[White | None]:
    """Compare the white that each frame uncovers with what is painted beside it, on the same side.

    Uncovered are all samples between the lids that the painted iris covered and the moved one with
    its shade does not. Beside lies a strip of 0.1 eye widths, from the painted iris's shade on towards
    the corner. Both are read over the same rows, and every row counts as much as the shorter of the
    two, so that the lids' shade is alike in both.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    opened = eye.opened(across, down)
    was_iris = opened & (np.hypot(across - u, down - v) < radius)
    edge = np.sqrt(np.maximum(radius**2 - np.square(down - v), 0)) + _BESIDE
    out: list[White | None] = []
    for frame, shift in enumerate(eye.shifts.tolist()):
        away = (across - u) * (-1 if shift > 0 else 1)
        bare = was_iris & (away > 0) & (np.hypot(across - u - shift, down - v) > radius + _SHADE)
        beside = opened & (away > edge) & (away < edge + _STRIP)
        counts = np.minimum(bare.sum(1), beside.sum(1))
        if counts.sum() < _FEW:
            out.append(None)
            continue
        light = eye.colours[frame] @ _LUMA
        fine = light - blur(light, _FINE * SAMPLES)
        (new, new_fine), (old, old_fine) = (_read(light, fine, mask, counts) for mask in (bare, beside))
        out.append(
            White((new + _BLACK) / (old + _BLACK), new - old, (new_fine + _NOISE) / (old_fine + _NOISE))
        )
    return out


def _read(light: Array, fine: Array, mask: Mask, counts: Array) -> tuple[float, float]:
    """Return the mean light of a mask, its rows weighted, and the deviation of its grain."""
    means = (light * mask).sum(1) / np.maximum(mask.sum(1), 1)
    return float(np.average(means, weights=counts)), float(fine[mask & (counts > 0)[:, None]].std())


def cut_iris(eye: EyeFrames) -> list[float]:
    """Return which part of the moved iris's radius is missing in each frame, a mean over all directions.

    From the rim inwards, in directions 6 degrees apart and where the lids leave room, all that is
    brighter than half way from the painted iris to the painted white is missing, up to the first
    dark sample. What is missing in the painting at rest is not counted.
    """
    u, v, radius = eye.iris
    across, down = np.meshgrid(columns(), rows())
    away, opened = np.hypot(across - u, down - v), eye.opened(across, down)
    painted = eye.colours[eye.resting] @ _LUMA
    iris, white = painted[opened & (away < 0.85 * radius)], painted[opened & (away > radius + _HOLE)]
    if min(iris.size, white.size) < _FEW or np.median(white) - np.median(iris) < 2 * _LEAST_STEP:
        return [0.0] * len(eye.shifts)
    limit = (np.median(iris) + np.median(white)) / 2
    direction = np.radians(np.arange(-180, 180, 6))[:, None]
    reach = np.linspace(radius - 0.03, 0.45 * radius, 14)

    def missing(frame: int, shift: float) -> Array:
        x, y = u + shift + reach * np.cos(direction), v + reach * np.sin(direction)
        seen = eye.opened(x, y)
        bright = (eye.at(frame, x, y) @ _LUMA > limit) | ~seen
        gone: Array = (np.cumprod(bright, axis=1) * seen).mean(1)
        return gone

    usual = missing(eye.resting, 0.0)
    return [
        float(np.maximum(missing(frame, shift) - usual, 0).mean())
        for frame, shift in enumerate(eye.shifts.tolist())
    ]


def eye_widths(sitter: Sitter, box: Box, ends: list[Array]) -> Array:
    """Return each eye's width in the outermost frames against the painting, (2 eyes, 2 frames).

    Ten details beside the lids, where the face's landmarks have these, are matched in the frames, see
    `_way`. The width follows from the median slope of their ways along the face (Theil and Sen's,
    which single wrong matches do not change).
    """
    widths = np.ones((2, 2))
    along = np.array([math.cos(sitter.head.tilt), math.sin(sitter.head.tilt)])
    down = np.array([-along[1], along[0]])
    for i, marks in enumerate(sitter.face.eyes):
        off = marks.width * down
        points = np.concatenate([marks.upper[::2] - _ABOVE * off, marks.lower[::2] + _BELOW * off])
        u = points @ along
        first, second = np.triu_indices(len(u), 1)
        far = abs(u[first] - u[second]) > marks.width / 3
        first, second = first[far], second[far]
        for j, turn in enumerate((sitter.plan.turns[0], sitter.plan.turns[-1])):
            ways = np.array([_way(sitter, box, ends[j], x, y, turn) for x, y in points.tolist()])
            slopes = (ways[first] - ways[second]) / (u[first] - u[second])
            if np.isfinite(slopes).sum() >= _LEAST_SLOPES:
                widths[i, j] = 1 + np.nanmedian(slopes)
    return widths


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
    return ways[0] / mean if mean > _SQUARE / 4 * sitter.face.half_width else 1.0  # also without an answer


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
    # Only the square's part of the picture is sampled; a mesh point may lie outside the picture.
    height, width = sitter.pixels.shape[:2]
    left, top = (min(max(math.floor(p.min()) - 2, 0), n - 1) for p, n in ((px, width), (py, height)))
    right, below = (max(math.ceil(p.max()) + 2, start + 1) for p, start in ((px, left), (py, top)))
    template = bilinear(sitter.pixels[top:below, left:right] @ _LUMA, px - left, py - top)
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
