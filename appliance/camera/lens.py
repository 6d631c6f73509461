"""Lenses: from a place to a pixel and back, and the fields of view of Raspberry Pi cameras."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole in the middle of a picture with square pixels, bent a little outwards or inwards.

    `width` and `height` are in pixels, `horizontal_fov` is the angle across the width in degrees.
    Places are millimetres in the camera's frame: x to picture right, y down, z away from the lens.
    Pixel coordinates are continuous: pixel i covers [i, i + 1). `distortion` is Brown's first radial
    coefficient k1: a ray at r focal lengths from the axis falls r (1 + k1 r^2) from the middle, in
    units that leave the picture's left and right edges where they are; below 0 is a barrel.

    Source: Brown, "Decentering Distortion of Lenses", Photogrammetric Engineering 32, 1966.
    """

    width: int
    height: int
    horizontal_fov: float
    distortion: float = 0.0

    @property
    def focal(self) -> float:
        """Focal length in pixels, in the middle of the picture."""
        edge = math.tan(math.radians(self.horizontal_fov) / 2)
        return self.width / 2 / (edge * (1 + self.distortion * edge * edge))

    def project(self, x_mm: float, y_mm: float, z_mm: float) -> tuple[float, float]:
        """Return where a place in front of the lens (z > 0) falls in the picture, in pixels."""
        x, y = x_mm / z_mm, y_mm / z_mm
        scale = self.focal * (1 + self.distortion * (x * x + y * y))
        return self.width / 2 + x * scale, self.height / 2 + y * scale

    def ray(self, x: float, y: float) -> tuple[float, float]:
        """Return the direction a pixel sees: millimetres to picture right and down per millimetre ahead."""
        u, v = (x - self.width / 2) / self.focal, (y - self.height / 2) / self.focal
        seen = math.hypot(u, v)
        if self.distortion == 0 or seen == 0:
            return u, v
        true = seen
        for _ in range(8):  # Newton; a barrel stops bending where its slope would turn
            slope = max(1 + 3 * self.distortion * true * true, 0.1)
            true -= (true * (1 + self.distortion * true * true) - seen) / slope
        return u * true / seen, v * true / seen

    def angle(self, x: float) -> float:
        """Return the horizontal angle of a picture column in degrees, positive to picture right."""
        return math.degrees(math.atan(self.ray(x, self.height / 2)[0]))


LENS_UNKNOWN: Final = "a guess, because the angle of its lens is not known; set camera.field_of_view"
LENS_DIFFERS: Final = "its own lens has %g degrees; is camera.field_of_view right?"

# Horizontal field of view of each camera's own lens, degrees across the full width of its sensor. "_noir"
# variants have the same lens. The lens of an imx477 (HQ) or imx296 (GS) is bought separately.
# Source: Raspberry Pi's camera documentation, table "Hardware specifications".
_FIELDS_OF_VIEW: Final = {
    "ov5647": 53.5,  # Camera Module 1
    "imx219": 62.2,  # Camera Module 2
    "imx500": 66.0,  # AI Camera, +- 3
    "imx708": 66.0,  # Camera Module 3
    "imx708_wide": 102.0,  # Camera Module 3 Wide
}
# Field of view where neither the config nor the camera's name tells it, degrees: Camera Module 3's.
USUAL_FIELD_OF_VIEW: Final = 66.0
# Difference between the config and the camera's own lens from which on it is told, degrees: more than
# the AI Camera's tolerance.
_TOLERANCE: Final = 5.0

# The smallest mode of each sensor that keeps its full width, pixels: asking a sensor for its modes costs
# a configuration of the camera for each of them.
_FULL_WIDTH: Final = {
    "imx219": (1640, 1232),
    "imx296": (1456, 1088),
    "imx477": (2028, 1520),
    "imx500": (2028, 1520),
    "imx708": (2304, 1296),
    "ov5647": (1296, 972),
}


def field_of_view(model: str, configured: float) -> tuple[float, str]:
    """Return the horizontal field of view to use, in degrees, and what is doubtful about it.

    Parameters
    ----------
    model : the camera's name, like "imx708_wide_noir"
    configured : `camera.field_of_view`, degrees; 0 takes the camera's own
    """
    own = _FIELDS_OF_VIEW.get(model.removesuffix("_noir"))
    if configured:
        doubted = own is not None and abs(own - configured) > _TOLERANCE
        return configured, LENS_DIFFERS % own if doubted else ""
    if own is None:
        return USUAL_FIELD_OF_VIEW, LENS_UNKNOWN
    return own, ""


def is_usb(camera: dict[str, Any]) -> bool:
    """Tell whether a camera of picamera2's list is connected by USB: its Id is its place on a bus."""
    return "/usb" in str(camera.get("Id"))


def known_mode(model: str) -> dict[str, Any]:
    """Return the sensor mode to ask for, as picamera2 wants it; empty for a sensor that is not known."""
    size = _FULL_WIDTH.get(model.split("_")[0])
    return {"output_size": size, "bit_depth": 10} if size else {}


def widest_mode(modes: Sequence[dict[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    """Choose the smallest mode of a sensor that loses nothing of its width.

    Parameters
    ----------
    modes : picamera2's `sensor_modes`; `crop_limits` is what a mode sees: left, top, width, height in
        pixels of the sensor
    size : (width, height) of the pictures wanted; a mode is cropped to their shape

    Returns
    -------
    The mode as picamera2 wants it; empty if no mode tells what it sees.
    """
    width, height = size

    def seen(mode: dict[str, Any]) -> float:
        return min(float(mode["crop_limits"][2]), float(mode["crop_limits"][3]) * width / height)

    known = [mode for mode in modes if "crop_limits" in mode and "size" in mode]
    most = max(map(seen, known), default=0.0)
    # Some sensors lose a few columns in a binned mode; 5 % is where the log tells of a cropped picture.
    wide = [mode for mode in known if seen(mode) >= 0.95 * most]
    if not wide:
        return {}
    best = min(wide, key=lambda mode: (mode["size"][0] * mode["size"][1], mode["bit_depth"]))
    return {"output_size": best["size"], "bit_depth": best["bit_depth"]}


def listing_advice(error: str) -> str:
    """Return what to do when the cameras cannot be listed, by the last line of the traceback."""
    if error.endswith("No module named 'picamera2'"):
        return "sudo apt-get install python3-picamera2"
    if error.startswith(("ImportError:", "ModuleNotFoundError:", "AttributeError:")):
        return (
            "picamera2 and libcamera do not fit each other: sudo apt-get update; sudo apt-get full-upgrade; "
            "sudo apt-get install --reinstall python3-picamera2 python3-libcamera; "
            "take away copies in /usr/local that were built by hand"
        )
    return "restart the Pi; if it stays so, check the camera's cable and send `mona-lisa logs` to support"
