import errno
import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.base import YuvPicture
from appliance.camera.picamera import PiCamera, captured, planes, sensor_mode
from appliance.errors import CameraAbsent, CameraBusy

EVEN = st.integers(1, 40).map(lambda n: 2 * n)


@given(EVEN, EVEN, st.integers(0, 20).map(lambda n: 2 * n), st.sampled_from(["YUV420", "NV12"]))
def test_planes_are_cut_out_of_a_buffer_with_a_stride(
    width: int, height: int, padding: int, layout: str
) -> None:
    stride = width + padding
    buffer = np.full((height * 3 // 2, stride), 9, np.uint8)
    buffer[:height, :width] = 1
    if layout == "NV12":
        buffer[height:, 0:width:2], buffer[height:, 1:width:2] = 2, 3
    else:
        chroma = buffer[height:].reshape(height, stride // 2)
        chroma[: height // 2, : width // 2], chroma[height // 2 :, : width // 2] = 2, 3
    y, u, v = planes(buffer, (width, height), layout)
    assert y.shape == (height, width) and u.shape == v.shape == (height // 2, width // 2)
    assert (y == 1).all() and (u == 2).all() and (v == 3).all()


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((76, 85, 255), (254, 0, 0)),
        ((150, 44, 21), (0, 255, 1)),
        ((29, 255, 107), (0, 0, 254)),
        ((128, 128, 128), (128,) * 3),
    ],
)
def test_full_range_colours_come_out_right(yuv: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    y, u, v = (
        np.full(shape, value, np.uint8) for shape, value in zip(((8, 8), (4, 4), (4, 4)), yuv, strict=True)
    )
    pixels = YuvPicture(y, u, v, 0.0, 0).rgb()
    assert np.abs(pixels.astype(int) - rgb).max() <= 2


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="picamera2 is installed")
def test_without_picamera2_the_camera_is_absent_in_one_line() -> None:
    with pytest.raises(CameraAbsent, match=r"^picamera2 cannot be loaded .*; install python3-picamera2$"):
        PiCamera(640, 360, 30, 66, 5).__enter__()


def test_a_picture_was_taken_before_its_first_row_came() -> None:
    # picamera2's maintainers: the timestamp is later than the start of the exposure by the exposure time.
    began, came = 100.0, 100.066
    metadata = {"SensorTimestamp": round(came * 1e9), "ExposureTime": 66_000}
    assert captured(metadata) == pytest.approx((began + came) / 2)
    assert captured({"SensorTimestamp": 5_000_000_000}) == 5.0  # libcamera's virtual camera tells no more


@pytest.mark.parametrize("variant", ["imx708", "imx708_wide", "imx708_noir", "imx708_wide_noir"])
def test_every_variant_of_a_sensor_is_read_at_its_full_width(variant: str) -> None:
    assert sensor_mode(variant) == {"output_size": (2304, 1296), "bit_depth": 10}
    assert sensor_mode("a webcam") == {}


class Refusing:
    """A driver that cannot have its buffers just now, as picamera2 tells it, and lets nobody in while open."""

    holder: "Refusing | None" = None

    def __init__(self, number: int) -> None:
        if Refusing.holder is not None:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        Refusing.holder = self

    @staticmethod
    def global_camera_info() -> list[dict[str, str]]:
        return [{"Model": "imx708"}]

    def create_video_configuration(self, **wanted: object) -> dict[str, object]:
        return wanted

    def configure(self, wanted: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    def close(self) -> None:
        Refusing.holder = None


def test_a_camera_that_failed_to_open_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    libcamera: Any = ModuleType("libcamera")
    libcamera.ColorSpace = type("ColorSpace", (), {"Sycc": staticmethod(lambda: None)})
    picamera2: Any = ModuleType("picamera2")
    picamera2.Picamera2 = Refusing
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    for _ in range(2):
        with pytest.raises(CameraBusy, match=r"imx708: cannot be opened \(.*Cannot allocate memory\)"):
            PiCamera(640, 360, 30, 66, 5).__enter__()
