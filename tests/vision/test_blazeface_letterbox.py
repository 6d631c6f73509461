import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.sampling import Region
from appliance.vision.blazeface import PointSampledPicture, letterbox_region


@given(st.integers(1, 40), st.integers(1, 40), st.floats(-9, 40), st.floats(-9, 40), st.floats(0.2, 60))
def test_a_point_sample_is_bilinear_and_black_outside(
    width: int, height: int, x0: float, y0: float, side: float
) -> None:
    pixels = np.random.default_rng(width * 41 + height).integers(0, 256, (height, width, 3), np.uint8)
    out = np.empty((8, 8, 3), np.float32)
    PointSampledPicture(pixels, 0.0, 0).read_region(Region(x0, y0, x0 + side, y0 + side), out)
    rows, columns = (start + np.arange(8) * side / 8 for start in (y0, x0))
    down = np.maximum(0, 1 - np.abs(rows[:, None] - np.arange(height)))
    across = np.maximum(0, 1 - np.abs(columns[:, None] - np.arange(width)))
    expected = np.einsum("ay,yxc,bx->abc", down, pixels.astype(float), across)
    assert np.abs((out + 1) * 127.5 - expected).max() <= 0.5 + 1e-3  # it rounds, as MediaPipe does


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1, 1), (1, 500), (3000, 2)])
def test_the_letterbox_is_the_smallest_square_around_the_picture(width: int, height: int) -> None:
    region = letterbox_region(width, height)
    assert region.width == region.height == max(width, height)
    assert region.x0 + region.x1 == width and region.y0 + region.y1 == height
