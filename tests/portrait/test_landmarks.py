"""Faces and their landmarks are found in paintings and photographs."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.assets import home_folder, photograph_path
from appliance.camera.sampling import Pixels
from appliance.cli import main
from appliance.errors import UnfitPortrait
from appliance.images import read_pixels
from appliance.portrait.landmarks import FaceLandmarker, SeveralFaces, _starts

PAINTING = home_folder() / "frames" / "sconosciuta.png"


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


def test_the_paintings_eyes_are_found(landmarker: FaceLandmarker) -> None:
    pixels = read_pixels(PAINTING)
    marks = landmarker.read_landmarks(pixels, landmarker.find_sitter(pixels))
    assert marks.confidence > 0.9
    # Read off the painting by eye; 3 % of an eye's width is 2 pixels.
    for eye, truth in zip(marks.eyes, [(426.1, 558.0), (574.3, 560.5)], strict=True):
        assert eye.iris == pytest.approx(truth, abs=2.5)
        assert eye.radius == pytest.approx(14.2, rel=0.2)
        assert eye.lower[0, 0] < eye.iris[0] < eye.lower[-1, 0]
        assert eye.upper[4, 1] < eye.iris[1] < eye.lower[4, 1]


def test_a_mirrored_photograph_has_mirrored_landmarks(landmarker: FaceLandmarker) -> None:
    pixels = read_pixels(photograph_path("astronaut.png"))
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    here = landmarker.read_landmarks(pixels, landmarker.find_sitter(pixels))
    there = landmarker.read_landmarks(mirrored, landmarker.find_sitter(mirrored))
    for eye, twin in zip(here.eyes, reversed(there.eyes), strict=True):
        assert eye.iris[0] == pytest.approx(512 - twin.iris[0], abs=0.6)  # 3 % of the eye's width
        assert eye.iris[1] == pytest.approx(twin.iris[1], abs=0.6)


def test_a_small_head_in_a_corner_is_found(landmarker: FaceLandmarker, tmp_path: Path) -> None:
    canvas = Image.new("RGB", (900, 1200), (90, 80, 60))
    with Image.open(photograph_path("astronaut.png")) as image:
        canvas.paste(image.convert("RGB").crop((120, 40, 330, 250)), (670, 970))
    face = landmarker.find_sitter(np.array(canvas))
    assert face.eye_midpoint == pytest.approx((670 + 225 - 120, 970 + 103 - 40), abs=6)


@pytest.mark.parametrize("picture", [np.full((300, 200, 3), 120, np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_a_picture_without_a_face_is_refused(landmarker: FaceLandmarker, picture: Pixels) -> None:
    with pytest.raises(UnfitPortrait, match=r"no face found in .* crop it closer"):
        landmarker.find_sitter(picture)


@pytest.mark.parametrize(("length", "side"), [(1080, 1920.0), (1920, 460.8), (100, 100.0), (7, 5.5)])
def test_windows_cover_the_whole_length(length: int, side: float) -> None:
    starts = _starts(length, side)
    assert starts[0] <= 0
    assert starts[-1] + side >= length
    assert (np.diff(starts) <= 0.4 * side + 1e-9).all()


def with_a_second_head(size: float, above: int) -> Pixels:
    """Paint a second head of a part of the first one's size, so many pixels above its eyes."""
    with Image.open(photograph_path("astronaut.png")) as image:
        photo = image.convert("RGB")
    canvas = Image.new("RGB", (1000, 1300), (120, 120, 120))
    canvas.paste(photo.crop((150, 0, 310, 230)).resize((640, 920)), (180, 300))
    second = photo.crop((180, 50, 280, 180)).resize((round(400 * size), round(520 * size)))
    canvas.paste(second, (472 - round(172 * size), 728 - above - round(228 * size)))
    return np.array(canvas)


def test_a_face_seen_within_a_face_is_no_second_sitter(landmarker: FaceLandmarker) -> None:
    pixels = with_a_second_head(0.7, above=220)
    face = landmarker.find_sitter(pixels)
    assert face.eye_midpoint[1] == pytest.approx(728, abs=20)


def test_faces_apart_from_each_other_are_asked_about(landmarker: FaceLandmarker) -> None:
    pixels = with_a_second_head(0.5, above=280)
    with pytest.raises(UnfitPortrait, match="2 faces found"):
        landmarker.find_sitter(pixels)
    assert (
        landmarker.find_sitter(pixels, 1).eye_midpoint[0] < landmarker.find_sitter(pixels, 2).eye_midpoint[0]
    )


def test_the_question_says_and_shows_where_faces_are(landmarker: FaceLandmarker) -> None:
    with Image.open(photograph_path("astronaut.png")) as image:
        photo = image.convert("RGB")
    both = Image.new("RGB", (1024, 512))
    both.paste(photo, (0, 0))
    both.paste(photo, (512, 0))
    with pytest.raises(SeveralFaces, match=r"1 upper left, 2 upper right") as asked:
        landmarker.find_sitter(np.array(both))
    changed = np.abs(np.asarray(asked.value.picture, int) - np.asarray(both, int)).max(2) > 100
    faces = landmarker.find_faces(np.array(both))
    assert len(faces) == 2
    for face in faces:
        x0, y0, x1, y1 = (round(v) for v in face.box)
        assert changed[y0 : y0 + 30, x0 : x0 + 30].mean() > 0.3, "the number stands in the box's corner"
        assert not changed[(y0 + y1) // 2, x0 + 10 : x1 - 10].any(), "the face itself is not painted over"
    assert not changed[:, :100].any()


def test_detect_numbers_faces_as_face_does(
    landmarker: FaceLandmarker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two.png"
    Image.fromarray(with_a_second_head(0.5, above=280)).save(path)
    assert main(["detect", str(path)]) == 0
    lines = re.findall(r"(\d): score .* eyes \[([\d.]+), ", capsys.readouterr().out)
    assert [number for number, _ in lines] == ["1", "2"]
    for number, x in lines:
        chosen = landmarker.find_sitter(read_pixels(path), int(number))
        assert float(x) == pytest.approx(chosen.right_eye[0], abs=0.05 * chosen.width)
