import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.base import RgbPicture
from appliance.camera.lens import Lens
from appliance.config import Config, GazeConfig, TrackingConfig
from appliance.gaze import Aim, Follower, aim_at, angle_to, frame_for, original_frame, position_of
from appliance.pack import PackInfo
from appliance.tracking.viewer import INTERPUPILLARY_MM, Viewer
from appliance.vision.blazeface import Face

ANGLES = tuple(-26 + 52 * i / 32 for i in range(33))
PACK = PackInfo("t", "a", "l", "s", "0", (100, 100), (10, 10, 50, 50), 33, 16, ANGLES, "test", {})
TRACKING = TrackingConfig()


def seen(x_mm: float, captured: float, z_mm: float = 1500) -> tuple[RgbPicture, list[Face]]:
    picture = RgbPicture(np.zeros((360, 640, 3), np.uint8), captured, 0)
    focal = Lens(640, 360, 66).focal
    x, half = 320 + focal * x_mm / z_mm, focal * INTERPUPILLARY_MM / z_mm / 2
    points = [(x - half, 180.0), (x + half, 180.0), (x, 190.0), (x, 200.0), (x - 20, 180.0), (x + 20, 180.0)]
    return picture, [Face(0.9, (x - 25, 160, x + 25, 210), *points)]


def test_a_viewer_walking_to_their_right_is_followed_to_picture_right() -> None:
    follower, shown, frames = Follower(Config()), PACK.resting, []
    for i in range(90):
        # Their right is the left of the camera that looks at them: x falls.
        picture, faces = seen(600 - 1200 * i / 89, i / 30)
        aim = follower.see(picture, faces, 66, PACK)
        shown = frame_for(aim, i / 30, shown, TRACKING, PACK)
        frames.append(shown)
    assert frames[0] < 6 and frames[-1] > 26
    assert frames == sorted(frames)


def test_a_viewer_in_front_meets_the_middle_frame() -> None:
    aim = Follower(Config()).see(*seen(0, 0.0), 66, PACK)
    assert aim.angle == pytest.approx(0, abs=1e-9)
    assert frame_for(aim, 0.0, 3, TRACKING, PACK) == 16


@given(st.floats(-2000, 2000), st.floats(300, 6000))
def test_the_angle_is_the_mirror_image_for_the_mirrored_place(x_mm: float, z_mm: float) -> None:
    assert angle_to(x_mm, z_mm, GazeConfig()) == pytest.approx(-angle_to(-x_mm, z_mm, GazeConfig()))


def test_a_camera_beside_the_portrait_is_accounted_for() -> None:
    # The camera hangs 500 mm to the right; a viewer straight in front of it stands right of the sitter.
    assert angle_to(0, 1000, GazeConfig(camera_right=500)) == pytest.approx(
        math.degrees(math.atan2(500, 1000))
    )
    assert angle_to(500, 1000, GazeConfig(camera_right=500)) == pytest.approx(0)
    assert angle_to(-500, 1000, GazeConfig(camera_forward=500)) == pytest.approx(
        math.degrees(math.atan2(1, 3))
    )
    assert angle_to(-100, 1000, GazeConfig(gain=2.0)) == pytest.approx(2 * angle_to(-100, 1000, GazeConfig()))


@given(st.lists(st.floats(-60, 60), min_size=2, max_size=40, unique=True), st.floats(-90, 90))
def test_a_position_among_the_frames_reads_back_as_the_angle(angles: list[float], angle: float) -> None:
    angles.sort()
    position = position_of(angle, angles)
    assert 0 <= position <= len(angles) - 1
    clamped = min(max(angle, angles[0]), angles[-1])
    assert np.interp(position, range(len(angles)), angles) == pytest.approx(clamped, abs=1e-6)


@pytest.mark.parametrize(
    ("x", "frame"), [(0, 32), (1, 31), (320, 16), (330, 15), (639.9, 0), (640, 0), (-5, 32), (700, 0)]
)
def test_the_original_mapping_is_kept_as_it_was(x: float, frame: int) -> None:
    assert original_frame(x, 640, 33) == frame


def test_the_original_mapping_neither_smooths_nor_measures() -> None:
    config = Config(gaze=GazeConfig(mapping="original"))
    follower = Follower(config)
    follower.see(*seen(0, 0.0), 66, PACK)
    picture, faces = seen(-400, 1 / 30)
    aim = follower.see(picture, faces, 66, PACK)
    expected = original_frame(faces[0].eye_midpoint[0], 640, 33)
    assert frame_for(aim, 1 / 30, 16, config.tracking, PACK) == expected


def aim(angle: float | None, at: float = 0.0) -> Aim:
    viewer = Viewer(0, 0, 1, 0, 0, 1, at, 1) if angle is not None else None
    return Aim(viewer, angle, at, at)


def test_before_anybody_came_the_sitter_rests() -> None:
    assert frame_for(None, 5.0, 16, TRACKING, PACK) == 16
    assert frame_for(aim(None), 5.0, 16, TRACKING, PACK) == 16


@given(st.floats(-26, 26), st.floats(0, 20))
def test_a_lost_viewer_is_looked_for_a_while_then_the_sitter_drifts_to_rest(
    angle: float, gone: float
) -> None:
    value = aim_at(aim(angle), gone, 0.0, hold=1.5, return_time=2.0)
    if gone <= 1.5:
        assert value == angle
    elif gone >= 3.5:
        assert value == pytest.approx(0, abs=1e-9)
    else:
        assert min(angle, 0) - 1e-9 <= value <= max(angle, 0) + 1e-9


def test_the_drift_back_shows_every_frame_on_the_way() -> None:
    follower = Follower(Config())
    for i in range(30):
        follower.see(*seen(-700, i / 30), 66, PACK)
    empty, _ = seen(0, 1.0)
    lost, shown, frames = follower.see(empty, [], 66, PACK), 32, []
    for t in np.arange(1.0, 8.0, 1 / 60):
        shown = frame_for(lost, float(t), shown, TRACKING, PACK)
        frames.append(shown)
    assert frames[0] > 28 and frames[-1] == PACK.resting
    assert set(np.diff(frames)) <= {0, -1}


def test_somebody_found_after_the_sitter_rested_is_not_smoothed_from_where_the_last_one_left() -> None:
    follower = Follower(Config())
    for i in range(30):
        follower.see(*seen(-700, i / 30), 66, PACK)
    follower.see(seen(0, 5.0)[0], [], 66, PACK)
    found = follower.see(*seen(500, 9.0), 66, PACK)
    assert found.angle == pytest.approx(angle_to(500, 1500, GazeConfig()), abs=0.01)
