"""The bench of the gaze up and down: its trials, and that the figures are those asked for."""

from dataclasses import replace

import pytest

from appliance.bench.gaze import (
    PLACE,
    WRONG,
    bench_heights,
    grid_pack,
    in_camera,
    run_upright,
    upright_trials,
)
from appliance.gaze.geometry import elevation_of_point, relative_to_sitter
from tests.conftest import in_camera as turned


def test_a_point_of_the_room_comes_back_from_the_camera() -> None:
    for place in WRONG.values():
        point = in_camera((300.0, -200.0, 1800.0), place)
        assert point == pytest.approx(turned((300.0, -200.0, 1800.0), place))
        assert relative_to_sitter(*point, place) == pytest.approx((300.0, -200.0, 1800.0))


def test_the_trials_have_all_eye_heights_and_distances() -> None:
    chosen = upright_trials()
    assert len({trial.name for trial in chosen}) == len(chosen)
    heights, distances = set(), set()
    for trial in chosen:
        for k in range(100):
            for there in trial.walk.people_at(trial.walk.duration * k / 100):
                point = there.x_mm, there.y_mm, there.z_mm
                _, up, ahead = relative_to_sitter(*point, PLACE)
                heights.add(round((1550 + up) / 100))
                distances.add(round(ahead / 500))
    assert heights >= set(range(10, 20)) and distances >= set(range(2, 9))


def test_the_level_row_is_fine_and_the_grid_reaches_far_enough() -> None:
    grid = grid_pack().main
    row, column = grid.resting
    assert (grid.pitches[row], grid.angles[column]) == (0, 0)
    assert len(grid.columns(row)) == 33 and len(grid.pitches) == 9
    assert grid.pitches[0] > 9 and grid.pitches[-1] < -15


@pytest.mark.parametrize("name", ["stands at 3 m, eyes at 1.9 m", "bends to read the label"])
def test_eyes_of_any_height_are_met_without_a_tremble(name: str) -> None:
    (trial,) = (each for each in upright_trials() if each.name == name)
    found = run_upright(trial)
    errors, changes = found["as configured"]
    assert errors.mean(axis=0)[1] < 1.5 and changes == 0
    # A camera that is tilted otherwise than it was told is an error of as many degrees, up and down alone.
    wrong = found["pitch 3 degrees too high"][0].mean(axis=0)
    assert 1.5 < wrong[1] < 5 and wrong[0] == pytest.approx(errors.mean(axis=0)[0], abs=0.3)


def test_a_person_never_in_range_has_no_figures() -> None:
    (trial,) = (each for each in upright_trials() if each.name == "stands at 1 m, eyes at 1 m")
    short = replace(trial, walk=replace(trial.walk, duration=1.0))
    found = bench_heights([short])["trials"][trial.name]
    assert found["within_range_seconds"] == 0 and "vertical_mean_degrees" not in found
    assert elevation_of_point(*in_camera((0, -550, 1000), PLACE), PLACE) < grid_pack().main.pitches[-1]
