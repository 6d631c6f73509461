"""How large a picture is on the wall: the monitor's size, and how far the sitters are from each other."""

import logging
from pathlib import Path
from typing import Final

from appliance.config import DisplayConfig
from appliance.display.connectors import SYSTEM, usable
from appliance.display.layout import Layout, Size, layout_for
from appliance.pack import PackInfo

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
