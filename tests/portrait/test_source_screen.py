"""Fitting a picture to a screen keeps every head in view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.portrait.source import fit_to_screen, screen_window
from appliance.vision.blazeface import Face

FACE = Face(0.9, (40, 30, 80, 70), (50, 45), (70, 45), (60, 52), (60, 60), (42, 48), (78, 48))
lengths = st.integers(10, 3000)


@given(lengths, lengths, lengths, lengths, st.floats(0, 1), st.floats(0, 1))
def test_the_window_has_the_screens_shape_and_holds_the_eyes(
    width: int, height: int, across: int, down: int, x: float, y: float
) -> None:
    part = screen_window(width, height, (across, down), (x * width, y * height))
    assert part.width / part.height == pytest.approx(across / down)
    assert min(part.x0, part.y0) >= -1e-6
    assert part.x1 <= width + 1e-6
    assert part.y1 <= height + 1e-6
    assert part.x0 - 1e-6 <= x * width <= part.x1 + 1e-6
    assert part.y0 - 1e-6 <= y * height <= part.y1 + 1e-6


def test_eyes_come_to_lie_above_the_middle_where_there_is_room() -> None:
    part = screen_window(1000, 4000, (1000, 1000), (500, 2000))
    assert (2000 - part.y0) / part.height < 0.5


def test_a_picture_of_the_screens_size_is_left_alone() -> None:
    pixels = np.zeros((160, 90, 3), np.uint8)
    same, (face,) = fit_to_screen(pixels, [FACE], (90, 160))
    assert same is pixels
    assert face is FACE


def test_all_heads_of_a_company_stay_in_view_in_a_narrow_screen() -> None:
    pixels = np.full((120, 400, 3), 200, np.uint8)
    far = Face(0.9, (340, 40, 370, 70), (348, 50), (362, 50), (355, 56), (355, 62), (342, 52), (368, 52))
    _, faces = fit_to_screen(pixels, [FACE, far], (300, 500))
    for face in faces:
        assert 0.3 * face.width < face.box[0]
        assert face.box[2] < 300 - 0.3 * face.width
    assert faces[1].width / faces[0].width == pytest.approx(far.width / FACE.width)


def test_the_face_moves_with_the_picture() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[45, 50] = 255  # the right eye
    resized, (face,) = fit_to_screen(pixels, [FACE], (200, 200))
    assert resized.shape == (200, 200, 3)
    y, x = np.unravel_index(resized.sum(2).argmax(), (200, 200))
    assert (x, y) == pytest.approx(face.right_eye, abs=1.5)
    assert face.width == pytest.approx(2 * FACE.width)
