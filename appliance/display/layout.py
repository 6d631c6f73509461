"""The position of a picture on a screen, its size on the wall, and the pixel shift against burn-in."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.config import DisplayConfig
from appliance.display.monitor import SYS_DRM, usable_connectors
from appliance.pack import Box, PackInfo

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """The scale and position of a picture on an upright screen.

    `size` is that of the scaled picture; `left` and `top` are its position on the screen, negative where it
    extends beyond the edge; `view` is the part of the screen that it may cover, (x0, y0, x1, y1). All in
    pixels.
    """

    scale_x: float
    scale_y: float
    size: Size
    left: int
    top: int
    view: Box


@dataclass(frozen=True, slots=True)
class ScreenLayout:
    """The way in which pictures are shown on a screen.

    `screen` is (width, height) of the display. `rotation` is by how many degrees the picture is turned
    clockwise on it. `fit` is "contain" (the whole picture, with borders) or "cover" (no borders, its edges
    cut off). `margin` pixels on every side stay border. `brightness` is from 0 to 1.
    """

    screen: Size
    rotation: int = 0
    fit: str = "contain"
    margin: int = 0
    border: tuple[int, int, int] = (0, 0, 0)
    brightness: float = 1.0

    @property
    def upright(self) -> Size:
        """The screen's (width, height) before rotation, in which the picture is upright."""
        width, height = self.screen
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def place(self, picture: Size, face: Box) -> PlacedPicture:
        """Return the scale and position of a picture, (width, height) in pixels, on the upright screen.

        `face` is the part of it, (x0, y0, x1, y1), that stays visible when its edges are cut off.
        """
        width, height = self.upright
        margin = min(self.margin, (width - 1) // 2, (height - 1) // 2)
        room = width - 2 * margin, height - 2 * margin
        ratios = room[0] / picture[0], room[1] / picture[1]
        scale = max(ratios) if self.fit == "cover" else min(ratios)
        width, height = round(picture[0] * scale), round(picture[1] * scale)
        if self.fit == "cover":
            size = max(room[0], width), max(room[1], height)
        else:
            size = max(1, min(room[0], width)), max(1, min(room[1], height))
        scale_x, scale_y = size[0] / picture[0], size[1] / picture[1]
        left = margin + _offset(room[0], size[0], face[0] * scale_x, face[2] * scale_x)
        top = margin + _offset(room[1], size[1], face[1] * scale_y, face[3] * scale_y)
        view = margin, margin, margin + room[0], margin + room[1]
        return PlacedPicture(scale_x, scale_y, size, left, top, view)

    def rotate_box(self, box: Box) -> Box:
        """Return the box on the rotated screen of a box on the upright screen."""
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
    """Return the offset of something of `size` in `room`: centred, or so that low to high is visible."""
    centred = (room - size) // 2
    if size <= room:
        return centred
    breath = min((high - low) / 8, (room - high + low) / 2)  # space around the head
    low, high = low - max(breath, 0.0), high + max(breath, 0.0)
    wanted = (room - low - high) / 2 if high - low >= room else min(max(centred, -low), room - high)
    return min(max(round(wanted), room - size), 0)


def layout_for(config: DisplayConfig, screen: Size) -> ScreenLayout:
    """Return how a config wants pictures to be shown on a screen of that size."""
    red, green, blue = bytes.fromhex(config.border[1:])
    border = red, green, blue
    return ScreenLayout(screen, config.rotation, config.fit, config.margin, border, config.brightness)


def pixel_shift_at(elapsed: float, reach: int, period: float) -> tuple[int, int]:
    """Return the shift of the picture from its place `elapsed` seconds after the start, in pixels.

    As (right, down). It starts in the middle of a square, which reaches `reach` pixels to each side, and
    visits every place of it row by row, to and fro, each equally often, a pixel every `period` seconds.
    """
    side = 2 * reach + 1
    places = side * side
    step = (int(elapsed / period) + places // 2) % (2 * places)
    place = min(step, 2 * places - 1 - step)  # there and back
    row, column = divmod(place, side)
    return (column if row % 2 == 0 else side - 1 - column) - reach, row - reach


log = logging.getLogger(__name__)

SIZE_ASSUMED: Final = (
    "the monitor does not report its size: its longer side is assumed to be %.0f mm, so the sitters may not "
    "look exactly at the same point; measure the lit width as it hangs and set display.width_mm"
)
# Longer side if it is unknown, in mm: that of 27 inches at 16:9 (guess: most screens have 24 to 32 inches).
ASSUMED_LONGER_SIDE: Final = 598.0
# Shortest and longest credible longer side, in mm: from a 7 inch panel to a video wall.
_BELIEVED_SIDES: Final = (100.0, 5000.0)
# Aspect ratios that televisions and projectors report instead of a size: 16 by 9, in cm or in mm.
_ASPECT_RATIOS: Final = ((16, 9), (160, 90), (1600, 900))
# Largest difference between the two sizes in one EDID, in mm: the first is in whole centimetres.
_SIZE_TOLERANCE: Final = 10
_EDID_HEADER: Final = bytes([0, 255, 255, 255, 255, 255, 255, 0])  # the first bytes of every EDID


def sitter_offsets_mm(
    info: PackInfo, config: DisplayConfig, size: Size, driver: str, system: Path = SYS_DRM
) -> tuple[tuple[float, float], ...]:
    """Return how far each sitter's eyes are to picture right of the first one's, and above them, in mm.

    `size` is the screen's in pixels, `driver` SDL's name of the video driver. If there are several sitters
    and the size in mm must be assumed, a warning is logged.
    """
    layout = layout_for(config, size)
    fit = layout.place(info.size, info.main.box)
    scale = pixel_size_mm(config, layout, driver, system)
    if scale is None:
        scale = ASSUMED_LONGER_SIDE / max(layout.screen)
        if len(info.sitters) > 1:
            log.warning(SIZE_ASSUMED, ASSUMED_LONGER_SIDE)
    x, y = info.main.eyes
    return tuple(
        ((grid.eyes[0] - x) * fit.scale_x * scale, (y - grid.eyes[1]) * fit.scale_y * scale)
        for grid in info.sitters
    )


def pixel_size_mm(
    config: DisplayConfig, layout: ScreenLayout, driver: str = "", system: Path = SYS_DRM
) -> float | None:
    """Return the size of the screen's square pixels in mm; None if it is unknown.

    The monitor is asked only if the screen fills it; a window may be anywhere on any monitor.
    """
    if config.width_mm:
        return config.width_mm / layout.upright[0]
    if driver.lower() != "kmsdrm":
        return None
    for plug in usable_connectors(system):
        if size := edid_size_mm(system / f"{plug.card}-{plug.name}" / "edid"):
            return max(size) / max(layout.screen)
    return None


def edid_size_mm(path: Path) -> tuple[int, int] | None:
    """Return the width and height in mm that a monitor reports in its EDID; None if it reports none.

    The detailed timing has millimetres, the block's head whole centimetres. If they contradict each other the
    head counts, because some monitors report the aspect ratio as the detailed size.

    Source: VESA Enhanced EDID Standard, release A, revision 2, sections 3.6.2 and 3.10.2.
    """
    try:
        edid = path.read_bytes()
    except OSError:
        return None
    if len(edid) < 128 or edid[:8] != _EDID_HEADER:
        return None
    rough = edid[21] * 10, edid[22] * 10
    timing = edid[54:72]
    exact = timing[12] | (timing[14] & 0xF0) << 4, timing[13] | (timing[14] & 0x0F) << 8
    if not any(timing[:2]):  # a text or another descriptor
        exact = rough
    if not all(rough):  # if one of them is 0, the other one is a ratio
        rough = exact
    alike = all(abs(one - other) <= _SIZE_TOLERANCE for one, other in zip(exact, rough, strict=True))
    size = exact if alike else rough
    if not all(size) or size in _ASPECT_RATIOS:
        return None
    return size if _BELIEVED_SIDES[0] <= max(size) <= _BELIEVED_SIDES[1] else None
