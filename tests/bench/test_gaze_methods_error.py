import math

import pytest

from appliance.bench.gaze_methods import direction_of, gaze_error, true_direction
from appliance.config import Config
from appliance.gallery.camera import GalleryCamera
from appliance.pack import FrameGrid

# Frames 0 and 1 look up, 2 to 4 are level, 5 and 6 look down.
GRID = FrameGrid((0, 0, 9, 9), (4.0, 4.0), (-20.0, 0.0, 20.0), (10.0, 0.0, -15.0), (2, 1, 2), (1, 1))


def test_the_number_of_a_frame_tells_both_directions() -> None:
    assert [direction_of(GRID, number) for number in (0, 3, 6)] == [(-20, 10), (0, 0), (20, -15)]


def test_a_sitter_that_looks_where_the_viewer_is_has_no_error() -> None:
    aside, up = gaze_error(
        [(0.0, 3), (2.0, 6)], GRID, lambda t: (20.0, -15.0) if t >= 2 else (0.0, 0.0), 1.0, 3.0
    )
    for error in (aside, up):
        assert (error.median, error.p95, error.reachable) == (0, 0, 0)
        assert error.seconds == pytest.approx(2.0)


def test_looking_away_and_beyond_reach_are_told_apart() -> None:
    aside, up = gaze_error([(0.0, 4)], GRID, lambda t: (30.0, -4.0) if t >= 1.5 else (15.0, 12.0), 1.0, 3.0)
    assert (aside.median, aside.reachable) == pytest.approx((10, 5))
    assert (up.median, up.p95, up.reachable) == pytest.approx((4, 12, 4))


def test_moments_without_anybody_do_not_count() -> None:
    for error in gaze_error([(0.0, 1)], GRID, lambda t: None, 1.0, 3.0):
        assert math.isnan(error.median) and error.seconds == 0


def test_a_child_is_truly_below() -> None:
    with GalleryCamera("demo", pace=False) as camera:
        truth = true_direction(camera, Config())
        assert truth(19.0) is None  # both have left
        grown, child = truth(3.0), truth(7.0)
    assert grown and child
    assert abs(grown[1]) < 1 and -16 < child[1] < -13
