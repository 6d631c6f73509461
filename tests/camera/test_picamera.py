import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.base import YuvPicture
from appliance.camera.picamera import PiCamera, planes
from appliance.errors import CameraAbsent

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
