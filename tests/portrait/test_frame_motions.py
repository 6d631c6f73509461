"""Planning the frames: gaze angles, travel of the irises, rows of gaze up and down."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from appliance.errors import UnfitPortrait
from appliance.portrait.eye_layers import PaintedEye, fit_eyes
from appliance.portrait.frame_motions import FrameMotions, add_pitch_rows, plan_level_row
from appliance.portrait.landmarks import FaceLandmarks
from appliance.portrait.suitability import check_gaze_range
from tests.portrait.synthetic import DrawnEye, draw, landmarks

LEVER = 10.2 / 5.85 * 0.2 * 80  # of the drawn iris, in pixels


@functools.cache
def drawn_to_look(*degrees: float) -> tuple[FaceLandmarks, tuple[PaintedEye, PaintedEye]]:
    """Two eyes drawn to look so far to picture right, both alike if there is one number."""
    ways = LEVER * np.sin(np.radians(np.resize(degrees, 2)))
    eyes = [DrawnEye(x, 60, 80, way) for x, way in zip((110, 290), ways, strict=True)]
    face = landmarks(eyes)
    return face, fit_eyes(draw(eyes), face)


def plan_for(*degrees: float, frames: int = 33) -> FrameMotions:
    """Plan the frames of a sitter drawn to look so far to picture right."""
    return plan_level_row(*drawn_to_look(*degrees), frames, 8.0, 2000.0, 1.0)


def narrowed(left: float | None, right: float | None) -> FrameMotions:
    """Plan 33 frames of a sitter whose irises have so much room to a side, in eye widths."""
    face, eyes = drawn_to_look(0.0)

    def narrow(eye: PaintedEye) -> PaintedEye:
        rim_left, rim_right = eye.iris.u - eye.iris.radius, eye.iris.u + eye.iris.radius
        lids = eye.lids
        if left is not None:
            lids = replace(lids, left=rim_left - left)
        if right is not None:
            lids = replace(lids, right=rim_right + right)
        return replace(eye, lids=lids)

    first, second = map(narrow, eyes)
    return plan_level_row(face, (first, second), 33, 8.0, 2000.0, 1.0)


def ratio(plan: FrameMotions) -> float:
    """The longer side of the range against the shorter one."""
    sides = -plan.angles[0], plan.angles[-1]
    return max(sides) / min(sides)


@pytest.mark.parametrize("aside", [-25.0, 25.0, 18.0])
def test_a_sitter_painted_looking_aside_does_so_at_rest(aside: float) -> None:
    plan = plan_for(aside)
    assert plan.angles[plan.resting_column] == pytest.approx(aside, abs=4)
    assert not plan.shifts[plan.resting_column].any()
    assert plan.turns[plan.resting_column] == 0
    # The middle of the travel looks at a viewer in front.
    assert sum(plan.angles) / 33 == pytest.approx(0, abs=5)
    assert np.ptp(plan.shifts, axis=0).min() > 0.24 * 80
    steps = np.diff(plan.angles)
    assert np.ptp(steps) < 1e-9
    assert steps.min() > 0


def test_a_mirrored_sitter_has_a_mirrored_plan() -> None:
    there, back = plan_for(25.0), plan_for(-25.0)
    assert there.resting_column == 32 - back.resting_column
    # The iris is found to a fiftieth of its radius.
    assert there.angles == pytest.approx([-angle for angle in reversed(back.angles)], abs=1.5)
    assert there.shifts == pytest.approx(-back.shifts[::-1, ::-1], abs=0.6)


@pytest.mark.parametrize("aside", [-11.0, 9.0])
def test_a_sitter_looking_nearly_ahead_looks_at_the_viewer(aside: float) -> None:
    plan = plan_for(aside)
    assert plan.angles[plan.resting_column] == 0
    assert (np.diff(plan.shifts, axis=0) > 0).all()


@pytest.mark.parametrize("room", [0.13, 0.11, 0.09, 0.07])
def test_less_room_on_one_side_still_gives_even_steps(room: float) -> None:
    for plan in (narrowed(None, room), narrowed(room, None)):
        assert ratio(plan) <= 1.5
        assert min(-plan.angles[0], plan.angles[-1]) > 12
        assert np.ptp(np.diff(plan.angles)) < 1e-9
        assert plan.angles[plan.resting_column] == 0
        assert not check_gaze_range(plan)


def test_the_irises_never_leave_the_room_they_have() -> None:
    for room in (0.11, 0.05, 0.0):
        assert narrowed(None, room).shifts.max() <= room * 80 + 0.5
        assert narrowed(room, None).shifts.min() >= -room * 80 - 0.5


@pytest.mark.parametrize("room", [0.04, 0.01, 0.0])
def test_a_side_without_room_is_told_and_the_other_still_moves(room: float) -> None:
    plan = narrowed(None, room)
    assert plan.angles[0] < -14
    assert plan.angles[-1] >= 8 - 1e-9
    assert np.ptp(plan.shifts, axis=0).min() > 0.09 * 80
    assert max(abs(turn) for turn in plan.turns) == pytest.approx(8, abs=0.7)
    (told,) = check_gaze_range(plan)
    assert f"{100 * plan.room[1]:.0f} % of the eyes' width to picture right" in told


@pytest.mark.parametrize("frames", [3, 5, 9, 33, 65])
def test_any_number_of_frames_divides_the_range_evenly(frames: int) -> None:
    plan = plan_for(0.0, frames=frames)
    assert plan.resting_column == frames // 2
    assert ratio(plan) == pytest.approx(1)


def test_a_gaze_on_which_the_eyes_disagree_is_not_believed() -> None:
    plan = plan_for(36.0, 14.0)
    assert plan.painted_gaze == pytest.approx(25, abs=4)
    assert plan.angles[plan.resting_column] == 0
    assert ratio(plan) <= 1.5


def with_head_at(face: FaceLandmarks, yaw: float) -> FaceLandmarks:
    mesh = face.mesh.copy()
    mesh[[234, 454], 0] = -100, 100
    mesh[454, 2] = 200 * np.tan(np.radians(yaw))
    return replace(face, mesh=mesh)


def test_a_gaze_against_the_heads_turn_is_not_believed() -> None:
    face, eyes = drawn_to_look(40.0)
    plan = plan_level_row(with_head_at(face, -15.0), eyes, 33, 8.0, 2000.0, 1.0)
    assert plan.painted_gaze > 20
    assert plan.angles[plan.resting_column] == 0
    assert ratio(plan) <= 1.5


def test_a_gaze_that_goes_with_the_head_is_believed() -> None:
    face, eyes = drawn_to_look(0.0)
    plan = plan_level_row(with_head_at(face, 45.0), eyes, 33, 8.0, 2000.0, 1.0)
    assert plan.angles[plan.resting_column] == pytest.approx(plan.painted_gaze, abs=0.1)
    assert plan.painted_gaze > 20
    assert ratio(plan) <= 1.5


def test_a_gaze_far_aside_that_is_not_believed_is_told() -> None:
    plan = replace(plan_for(0.0), painted_gaze=54.0)
    assert check_gaze_range(plan) == [
        "the sitter seems to look 54 degrees to picture right, but eyes, head and picture do not agree: "
        "planned as if it looked to the front; look at the contact sheet"
    ]


@pytest.mark.parametrize("angles", [(15.0, 77.0), (-28.0, 1.0), (-30.0, 7.5), (-7.0, 7.0)])
def test_a_range_that_misses_the_visitor_in_front_is_refused(angles: tuple[float, float]) -> None:
    plan = replace(plan_for(0.0), angles=tuple(np.linspace(*angles, 33).tolist()), room=(0.2, 0.02))
    with pytest.raises(
        UnfitPortrait, match=r"expected at least 8 degrees to either side of a viewer in front"
    ):
        check_gaze_range(plan)


def rows_for(rows: int, yaw: float = 8.0, nod: float = 8.0, travel: float = 1.0) -> FrameMotions:
    """Plan rows of a sitter drawn to look to the front."""
    face, eyes = drawn_to_look(0.0)
    plan = plan_level_row(face, eyes, 33, yaw, 2000.0, travel)
    return add_pitch_rows(plan, eyes, rows, yaw, nod, travel)


@pytest.mark.parametrize("rows", [3, 4, 5, 7, 9, 11])
def test_rows_lie_evenly_above_and_below_a_level_one(rows: int) -> None:
    plan = rows_for(rows)
    assert len(plan.pitches) == len(plan.nods) == len(plan.drops) == len(plan.coarse) == rows
    assert plan.pitches[plan.level_row] == plan.nods[plan.level_row] == plan.drops[plan.level_row] == 0
    for values in (plan.pitches, plan.nods, np.negative(plan.drops)):
        steps = -np.diff(values)
        assert steps.min() > 0
        assert steps.max() <= 1.25 * steps.min()
    assert [plan.coarse[row] for row in range(rows)] == [
        1 if row == plan.level_row else 2 for row in range(rows)
    ]


def test_nine_rows_reach_a_child_and_a_tall_visitor() -> None:
    plan = rows_for(9)
    assert (plan.pitches[0], plan.pitches[-1]) == pytest.approx((10, -15))
    # The head takes 8 of 30 degrees, as of a turn.
    assert (plan.nods[0], plan.nods[-1]) == pytest.approx((10 * 8 / 30, -15 * 8 / 30))
    assert plan.drops[-1] == pytest.approx(LEVER * np.sin(np.radians(11)), rel=0.03)
    assert check_gaze_range(plan) == []


def test_one_row_is_the_plan_as_it_was() -> None:
    plan = rows_for(1)
    assert (plan.pitches, plan.nods, plan.drops, plan.coarse) == ((0.0,), (0.0,), (0.0,), (1,))


def test_a_head_that_cannot_nod_leaves_more_to_the_eyes() -> None:
    plan = rows_for(9, nod=0.0)
    assert not any(plan.nods)
    assert (plan.pitches[0], plan.pitches[-1]) == pytest.approx((8, -12))


def test_a_short_way_up_and_down_is_told() -> None:
    plan = rows_for(9, travel=0.4)
    assert check_gaze_range(plan) == [
        "the gaze goes 6 degrees up and 8 down; expected 10 and 15: "
        "children and tall visitors near the portrait are not met"
    ]
    assert -np.diff(plan.pitches) == pytest.approx(-np.diff(plan.pitches)[0], rel=0.2)
