"""Which eye heights are in view, held against the lens itself, and the advice that follows."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.bench.gaze import grid_pack
from appliance.camera.lens import Lens
from appliance.config import GazeConfig
from appliance.service.calibration import (
    ABOVE_EYES,
    BELOW_EYES,
    CHILD,
    FARTHEST,
    TALL,
    EyeHeightsInView,
    _absence,
    describe_heights_in_reach,
    eye_heights_in_view,
    report,
)
from tests.conftest import in_camera, small_info

SITTERS = 1550.0
STANDARD = Lens(640, 360, 66.0)
LENSES = st.builds(Lens, st.just(640), st.sampled_from([360, 480]), st.floats(50, 110), st.floats(-0.1, 0.1))
CAMERAS = st.builds(
    GazeConfig,
    camera_forward=st.floats(-200, 200),
    camera_up=st.floats(-1500, 1500),
    camera_pitch=st.floats(-40, 40),
)
VIEWS = st.builds(eye_heights_in_view, LENSES, CAMERAS, st.just(SITTERS))
EYES, DISTANCES = st.floats(500, 2200), st.floats(400, 5000)


@given(LENSES, CAMERAS, EYES, DISTANCES)
def test_a_face_in_view_is_one_that_falls_into_the_picture(
    lens: Lens, gaze: GazeConfig, eyes: float, distance: float
) -> None:
    lowest, highest = eye_heights_in_view(lens, gaze, SITTERS).eyes_in_view(distance)
    assume(min(abs(eyes - lowest), abs(eyes - highest)) > 1)
    chin, forehead = (
        in_camera((0, height - SITTERS, distance), gaze) for height in (eyes - BELOW_EYES, eyes + ABOVE_EYES)
    )
    # A barrel folds back what lies far outside the picture; so ask where its edges look, not where faces fall.
    edge = lens.ray(lens.width / 2, lens.height)[1]
    inside = all(z > 0 and abs(y) <= edge * z for _, y, z in (chin, forehead))
    assert inside == (lowest <= eyes <= highest)
    if inside and lens.distortion >= 0:
        assert all(0 <= lens.project(0, y, z)[1] <= lens.height for _, y, z in (chin, forehead))


@given(VIEWS, EYES, DISTANCES)
def test_distances_in_view_agree_with_heights_in_view(
    view: EyeHeightsInView, eyes: float, distance: float
) -> None:
    nearest, farthest = view.distances_in_view(eyes)
    assume(min(abs(distance - nearest), abs(distance - farthest)) > 1)
    lowest, highest = view.eyes_in_view(distance)
    assert (nearest <= distance <= farthest) == (lowest <= eyes <= highest)


@given(VIEWS, DISTANCES, st.floats(0, 1), st.floats(0.01, 20))
def test_pitches_for_all_show_both_and_no_other_pitch_does(
    view: EyeHeightsInView, distance: float, share: float, beyond: float
) -> None:
    def both(pitch: float) -> bool:
        spans = [replace(view, pitch=pitch).distances_in_view(eyes) for eyes in (CHILD, TALL)]
        return all(nearest <= distance + 1e-6 and farthest >= FARTHEST - 1e-6 for nearest, farthest in spans)

    lowest, highest = view.pitches_for_all(distance)
    if lowest <= highest:
        assert both(lowest + share * (highest - lowest))
        assert not both(lowest - beyond) and not both(highest + beyond)
    else:
        assert not both(highest + share * (lowest - highest))


def test_a_camera_behind_the_viewer_sees_nobody() -> None:
    view = EyeHeightsInView(1500, 800, 0, 20)
    assert view.eyes_in_view(700) == (math.inf, -math.inf)
    assert view.pitches_for_all(700) == (math.inf, -math.inf)


def test_the_report_says_heights_distances_and_the_tilt() -> None:
    said = report(STANDARD, GazeConfig(camera_up=450, camera_pitch=-10), SITTERS)
    assert said == [
        "Eyes in view, by their height above the floor: at 1 m 1.54 to 2.13 m; at 1.5 m 1.25 to 2.22 m; at 2 m "
        "0.96 to 2.31 m. A face counts as in view from 120 mm below the eyes to 50 mm above them.",
        "A child with eyes at 1.15 m is out of view nearer than 1.68 m.",
        "A tall man with eyes at 1.85 m is out of view nearer than 0.47 m.",
        "Tilt the camera down by 7 degrees and calibrate again: both are then in view from 1.5 to 5 m.",
        "No tilt brings both into view from 1 to 5 m: a wide lens (102 degrees) is needed.",
    ]


@pytest.mark.parametrize(
    ("fov", "up", "pitch", "said"),
    [
        (66, 0, 0, ["The tilt is right: both are in view from 1.5 to 5 m.", "No tilt brings both into view from 1 to 5 m: a wide lens (102 degrees) is needed."]),
        (66, -600, 0, ["Tilt the camera up by 17 degrees and calibrate again: both are then in view from 1.5 to 5 m.", "No tilt brings both into view from 1 to 5 m: a wide lens (102 degrees) is needed."]),
        (102, 450, 0, ["Tilt the camera down by 23 degrees and calibrate again: both are then in view from 1 to 5 m."]),
        (53, -500, 15, ["Tilt the camera down by 1 degree and calibrate again: both are then in view from 1.5 to 5 m.", "No tilt brings both into view from 1 to 5 m: a wide lens (102 degrees) is needed."]),
        (102, -350, 10, ["The tilt is right: both are in view from 1 to 5 m."]),
        (20, 0, 0, ["No tilt brings both into view from 2 to 5 m: a wide lens (102 degrees) is needed."]),
    ],
)  # fmt: skip
def test_the_advice_fits_the_camera(fov: float, up: float, pitch: float, said: list[str]) -> None:
    lens = replace(STANDARD, horizontal_fov=fov)
    assert report(lens, GazeConfig(camera_up=up, camera_pitch=pitch), SITTERS)[3:] == said


def test_pictures_too_flat_for_any_lens_are_told() -> None:
    said = report(replace(STANDARD, height=100), GazeConfig(), SITTERS)
    assert said[3:] == [
        "No tilt brings both into view from 2 to 5 m: a wide lens (102 degrees) does not help either."
    ]


@pytest.mark.parametrize(
    ("up", "pitch", "child", "man"),
    [
        (-600, -10, "out of view nearer than 1.41 m.", "never in view."),
        (
            500,
            -25,
            "out of view nearer than 1.02 m.",
            "out of view nearer than 0.32 m and farther than 1.74 m.",
        ),
    ],
)
def test_the_report_says_who_is_never_or_only_nearby_in_view(
    up: float, pitch: float, child: str, man: str
) -> None:
    said = report(STANDARD, GazeConfig(camera_up=up, camera_pitch=pitch), SITTERS)
    assert said[1].endswith(child) and said[2].endswith(man)


@pytest.mark.parametrize(
    ("nearest", "farthest", "said"),
    [
        (1680.0, math.inf, "out of view nearer than 1.68 m"),
        (1680.0, 3000.0, "out of view nearer than 1.68 m and farther than 3.00 m"),
        (-10.0, 3000.0, "out of view farther than 3.00 m"),
        (-10.0, math.inf, "in view at every distance"),
        (4000.0, 3000.0, "never in view"),
    ],
)
def test_where_a_height_is_out_of_view_is_told(nearest: float, farthest: float, said: str) -> None:
    assert _absence(nearest, farthest) == said


def test_the_technician_is_told_whose_eyes_the_sitter_meets() -> None:
    grid = grid_pack().main
    assert describe_heights_in_reach(grid, GazeConfig(), SITTERS) == [
        "Eyes that the sitter meets: at 1 m 1.26 to 1.72 m; at 1.5 m 1.11 to 1.81 m; at 2 m 0.97 to 1.89 m. "
        "Lower and higher ones are looked over and under."
    ]
    (limited,) = describe_heights_in_reach(grid, GazeConfig(limit_up=5, limit_down=-5, gain=0.5), SITTERS)
    assert "at 1 m 1.37 to 1.73 m" in limited
    assert describe_heights_in_reach(small_info().main, GazeConfig(), SITTERS) == []
