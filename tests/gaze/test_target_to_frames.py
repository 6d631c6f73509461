"""Two directions and several sitters: which frames show a gaze, and the way there."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bench.gaze import grid_pack
from appliance.config import Config, GazeConfig, TrackingConfig
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import WalkScript, load_walk
from appliance.gaze.geometry import direction_from_sitter, elevation_of_point, gaze_angle_to
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import (
    CONTACT_TIME,
    ROW_HYSTERESIS,
    SACCADE_TIME,
    GazeTarget,
    frames_for,
    gaze_direction_at,
    gaze_directions_at,
    idle_gaze,
    nearest_frame,
)
from appliance.pack import PackInfo
from tests.conftest import one_row

PACK = grid_pack()
GRID = PACK.main
TRACKING = TrackingConfig()
ANGLES, PITCHES = st.floats(-60, 60), st.floats(-40, 40)
FRAMES = st.integers(0, GRID.count - 1)
# Two metres of picture: two more heads to both sides, one of them lower.
APART = ((0.0, 0.0), (-600.0, 50.0), (500.0, -250.0))
THREE = replace(PACK, sitters=(GRID, GRID, replace(GRID, resting=(4, 10))))


def target_at(angle: float, pitch: float, **more: Any) -> GazeTarget:
    return replace(GazeTarget(None, angle, 0.0, 0.0, pitch=pitch, ahead_mm=1500.0), **more)


def seen(pack: PackInfo, number: int, sitter: int = 0) -> tuple[float, float]:
    """The direction in which the sitter of a frame looks."""
    row, column = pack.sitters[sitter].place(number)
    return pack.sitters[sitter].angles[column], pack.sitters[sitter].pitches[row]


class TestFrame:
    @given(ANGLES, PITCHES, FRAMES)
    def test_it_is_the_nearest_but_for_the_hysteresis(self, angle: float, pitch: float, shown: int) -> None:
        number = nearest_frame((angle, pitch), GRID, shown, (ROW_HYSTERESIS, 0.15))
        row, column = GRID.place(number)
        aside = abs(min(max(angle, -26.0), 26.0) - GRID.angles[column])
        up = abs(min(max(pitch, -16.25), 9.75) - GRID.pitches[row])
        assert aside <= 1.625 * GRID.steps[row] * 0.65 + 1e-9
        assert up <= 3.25 * (0.5 + ROW_HYSTERESIS) + 1e-9

    @given(ANGLES, PITCHES, FRAMES)
    def test_once_chosen_it_stays(self, angle: float, pitch: float, shown: int) -> None:
        number = nearest_frame((angle, pitch), GRID, shown, (ROW_HYSTERESIS, 0.15))
        assert nearest_frame((angle, pitch), GRID, number, (ROW_HYSTERESIS, 0.15)) == number

    @given(ANGLES, PITCHES, FRAMES, st.floats(-0.9, 0.9), st.floats(-0.2, 0.2))
    def test_a_head_that_stirs_changes_it_once_at_most(
        self, angle: float, pitch: float, shown: int, nod: float, turn: float
    ) -> None:
        frames = [shown]
        for side in (1, -1) * 5:
            look = angle + side * turn, pitch + side * nod
            frames.append(nearest_frame(look, GRID, frames[-1], (ROW_HYSTERESIS, 0.15)))
        rows = [GRID.place(number)[0] for number in frames[1:]]
        assert sum(a != b for a, b in pairwise(rows)) <= 1
        assert len(set(frames[3:])) == 1

    @given(ANGLES, PITCHES, st.integers(0, 32), st.floats(-50, 50), st.floats(0, 30))
    def test_in_a_pack_of_one_row_the_pitch_changes_nothing(
        self, angle: float, pitch: float, shown: int, rise: float, age: float
    ) -> None:
        one = replace(PACK, sitters=(one_row((0, 0, 9, 9), GRID.angles, 16),))
        level, steep = target_at(angle, 0.0), target_at(angle, pitch, rise=rise)
        plain = frames_for(level, age, (shown,), TRACKING, one)
        assert frames_for(steep, age, (shown,), TRACKING, one) == plain


class TestTime:
    def test_a_glance_takes_the_straight_way_through_the_grid(self) -> None:
        glance = target_at(20.0, -13.0, saccade_at=0.0)
        glance = replace(glance, saccade_from=((-16.25, 6.5),))
        way = np.array(
            [gaze_direction_at(glance, t, GRID, TRACKING) for t in np.arange(0, SACCADE_TIME + 0.01, 1 / 60)]
        )
        assert way[0] == pytest.approx((-16.25, 6.5)) and way[-1] == pytest.approx((20.0, -13.0))
        part = (way - way[0]) / (way[-1] - way[0])
        assert part[:, 0] == pytest.approx(part[:, 1])

    def test_after_a_viewer_is_lost_the_eyes_return_row_by_row(self) -> None:
        shown: tuple[int, ...] = (GRID.number(8, 24),)
        rows = []
        for t in np.arange(0, 5, 1 / 60):
            shown = frames_for(target_at(13.0, -16.25), float(t), shown, TRACKING, PACK)
            rows.append(GRID.place(shown[0])[0])
            if t < TRACKING.hold:
                assert shown == (GRID.number(8, 24),)
        assert shown == (GRID.rest,)
        assert set(np.diff(rows)) == {0, -1}

    def test_a_rise_goes_on_until_the_light_leaves_the_screen(self) -> None:
        rises = target_at(0.0, -10.0, rise=30.0)
        assert gaze_direction_at(rises, 0.1, GRID, TRACKING)[1] == pytest.approx(-7.0, abs=0.15)
        still = replace(TRACKING, prediction=0.0)
        assert gaze_direction_at(rises, 0.1, GRID, still)[1] == -10.0

    def test_contact_takes_away_from_both_angles(self) -> None:
        meets = target_at(20.0, -10.0, contact_to=0.5)
        meets = replace(meets, contact_at=0.0)
        assert gaze_direction_at(meets, CONTACT_TIME, GRID, TRACKING) == pytest.approx((10.0, -5.0))

    @given(PITCHES, st.floats(-90, 90), st.floats(-1, 30))
    def test_the_pitch_stays_within_the_rows(self, pitch: float, rise: float, age: float) -> None:
        assert -16.25 <= gaze_direction_at(target_at(5.0, pitch, rise=rise), age, GRID, TRACKING)[1] <= 9.75

    def test_in_an_empty_room_the_sitter_looks_up_and_down_too(self) -> None:
        tracking = replace(TRACKING, wander_every=6.0)
        looks = np.array(
            [gaze_directions_at(target_at(0.0, 0.0), t, tracking, PACK)[0] for t in np.arange(0, 120, 0.05)]
        )
        assert looks[:, 1].max() > 3 and looks[:, 1].min() < -5
        assert np.abs(np.diff(looks, axis=0)).max() < 1.5
        assert [idle_gaze(empty, 20.0) for empty in (0.0, 10.0, 19.9, 25.1, 39.9)] == [(0.0, 0.0)] * 5
        there = idle_gaze(20.0 + 2.0, 20.0)
        assert math.hypot(*there) > 0.2
        for part in (0.3, 0.7):  # straight there
            way = idle_gaze(20.0 + 1.5 * part, 20.0)
            assert way[0] * there[1] == pytest.approx(way[1] * there[0])


class TestSitters:
    @given(
        st.floats(-1500, 1500), st.floats(-800, 600), st.floats(500, 5000),
        st.floats(-1500, 1500), st.floats(-1500, 1500),
    )  # fmt: skip
    def test_another_sitters_gaze_goes_through_the_same_point(
        self, right: float, up: float, ahead: float, aside: float, above: float
    ) -> None:
        def towards(right: float, up: float) -> tuple[float, float]:
            flat = math.hypot(right, ahead)
            return math.degrees(math.atan2(right, ahead)), math.degrees(math.atan2(up, flat))

        look = direction_from_sitter(towards(right, up), ahead, (aside, above))
        assert look == pytest.approx(towards(right - aside, up - above), abs=1e-6)

    def test_all_of_them_converge_on_the_viewer(self) -> None:
        right, up, ahead = 100.0, -150.0, 2500.0  # the viewer's eyes, from the first sitter's
        angle = math.degrees(math.atan2(right, ahead))
        pitch = math.degrees(math.atan2(up, math.hypot(right, ahead)))
        viewer = replace(target_at(angle, pitch), ahead_mm=ahead)
        shown = tuple(grid.rest for grid in THREE.sitters)
        frames = frames_for(viewer, 0.0, shown, TRACKING, THREE, APART)
        for sitter, (aside, above) in enumerate(APART):
            found = seen(THREE, frames[sitter], sitter)
            assert found[0] == pytest.approx(math.degrees(math.atan2(right - aside, ahead)), abs=3.25 * 0.65)
            flat = math.hypot(right - aside, ahead)
            assert found[1] == pytest.approx(math.degrees(math.atan2(up - above, flat)), abs=3.25 * 0.8)
        assert frames[1] != frames[0] != frames[2]

    def test_without_their_places_they_look_as_from_one(self) -> None:
        shown = tuple(grid.rest for grid in THREE.sitters)
        assert len(set(frames_for(target_at(20.0, 0.0), 0.0, shown, TRACKING, THREE))) == 1

    def test_each_returns_to_its_own_rest(self) -> None:
        shown = tuple(grid.rest for grid in THREE.sitters)
        assert frames_for(target_at(20.0, -10.0), 60.0, shown, TRACKING, THREE, APART) == shown
        assert frames_for(None, 0.0, shown, TRACKING, THREE, APART) == shown

    def test_a_portrait_of_more_sitters_is_taken_up_in_mid_glance(self) -> None:
        glance = replace(target_at(20.0, -10.0, saccade_at=0.0), saccade_from=((0.0, 0.0),))
        looks = gaze_directions_at(glance, 0.05, TRACKING, THREE, APART[:2])
        assert len(looks) == 3 and looks[2] == (20.0, -10.0)


def lit(
    walk: WalkScript,
    pack: PackInfo = PACK,
    place: GazeConfig | None = None,
    apart: tuple[tuple[float, float], ...] = (),
) -> Iterator[tuple[float, GazeTarget, tuple[int, ...]]]:
    """The moment, the target and the frames lit at each refresh of a 60 Hz screen, 0.1 s after each picture."""
    config = Config(gaze=place or GazeConfig(), tracking=replace(TRACKING, share=False, fixture_after=0.0))
    controller, shown = GazeController(config), tuple(grid.rest for grid in pack.sitters)
    with GalleryCamera(walk, pace=False) as camera:
        for _ in range(round(walk.duration * 30)):
            picture = camera.newest()
            target = controller.see(picture, camera.horizontal_fov, pack, picture.captured + 0.1, apart)
            for light in (picture.captured + 0.1, picture.captured + 0.1 + 1 / 60):
                shown = frames_for(target, light, shown, config.tracking, pack, apart)
                yield light, target, shown


class TestWalks:
    def test_a_visitor_who_bends_is_followed_down_and_up_again(self) -> None:
        walk = load_walk("label")
        errors, rows = [], {}
        for moment, _, (number,) in lit(walk):
            there = walk.people_at(moment)
            if there and 2.5 < moment < 11.5:
                point = there[0].x_mm, there[0].y_mm, there[0].z_mm
                errors.append(abs(seen(PACK, number)[1] - elevation_of_point(*point, GazeConfig())))
                rows[round(moment, 3)] = GRID.place(number)[0]
        assert np.mean(errors) < 1.5
        up, bent, risen = (
            {row for t, row in rows.items() if a < t < b} for a, b in ((3.5, 5), (7, 9), (11, 11.5))
        )
        assert len(up) == len(bent) == 1 and up == risen
        assert bent.pop() >= up.pop() + 3

    def test_a_child_who_comes_is_looked_down_at(self) -> None:
        walk = load_walk("child")
        rows = [(moment, GRID.place(number)[0]) for moment, _, (number,) in lit(walk)]
        level = GRID.pitches.index(0.0)
        assert {row for moment, row in rows if 3 < moment < 4} <= {level, level - 1}
        assert all(row >= level + 3 for moment, row in rows if 9 < moment < 13)

    def test_sitters_follow_one_who_walks_by_each_by_its_own_angle(self) -> None:
        from appliance.bench.gaze_walks import crossing

        walk = crossing(0.6, 2.0)
        errors = []
        for moment, target, numbers in lit(walk, THREE, apart=APART):
            there = walk.people_at(moment)
            if not there or target.viewer is None or not -700 < there[0].x_mm < 700:
                continue
            point = there[0].x_mm, there[0].y_mm, there[0].z_mm
            true = gaze_angle_to(*point, GazeConfig()), elevation_of_point(*point, GazeConfig())
            for sitter, number in enumerate(numbers):
                one = direction_from_sitter(true, point[2], APART[sitter])
                if abs(one[0]) < 26:
                    errors.append([abs(a - b) for a, b in zip(seen(THREE, number, sitter), one, strict=True)])
        assert len(errors) > 200
        assert np.mean(errors, axis=0) == pytest.approx([0, 0], abs=1.7)
        assert np.percentile(np.array(errors)[:, 0], 95) < 3.25
