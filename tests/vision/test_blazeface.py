import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.assets import home_folder, model_path, photograph_path
from appliance.bench.gaze_walks import ASTRONAUT, HOPPER, scene, to_yuv
from appliance.camera.base import RgbPicture, YuvPicture
from appliance.camera.sampling import Region
from appliance.errors import BadAsset, BadModel
from appliance.images import read_pixels
from appliance.vision.blazeface import (
    MODEL_SPECS,
    FaceDetector,
    anchor_centres,
    letterbox_region,
    weighted_nms,
)
from appliance.vision.runtime import TfliteModel


@pytest.fixture(scope="module", params=["short", "full"])
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    return FaceDetector(request.param)


def picture(pixels: np.ndarray) -> RgbPicture:
    return RgbPicture(np.ascontiguousarray(pixels, np.uint8), 0.0, 0)


@pytest.mark.parametrize(("file", "x", "within"), [("astronaut.png", 225, 2), ("grace_hopper.jpg", 266.6, 4)])
def test_each_photograph_has_one_face_with_correct_eyes(
    detector: FaceDetector, file: str, x: float, within: float
) -> None:
    faces = detector.detect(picture(read_pixels(photograph_path(file))))
    assert len(faces) == 1
    assert faces[0].eye_midpoint[0] == pytest.approx(x, abs=within)
    assert faces[0].score > 0.8


def test_right_and_left_are_the_persons_own(detector: FaceDetector) -> None:
    face = detector.detect(picture(scene(ASTRONAUT, (640, 480), 0.3, (0.5, 0.5))))[0]
    assert face.right_ear[0] < face.right_eye[0] < face.left_eye[0] < face.left_ear[0]
    assert face.right_eye[1] < face.nose[1] < face.mouth[1]
    assert face.eye_distance == pytest.approx(math.dist(face.right_eye, face.left_eye))
    assert face.box[0] < face.eye_midpoint[0] < face.box[2]


def test_two_people_are_two_faces_best_first(detector: FaceDetector) -> None:
    left, right = (scene(who, (640, 480), 0.2, (0.5, 0.5))[:, 160:480] for who in (ASTRONAUT, HOPPER))
    faces = detector.detect(picture(np.concatenate([left, right], axis=1)))
    assert sorted(round(face.eye_midpoint[0] / 320 - 0.5) for face in faces) == [0, 1]
    assert faces[0].score >= faces[1].score


@pytest.mark.parametrize("size", [(640, 480), (640, 360), (480, 640), (301, 257), (1280, 720)])
def test_a_face_is_found_in_a_picture_of_any_shape(detector: FaceDetector, size: tuple[int, int]) -> None:
    face = detector.detect(picture(scene(HOPPER, size, 0.3, (0.5, 0.5))))[0]
    assert face.width == pytest.approx(0.3 * size[0], rel=0.15)
    assert face.eye_midpoint[0] == pytest.approx(size[0] / 2, abs=0.03 * size[0])


def test_yuv_pictures_have_the_same_faces(detector: FaceDetector) -> None:
    pixels = scene(ASTRONAUT, (640, 480), 0.25, (0.4, 0.5))
    rgb = detector.detect(picture(pixels))[0]
    yuv = detector.detect(YuvPicture(*to_yuv(pixels), 0.0, 0))[0]
    # Colour at half the resolution moves the eyes by a fraction of an input pixel (3 to 5 px here).
    assert math.dist(rgb.eye_midpoint, yuv.eye_midpoint) < 2
    assert rgb.score == pytest.approx(yuv.score, abs=0.05)


@pytest.mark.parametrize("side", [1, 2, 3, 500])
def test_a_long_thin_or_tiny_picture_has_no_face_and_no_error(detector: FaceDetector, side: int) -> None:
    assert detector.detect(picture(np.full((1, side, 3), 128))) == []
    assert detector.detect(picture(np.full((side, 1, 3), 128))) == []


def test_there_is_no_face_in_black_white_or_noise(detector: FaceDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3))
    for pixels in (np.zeros((480, 640, 3)), np.full((480, 640, 3), 255), noise):
        assert detector.detect(picture(pixels)) == []


def test_a_face_in_a_region_is_the_one_in_the_whole_picture(detector: FaceDetector) -> None:
    pixels = scene(HOPPER, (640, 480), 0.2, (0.6, 0.5))
    whole = detector.detect(picture(pixels))[0]
    region = Region(224, 80, 544, 400)
    part = detector.detect(picture(pixels), region)[0]
    cut = detector.detect(picture(pixels[80:400, 224:544]))[0]
    # Read twice as finely the eyes move by about an input pixel of the coarse reading.
    assert math.dist(part.eye_midpoint, whole.eye_midpoint) < 1.5 * 640 / detector.spec.side
    assert part.eye_midpoint == pytest.approx((cut.eye_midpoint[0] + 224, cut.eye_midpoint[1] + 80), abs=0.01)
    assert part.box == pytest.approx(np.add(cut.box, (224, 80, 224, 80)), abs=0.01)


def test_a_region_beyond_the_picture_sees_black_there(detector: FaceDetector) -> None:
    pixels = scene(HOPPER, (640, 480), 0.3, (0.5, 0.5))
    wide = np.zeros((960, 960, 3), np.uint8)
    wide[240:720, 160:800] = pixels
    beyond = detector.detect(picture(pixels), Region(-160, -240, 800, 720))
    whole = detector.detect(picture(wide))
    assert beyond[0].eye_midpoint == pytest.approx(np.subtract(whole[0].eye_midpoint, (160, 240)), abs=0.5)
    assert detector.detect(picture(pixels), Region(2000, 2000, 2200, 2200)) == []


def test_a_higher_threshold_believes_less() -> None:
    pixels = picture(scene(ASTRONAUT, (640, 480), 0.25, (0.5, 0.5)))
    score = FaceDetector("short", 0.1).detect(pixels)[0].score
    assert FaceDetector("short", score - 0.01).detect(pixels)
    assert not FaceDetector("short", score + 0.01).detect(pixels)


@pytest.mark.parametrize(("kind", "count", "first", "last"), [("short", 896, 4, 120), ("full", 2304, 2, 190)])
def test_anchors_are_the_middles_of_the_grids_cells(kind: str, count: int, first: int, last: int) -> None:
    centres = anchor_centres(MODEL_SPECS[kind])
    assert centres.shape == (count, 2)
    assert centres[0].tolist() == [first, first]
    assert centres[-1].tolist() == [last, last]
    assert centres.mean() == MODEL_SPECS[kind].side / 2


def test_the_short_models_anchors_come_twice_then_six_times() -> None:
    centres = anchor_centres(MODEL_SPECS["short"]).tolist()
    assert centres[:3] == [[4, 4], [4, 4], [12, 4]]
    assert centres[512:519] == [[8, 8]] * 6 + [[24, 8]]


boxes = st.tuples(
    st.floats(0, 100), st.floats(0, 100), st.floats(1, 50), st.floats(1, 50), st.floats(-10, 110)
).map(list)


@given(st.lists(st.tuples(st.floats(0.5, 1), boxes), max_size=12))
def test_suppression_keeps_the_best_score_and_mean_values(
    found: list[tuple[float, list[float]]],
) -> None:
    merged = weighted_nms(found)
    assert len(merged) <= len(found)
    scores = [score for score, _ in merged]
    assert scores == sorted(scores, reverse=True)
    assert scores[:1] == sorted((score for score, _ in found), reverse=True)[:1]
    for _, row in merged:
        for k, value in enumerate(row):
            column = [other[k] for _, other in found]
            assert min(column) - 1e-6 <= value <= max(column) + 1e-6


@given(st.lists(st.tuples(st.floats(0.5, 1), boxes), max_size=8), st.randoms())
def test_suppression_does_not_care_about_order(
    found: list[tuple[float, list[float]]], random: object
) -> None:
    mixed = list(found)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    once, again = (weighted_nms(rows) for rows in (found, mixed))
    assert [s for s, _ in once] == [s for s, _ in again]
    np.testing.assert_allclose([r for _, r in once], [r for _, r in again])


def test_overlapping_faces_merge_by_score_and_distant_ones_stay() -> None:
    near, far = [50.0, 50.0, 20.0, 20.0], [150.0, 50.0, 20.0, 20.0]
    merged = weighted_nms([(0.6, [52.0, 50.0, 20.0, 20.0]), (0.9, near), (0.8, far)])
    assert [score for score, _ in merged] == [0.9, 0.8]
    assert merged[0][1] == pytest.approx([(0.9 * 50 + 0.6 * 52) / 1.5, 50, 20, 20])
    assert merged[1][1] == pytest.approx(far)


def test_boxes_with_an_overlap_below_30_percent_are_two_faces() -> None:
    # Shifted by s of a width, two boxes share (1 - s) / (1 + s): three tenths at s = 0.538.
    def shifted(by: float) -> int:
        return len(weighted_nms([(0.9, [50.0, 50, 100, 100]), (0.8, [50.0 + by, 50, 100, 100])]))

    assert shifted(53) == 1
    assert shifted(55) == 2


@given(st.floats(21, 300), st.floats(21, 300), st.sampled_from([-1, 1]), st.sampled_from([-1, 1]))
def test_two_people_diagonally_apart_stay_two(dx: float, dy: float, right: int, down: int) -> None:
    one, other = [500.0, 500.0, 20.0, 20.0], [500.0 + right * dx, 500.0 + down * dy, 20.0, 20.0]
    assert weighted_nms([(0.9, one), (0.8, other)]) == [(0.9, one), (0.8, other)]


def test_a_box_without_a_size_is_a_face_of_its_own_and_no_error() -> None:
    assert len(weighted_nms([(0.9, [50.0, 50, 0, 0]), (0.8, [50.0, 50, -1, 20])])) == 2


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_the_letterbox_is_the_smallest_square_around_the_picture(width: int, height: int) -> None:
    box = letterbox_region(width, height)
    assert box.width == box.height == max(width, height)
    assert box.x0 + box.x1 == width
    assert box.y0 + box.y1 == height


@pytest.fixture
def other_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own with the real manifest and models."""
    shutil.copytree(home_folder() / "models", tmp_path / "models")
    monkeypatch.setenv("MONA_LISA_HOME", str(tmp_path))
    return tmp_path


def test_a_truncated_model_is_refused_and_crashes_nothing(other_home: Path) -> None:
    path = other_home / "models" / MODEL_SPECS["short"].file
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(BadAsset) as caught:
        FaceDetector("short")
    assert str(caught.value) == f"{path}: 100,000 bytes, expected 229,714; run `mona-lisa assets fetch`"


def test_another_model_under_its_name_is_refused(other_home: Path) -> None:
    path = other_home / "models" / MODEL_SPECS["short"].file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadAsset, match=r"short_range.tflite: SHA-256 .*, expected bbff11ce.*assets fetch`$"):
        FaceDetector("short")


def test_a_model_that_was_not_fetched_is_named(other_home: Path) -> None:
    path = other_home / "models" / MODEL_SPECS["full"].file
    path.unlink()
    with pytest.raises(BadAsset) as caught:
        FaceDetector("full")
    assert str(caught.value) == f"{path}: missing; run `mona-lisa assets fetch`"


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x1c\0\0\0TFL3" + bytes(100)])
def test_a_file_that_is_no_model_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "face.tflite"
    path.write_bytes(content)
    with pytest.raises(BadModel) as caught:
        TfliteModel(path, (1, 128, 128, 3))
    assert str(caught.value) == f"{path}: not a model the runtime can load; run `mona-lisa assets fetch`"


def test_a_model_with_another_input_or_output_is_refused() -> None:
    path = model_path("face_landmark.tflite")
    with pytest.raises(BadModel) as caught:
        TfliteModel(path, (1, 128, 128, 3))
    assert str(caught.value) == f"{path}: input float32 (1, 192, 192, 3), expected float32 (1, 128, 128, 3)"
    with pytest.raises(
        BadModel, match=r"face_landmark.tflite: outputs .* expected \(1, 2304, 16\) among them"
    ):
        TfliteModel(path, (1, 192, 192, 3)).output((1, 2304, 16))
