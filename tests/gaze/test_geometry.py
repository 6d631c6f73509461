"""The sitter's view of a point that the camera sees, for any place and tilt of the camera."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import GazeConfig
from appliance.gaze.geometry import (
    direction_from_sitter,
    elevation_of_point,
    gaze_angle_to,
    gaze_pitch_to,
    relative_to_sitter,
)
from tests.conftest import in_camera

PLACES = st.builds(
    GazeConfig,
    camera_right=st.floats(-2000, 2000),
    camera_forward=st.floats(-1000, 1000),
    camera_up=st.floats(-3000, 3000),
    camera_pitch=st.floats(-60, 60),
    mirrored=st.booleans(),
)
ROOM = st.tuples(st.floats(-4000, 4000), st.floats(-1500, 1500), st.floats(300, 6000))
SEEN = st.tuples(st.floats(-4000, 4000), st.floats(-3000, 3000), st.floats(1, 8000))


@given(ROOM, PLACES)
def test_a_point_in_the_room_is_seen_under_its_true_angles(
    point: tuple[float, float, float], place: GazeConfig
) -> None:
    right, up, ahead = point
    seen = in_camera(point, place)
    assert relative_to_sitter(*seen, place) == pytest.approx(point, abs=1e-6)
    assert gaze_angle_to(*seen, place) == pytest.approx(math.degrees(math.atan2(right, ahead)), abs=1e-6)
    level = np.array([right, 0.0, ahead])
    cosine = level @ np.array(point) / (np.linalg.norm(level) * np.linalg.norm(point))
    elevation = math.copysign(math.degrees(math.acos(min(cosine, 1.0))), up)
    assert elevation_of_point(*seen, place) == pytest.approx(elevation, abs=1e-4)


@given(SEEN, st.floats(-2000, 2000), st.floats(-1000, 1000), st.booleans())
def test_for_a_level_camera_height_does_not_change_the_angle(
    seen: tuple[float, float, float], to_right: float, forward: float, mirrored: bool
) -> None:
    x, _, z = seen
    place = GazeConfig(camera_right=to_right, camera_forward=forward, mirrored=mirrored)
    right = to_right - (-x if mirrored else x)
    assert gaze_angle_to(*seen, place) == math.degrees(math.atan2(right, max(z + forward, 1.0)))


@given(SEEN, PLACES)
def test_a_mirrored_camera_sees_the_same_angles_mirrored(
    seen: tuple[float, float, float], place: GazeConfig
) -> None:
    x, y, z = seen
    other = replace(place, mirrored=not place.mirrored)
    assert gaze_angle_to(-x, y, z, other) == gaze_angle_to(x, y, z, place)
    assert elevation_of_point(-x, y, z, other) == elevation_of_point(x, y, z, place)
    opposite = replace(place, camera_right=-place.camera_right)
    assert gaze_angle_to(-x, y, z, opposite) == -gaze_angle_to(x, y, z, place)
    assert elevation_of_point(-x, y, z, opposite) == elevation_of_point(x, y, z, place)


def test_a_lens_tilted_up_sees_a_level_point_below_its_middle() -> None:
    # 1 m ahead, level with the lens: below the middle, and still on the level of the sitter's eyes.
    y, z = 1000 * math.sin(math.radians(10)), 1000 * math.cos(math.radians(10))
    assert elevation_of_point(0, y, z, GazeConfig(camera_pitch=10)) == pytest.approx(0)
    assert elevation_of_point(0, 0, 1000, GazeConfig(camera_pitch=10)) == pytest.approx(10)
    # The camera hangs 500 mm below the sitter's eyes: what it sees straight ahead is below them.
    assert elevation_of_point(0, 0, 500, GazeConfig(camera_up=-500)) == pytest.approx(-45)


@given(SEEN, PLACES, st.floats(0.1, 2.0), st.floats(-90, 0), st.floats(0, 90))
def test_the_pitch_is_the_elevation_within_its_limits(
    seen: tuple[float, float, float], place: GazeConfig, gain: float, down: float, up: float
) -> None:
    elevation = elevation_of_point(*seen, place)
    assert gaze_pitch_to(*seen, place) == elevation
    limited = gaze_pitch_to(*seen, replace(place, gain=gain, limit_down=down, limit_up=up))
    assert limited == min(max(elevation * gain, down), up)


@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_at_an_unknown_distance_all_sitters_look_in_parallel(
    angle: float, pitch: float, right: float, above: float
) -> None:
    assert direction_from_sitter((angle, pitch), math.inf, (right, above)) == (angle, pitch)
