"""All frames of a drawn eye, upright, with a fault of known kind where it is asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.portrait.eye_recordings import EYE_FRAME_RASTER, EyeAlongRow

Drawing = NDArray[np.floating[Any]]
WHITE, IRIS, PUPIL, SKIN, DARK_SKIN = (
    (205.0, 195.0, 180.0),
    (90.0, 65.0, 45.0),
    (25.0, 20.0, 18.0),
    (200.0, 160.0, 130.0),
    (85.0, 62.0, 45.0),
)
RADIUS, MOST, FRAMES = 0.17, 0.14, 17
BLUR = 0.012
Fault = Callable[["Canvas"], None]


def edge(distance: Drawing, blur: float = BLUR) -> Drawing:
    """1 inside, 0 outside of an edge."""
    inside: Drawing = 1 / (1 + np.exp(np.clip(distance / (0.6 * blur), -40, 40)))
    return inside


class Canvas:
    """One frame: `shift` is how far the iris has gone; `paint` lays a colour over the white."""

    def __init__(self, shift: float, radius: float = RADIUS, skin: tuple[float, float, float] = SKIN) -> None:
        self.shift, self.skin = shift, skin
        self.u, self.v = EYE_FRAME_RASTER.mesh()
        self.old = np.hypot(self.u, self.v)
        self.new = np.hypot(self.u - shift, self.v)
        # The white is a ball: darker towards the corners.
        self.colours = np.array(WHITE) * (1 - 0.5 * self.u**2)[..., None]
        self.radius = radius

    def paint(self, cover: Drawing, colour: tuple[float, float, float]) -> None:
        self.colours += np.clip(cover, 0, 1)[..., None] * (np.array(colour) - self.colours)

    def iris(self, away: Drawing) -> None:
        self.paint(edge(away - self.radius), IRIS)
        self.paint(edge(away - 0.4 * self.radius), PUPIL)

    def lids(self) -> None:
        upper, lower = lids()
        open_ = edge(upper - self.v) * edge(self.v - lower)
        self.colours = np.array(self.skin) + open_[..., None] * (self.colours - np.array(self.skin))


def lids() -> tuple[Drawing, Drawing]:
    """The lids' v at the columns."""
    part = np.clip(1 - np.square(EYE_FRAME_RASTER.columns() / 0.5), -0.2, 1)
    return -0.22 * part, 0.2 * part


def drawn(
    under: Fault | None = None,
    over: Fault | None = None,
    found: float = RADIUS,
    painted: Fault | None = None,
    above: Fault | None = None,
    skin: tuple[float, float, float] = SKIN,
) -> EyeAlongRow:
    """All frames of an eye.

    `under` paints below the moved iris and `over` above it, both only where it has moved; `painted`
    paints below and `above` above it in all frames, as the painter did; `found` is the radius that the
    engine believes.
    """
    frames = []
    shifts = np.linspace(-MOST, MOST, FRAMES)
    for shift in shifts:
        canvas = Canvas(shift, skin=skin)
        for layer in (painted, under if shift else None):
            if layer:
                layer(canvas)
        canvas.iris(canvas.new)
        for layer in (above, over if shift else None):
            if layer:
                layer(canvas)
        canvas.lids()
        frames.append(canvas.colours + np.random.default_rng(1).normal(0, 1.5, canvas.colours.shape))
    upper, lower = lids()
    return EyeAlongRow(np.array(frames), FRAMES // 2, (0.0, 0.0, found), shifts, upper, lower, (-0.5, 0.5))


def ring(canvas: Canvas) -> None:
    """The old rim, left behind."""
    canvas.paint(0.5 * edge(abs(canvas.old - canvas.radius) - 0.012), IRIS)


def annulus(canvas: Canvas) -> None:
    """What stays of an iris that was found too small."""
    canvas.iris(canvas.old)


def bright_plate(canvas: Canvas) -> None:
    canvas.colours *= 1 + 0.5 * edge(canvas.old - canvas.radius - 0.04, 0.05)[..., None] / 1.2


def lavender_plate(canvas: Canvas) -> None:
    """White as bright as the painter's, but of another colour."""
    canvas.paint(edge(canvas.old - canvas.radius - 0.03, 0.05), (175.0, 192.0, 235.0))


def hard_plate(canvas: Canvas) -> None:
    """A plate of another tint, as bright as the white."""
    canvas.paint(edge(canvas.old - canvas.radius - 0.05, 0.004), (180.0, 200.0, 205.0))


def grain(canvas: Canvas) -> None:
    noise = np.random.default_rng(2).normal(0, 18, canvas.old.shape)
    canvas.colours += (noise * edge(canvas.old - canvas.radius))[..., None]


def arc(canvas: Canvas) -> None:
    """A thin dark arc beside the moved iris."""
    canvas.paint(0.6 * edge(abs(canvas.new - canvas.radius - 0.04) - 0.008), PUPIL)


def cut(canvas: Canvas) -> None:
    """The straight edge by which a lid had cut the iris, moved along with it."""
    canvas.paint(edge(canvas.v + 0.45 * canvas.radius) * edge(canvas.new - 1.1 * canvas.radius), WHITE)


def debris(canvas: Canvas) -> None:
    """A dark line along the lower lid, where the iris was."""
    _, lower = lids()
    line = edge(abs(canvas.v - lower + 0.02) - 0.008, 0.004)
    canvas.paint(line * edge(canvas.old - 1.4 * canvas.radius), PUPIL)


def catch_light(canvas: Canvas) -> None:
    """A lamp's light on the iris, at picture left of the pupil."""
    canvas.paint(
        edge(np.hypot(canvas.u - canvas.shift + 0.05, canvas.v + 0.04) - 0.03), (250.0, 248.0, 240.0)
    )


def rim_light(canvas: Canvas) -> None:
    """A lamp's light half on the iris, half on a white in shade."""
    canvas.paint(
        edge(np.hypot(canvas.u - canvas.shift + canvas.radius, canvas.v) - 0.03), (250.0, 248.0, 240.0)
    )


def shaded(canvas: Canvas) -> None:
    canvas.colours *= 0.6


def no_rim_light(canvas: Canvas) -> None:
    """White in shade where the light was."""
    canvas.paint(
        edge(np.hypot(canvas.u - canvas.shift + canvas.radius, canvas.v) - 0.05), (120.0, 115.0, 105.0)
    )


def hollow(canvas: Canvas) -> None:
    """What a lamp's light becomes when only its glow goes along: a ring."""
    canvas.paint(edge(np.hypot(canvas.u - canvas.shift + 0.05, canvas.v + 0.04) - 0.024), PUPIL)


def dull_catch_light(canvas: Canvas) -> None:
    """What a lamp's light becomes when it is blended away."""
    canvas.paint(
        0.8 * edge(np.hypot(canvas.u - canvas.shift + 0.05, canvas.v + 0.04) - 0.05), (70.0, 50.0, 35.0)
    )


def skin_for_white(canvas: Canvas) -> None:
    """Flesh on both sides, where the painter put white."""
    canvas.paint(np.ones(canvas.u.shape), (120.0, 95.0, 80.0))


def lid_shadow(canvas: Canvas) -> None:
    """A painted shadow that darkens towards the corner at picture right, over all of the white there."""
    canvas.colours *= 1 - 0.75 * np.clip((canvas.u - 0.02) / 0.4, 0, 1)[..., None]


def dark_corner(canvas: Canvas) -> None:
    """A painted shadow from the iris's rim on: no white is seen at picture right at rest."""
    canvas.paint(edge(0.14 - canvas.u, 0.03), (110.0, 90.0, 75.0))


def staring_white(canvas: Canvas) -> None:
    """White where the painter had a shadow."""
    canvas.paint(edge(canvas.old - canvas.radius - 0.06), WHITE)


def short_edge(canvas: Canvas) -> None:
    """A lid's edge that crosses the uncovered white obliquely: it keeps to no circle."""
    canvas.paint(edge(0.1 - 0.8 * canvas.v - canvas.u, 0.008) * (canvas.u > 0), (130.0, 122.0, 110.0))


def flicker(canvas: Canvas) -> None:
    """An arc beside the iris in one frame alone."""
    if canvas.shift == MOST:
        canvas.paint(0.25 * edge(abs(canvas.new - canvas.radius - 0.04) - 0.008), PUPIL)
