import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.base import RgbPicture
from appliance.camera.lens import Lens
from appliance.tracking.viewer import INTERPUPILLARY_MM, choose, locate
from appliance.vision.blazeface import Face


def face_at(x: float, y: float = 100.0, width: float = 60.0, eye_distance: float = 30.0) -> Face:
    half = eye_distance / 2
    box = (x - width / 2, y - width / 3, x + width / 2, y + 2 * width / 3)
    return Face(0.9, box, (x - half, y), (x + half, y), (x, y + 10), (x, y + 20), (x - 30, y), (x + 30, y))


def picture(width: int = 640, height: int = 360) -> RgbPicture:
    return RgbPicture(np.zeros((height, width, 3), np.uint8), 1.5, 7)


def test_nobody_is_followed_in_an_empty_room() -> None:
    assert choose([], None, 1.4) is None
    assert choose([], face_at(100), 1.4) is None


def test_the_largest_face_is_followed_first() -> None:
    near, far = face_at(300, width=80), face_at(100, width=40)
    assert choose([far, near], None, 1.4) is near


def test_a_slightly_larger_newcomer_does_not_win_the_gaze() -> None:
    present, newcomer = face_at(100, width=60), face_at(400, width=70)
    assert choose([newcomer, present], face_at(102), 1.4) is present


def test_a_clearly_larger_newcomer_wins_the_gaze() -> None:
    present, newcomer = face_at(100, width=60), face_at(400, width=90)
    assert choose([present, newcomer], face_at(102), 1.4) is newcomer


def test_when_the_followed_one_is_gone_the_largest_other_is_followed() -> None:
    others = [face_at(400, width=40), face_at(550, width=50)]
    assert choose(others, face_at(100), 1.4) is others[1]


@given(
    st.floats(-1500, 1500),
    st.floats(-800, 800),
    st.floats(400, 6000),
    st.floats(30, 120),
    st.integers(64, 2000),
)
def test_a_point_in_the_room_projected_into_the_picture_is_found_again(
    x_mm: float, y_mm: float, z_mm: float, fov: float, width: int
) -> None:
    view = picture(width, 100)
    focal = Lens(width, 100, fov).focal
    eye_distance = focal * INTERPUPILLARY_MM / z_mm
    x, y = width / 2 + focal * x_mm / z_mm, 50 + focal * y_mm / z_mm
    viewer = locate(face_at(x, y, eye_distance=max(eye_distance, 1.0)), view, fov)
    scale = min(1.0, eye_distance)  # faces under a pixel between the eyes count as one
    assert viewer.z_mm == pytest.approx(z_mm * scale, rel=1e-6)
    assert viewer.x_mm == pytest.approx(x_mm * scale, rel=1e-6, abs=1e-3)
    assert viewer.y_mm == pytest.approx(y_mm * scale, rel=1e-6, abs=1e-3)
    assert viewer.distance_mm == pytest.approx(math.hypot(x_mm, y_mm, z_mm) * scale, rel=1e-6)


def test_a_viewer_carries_the_pictures_time_and_the_faces_score() -> None:
    viewer = locate(face_at(320), picture(), 66)
    assert (viewer.captured, viewer.confidence, viewer.x, viewer.eye_distance) == (1.5, 0.9, 320, 30)
