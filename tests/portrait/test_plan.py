import functools

import numpy as np
import pytest

from appliance.portrait.eyes import fit_eyes
from appliance.portrait.plan import Plan, make_plan
from tests.portrait.synthetic import DrawnEye, draw, landmarks

LEVER = 10.2 / 5.85 * 0.2 * 80  # of the drawn iris, in pixels


@functools.cache
def plan_for(degrees: float) -> Plan:
    """Plan 33 frames of a sitter drawn to look so far to picture right."""
    gaze = LEVER * np.sin(np.radians(degrees))
    eyes = [DrawnEye(x, 60, 80, gaze) for x in (110, 290)]
    face = landmarks(eyes)
    return make_plan(face, fit_eyes(draw(eyes), face), 33, 8.0, 2000.0, 1.0)


@pytest.mark.parametrize("aside", [-25.0, 25.0, 18.0])
def test_a_sitter_who_looks_aside_does_so_at_rest_and_can_look_to_the_front(aside: float) -> None:
    plan = plan_for(aside)
    assert plan.angles[plan.resting] == pytest.approx(aside, abs=4)
    assert not plan.shifts[plan.resting].any()
    assert plan.turns[plan.resting] == 0
    # The middle of the travel looks at a viewer in front.
    assert sum(plan.angles) / 33 == pytest.approx(0, abs=5)
    assert np.ptp(plan.shifts, axis=0).min() > 0.24 * 80
    steps = np.diff(plan.angles)
    assert np.ptp(steps) < 1e-9
    assert steps.min() > 0


def test_a_mirrored_sitter_has_a_mirrored_plan() -> None:
    there, back = plan_for(25.0), plan_for(-25.0)
    assert there.resting == 32 - back.resting
    # The iris is found to a fiftieth of its radius.
    assert there.angles == pytest.approx([-angle for angle in reversed(back.angles)], abs=1.5)
    assert there.shifts == pytest.approx(-back.shifts[::-1, ::-1], abs=0.6)


@pytest.mark.parametrize("aside", [-11.0, 9.0])
def test_a_sitter_who_looks_about_to_the_front_looks_straight_at_the_viewer(aside: float) -> None:
    plan = plan_for(aside)
    assert plan.angles[plan.resting] == 0
    assert (np.diff(plan.shifts, axis=0) > 0).all()
