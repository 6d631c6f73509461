"""How a picture lies on a screen and how large it is on the wall; the pixel shift against burn-in."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.config import DisplayConfig
from appliance.display.monitor import SYSTEM, usable
from appliance.pack import Box, PackInfo

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fit:
    """A picture scaled to lie on an upright screen.

    `size` is that of the scaled picture, `left` and `top` its place on the screen (negative where it
    reaches over the edge), `view` the part of the screen it may cover, (x0, y0, x1, y1); all in pixels.
    """

    scale_x: float
    scale_y: float
    size: Size
    left: int
    top: int
    view: Box


@dataclass(frozen=True, slots=True)
class Layout:
    """What decides the pixels lit for a pack.

    `screen` is (width, height) as the display has it; `rotation` is how many degrees clockwise the
    picture is turned on it; `fit` is "contain" (all of it, with borders) or "cover" (no borders,
    its edges cut off); `margin` pixels on every side stay border; `brightness` is a part of 1.
    """

    screen: Size
    rotation: int = 0
    fit: str = "contain"
    margin: int = 0
    border: tuple[int, int, int] = (0, 0, 0)
    brightness: float = 1.0

    @property
    def upright(self) -> Size:
        """The screen's size as the picture sees it, (width, height)."""
        width, height = self.screen
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def placed(self, picture: Size, face: Box) -> Fit:
        """Return how a picture lies on the upright screen.

        Parameters
        ----------
        picture : (width, height) in pixels
        face : (x0, y0, x1, y1) of the picture that must stay in view when its edges are cut off
        """
        width, height = self.upright
        margin = min(self.margin, (width - 1) // 2, (height - 1) // 2)
        room = width - 2 * margin, height - 2 * margin
        ratios = room[0] / picture[0], room[1] / picture[1]
        if self.fit == "cover":
            scale = max(ratios)
            size = (max(room[0], round(picture[0] * scale)), max(room[1], round(picture[1] * scale)))
        else:
            scale = min(ratios)
            size = (
                max(1, min(room[0], round(picture[0] * scale))),
                max(1, min(room[1], round(picture[1] * scale))),
            )
        scale_x, scale_y = size[0] / picture[0], size[1] / picture[1]
        left = margin + _offset(room[0], size[0], face[0] * scale_x, face[2] * scale_x)
        top = margin + _offset(room[1], size[1], face[1] * scale_y, face[3] * scale_y)
        view = margin, margin, margin + room[0], margin + room[1]
        return Fit(scale_x, scale_y, size, left, top, view)

    def turned(self, box: Box) -> Box:
        """Return where a box of the upright screen lies on the screen itself."""
        x0, y0, x1, y1 = box
        width, height = self.upright
        if self.rotation == 90:
            return height - y1, x0, height - y0, x1
        if self.rotation == 180:
            return width - x1, height - y1, width - x0, height - y0
        if self.rotation == 270:
            return y0, width - x1, y1, width - x0
        return box


def _offset(room: int, size: int, low: float, high: float) -> int:
    """Return where something of `size` begins in `room`: centred, or so that low..high is seen."""
    centred = (room - size) // 2
    if size <= room:
        return centred
    breath = min((high - low) / 8, (room - high + low) / 2)  # a head does not touch the frame
    low, high = low - max(breath, 0.0), high + max(breath, 0.0)
    if high - low >= room:
        wanted = round((room - low - high) / 2)
    else:
        wanted = round(min(max(centred, -low), room - high))
    return min(max(wanted, room - size), 0)


def layout_for(config: DisplayConfig, screen: Size) -> Layout:
    """Return how a config wants pictures to lie on a screen of that size."""
    colour = bytes.fromhex(config.border[1:])
    border = colour[0], colour[1], colour[2]
    return Layout(screen, config.rotation, config.fit, config.margin, border, config.brightness)


def offset_at(elapsed: float, reach: int, period: float) -> tuple[int, int]:
    """Return how far the picture is from its place, (right, down) in pixels.

    It walks every place of a square row by row, to and fro, each as often as any other, and begins
    in the middle; a step is one pixel.

    Parameters
    ----------
    elapsed : seconds since the start
    reach : pixels from the middle to the square's edge
    period : seconds between steps
    """
    side = 2 * reach + 1
    places = side * side
    step = (int(elapsed / period) + places // 2) % (2 * places)
    place = min(step, 2 * places - 1 - step)  # there, and back the same way
    row, column = divmod(place, side)
    return (column if row % 2 == 0 else side - 1 - column) - reach, row - reach


log = logging.getLogger(__name__)

ASSUMED: Final = (
    "the monitor does not tell its size: its longer side is taken to be %.0f mm, so the sitters' eyes may "
    "not quite meet at the visitor; measure the lit width as it hangs and set display.width_mm"
)
# The longer side of a 27 inch monitor of 16:9, in mm: between 24 and 32 inches, which are hung most (guess).
LONGER_SIDE: Final = 598.0
# Longer sides that are believed, in mm: a 7 inch panel to a wall of light.
_BELIEVED: Final = (100.0, 5000.0)
# What televisions and projectors state for a size that they do not have: 16 by 9, in cm or in mm.
_NO_SIZES: Final = ((16, 9), (160, 90), (1600, 900))
# Largest difference in mm between the two sizes of one EDID: the first is in whole centimetres.
_ALIKE: Final = 10
_HEADER: Final = bytes([0, 255, 255, 255, 255, 255, 255, 0])


def apart_mm(
    info: PackInfo, config: DisplayConfig, size: Size, driver: str, system: Path = SYSTEM
) -> tuple[tuple[float, float], ...]:
    """Return how far each sitter's eyes are to picture right of the first one's, and above them, in mm.

    The log says it where the size of several sitters' picture has to be assumed.

    Parameters
    ----------
    size : of the screen in pixels
    driver : SDL's name of what drives it
    """
    layout = layout_for(config, size)
    fit = layout.placed(info.size, info.main.box)
    scale = pixel_mm(config, layout, driver, system)
    if scale is None:
        scale = LONGER_SIDE / max(layout.screen)
        if len(info.sitters) > 1:
            log.warning(ASSUMED, LONGER_SIDE)
    x, y = info.main.eyes
    return tuple(
        ((grid.eyes[0] - x) * fit.scale_x * scale, (y - grid.eyes[1]) * fit.scale_y * scale)
        for grid in info.sitters
    )


def pixel_mm(config: DisplayConfig, layout: Layout, driver: str = "", system: Path = SYSTEM) -> float | None:
    """Return the size of the screen's pixels, which are square, in mm; None if nobody tells it.

    A monitor is asked only where all of it is the screen: a window may be anywhere on any of them.
    """
    if config.width_mm:
        return config.width_mm / layout.upright[0]
    if driver.lower() != "kmsdrm":
        return None
    for plug in usable(system):
        if size := monitor_mm(system / f"{plug.card}-{plug.name}" / "edid"):
            return max(size) / max(layout.screen)
    return None


def monitor_mm(path: Path) -> tuple[int, int] | None:
    """Return the width and height in mm that a monitor states in its EDID; None if it states none.

    The detailed timing gives millimetres and the block's head whole centimetres. Where they contradict each
    other the head counts, because some monitors give the picture's shape as the detailed size.

    Source: VESA Enhanced EDID Standard, release A, revision 2, sections 3.6.2 and 3.10.2.
    """
    try:
        edid = path.read_bytes()
    except OSError:
        return None
    if len(edid) < 128 or edid[:8] != _HEADER:
        return None
    rough = edid[21] * 10, edid[22] * 10
    timing = edid[54:72]
    exact = timing[12] | (timing[14] & 0xF0) << 4, timing[13] | (timing[14] & 0x0F) << 8
    if not any(timing[:2]):  # a text or another descriptor
        exact = rough
    if not all(rough):  # one of them 0: the other one is a ratio
        rough = exact
    alike = all(abs(one - other) <= _ALIKE for one, other in zip(exact, rough, strict=True))
    size = exact if alike else rough
    believed = all(size) and size not in _NO_SIZES and _BELIEVED[0] <= max(size) <= _BELIEVED[1]
    return size if believed else None
