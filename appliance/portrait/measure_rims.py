"""What stays behind in an eye when its iris moves: an old rim, arcs, hard edges."""

from typing import Final

import numpy as np

from appliance.portrait.eye_frames import SAMPLES, EyeFrames, columns, rows
from appliance.portrait.sampling import Array, Mask

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
_AROUND: Final = 0.05
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
    inside = (down > eye.upper - _AROUND) & (down < eye.lower + _AROUND)
    inside &= (across > eye.corners[0] - _AROUND) & (across < eye.corners[1] + _AROUND)
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
