import math

import pytest

from appliance.bench.error import gaze_error

ANGLES = (-20.0, 0.0, 20.0)


def test_a_sitter_that_looks_where_the_viewer_is_has_no_error() -> None:
    error = gaze_error([(0.0, 1), (2.0, 2)], ANGLES, lambda t: 20.0 if t >= 2 else 0.0, 1.0, 3.0)
    assert (error.median, error.p95, error.reachable) == (0, 0, 0)
    assert error.seconds == pytest.approx(2.0)


def test_looking_away_is_measured_in_degrees_and_beyond_reach_is_told_apart() -> None:
    error = gaze_error([(0.0, 2)], ANGLES, lambda t: 30.0 if t >= 1.5 else 15.0, 1.0, 3.0)
    assert error.reachable == pytest.approx(5)
    assert error.median == pytest.approx(10)


def test_moments_without_anybody_do_not_count() -> None:
    assert math.isnan(gaze_error([(0.0, 1)], ANGLES, lambda t: None, 1.0, 3.0).median)
