"""The Raspberry Pi's camera, through picamera2.

It is configured only once, always delivers the newest picture, and reports a stall within its timeout.
"""

import gc
import importlib
import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from appliance.camera.base import YuvPicture
from appliance.camera.lens import (
    DEFAULT_FIELD_OF_VIEW,
    camera_listing_advice,
    choose_field_of_view,
    is_usb_camera,
    known_sensor_mode,
    widest_sensor_mode,
)
from appliance.camera.sampling import Pixels
from appliance.config import OPENING
from appliance.errors import CameraAbsent, CameraBusy, CameraStalled

log = logging.getLogger(__name__)

CAMERA_CROPPED: Final = "camera sees %.0f %% of its sensor's width; field of view taken as %.1f degrees"
CAMERA_DOUBTED: Final = "camera %s, field of view %.1f degrees: %s"
ONLY_USB: Final = (
    "%s is a USB camera, which cannot be used here; connect a Raspberry Pi camera to the CSI socket"
)


class PiCamera:
    """The first camera on a ribbon cable (CSI) that libcamera lists; it delivers `YuvPicture`s.

    It is configured once and never changes its mode, because that fragments the contiguous memory. Only an
    unknown sensor is first asked for its modes. `model` is the camera's name once it is open.
    """

    def __init__(
        self, width: int, height: int, rate: float, configured: float, timeout: float, rotation: int = 0
    ) -> None:
        """Set how the pictures should be.

        Parameters
        ----------
        width, height : pixels
        rate : pictures per second
        configured : degrees across the sensor's full width; 0 for the angle of the camera's own lens
        timeout : seconds without a picture after which the camera counts as stalled; the first picture may
            take `OPENING` seconds longer, because an AI Camera loads its firmware first
        rotation : 180 for a camera mounted upside down, else 0
        """
        self.horizontal_fov = configured or DEFAULT_FIELD_OF_VIEW
        self.model = ""
        self._size, self._rate, self._rotation = (width, height), rate, rotation
        self._configured, self._timeout = configured, timeout
        self._camera: Any = None
        self._number = 0

    def __enter__(self) -> Self:
        """Open and start the camera; raises `CameraAbsent` or `CameraBusy`."""
        try:
            from picamera2 import Picamera2

            libcamera = importlib.import_module("libcamera")  # picamera2 must report first what is missing
        except (ImportError, AttributeError) as error:
            advice = camera_listing_advice(f"{type(error).__name__}: {error}")
            raise CameraAbsent(f"picamera2 cannot be loaded ({error}); {advice}") from error
        number, self.model = _first_camera(Picamera2)
        self.horizontal_fov, doubt = choose_field_of_view(self.model, self._configured)
        self._number = 0
        try:
            self._camera = _opened(Picamera2, number)
            self._camera.configure(self._configuration(libcamera))
            self._camera.start()
        except Exception as error:  # a temporary lack of buffers is an OSError
            cause = error.__cause__ or error
            self.__exit__(None, None, None)  # otherwise this process would keep it busy for ever
            raise CameraBusy(
                f"{self.model}: cannot be opened ({cause}); does another process use it?"
            ) from error
        if doubt:
            log.warning(CAMERA_DOUBTED, self.model, self.horizontal_fov, doubt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and close the camera."""
        camera, self._camera = self._camera, None
        if camera is not None:
            with _faults_of_picamera2():
                camera.close()

    def newest(self) -> YuvPicture:
        """Wait for the newest picture; raises `CameraStalled` after the timeout."""
        patience = self._timeout if self._number else self._timeout + OPENING
        with _faults_of_picamera2():
            try:
                request = self._camera.capture_request(wait=patience)
            except TimeoutError as error:
                self._camera.cancel_all_and_flush()
                raise CameraStalled(f"no picture for {patience:g} s") from error
            try:
                pixels = request.make_array("main")
                metadata = request.get_metadata()
            finally:
                request.release()
        if self._number == 0:
            self._measure_crop(metadata)
        self._number += 1
        stream = self._camera.camera_configuration()["main"]
        y, u, v = split_planes(pixels, stream["size"], stream["format"])
        return YuvPicture(y, u, v, exposure_middle(metadata), self._number)

    def set_rate(self, rate: float) -> None:
        """Take `rate` pictures per second from now on, by the sensor's frame duration alone."""
        if rate != self._rate:
            self._rate = rate
            with _faults_of_picamera2():
                self._camera.set_controls({"FrameDurationLimits": _frame_durations(rate)})

    def _configuration(self, libcamera: Any) -> Any:
        turned = self._rotation == 180
        return self._camera.create_video_configuration(
            main={"size": self._size, "format": "YUV420"},
            transform=libcamera.Transform(hflip=turned, vflip=turned),
            colour_space=libcamera.ColorSpace.Sycc(),
            buffer_count=4,
            controls={"FrameDurationLimits": _frame_durations(self._rate)},
            sensor=known_sensor_mode(self.model) or self._widest_mode(),
        )

    def _widest_mode(self) -> dict[str, Any]:
        """Return the mode to request from an unknown sensor; empty if the camera lists none."""
        try:
            return widest_sensor_mode(self._camera.sensor_modes, self._size)
        except Exception:  # noqa: BLE001  (picamera2 fails on a camera without raw modes; then libcamera chooses)
            return {}

    def _measure_crop(self, metadata: dict[str, Any]) -> None:
        """Correct the field of view if the camera uses only a part of the sensor's width."""
        crop = metadata.get("ScalerCrop")
        sensor = self._camera.camera_properties.get("PixelArraySize")
        if crop is None or sensor is None:
            return
        share = crop[2] / sensor[0]
        if share < 0.95:
            half = math.atan(math.tan(math.radians(self.horizontal_fov / 2)) * share)
            self.horizontal_fov = math.degrees(2 * half)
            log.warning(CAMERA_CROPPED, 100 * share, self.horizontal_fov)


@contextmanager
def _faults_of_picamera2() -> Iterator[None]:
    """Raise `CameraStalled` for the errors of picamera2 when its camera has gone, often about a None.

    The service would take them for mistakes of this program, which trying again cannot mend.
    """
    try:
        yield
    except (AttributeError, NameError, TypeError) as error:
        raise CameraStalled(f"picamera2 failed ({type(error).__name__}: {error})") from error


def _first_camera(picamera2: Any) -> tuple[int, str]:
    """List the cameras anew; return the number and the model of the first one on a ribbon cable.

    A manager of libcamera lists the cameras once. It learns of later ones only from udev's netlink group,
    which does not reach the service's private network. picamera2 keeps one manager for the whole process, so
    each opening makes a new one. First the old one is freed, because a failed opening keeps it alive: by a
    camera that is still registered (picamera2 0.3.25), and by objects that refer to each other.
    """
    manager = picamera2._cm
    for left in list(manager.cameras):
        manager.cleanup(left)
    picamera2._cm = type(manager)()
    del manager
    gc.collect()
    listed = picamera2.global_camera_info()
    for number, camera in enumerate(listed):
        if not is_usb_camera(camera):
            return number, str(camera.get("Model", "camera"))
    if listed:
        raise CameraAbsent(ONLY_USB % listed[0].get("Model", "the camera"))
    raise CameraAbsent("no camera found; check both ends of its cable, then `rpicam-hello --list-cameras`")


def _opened(picamera2: Any, number: int) -> Any:
    """Return an open Picamera2. If opening fails, close the pipe that it leaves open."""
    camera = picamera2.__new__(picamera2)
    try:
        camera.__init__(number)
    except BaseException:
        os.close(camera.notifyme_w)
        raise
    return camera


def _frame_durations(rate: float) -> tuple[int, int]:
    """Return the shortest and the longest duration of a picture, in microseconds.

    The longest is twice the shortest. Without a limit the camera slows down to 12 pictures/s in the dark; at
    a fixed rate its pictures stay dark.
    """
    shortest = round(1e6 / rate)
    return shortest, 2 * shortest


def exposure_middle(metadata: Mapping[str, Any]) -> float:
    """Return the middle of a picture's exposure in seconds on the monotonic clock.

    SensorTimestamp, in nanoseconds, is the end of the first row's exposure: the sensor sends a row after its
    exposure, and the driver takes the time when the first row arrives. Source: the maintainers' answer in
    picamera2's issue 821.
    """
    return float(metadata["SensorTimestamp"] / 1e9 - metadata.get("ExposureTime", 0) / 2e6)


def split_planes(pixels: Pixels, size: tuple[int, int], layout: str) -> tuple[Pixels, Pixels, Pixels]:
    """Return the planes of a libcamera 4:2:0 buffer, as views.

    Y has the shape (height, width), U and V have (height / 2, width / 2).

    Parameters
    ----------
    pixels : uint8 of shape (height * 3 / 2, stride)
    size : (width, height) in pixels; the stride may be longer than the width
    layout : "YUV420" (planes one after the other) or "NV12" (U and V interleaved)
    """
    width, height = size
    stride = pixels.shape[1]
    y = pixels[:height, :width]
    chroma = pixels[height : height * 3 // 2]
    if layout == "NV12":
        return y, chroma[:, 0:width:2], chroma[:, 1:width:2]
    half = chroma.reshape(2, height // 2, stride // 2)[:, :, : width // 2]
    return y, half[0], half[1]
