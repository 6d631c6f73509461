import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.lens import Lens
from appliance.camera.sampling import Region
from appliance.config import GazeConfig
from appliance.gaze.geometry import gaze_angle_to
from appliance.tracking.tracker import Tracker, frontal_eye_distance
from appliance.tracking.viewer_position import INTERPUPILLARY_MM, locate_viewer
from tests.tracking.faces import DT, face_at, take, track_at


@given(
    st.floats(-1500, 1500), st.floats(-800, 800), st.floats(400, 6000), st.floats(30, 110),
    st.integers(64, 2000), st.floats(-0.1, 0.1),
)  # fmt: skip
def test_a_point_projected_into_the_picture_is_found_again(
    x_mm: float, y_mm: float, z_mm: float, fov: float, width: int, distortion: float
) -> None:
    x_mm, y_mm = (max(-z_mm, min(z_mm, v)) for v in (x_mm, y_mm))
    lens = Lens(width, 100, fov, distortion)
    eye_distance = lens.focal * INTERPUPILLARY_MM / z_mm
    person = track_at(*lens.project(x_mm, y_mm, z_mm), width=eye_distance * 2.5)
    viewer = locate_viewer(person, 0.0, (width, 100), fov, distortion)
    scale = min(1.0, eye_distance)  # faces under a pixel between the eyes count as one
    assert viewer.z_mm == pytest.approx(z_mm * scale, rel=1e-6)
    assert viewer.x_mm == pytest.approx(x_mm * scale, rel=1e-3, abs=0.5)
    assert viewer.y_mm == pytest.approx(y_mm * scale, rel=1e-3, abs=0.5)
    assert viewer.distance_mm == pytest.approx(math.hypot(x_mm, y_mm, z_mm) * scale, rel=1e-3)


@pytest.mark.parametrize("yaw", [-40, -25, 25, 40])
def test_a_head_that_turns_keeps_its_place(yaw: float) -> None:
    """Eyes 63 mm apart, 76 mm before the axis of the head, at 1.5 m; the nose 38 mm before the eyes."""
    lens = Lens(640, 360, 66)
    angle = math.radians(yaw)

    def seen(right: float, ahead: float) -> tuple[float, float]:
        x = right * math.cos(angle) + ahead * math.sin(angle)
        return lens.project(x, 0.0, 1500.0)  # far enough to leave the depth out

    right, left, nose = seen(-31.5, 76), seen(31.5, 76), seen(0, 76 + 38)
    middle = ((right[0] + left[0]) / 2, 180.0)
    face = replace(track_at(*middle).face, right_eye=right, left_eye=left, nose=nose)
    person = replace(track_at(*middle), face=face, eye_distance=frontal_eye_distance(face))
    viewer = locate_viewer(person, 0.0, (640, 360), 66, 0.0)
    eyes_moved = abs(76 * math.sin(angle))
    assert abs(viewer.x_mm) < 0.6 * eyes_moved
    assert viewer.distance_mm == pytest.approx(1500, rel=0.05)


def test_a_viewer_carries_the_pictures_time_and_the_faces_score() -> None:
    viewer = locate_viewer(track_at(320, seen=1.5), 1.5, (640, 360), 66, 0.0)
    assert (viewer.captured, viewer.confidence, viewer.x, viewer.eye_distance) == (1.5, 0.9, 320, 24)


def test_the_eye_midpoint_is_told_as_seen_and_the_head_apart() -> None:
    track = track_at(320, turned=0.5)
    viewer = locate_viewer(track, 0.0, (640, 360), 66, 0.0)
    assert (viewer.x, viewer.y) == track.face.eye_midpoint
    assert viewer.head_x < viewer.x - 3, "the eyes of a turned head lie before its axis"


def test_an_approach_is_told_by_distance_and_angle() -> None:
    """From 4 m to 1 m in three seconds, straight towards a camera that hangs 400 mm to the right."""
    people, lens, place = Tracker(0.5, 0.0, 8.0), Lens(1280, 720, 66), GazeConfig(camera_right=400)
    for i in range(91):
        z_mm = 4000 - 1000 * i * DT
        width = 2.5 * lens.focal * INTERPUPILLARY_MM / z_mm
        half = 2 * width
        crop = Region(640 - half, 360 - half, 640 + half, 360 + half)
        sought = people.tracks[0] if people.tracks else None
        take(people, [face_at(640, 360, width)], i * DT, region=crop, sought=sought)
        (person,) = people.tracks
        viewer = locate_viewer(person, i * DT, (1280, 720), 66, 0.0)
        if i > 15:  # the eyes' distance is smoothed over 0.4 s, so that noise does not move the viewer
            assert viewer.distance_mm == pytest.approx(z_mm, abs=450)
    found = gaze_angle_to(viewer.x_mm, viewer.y_mm, viewer.z_mm, place)
    assert found == pytest.approx(math.degrees(math.atan2(400, 1000)), abs=6)


def test_a_viewer_is_told_where_they_are_by_now() -> None:
    walker = replace(track_at(320, seen=1.0), vx=100.0, vy=50.0)
    viewer = locate_viewer(walker, 1.2, (640, 360), 66, 0.0)
    assert (viewer.x, viewer.y) == pytest.approx((340, 110), abs=1)


def test_a_turned_and_tilted_head_lies_along_its_eyes() -> None:
    """The eyes are 40 pixels apart, 24 below each other: they are turned back along their own line."""
    face = face_at(320, 180, width=100)
    face = replace(face, right_eye=(304, 168), left_eye=(336, 192), nose=(348, 173))
    track = replace(track_at(320, 180, width=100), face=face, eye_distance=40.0)
    viewer = locate_viewer(track, 0.0, (640, 360), 66, 0.0)
    moved = viewer.head_x - viewer.x, viewer.head_y - viewer.y
    assert abs(moved[0]) > 2
    assert moved[1] / moved[0] == pytest.approx(24 / 32)
    assert math.hypot(*moved) < 1.2 * viewer.eye_distance
