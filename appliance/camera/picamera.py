"""The Pi's camera, through picamera2: one configuration for life, newest picture, no silent stall."""

import logging
import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from appliance.camera.averaging import Pixels
from appliance.camera.base import YuvPicture
from appliance.errors import CameraAbsent, CameraBusy, CameraStalled

log = logging.getLogger(__name__)

CAMERA_CROPPED: Final = "camera sees %.0f %% of its sensor's width; field of view taken as %.1f degrees"

# The smallest mode of each sensor that keeps its full width; left alone, picamera2 may choose a
# cropped one, which halves the field of view. Variants ("imx708_wide", "imx708_noir") have the same.
FULL_WIDTH: Final = {
    "imx219": (1640, 1232),
    "imx296": (1456, 1088),
    "imx477": (2028, 1520),
    "imx500": (2028, 1520),
    "imx708": (2304, 1296),
    "ov5647": (1296, 972),
}


class PiCamera:
    """The first camera libcamera lists; yields `YuvPicture`s.

    It is configured once and never switches its mode: that fragments the contiguous memory.
    """

    def __init__(self, width: int, height: int, rate: float, horizontal_fov: float, timeout: float) -> None:
        """Describe the pictures wanted: pixels, pictures/s, degrees at full sensor width, seconds."""
        self.horizontal_fov = horizontal_fov
        self._size = (width, height)
        self._rate = rate
        self._timeout = timeout
        self._camera: Any = None
        self._number = 0

    def __enter__(self) -> Self:
        """Open and start the camera; raises `CameraAbsent` or `CameraBusy`."""
        try:
            import libcamera
            from picamera2 import Picamera2
        except ImportError as error:
            raise CameraAbsent(f"picamera2 cannot be loaded ({error}); install python3-picamera2") from error
        listed = Picamera2.global_camera_info()
        if not listed:
            raise CameraAbsent(
                "no camera found; check both ends of its cable, then `rpicam-hello --list-cameras`"
            )
        model = listed[0].get("Model", "camera")
        try:
            self._camera = Picamera2(0)
            self._camera.configure(self._configuration(model, libcamera.ColorSpace.Sycc()))
            self._camera.start()
        except Exception as error:  # buffers, too, may be refused for a while: an OSError
            cause = error.__cause__ or error
            self.__exit__(None, None, None)  # else it is this process that keeps it busy, for ever
            raise CameraBusy(f"{model}: cannot be opened ({cause}); does another process use it?") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and close the camera."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def newest(self) -> YuvPicture:
        """Wait for the newest picture; raises `CameraStalled` after the timeout."""
        try:
            request = self._camera.capture_request(wait=self._timeout)
        except TimeoutError as error:
            self._camera.cancel_all_and_flush()
            raise CameraStalled(f"no picture for {self._timeout:g} s") from error
        try:
            pixels = request.make_array("lores")
            metadata = request.get_metadata()
        finally:
            request.release()
        if self._number == 0:
            self._measure_crop(metadata)
        self._number += 1
        lores = self._camera.camera_configuration()["lores"]
        y, u, v = planes(pixels, lores["size"], lores["format"])
        return YuvPicture(y, u, v, captured(metadata), self._number)

    def set_rate(self, rate: float) -> None:
        """Take `rate` pictures per second from now on, by the sensor's frame duration alone."""
        if rate != self._rate:
            self._rate = rate
            self._camera.set_controls({"FrameDurationLimits": _frame_durations(rate)})

    def _configuration(self, model: str, full_range: Any) -> Any:
        return self._camera.create_video_configuration(
            main={"size": self._size, "format": "YUV420"},
            lores={"size": self._size, "format": "YUV420"},
            colour_space=full_range,
            buffer_count=4,
            controls={"FrameDurationLimits": _frame_durations(self._rate)},
            sensor=sensor_mode(model),
        )

    def _measure_crop(self, metadata: dict[str, Any]) -> None:
        crop = metadata.get("ScalerCrop")
        sensor = self._camera.camera_properties.get("PixelArraySize")
        if crop is None or sensor is None:
            return
        share = crop[2] / sensor[0]
        if share < 0.95:
            half = math.atan(math.tan(math.radians(self.horizontal_fov / 2)) * share)
            self.horizontal_fov = math.degrees(2 * half)
            log.warning(CAMERA_CROPPED, 100 * share, self.horizontal_fov)


def sensor_mode(model: str) -> dict[str, Any]:
    """Return the mode to ask of a sensor, as picamera2 wants it; empty for one that is not known."""
    size = FULL_WIDTH.get(model.split("_")[0])
    return {"output_size": size, "bit_depth": 10} if size else {}


def _frame_durations(rate: float) -> tuple[int, int]:
    """Return the shortest and longest time for a picture, in microseconds.

    Without a lower limit the camera drops to 12 pictures/s in the dark, with a fixed one it stays
    dark; half the rate is the middle way.
    """
    shortest = round(1e6 / rate)
    return shortest, 2 * shortest


def captured(metadata: Mapping[str, Any]) -> float:
    """Return the middle of a picture's exposure in seconds on the monotonic clock.

    A sensor sends a row once it was exposed, and the driver takes the time as the first row comes:
    SensorTimestamp (nanoseconds) is the end of its exposure, not the beginning that libcamera's name
    suggests. Source: the maintainers' answer in picamera2's issue 821.
    """
    return float(metadata["SensorTimestamp"] / 1e9 - metadata.get("ExposureTime", 0) / 2e6)


def planes(pixels: Pixels, size: tuple[int, int], layout: str) -> tuple[Pixels, Pixels, Pixels]:
    """Cut a libcamera 4:2:0 buffer into its planes, as views.

    Parameters
    ----------
    pixels : uint8 of shape (height * 3 / 2, stride)
    size : (width, height) in pixels; the stride may be longer than the width
    layout : "YUV420" (planes one after the other) or "NV12" (U and V interleaved)

    Returns
    -------
    Y of shape (height, width); U and V of shape (height / 2, width / 2)
    """
    width, height = size
    stride = pixels.shape[1]
    y = pixels[:height, :width]
    chroma = pixels[height : height * 3 // 2]
    if layout == "NV12":
        return y, chroma[:, 0:width:2], chroma[:, 1:width:2]
    half = chroma.reshape(2, height // 2, stride // 2)[:, :, : width // 2]
    return y, half[0], half[1]
