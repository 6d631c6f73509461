"""The white that a moved iris uncovers, against the white painted beside it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.portrait.eye_frames import SAMPLES, EyeFrames, columns, rows
from appliance.portrait.measure_rims import FEW, LUMA, MOVED, SHADE, rim_radius
from appliance.portrait.sampling import Array, Mask, blur

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
