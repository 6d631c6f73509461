import numpy as np

from appliance.camera.base import Picture, RgbPicture, YuvPicture
from appliance.gallery.camera import GalleryCamera
from appliance.service.camera_creation import (
    BLACK,
    BLACK_AFTER,
    FROZEN,
    FROZEN_AFTER,
    FrameChecks,
    black_cause,
    check_picture,
    frozen_fault,
)

RATE = 30


def after(pictures: list[Picture]) -> FrameChecks:
    checks = None
    for picture in pictures:
        checks = check_picture(picture, checks, picture.captured)
    assert checks
    return checks


def noisy(seconds: float, level: int, spread: int) -> list[Picture]:
    rng = np.random.default_rng(1)
    return [
        RgbPicture(rng.integers(level, level + spread, (36, 64, 3), np.uint8), i / RATE, i)
        for i in range(int(seconds * RATE))
    ]


def same(seconds: float, level: int) -> list[Picture]:
    plane = np.full((36, 64), level, np.uint8)
    half = np.full((18, 32), 128, np.uint8)
    return [YuvPicture(plane, half, half, i / RATE, i) for i in range(int(seconds * RATE))]


def test_a_still_room_through_a_noisy_sensor_is_sound() -> None:
    checks = after(noisy(FROZEN_AFTER + 2, 60, 3))
    assert not frozen_fault(checks) and not black_cause(checks)


def test_the_simulated_gallery_is_sound_when_nobody_comes() -> None:
    with GalleryCamera("empty", 64, 36, 30, pace=False) as camera:
        checks = after([camera.newest() for _ in range(int((FROZEN_AFTER + 1) * 30))])
    assert not frozen_fault(checks) and not black_cause(checks)


def test_the_same_picture_for_10_s_is_frozen_until_a_new_one() -> None:
    assert not frozen_fault(after(same(FROZEN_AFTER - 1, 90)))
    stuck = after(same(FROZEN_AFTER + 1, 90))
    assert frozen_fault(stuck) == FROZEN % FROZEN_AFTER
    later = RgbPicture(noisy(1, 60, 9)[0].to_rgb(), stuck.came + 0.1, 9999)
    assert not frozen_fault(check_picture(later, stuck, later.captured))


def test_a_slow_camera_of_a_still_room_is_not_frozen() -> None:
    plane = np.full((36, 64, 3), 90, np.uint8)
    assert not frozen_fault(after([RgbPicture(plane, float(i), i) for i in range(12)]))


def test_black_pictures_are_black_noise_or_not_and_light_ends_it() -> None:
    for pictures in (noisy(BLACK_AFTER + 1, 0, 8), same(BLACK_AFTER + 1, 0)):
        dark = after(pictures)
        assert black_cause(dark) == BLACK % BLACK_AFTER
        assert not frozen_fault(dark), "one cause at a time"
        assert not black_cause(check_picture(noisy(1, 60, 9)[0], dark, dark.came + 0.1))
    assert not black_cause(after(noisy(BLACK_AFTER - 1, 0, 8)))
    assert not black_cause(after(noisy(BLACK_AFTER + 1, 0, 40))), "a dark room is not black"
