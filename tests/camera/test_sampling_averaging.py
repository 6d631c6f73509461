from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.bench.gaze_walks import HOPPER, scene, to_yuv
from appliance.camera import sampling
from appliance.camera.base import RgbPicture, YuvPicture
from appliance.camera.sampling import Region, average_region

# A unit of uint8 is 0.0078 in [-1, 1]; a mean in float32 is this close to one in float64.
EXACT = 1e-5
random = np.random.default_rng(3)


def noise(*shape: int) -> Any:
    return random.integers(0, 256, shape, dtype=np.uint8)


def read(image: Any, region: Region, rows: int, columns: int) -> Any:
    out = np.full((rows, columns, image.shape[2]), np.nan, np.float32)
    average_region(image, region, out, 1.0, 0.0, border=-7.0)
    return out


def block_mean(image: Any, n: int, m: int) -> Any:
    """The mean of n x n blocks over m x m pixels, the plain way: repeat m times, average n."""
    large = image.repeat(m, 0).repeat(m, 1).astype(np.float64)
    rows, columns = large.shape[0] // n, large.shape[1] // n
    return large.reshape(rows, n, columns, n, -1).mean((1, 3))


ratios = st.sampled_from(
    [(n, 1) for n in range(1, 17)] + [(40, 1), (10, 3), (5, 3), (5, 2), (15, 2), (7, 4), (20, 3)]
)


@settings(max_examples=60, deadline=None)
@given(ratios, st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 7))
def test_at_n_pixels_to_m_every_value_is_the_exact_mean(
    ratio: tuple[int, int], rows: int, columns: int, channels: int, margin: int
) -> None:
    n, m = ratio
    image = noise(rows * n + margin, columns * n + margin, channels)
    region = Region(margin, margin, margin + columns * n, margin + rows * n)
    found = read(image, region, rows * m, columns * m)
    np.testing.assert_allclose(found, block_mean(image[margin:, margin:], n, m), atol=255 * EXACT)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(-30, 60), st.integers(-30, 60))
def test_a_region_beyond_the_image_gets_a_border(n: int, x: int, y: int) -> None:
    image = noise(40, 50, 3)
    found = read(image, Region(x, y, x + 10 * n, y + 8 * n), 8, 10)
    padded = np.zeros((40 + 200, 50 + 200, 3), np.uint8)
    padded[100:140, 100:150] = image
    inside = np.zeros((*padded.shape[:2], 1), np.uint8)
    inside[100:140, 100:150] = 1
    part = (slice(y + 100, y + 100 + 8 * n), slice(x + 100, x + 100 + 10 * n))
    whole = block_mean(inside[part], n, 1)[..., 0] == 1
    assert (found[~whole] == -7).all()
    # A region cut by the picture's edge within a block still lies on the same blocks.
    np.testing.assert_allclose(found[whole], block_mean(padded[part], n, 1)[whole], atol=255 * EXACT)


@settings(max_examples=60, deadline=None)
@given(st.floats(-40, 200), st.floats(-40, 200), st.floats(8, 200))
def test_a_ramp_keeps_its_place_wherever_the_region_lies(x: float, y: float, side: float) -> None:
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (180, 200))
    image = np.ascontiguousarray(np.stack([ramp, ramp, ramp], -1))
    found = read(image, Region(x, y, x + side, y + side), 16, 16)[..., 0]
    step = side / 16
    centres = np.broadcast_to(x + (np.arange(16) + 0.5) * step - 0.5, (16, 16))
    seen = found != -7
    # The box filter takes whole pixels, so it is off by up to half of one, and rounds to a unit.
    assert np.abs(found - centres)[seen].max(initial=0) <= 1.1


def test_exact_and_box_filtered_means_agree() -> None:
    image = scene(HOPPER, (640, 480), 0.5, (0.5, 0.5))
    exact = read(image, Region(0, 0, 640, 480), 96, 128)
    nearly = read(image, Region(0, 0, 640, 479.9999), 96, 128)
    assert not np.array_equal(exact, nearly)
    # Pillow rounds to whole units, once across and once down.
    np.testing.assert_allclose(exact, nearly, atol=1)


@pytest.mark.parametrize("side", [5, 37])
def test_a_target_of_any_strides_is_written_the_same(side: int) -> None:
    image = noise(side * 4, side * 4, 3)
    region = Region(0, 0, side * 4, side * 4)
    plain = read(image, region, side, side)
    wide = np.zeros((side, side * 2, 6), np.float32)
    average_region(image, region, wide[:, ::2, 1:4], 1.0, 0.0, border=0.0)
    np.testing.assert_array_equal(wide[:, ::2, 1:4], plain)
    assert not wide[:, 1::2].any()


@pytest.mark.parametrize("ratio", [(640, 128), (640, 192), (640, 100)])
def test_an_image_inside_longer_rows_reads_the_same(ratio: tuple[int, int]) -> None:
    wide = noise(480, 700, 3)
    region, side = Region(0, -80, ratio[0], 560), ratio[1]
    np.testing.assert_array_equal(
        read(wide[:, :640], region, side, side),
        read(np.ascontiguousarray(wide[:, :640]), region, side, side),
    )


def test_pictures_give_rgb_from_minus_one_to_one() -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:] = (0, 255, 51)
    out = np.empty((64, 64, 3), np.float32)
    RgbPicture(pixels, 0.0, 0).read_region(Region(0, -8, 64, 56), out)
    np.testing.assert_allclose(out[8:56], np.broadcast_to([-1, 1, -0.6], (48, 64, 3)), atol=EXACT)
    assert (out[:8] == -1).all()
    assert (out[56:] == -1).all()


def letterboxed(picture: RgbPicture | YuvPicture, side: int) -> Any:
    out = np.empty((side, side, 3), np.float32)
    picture.read_region(Region(0, -80, 640, 560), out)
    return out


@pytest.mark.parametrize("side", [128, 192, 150])
def test_yuv_reads_as_rgb_does_but_for_rounding_and_soft_colour(side: int) -> None:
    pixels = scene(HOPPER, (640, 480), 0.4, (0.5, 0.5))
    # Colour varies slowly here: each 2 x 2 block has one colour, as in 4:2:0.
    pixels = pixels[::2, ::2].repeat(2, 0).repeat(2, 1)
    rgb = letterboxed(RgbPicture(pixels, 0.0, 0), side)
    yuv = letterboxed(YuvPicture(*to_yuv(pixels), 0.0, 0), side)
    apart = np.abs(rgb - yuv)
    # Y, U and V are rounded to a unit, U times up to 1.772. At 150 the box filter takes whole pixels,
    # and a pixel of colour is two of light, so that edges are a pixel apart.
    assert apart.mean() < 1.5 / 127.5
    assert side == 150 or apart.max() < 1.5 / 127.5


def test_nv12_and_rows_with_a_stride_read_as_separate_planes_do() -> None:
    y, u, v = to_yuv(scene(HOPPER, (640, 480), 0.4, (0.5, 0.5)))
    plain = letterboxed(YuvPicture(y, u, v, 0.0, 0), 128)
    buffer = np.zeros((720, 704), np.uint8)  # as picamera2 gives NV12 with rows of 704 bytes
    buffer[:480, :640] = y
    buffer[480:, 0:640:2] = u
    buffer[480:, 1:640:2] = v
    nv12 = YuvPicture(buffer[:480, :640], buffer[480:, 0:640:2], buffer[480:, 1:640:2], 0.0, 0)
    np.testing.assert_array_equal(letterboxed(nv12, 128), plain)


def test_yuv_pictures_turn_whole_into_rgb() -> None:
    pixels = scene(HOPPER, (320, 240), 0.4, (0.5, 0.5))[::2, ::2].repeat(2, 0).repeat(2, 1)
    rgb = YuvPicture(*to_yuv(pixels), 0.0, 0).to_rgb()
    assert rgb.shape == pixels.shape
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - pixels).max() <= 2


@pytest.mark.parametrize("n", [1, 2])
def test_a_region_between_pixels_is_read_where_it_lies(n: int) -> None:
    """A crop that lies on whole pixels is read by another way than one between them."""
    ramp = np.ascontiguousarray(np.broadcast_to(np.arange(200, dtype=np.uint8), (180, 200)))
    grey = np.full((90, 100), 128, np.uint8)
    picture = YuvPicture(ramp, grey, grey, 0.0, 0)
    steps = []
    for x in (20.0, 20.9):
        out = np.empty((32, 32, 3), np.float32)
        picture.read_region(Region(x, 40, x + 32 * n, 40 + 32 * n), out)
        steps.append(out.mean())
    # The box filter takes whole pixels, so it is off by up to half of one.
    assert (steps[1] - steps[0]) * 127.5 == pytest.approx(0.9, abs=0.65)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_a_crop_around_a_viewer_is_read_in_one_pass(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading plane by plane takes several times as long, and most pictures are read as such crops."""

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("read plane by plane")

    monkeypatch.setattr(sampling, "average_region", forbidden)
    picture = YuvPicture(noise(360, 640), noise(180, 320), noise(180, 320), 0.0, 0)
    out = np.empty((128, 128, 3), np.float32)
    picture.read_region(Region(22, 40, 22 + side, 40 + side), out)
    with pytest.raises(AssertionError, match="plane by plane"):
        picture.read_region(Region(23, 40, 23 + side, 40 + side), out)
