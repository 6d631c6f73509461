"""Sampling between pixels, blurring, and soft steps."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.portrait.sampling import (
    Array,
    Image2D,
    gaussian_blur,
    sample_bilinear,
    sample_cubic,
    smoothstep,
    soft_edge,
)

Sampler = Callable[[Image2D, Array, Array], Array]
PICTURE = np.random.default_rng(5).integers(0, 256, (9, 12, 3), np.uint8)


@pytest.mark.parametrize("sample", [sample_bilinear, sample_cubic])
def test_a_pixels_centre_gives_the_pixel(sample: Sampler) -> None:
    y, x = np.mgrid[0:9, 0:12] + 0.5
    assert np.array_equal(sample(PICTURE, x, y), PICTURE)


@pytest.mark.parametrize("sample", [sample_bilinear, sample_cubic])
@given(x=st.floats(2, 10), y=st.floats(2, 7))
def test_a_ramp_is_sampled_exactly(sample: Sampler, x: float, y: float) -> None:
    rows, columns = np.mgrid[0:9, 0:12] + 0.5
    value = sample(3 * columns - 2 * rows, np.array([x]), np.array([y]))
    assert value[0] == pytest.approx(3 * x - 2 * y)


@pytest.mark.parametrize("sample", [sample_bilinear, sample_cubic])
@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6))
def test_beyond_the_border_its_edge_goes_on(sample: Sampler, x: float, y: float) -> None:
    flat = np.full((4, 5), 7.0)
    assert sample(flat, np.array([x]), np.array([y]))[0] == pytest.approx(7.0)


def test_blurring_keeps_an_even_picture_and_spreads_a_point() -> None:
    assert gaussian_blur(np.full((6, 7, 3), 5.0), 1.3) == pytest.approx(np.full((6, 7, 3), 5.0))
    point = np.zeros((21, 21))
    point[10, 10] = 1
    blurred = gaussian_blur(point, 2.0)
    assert blurred.sum() == pytest.approx(1, abs=1e-6)
    assert blurred == pytest.approx(blurred.T)
    spread = (blurred.sum(0) * (np.arange(21) - 10) ** 2).sum() ** 0.5
    assert spread == pytest.approx(2.0, rel=0.03)  # the kernel ends at 3 sigma


@given(a=st.floats(-5, 5), b=st.floats(-5, 5))
def test_soft_steps_never_fall(a: float, b: float) -> None:
    low, high = np.array(min(a, b)), np.array(max(a, b))
    assert 0 <= smoothstep(low) <= smoothstep(high) <= 1
    assert 0 <= soft_edge(low, 0.3) <= soft_edge(high, 0.3) <= 1
