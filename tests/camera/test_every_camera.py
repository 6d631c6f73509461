"""What every camera promises; the hardware one joins with MONA_LISA_CAMERA=picamera."""

import importlib.util
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from appliance.camera.base import Camera
from appliance.camera.replay import ReplayCamera
from appliance.config import CameraConfig
from appliance.gallery.camera import GalleryCamera
from appliance.service.camera_creation import create_camera
from appliance.vision.blazeface import letterbox_region

RATE = 200.0


def gallery(folder: Path, pace: bool) -> Camera:
    return GalleryCamera("still", 160, 90, RATE, latency=0.01, pace=pace)


def replay(folder: Path, pace: bool) -> Camera:
    rng = np.random.default_rng(1)
    for i in range(9):
        pixels = rng.integers(0, 256, (40 + i, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return ReplayCamera(folder, RATE, pace=pace, loop=True)


def picamera(folder: Path, pace: bool) -> Camera:
    module: Any = importlib.import_module("appliance.camera.picamera")
    camera: Camera = module.PiCamera(640, 360, 30.0, 66.0, 5.0)
    return camera


Make = tuple[Callable[[Path, bool], Camera], bool]
VIRTUAL: list[Make] = [(gallery, False), (replay, False)]
REAL: list[Make] = [(gallery, True), (replay, True)]
if os.environ.get("MONA_LISA_CAMERA") == "picamera" and importlib.util.find_spec("appliance.camera.picamera"):
    REAL.append((picamera, True))


def label(make: Make) -> str:
    return f"{make[0].__name__}, {'real' if make[1] else 'virtual'} time"


def made(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Camera:
    make, pace = request.param
    camera: Camera = make(factory.mktemp("pictures"), pace)
    return camera


@pytest.fixture(scope="module", params=[*REAL, *VIRTUAL], ids=label)
def camera(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Camera:
    """Every camera, in either time; a test opens it, after the one before closed it."""
    return made(request, tmp_path_factory)


@pytest.fixture(scope="module", params=REAL, ids=label)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Camera:
    """A camera in real time."""
    return made(request, tmp_path_factory)


@pytest.fixture(scope="module", params=VIRTUAL, ids=label)
def virtual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Camera:
    """A camera that is stepped through virtual time."""
    return made(request, tmp_path_factory)


class TestEveryCamera:
    def test_numbers_and_times_rise(self, camera: Camera) -> None:
        with camera:
            pictures = [camera.newest() for _ in range(5)]
        for before, after in pairwise(pictures):
            assert after.number > before.number
            assert after.captured > before.captured

    def test_a_picture_is_rgb_of_its_size(self, camera: Camera) -> None:
        with camera:
            picture = camera.newest()
        assert picture.to_rgb().shape == (picture.height, picture.width, 3)
        assert picture.to_rgb().dtype == np.uint8

    def test_a_picture_reads_into_a_models_input(self, camera: Camera) -> None:
        with camera:
            picture = camera.newest()
        out = np.full((32, 32, 3), np.nan, np.float32)
        picture.read_region(letterbox_region(picture.width, picture.height), out)
        assert -1 <= out.min() <= out.max() <= 1
        bare = picture.width / picture.height  # the square's share of picture
        seen = (float(out.mean()) + 1) * 127.5 * bare
        assert seen == pytest.approx(float(picture.to_rgb().mean()), rel=0.1)

    def test_a_picture_kept_never_changes(self, camera: Camera) -> None:
        with camera:
            picture = camera.newest()
            kept = picture.to_rgb().copy()
            for _ in range(4):
                camera.newest()
        np.testing.assert_array_equal(picture.to_rgb(), kept)

    def test_the_field_of_view_is_an_angle_in_degrees(self, camera: Camera) -> None:
        assert 10 <= camera.horizontal_fov <= 170

    def test_takes_pictures_on_after_its_rate_was_changed(self, camera: Camera) -> None:
        with camera:
            before = camera.newest()
            camera.set_rate(20.0)
            slow = [camera.newest() for _ in range(2)]
            camera.set_rate(RATE)
            after = [camera.newest() for _ in range(2)]
        pictures = [before, *slow, *after]
        for one, other in pairwise(pictures):
            assert other.number > one.number
            assert other.captured > one.captured

    def test_opens_again_after_its_user_failed(self, camera: Camera) -> None:
        with pytest.raises(KeyError), camera:
            raise KeyError
        with camera:
            camera.newest()


class TestInRealTime:
    def test_pictures_were_taken_a_moment_ago_on_the_monotonic_clock(self, real: Camera) -> None:
        began = time.monotonic()
        with real:
            for _ in range(3):
                picture = real.newest()
                assert began - 0.1 <= picture.captured <= time.monotonic()

    def test_a_slow_reader_gets_the_newest_and_the_numbers_skip(self, real: Camera) -> None:
        with real:
            first = real.newest()
            busy_until = time.monotonic() + 0.15
            while time.monotonic() < busy_until:
                first.to_rgb().mean()
            second = real.newest()
        assert second.number > first.number + 2
        # Taken while the reader was busy or after, but not long before it asked.
        assert second.captured > busy_until - 0.1


class TestInVirtualTime:
    def test_begins_at_zero_and_drops_nothing(self, virtual: Camera) -> None:
        with virtual:
            pictures = [virtual.newest() for _ in range(12)]
        assert [p.number for p in pictures] == list(range(12))
        assert [p.captured for p in pictures] == [n / RATE for n in range(12)]

    def test_every_run_gives_the_same_pictures(self, virtual: Camera) -> None:
        runs = []
        for _ in range(2):
            with virtual:
                runs.append([virtual.newest().to_rgb() for _ in range(4)])
        for first, second in zip(*runs, strict=True):
            np.testing.assert_array_equal(first, second)

    def test_turned_by_180_degrees_pictures_are_upside_down(self, tmp_path: Path) -> None:
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 160, 3), np.uint8)).save(
            tmp_path / "a.png"
        )
        for source in ("gallery:still", f"replay:{tmp_path}"):
            upright, upside_down = (
                create_camera(source, CameraConfig(width=160, height=90, rotation=rotation))
                for rotation in (0, 180)
            )
            with upright, upside_down:
                pictures = [camera.newest().to_rgb().astype(int) for camera in (upright, upside_down)]
            assert np.abs(pictures[0] - pictures[1][::-1, ::-1]).mean() < 5, "a visitor may have swayed"
