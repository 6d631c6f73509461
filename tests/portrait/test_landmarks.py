from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.assets import home, photograph_path
from appliance.errors import UnfitPortrait
from appliance.images import read_pixels
from appliance.portrait.landmarks import Landmarker, _starts

PAINTING = home() / "frames" / "sconosciuta.png"


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker()


def test_the_paintings_eyes_are_found(landmarker: Landmarker) -> None:
    pixels = read_pixels(PAINTING)
    marks = landmarker.landmarks(pixels, landmarker.find(pixels))
    assert marks.confidence > 0.9
    # Read off the painting by eye; 3 % of an eye's width is 2 pixels.
    for eye, truth in zip(marks.eyes, [(426.1, 558.0), (574.3, 560.5)], strict=True):
        assert eye.iris == pytest.approx(truth, abs=2.5)
        assert eye.radius == pytest.approx(14.2, rel=0.2)
        assert eye.lower[0, 0] < eye.iris[0] < eye.lower[-1, 0]
        assert eye.upper[4, 1] < eye.iris[1] < eye.lower[4, 1]


def test_a_mirrored_photograph_has_mirrored_landmarks(landmarker: Landmarker) -> None:
    pixels = read_pixels(photograph_path("astronaut.png"))
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    here = landmarker.landmarks(pixels, landmarker.find(pixels))
    there = landmarker.landmarks(mirrored, landmarker.find(mirrored))
    for eye, twin in zip(here.eyes, reversed(there.eyes), strict=True):
        assert eye.iris[0] == pytest.approx(512 - twin.iris[0], abs=0.6)  # 3 % of the eye's width
        assert eye.iris[1] == pytest.approx(twin.iris[1], abs=0.6)


def test_a_small_head_in_a_corner_is_found(landmarker: Landmarker, tmp_path: Path) -> None:
    canvas = Image.new("RGB", (900, 1200), (90, 80, 60))
    with Image.open(photograph_path("astronaut.png")) as image:
        canvas.paste(image.convert("RGB").crop((120, 40, 330, 250)), (670, 970))
    face = landmarker.find(np.array(canvas))
    assert face.eye_midpoint == pytest.approx((670 + 225 - 120, 970 + 103 - 40), abs=6)


@pytest.mark.parametrize("picture", [np.full((300, 200, 3), 120, np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_a_picture_without_a_face_is_refused(landmarker: Landmarker, picture: np.ndarray) -> None:
    with pytest.raises(UnfitPortrait, match=r"no face found in .* crop it closer"):
        landmarker.find(picture)


@pytest.mark.parametrize(("length", "side"), [(1080, 1920.0), (1920, 460.8), (100, 100.0), (7, 5.5)])
def test_windows_cover_the_whole_length(length: int, side: float) -> None:
    starts = _starts(length, side)
    assert starts[0] <= 0
    assert starts[-1] + side >= length
    assert (np.diff(starts) <= 0.4 * side + 1e-9).all()
