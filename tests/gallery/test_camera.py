"""The simulated gallery as a camera: BlazeFace sees its people where the truth says they are."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.assets import photograph_path
from appliance.camera.base import RgbPicture
from appliance.camera.lens import Lens
from appliance.camera.sampling import Region
from appliance.errors import BadAsset, ConfigError
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import VisitorState
from appliance.images import read_pixels
from appliance.vision.blazeface import Face, FaceDetector

LENS = Lens(640, 360, 66.0)
# The face's crop is 6.8 eye distances wide, about three faces, as when somebody is being followed.
CROP = 3.4


def eyes(visitor: VisitorState) -> tuple[float, float, float]:
    """Where the eye midpoint should be, and the eyes' distance, in pixels."""
    x, y = LENS.project(visitor.x_mm, visitor.y_mm, visitor.z_mm)
    return x, y, LENS.focal * visitor.eye_distance_mm / visitor.z_mm


def whole_head_in_view(visitor: VisitorState) -> bool:
    x, _, distance = eyes(visitor)
    return 1.8 * distance < x < LENS.width - 1.8 * distance


def face_at(faces: list[Face], x: float, distance: float) -> Face | None:
    return next((face for face in faces if abs(face.eye_midpoint[0] - x) < distance), None)


def walked(name: str, rate: float = 4.0) -> Iterator[tuple[RgbPicture, list[VisitorState]]]:
    """Every picture of a walk, with the truth."""
    with GalleryCamera(name, rate=rate, pace=False) as camera:
        for _ in range(int(camera.walk.duration * rate)):
            picture = camera.newest()
            yield picture, camera.truth_at(picture.captured)


class TestHonesty:
    @pytest.mark.parametrize("name", ["demo", "cross"])
    def test_the_full_model_finds_every_head_that_is_wholly_in_view(self, name: str) -> None:
        detector = FaceDetector("full")
        found = []
        for picture, truth in walked(name):
            for visitor in filter(whole_head_in_view, truth):
                x, _, distance = eyes(visitor)
                found.append(face_at(detector.detect(picture), x, distance) is not None)
        assert len(found) > 10
        assert np.mean(found) >= 0.95

    @pytest.mark.parametrize(
        ("name", "photograph", "midpoint", "distance"),
        [
            ("demo", "astronaut.png", (225.1, 102.4), 43.1),
            ("cross", "grace_hopper.jpg", (264.35, 189.2), 82.8),
        ],
    )
    def test_a_drawn_face_is_detected_like_its_photograph(
        self, name: str, photograph: str, midpoint: tuple[float, float], distance: float
    ) -> None:
        """BlazeFace's own bias is the photograph's; what is left is the gallery's, in face widths."""
        detector = FaceDetector("short")

        def offset(picture: RgbPicture, x: float, y: float, distance: float) -> list[float]:
            half = CROP * distance
            face = detector.detect(picture, Region(x - half, y - half, x + half, y + half))[0]
            (fx, fy), width = face.eye_midpoint, face.width
            return [(fx - x) / width, (fy - y) / width, face.eye_distance / distance]

        plain = RgbPicture(read_pixels(photograph_path(photograph)), 0.0, 0)
        own = offset(plain, *midpoint, distance)
        seen = [
            offset(picture, *eyes(visitor))
            for picture, truth in walked(name)
            for visitor in filter(whole_head_in_view, truth)
        ]
        assert np.abs(np.subtract(np.mean(seen, 0), own)).max() < 0.03
        assert np.abs(np.array(seen)[:, 0]).max() < 0.04

    def test_truth_is_on_the_clock_of_the_pictures(self) -> None:
        with GalleryCamera("cross", 160, 90, rate=50) as camera:
            for _ in range(3):
                picture = camera.newest()
                (visitor,) = camera.truth_at(picture.captured)
                (expected,) = camera.walk.people_at(picture.number / 50)
                assert visitor.x_mm == pytest.approx(expected.x_mm, abs=0.001)

    def test_before_the_walk_there_is_nobody(self) -> None:
        with GalleryCamera("still", 160, 90, pace=False) as camera:
            assert camera.truth_at(-0.1) == []
            assert len(camera.truth_at(0.1)) == 1


class TestTime:
    def test_a_picture_arrives_its_latency_after_it_was_taken(self) -> None:
        with GalleryCamera("empty", 160, 90, rate=20, latency=0.08) as camera:
            for _ in range(3):
                picture = camera.newest()
                assert time.monotonic() - picture.captured >= 0.08

    def test_two_pictures_a_loop_apart_show_the_same_but_for_noise(self) -> None:
        camera = GalleryCamera("stop", 160, 90, rate=1, pace=False)
        with camera:
            pictures = [camera.newest().to_rgb() for _ in range(20)]
        duration = int(camera.walk.duration)
        difference = pictures[3].astype(int) - pictures[3 + duration]
        assert 0 < np.abs(difference).mean() < 6

    def test_a_lower_rate_leaves_the_true_positions_in_time(self) -> None:
        with GalleryCamera("cross", 160, 90, rate=30, pace=False) as camera:
            times = [camera.newest().captured for _ in range(4)]
            camera.set_rate(5)
            times += [camera.newest().captured for _ in range(3)]
            camera.set_rate(30)
            times += [camera.newest().captured for _ in range(2)]
            (there,) = camera.truth_at(times[-1])
            (expected,) = camera.walk.people_at(times[-1])
        steps = np.diff(times)
        assert steps.tolist() == pytest.approx([1 / 30] * 3 + [1 / 5] * 3 + [1 / 30] * 2)
        assert there.x_mm == expected.x_mm


class TestRefusals:
    def test_an_unknown_walk_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no walk 'stroll'"):
            GalleryCamera("stroll")

    def test_a_photograph_that_was_not_fetched_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MONA_LISA_HOME", str(tmp_path))
        with pytest.raises(BadAsset, match=r"grace_hopper\.jpg: missing; run `mona-lisa assets fetch`"):
            GalleryCamera("demo")
