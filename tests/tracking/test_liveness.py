"""A person is told from a picture, on real photographs with a sensor's noise."""

import numpy as np
import pytest
from PIL import Image

from appliance.bench.gaze_walks import HOPPER, scene
from appliance.camera.base import RgbPicture
from appliance.camera.sampling import Pixels, Region
from appliance.tracking.liveness import Liveness, MeanSamples, StaticFace
from tests.tracking.faces import face_at

# A photograph on a wall: the face's eye midpoint and width, in pixels of a picture of 144 x 96.
X, Y, WIDTH = 72.0, 43.0, 26.0


def wall(width: float = WIDTH, right: float = 0.0) -> Pixels:
    return scene(HOPPER, (144, 96), width / 144, (0.5 + right / 144, 0.5))


def noisy(pixels: Pixels, seed: int, sigma: float) -> Pixels:
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32) * sigma
    noised: Pixels = np.clip(pixels + np.rint(noise), 0, 255).astype(np.uint8)
    return noised


def swayed(pixels: Pixels, right: float) -> Pixels:
    """The picture moved by a fraction of a pixel."""
    image = Image.fromarray(pixels)
    data = (1, 0, -right, 0, 1, 0)
    return np.asarray(image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC))


def watched(pictures: list[Pixels], rate: float, width: float = WIDTH) -> tuple[Liveness, float]:
    """A face watched through pictures, and the moment it counted as a picture (or the end)."""
    life, face = Liveness(8.0), face_at(X, Y, width)
    for i, pixels in enumerate(pictures):
        moment = i / rate
        life.note_position(face, width, moment, sharp=True)
        life.add_picture(RgbPicture(pixels, moment, i))
        if life.is_lifeless(moment):
            return life, moment
    return life, len(pictures) / rate


@pytest.mark.parametrize("rate", [10, 15, 30])
@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_a_photograph_is_recognised_within_ten_seconds(rate: int, sigma: float) -> None:
    base = wall()
    _, moment = watched([noisy(base, i, sigma) for i in range(12 * rate)], rate)
    assert moment < 9.0


@pytest.mark.parametrize("rate", [10, 30])
def test_a_sway_of_a_millimetre_is_life(rate: int) -> None:
    """A person 3 m away (a face of 26 pixels) whose head moves 1.5 mm to either side as they breathe."""
    base = wall()
    pictures = [
        noisy(swayed(base, 0.26 * np.sin(2 * np.pi * i / rate / 3.7)), i, 3.0) for i in range(40 * rate)
    ]
    life, moment = watched(pictures, rate)
    assert moment == 40.0 and life.is_alive(moment)


def test_a_small_photograph_is_watched_for_longer() -> None:
    base = wall(14.0)
    life, moment = watched([noisy(base, i, 3.0) for i in range(300)], 10, width=14.0)
    assert 20.0 < moment < 30.0
    assert not life.is_alive(moment)


def test_light_that_fades_is_no_sign_of_life() -> None:
    base = wall().astype(np.float32)
    pictures = [noisy((base * (1 - 0.02 * i / 10)).astype(np.uint8), i, 3.0) for i in range(120)]
    assert watched(pictures, 10)[1] < 9.0


def test_zero_seconds_make_no_picture_of_anybody() -> None:
    life = Liveness(0.0)
    life.note_position(face_at(X, Y, WIDTH), WIDTH, 0.0, sharp=True)
    assert life.is_alive(1000.0) and not life.is_lifeless(1000.0) and not life.is_suspect(1000.0)


def test_a_face_that_moves_is_alive() -> None:
    life = Liveness(8.0)
    life.note_position(face_at(X, Y, WIDTH), WIDTH, 0.0, sharp=True)
    assert not life.is_alive(0.0)
    life.note_position(face_at(X + 8, Y, WIDTH), WIDTH, 0.1, sharp=True)
    assert life.is_alive(0.1)


class TestPlaceOfAPicture:
    @staticmethod
    def picture() -> StaticFace:
        base = wall()
        life, _ = watched([noisy(base, i, 3.0) for i in range(120)], 10)
        return life.as_static_face(X, Y, WIDTH, 12.0)

    def test_the_same_picture_is_known_again(self) -> None:
        static, seen = self.picture(), RgbPicture(noisy(wall(), 7, 3.0), 20.0, 0)
        assert static.is_at(face_at(X + 3, Y, WIDTH + 2), Region(8, -16, 136, 112))
        assert static.matches(seen)

    def test_a_person_in_front_of_it_is_somebody(self) -> None:
        pixels = wall(32.0, right=2.0)[:, ::-1]
        assert not self.picture().matches(RgbPicture(noisy(pixels, 7, 3.0), 20.0, 0))

    def test_an_empty_place_is_no_blind_spot(self) -> None:
        bare = np.full((96, 144, 3), 110, np.uint8)
        assert not self.picture().matches(RgbPicture(noisy(bare, 7, 3.0), 20.0, 0))

    def test_daylight_that_changes_slowly_is_learnt(self) -> None:
        static, base = self.picture(), wall().astype(np.float32)
        shade = np.linspace(0.4, 1.0, base.shape[1])[None, :, None]  # from the left, over 200 pictures
        for i in range(200):
            pixels = base * (1 + (shade - 1) * i / 200)
            assert static.matches(RgbPicture(noisy(pixels.astype(np.uint8), i, 3.0), 20.0 + i, i))


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_noise_of_a_mean_falls_with_the_pictures(count: int) -> None:
    samples = np.random.default_rng(5).normal(90, 4, (count, 60, 60)).astype(np.float32)
    mean = MeanSamples(samples[0], samples[0])
    for each in samples[1:]:
        mean.add(each)
    assert mean.noise == pytest.approx(16 / count, rel=0.1)
