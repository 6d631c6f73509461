"""Lenses: from a place to a pixel and back, and the fields of view of Raspberry Pi cameras."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole camera with square pixels and radial distortion.

    `width` and `height` are in pixels, `horizontal_fov` is the angle across the width in degrees.
    Places are millimetres in the camera's frame: x to picture right, y down, z away from the lens.
    Pixel coordinates are continuous: pixel i covers [i, i + 1). `distortion` is Brown's first radial
    coefficient k1: a ray at r focal lengths from the axis falls on r (1 + k1 r^2) from the middle, scaled so
    that the picture's left and right edges stay in place; a negative k1 is barrel distortion.

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
        for _ in range(8):  # Newton's method; the slope is bounded, because a barrel's would change its sign
            slope = max(1 + 3 * self.distortion * true * true, 0.1)
            true -= (true * (1 + self.distortion * true * true) - seen) / slope
        return u * true / seen, v * true / seen

    def angle(self, x: float) -> float:
        """Return the horizontal angle of a picture column in degrees, positive to picture right."""
        return math.degrees(math.atan(self.ray(x, self.height / 2)[0]))


LENS_UNKNOWN: Final = "a guess, because the angle of its lens is not known; set camera.field_of_view"
LENS_DIFFERS: Final = "its own lens has %g degrees; is camera.field_of_view right?"

# Horizontal field of view of each camera's own lens, degrees across the full width of its sensor. "_noir"
# variants have the same lens. The lens of an imx477 (HQ) or imx296 (GS) is bought separately. Source:
# Raspberry Pi's camera documentation, table "Hardware specifications".
_FIELDS_OF_VIEW: Final = {
    "ov5647": 53.5,  # Camera Module 1
    "imx219": 62.2,  # Camera Module 2
    "imx500": 66.0,  # AI Camera, +- 3
    "imx708": 66.0,  # Camera Module 3
    "imx708_wide": 102.0,  # Camera Module 3 Wide
}
# Field of view if neither the config nor the camera's name gives it, in degrees: that of Camera Module 3.
DEFAULT_FIELD_OF_VIEW: Final = 66.0
# Difference of config and own lens that is logged, in degrees: more than the AI Camera's tolerance.
_LENS_TOLERANCE: Final = 5.0

# The smallest mode of each sensor that keeps its full width, in pixels. They are listed here because
# picamera2 configures the camera once for each mode when it is asked for them.
_FULL_WIDTH_MODES: Final = {
    "imx219": (1640, 1232),
    "imx296": (1456, 1088),
    "imx477": (2028, 1520),
    "imx500": (2028, 1520),
    "imx708": (2304, 1296),
    "ov5647": (1296, 972),
}


def choose_field_of_view(model: str, configured: float) -> tuple[float, str]:
    """Return the horizontal field of view to use, in degrees, and a warning about it or an empty text.

    `model` is the camera's name, like "imx708_wide_noir"; `configured` is `camera.field_of_view` in degrees,
    0 for that of the camera's own lens.
    """
    own = _FIELDS_OF_VIEW.get(model.removesuffix("_noir"))
    if configured:
        doubted = own is not None and abs(own - configured) > _LENS_TOLERANCE
        return configured, LENS_DIFFERS % own if doubted else ""
    if own is None:
        return DEFAULT_FIELD_OF_VIEW, LENS_UNKNOWN
    return own, ""


def is_usb_camera(camera: dict[str, Any]) -> bool:
    """Tell whether a camera of picamera2's list is connected by USB; its Id tells the bus."""
    return "/usb" in str(camera.get("Id"))


def known_sensor_mode(model: str) -> dict[str, Any]:
    """Return the sensor mode to request, in picamera2's form; empty for an unknown sensor."""
    size = _FULL_WIDTH_MODES.get(model.split("_")[0])
    return {"output_size": size, "bit_depth": 10} if size else {}


def widest_sensor_mode(modes: Sequence[dict[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    """Return the smallest mode of a sensor that keeps its full width; empty if no mode has `crop_limits`.

    `modes` is picamera2's `sensor_modes`; `crop_limits` is the part of the sensor that a mode uses: left,
    top, width, height in pixels. `size` is (width, height) of the pictures wanted; a mode is cropped to their
    shape.
    """
    width, height = size

    def seen(mode: dict[str, Any]) -> float:
        return min(float(mode["crop_limits"][2]), float(mode["crop_limits"][3]) * width / height)

    known = [mode for mode in modes if "crop_limits" in mode and "size" in mode]
    most = max(map(seen, known), default=0.0)
    # Some sensors lose a few columns in a binned mode. From 5 % on the log warns about a cropped picture.
    wide = [mode for mode in known if seen(mode) >= 0.95 * most]
    if not wide:
        return {}
    best = min(wide, key=lambda mode: (mode["size"][0] * mode["size"][1], mode["bit_depth"]))
    return {"output_size": best["size"], "bit_depth": best["bit_depth"]}


def camera_listing_advice(error: str) -> str:
    """Return what to do if listing the cameras failed, by the last line of the traceback."""
    if error.endswith("No module named 'picamera2'"):
        return "sudo apt-get install python3-picamera2"
    if error.startswith(("ImportError:", "ModuleNotFoundError:", "AttributeError:")):
        return (
            "picamera2 and libcamera do not match: sudo apt-get update; sudo apt-get full-upgrade; "
            "sudo apt-get install --reinstall python3-picamera2 python3-libcamera; "
            "remove copies in /usr/local that were built by hand"
        )
    return (
        "restart the Pi; if that does not help, check the camera's cable and send `mona-lisa logs` to support"
    )
