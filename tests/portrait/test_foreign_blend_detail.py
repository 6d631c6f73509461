"""The painting's fine detail in frames that lost it, on drawn pictures whose motion is known."""

import numpy as np
import pytest
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.portrait.foreign_blend import FineDetail
from appliance.portrait.landmarks import EyeLandmarks
from appliance.portrait.sampling import Array, Image2D, gaussian_blur, sample_cubic

SIDE, HELD = 256, 90


@pytest.fixture(scope="module")
def painting() -> Array:
    grain = np.random.default_rng(2).normal(0, 14, (SIDE, SIDE, 1))
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    light: Array = np.clip(120 + 40 * np.sin(x / 40) * np.cos(y / 50), 0, 255)[..., None]
    return light + grain * [1, 0.9, 0.8]


MESH = np.stack(np.meshgrid(np.linspace(60, 196, 22), np.linspace(50, 210, 22)), -1).reshape(-1, 2)


def far_eyes() -> list[EyeLandmarks]:
    lower = np.linspace((100, 110), (120, 110), 9)
    return [EyeLandmarks(lower, lower - 4, (110.0, 110.0), 4.0, 0.0)]


def shifted(points: Array) -> Array:
    moved: Array = points + np.array([6.3, 0.0])
    return moved


def moved(painting: Array) -> Array:
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    return sample_cubic(painting, x - 6.3, y)


def grain(picture: Image2D) -> Array:
    middle = np.s_[130:200, 80:180]
    values = np.asarray(picture, float)
    return (values - gaussian_blur(values, 1.0))[middle].ravel()


def byte(picture: Array) -> Pixels:
    rounded: Pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return rounded


def test_the_grain_comes_back_where_the_face_has_moved_to(painting: Array) -> None:
    soft = byte(gaussian_blur(moved(painting), 2.0))
    restored = FineDetail(byte(painting), MESH, far_eyes(), HELD).restore_by_landmarks(
        soft, shifted(MESH), 1.0
    )
    truth = grain(moved(painting))
    assert np.corrcoef(grain(soft), truth)[0, 1] < 0.6
    assert np.corrcoef(grain(restored), truth)[0, 1] > 0.9


def test_no_strength_changes_nothing(painting: Array) -> None:
    soft = byte(gaussian_blur(painting, 2.0))
    assert np.array_equal(
        FineDetail(byte(painting), MESH, [], HELD).restore_by_landmarks(soft, shifted(MESH), 0.0), soft
    )


def test_the_eyes_are_left_alone(painting: Array) -> None:
    soft = byte(gaussian_blur(painting, 2.0))
    restored = FineDetail(byte(painting), MESH, far_eyes(), HELD).restore_by_landmarks(soft, MESH, 1.0)
    assert np.abs(restored[106:114, 104:116].astype(int) - soft[106:114, 104:116]).max() <= 1
    assert np.abs(restored[150:200].astype(int) - soft[150:200]).mean() > 3


def test_a_face_that_did_not_move_gets_its_own_detail_back(painting: Array) -> None:
    exact = byte(painting)
    small = Image.fromarray(exact).resize((HELD, HELD), Image.Resampling.BILINEAR)
    soft = np.array(small.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    restored = FineDetail(exact, MESH, [], HELD).restore_by_landmarks(soft, MESH, 1.0)
    assert np.abs(restored.astype(int) - exact).max() <= 1
