import functools
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from appliance.bench.gaze_walks import HOPPER, scene, visitor
from appliance.camera.base import RgbPicture
from appliance.camera.sampling import Pixels
from appliance.config import Config, GazeConfig, TrackingConfig
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import RoomSpec, WalkScript
from appliance.gaze.geometry import fractional_index, frame_of_original_piece, gaze_angle_to
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import (
    CONTACT_TIME,
    SACCADE_TIME,
    GazeTarget,
    frames_for,
    gaze_direction_at,
    idle_gaze,
)
from appliance.pack import PackInfo
from appliance.tracking.viewer_position import Viewer
from tests.conftest import in_camera, one_row

ANGLES = tuple(-26 + 52 * i / 32 for i in range(33))
GRID = one_row((10, 10, 50, 50), ANGLES, 16)
PACK = PackInfo("t", "a", "l", "s", "0", (100, 100), "test", {}, (GRID,))
TRACKING = TrackingConfig()


@functools.cache
def noise(sigma: float) -> NDArray[np.int16]:
    """White noise of a whole picture in grey levels, (360, 640, 3)."""
    field = sigma * np.random.default_rng(1).standard_normal((360, 640, 3), np.float32)
    levels: NDArray[np.int16] = np.rint(field).astype(np.int16)
    return levels


def noisy(pixels: Pixels, number: int, sigma: float = 1.5) -> Pixels:
    """A picture as a sensor gives it: each number has its noise, by another shift of the same field."""
    there = np.roll(noise(sigma), (97 * number, 211 * number), (0, 1))
    noised: Pixels = np.clip(pixels + there, 0, 255).astype(np.uint8)
    return noised


@functools.cache
def pixels_with_face(share: float) -> Pixels:
    return scene(HOPPER, (640, 360), 0.1, (share, 0.5))


def face_in(share: float, captured: float, mirrored: bool = False) -> RgbPicture:
    """A picture with a face at a share of its width."""
    pixels = pixels_with_face(share)
    return RgbPicture(np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels, captured, 0)


def walked(
    walk: WalkScript, config: Config | None = None, rate: float = 30.0
) -> Iterator[tuple[float, GazeTarget, int]]:
    """The target and the frame at every picture of a walk."""
    follower, shown = GazeController(config or Config()), PACK.main.rest
    with GalleryCamera(walk, rate=rate, pace=False) as camera:
        for _ in range(round(walk.duration * rate)):
            picture = camera.newest()
            target = follower.see(picture, camera.horizontal_fov, PACK)
            (shown,) = frames_for(target, picture.captured, (shown,), TRACKING, PACK)
            yield picture.captured, target, shown


def crossing(rate: float = 30.0) -> list[int]:
    # Their right is the left of the camera that looks at them: x falls.
    walk = WalkScript("crossing", 2.0, RoomSpec(), (visitor("one", [(0, 600, 1500), (2, -600, 1500)]),))
    return [frame for moment, _, frame in walked(walk, rate=rate) if moment > 0.39]


def test_a_viewer_going_right_is_followed_to_picture_right() -> None:
    frames = crossing()
    assert frames[0] < 9 and frames[-1] > 26
    assert frames == sorted(frames)


def test_half_the_pictures_give_the_same_walk() -> None:
    assert np.abs(np.subtract(crossing(30.0)[::2], crossing(15.0))).max() <= 1


def test_a_picture_of_elsewhere_is_no_measurement() -> None:
    """Some pictures search the rest of the room; the target tells since when the viewer is not measured."""
    walk = WalkScript("passes", 2.0, RoomSpec(), (visitor("one", [(0, 600, 1500), (2, -600, 1500)]),))
    ages = [moment - target.seen for moment, target, _ in walked(walk) if moment > 0.4]
    assert 0.02 < max(ages) < 0.1 and min(ages) == 0.0


def test_the_eyes_go_to_a_sudden_step_by_a_saccade() -> None:
    follower = GazeController(Config())
    places = [0.4] * 15 + [0.55] * 15
    targets = [follower.see(face_in(place, i / 30), 66, PACK) for i, place in enumerate(places)]
    assert targets[14].saccade_at < 0.1, "the viewer was new, and has stood since"
    assert 0.5 <= targets[-1].saccade_at < 0.7, "the step is confirmed by the next pictures"


def test_a_viewer_in_front_meets_the_middle_frame() -> None:
    target = GazeController(Config()).see(face_in(0.5, 0.0), 66, PACK)
    assert target.angle == pytest.approx(0, abs=0.5)
    assert frames_for(target, 5.0, (16,), replace(TRACKING, hold=60.0), PACK) == (16,)


@given(st.floats(-2000, 2000), st.floats(300, 6000))
def test_the_angle_is_the_mirror_image_for_the_mirrored_place(x_mm: float, z_mm: float) -> None:
    assert gaze_angle_to(x_mm, 0, z_mm, GazeConfig()) == pytest.approx(
        -gaze_angle_to(-x_mm, 0, z_mm, GazeConfig())
    )


def test_a_camera_beside_the_portrait_is_accounted_for() -> None:
    # The camera hangs 500 mm to the right; a viewer straight in front of it stands right of the sitter.
    assert gaze_angle_to(0, 0, 1000, GazeConfig(camera_right=500)) == pytest.approx(
        math.degrees(math.atan2(500, 1000))
    )
    assert gaze_angle_to(500, 0, 1000, GazeConfig(camera_right=500)) == pytest.approx(0)
    assert gaze_angle_to(-500, 0, 1000, GazeConfig(camera_forward=500)) == pytest.approx(
        math.degrees(math.atan2(1, 3))
    )
    assert gaze_angle_to(-100, 0, 1000, GazeConfig(gain=2.0)) == pytest.approx(
        2 * gaze_angle_to(-100, 0, 1000, GazeConfig())
    )


@given(st.lists(st.floats(-60, 60), min_size=2, max_size=40, unique=True), st.floats(-90, 90))
def test_a_position_among_the_frames_reads_back_as_the_angle(angles: list[float], angle: float) -> None:
    angles.sort()
    position = fractional_index(angle, angles)
    assert 0 <= position <= len(angles) - 1
    clamped = min(max(angle, angles[0]), angles[-1])
    assert np.interp(position, range(len(angles)), angles) == pytest.approx(clamped, abs=1e-6)


@pytest.mark.parametrize(
    ("x", "frame"), [(0, 32), (1, 31), (320, 16), (330, 15), (639.9, 0), (640, 0), (-5, 32), (700, 0)]
)
def test_the_original_mapping_is_kept_as_it_was(x: float, frame: int) -> None:
    assert frame_of_original_piece(x, 640, 33) == frame


def test_the_original_mapping_neither_smooths_nor_measures() -> None:
    config = Config(gaze=GazeConfig(mapping="original"))
    follower, looks = GazeController(config), 0
    for i in range(6):
        target = follower.see(face_in(0.3 + 0.01 * i, i / 30), 66, PACK)
        if target.viewer and target.seen == target.captured:
            looks += 1
            expected = frame_of_original_piece(target.viewer.x, 640, 33)
            assert frames_for(target, target.captured, (16,), config.tracking, PACK) == (expected,)
            assert target.angle == ANGLES[expected]
    assert looks >= 4


def test_a_mirrored_picture_is_looked_at_the_other_way() -> None:
    angles = []
    for mirrored in (False, True):
        follower = GazeController(Config())
        seen = [follower.see(face_in(0.3, i / 30, mirrored), 66, PACK) for i in range(8)]
        angles.append(seen[-1].angle or 0.0)
    assert angles[0] > 10
    assert angles[1] == pytest.approx(-angles[0], abs=0.7)  # the model is not quite symmetrical
    config = Config(gaze=GazeConfig(mirrored=True))
    follower = GazeController(config)
    corrected = [follower.see(face_in(0.3, i / 30, mirrored=True), 66, PACK).angle for i in range(8)]
    assert corrected[-1] == pytest.approx(-angles[1], abs=1e-9)


def target_at(angle: float | None, at: float = 0.0) -> GazeTarget:
    viewer = Viewer(0, 0, 0, 0, 1, 0, 0, 1, at, 1) if angle is not None else None
    return GazeTarget(viewer, angle, at, at)


def test_before_anybody_came_the_sitter_rests() -> None:
    assert frames_for(None, 5.0, (16,), TRACKING, PACK) == (16,)
    assert frames_for(target_at(None), 5.0, (16,), TRACKING, PACK) == (16,)


@given(st.floats(-26, 26), st.floats(0, 20))
def test_after_a_viewer_is_lost_the_sitter_drifts_to_rest(angle: float, gone: float) -> None:
    value = gaze_direction_at(target_at(angle), gone, GRID, TRACKING)[0]
    if gone <= 1.5:
        assert value == angle
    elif gone >= 3.5:
        assert value == pytest.approx(0, abs=1e-9)
    else:
        assert min(angle, 0) - 1e-9 <= value <= max(angle, 0) + 1e-9


def test_the_drift_back_shows_every_frame_on_the_way() -> None:
    lost, shown, frames = replace(target_at(26.0), viewer=None), 32, []
    for t in np.arange(0, 5.0, 1 / 60):
        (shown,) = frames_for(lost, float(t), (shown,), TRACKING, PACK)
        frames.append(shown)
    assert frames[0] == 32 and frames[-1] == PACK.main.rest
    assert set(np.diff(frames)) <= {0, -1}


@given(st.floats(-60, 60), st.floats(-80, 80), st.floats(-1, 30), st.integers(0, 32), st.floats(-60, 60))
def test_the_frame_is_always_one_of_the_pack(
    angle: float, speed: float, age: float, shown: int, start: float
) -> None:
    going = replace(target_at(angle), speed=speed, saccade_from=((start, 0.0),), saccade_at=0.0)
    assert 0 <= frames_for(going, age, (shown,), TRACKING, PACK)[0] < PACK.main.count


@given(st.floats(-26, 26), st.floats(-60, 60), st.floats(0, 30))
def test_the_mirrored_aim_gives_the_mirrored_angle(angle: float, speed: float, age: float) -> None:
    one, other = (replace(target_at(sign * angle), speed=sign * speed) for sign in (1, -1))
    assert gaze_direction_at(one, age, GRID, TRACKING)[0] == pytest.approx(
        -gaze_direction_at(other, age, GRID, TRACKING)[0]
    )


def test_motion_is_predicted_to_the_moment_of_light() -> None:
    walking = replace(target_at(10.0), speed=20.0)
    assert gaze_direction_at(walking, 0.1, GRID, TRACKING)[0] == pytest.approx(12.0, abs=0.1)
    assert gaze_direction_at(walking, 0.1, GRID, replace(TRACKING, prediction=0.0))[0] == 10.0


def test_a_glance_is_eased_and_never_a_cut() -> None:
    glance = replace(target_at(20.0), saccade_from=((-20.0, 0.0),), saccade_at=0.0)
    way = [gaze_direction_at(glance, t, GRID, TRACKING)[0] for t in np.arange(0, SACCADE_TIME + 0.02, 1 / 60)]
    assert way[0] == -20 and way[-1] == pytest.approx(20)
    steps = np.diff(way)
    assert (steps >= -1e-9).all() and steps.max() < 0.25 * 40


def test_when_somebody_is_found_the_eyes_go_over_in_a_glance() -> None:
    walk = WalkScript("there", 1.0, RoomSpec(), (visitor("one", [(0, 500, 1500), (1, 500, 1500)]),))
    targets = [target for _, target, _ in walked(walk) if target.angle is not None]
    assert targets[0].saccade_from == ((0, 0),) and targets[0].saccade_at == targets[0].captured
    assert targets[-1].angle == pytest.approx(gaze_angle_to(500, 0, 1500, GazeConfig()), abs=0.5)
    assert targets[-1].visitors == 1


def test_a_tilted_camera_tells_a_viewers_angle_and_eye_height() -> None:
    place = GazeConfig(camera_right=200, camera_forward=50, camera_up=-600, camera_pitch=15)
    x, y, z = in_camera((500, -350, 1500), place)  # a child's eyes, under those of the sitter
    walk = WalkScript("there", 1.0, RoomSpec(), (visitor("one", [(0, x, z), (1, x, z)], down=y),))
    targets = [target for _, target, _ in walked(walk, Config(gaze=place))]
    assert targets[0].eye_height_mm is None and targets[0].elevation is None
    assert targets[-1].angle == pytest.approx(math.degrees(math.atan2(500, 1500)), abs=0.7)
    assert targets[-1].eye_height_mm == pytest.approx(-350, abs=30)
    assert targets[-1].elevation == pytest.approx(
        -math.degrees(math.atan2(350, math.hypot(500, 1500))), abs=1
    )


def test_limits_keep_the_gaze_between_the_marks() -> None:
    place = GazeConfig(limit_left=-20, limit_right=15)
    assert gaze_angle_to(-3000, 0, 1000, place) == 15
    assert gaze_angle_to(3000, 0, 1000, place) == -20


def test_an_empty_room_is_looked_about_rarely_and_only_if_asked() -> None:
    assert {idle_gaze(t, 0.0) for t in range(100)} == {(0.0, 0.0)}
    way = [idle_gaze(t, 20.0)[0] for t in np.arange(0, 200, 0.02)]
    assert max(way) > 0.2 and min(way) < -0.2 and np.mean(np.equal(way, 0)) > 0.7
    assert np.abs(np.diff(way)).max() < 0.03  # slow
    empty = replace(target_at(0.0), viewer=None)
    shown = {
        frames_for(empty, t, (16,), replace(TRACKING, wander_every=20.0), PACK)
        for t in np.arange(0, 100, 0.5)
    }
    assert len(shown) > 3


@pytest.mark.parametrize("every", [0.5, 3.0, 5.0, 7.0])
def test_the_eyes_never_jump_when_the_sitter_looks_about(every: float) -> None:
    way = [idle_gaze(t, every)[0] for t in np.arange(0, 60, 0.02)]
    assert max(way) > 0.2 and np.abs(np.diff(way)).max() < 0.03


def test_a_visitor_is_met_in_a_glance_while_looking_about() -> None:
    tracking = replace(TRACKING, wander_every=5.0)
    follower, shown, frames = GazeController(Config(tracking=tracking)), PACK.main.rest, []
    room = np.full((360, 640, 3), 120, np.uint8)
    for i in range(30 * 12):
        t = i / 30  # from the tenth second the eyes are at their farthest to picture left
        picture = face_in(0.5, t) if t > 11 else RgbPicture(room, t, i)
        target = follower.see(picture, 66, PACK)
        (shown,) = frames_for(target, t, (shown,), tracking, PACK)
        frames.append(shown)
    assert frames[30 * 11] < 12 and frames[-1] == 16
    assert np.abs(np.diff(frames)).max() <= 3


def test_the_rate_falls_after_an_empty_minute_until_a_face() -> None:
    follower = GazeController(Config())
    room = np.full((360, 640, 3), 120, np.uint8)
    for second in range(0, 90, 3):
        follower.see(RgbPicture(room, float(second), second), 66, PACK)
        assert (follower.rate < 30) == (second > TRACKING.idle_after)
    for i in range(6):
        target = follower.see(face_in(0.5, 90 + i / 5), 66, PACK)
        if target.viewer or i == 0:  # the face appeared: something moved
            assert follower.rate == 30
    assert target.viewer is not None


def test_the_rate_falls_despite_noise_and_a_hanging_portrait() -> None:
    follower = GazeController(Config(tracking=replace(TRACKING, fixture_after=10.0, idle_after=20.0)))
    wall = scene(HOPPER, (640, 360), 0.035, (0.625, 0.33))
    rates = []
    for i in range(5 * 60):
        target = follower.see(RgbPicture(noisy(wall, i), i / 5, i), 66, PACK)
        rates.append(follower.rate)
    assert target.viewer is None and set(rates[-100:]) == {TRACKING.idle_rate}


def test_a_portrait_in_view_is_learnt_though_tiles_cut_it() -> None:
    follower = GazeController(Config(tracking=replace(TRACKING, fixture_after=10.0)))
    wall = scene(HOPPER, (640, 360), 0.09, (0.31, 0.4))
    looked_at = [
        follower.see(RgbPicture(noisy(wall, i, 2.0), i / 30, i), 66, PACK).viewer for i in range(30 * 14)
    ]
    assert looked_at[30] is not None and not any(looked_at[-60:])


PHOTOGRAPHS = replace(TRACKING, fixture_after=0.0, share=False)  # the gallery's figures show no life


def lit(walk: WalkScript, config: Config, rate: float = 30.0) -> Iterator[tuple[float, float]]:
    """The moment and angle of what is lit at each refresh of a 60 Hz screen; no latencies."""
    controller = GazeController(config)
    with GalleryCamera(walk, rate=rate, pace=False) as camera:
        for _ in range(round(walk.duration * rate)):
            picture = camera.newest()
            target = controller.see(picture, camera.horizontal_fov, PACK)
            for k in range(round(60 / rate)):
                moment = picture.captured + k / 60
                yield moment, gaze_direction_at(target, moment, GRID, config.tracking)[0]


class TestLoss:
    @pytest.mark.parametrize("rate", [10.0, 30.0])
    @pytest.mark.parametrize("speed", [0.0, 500.0, 1200.0])
    def test_the_eyes_stay_where_they_were(self, rate: float, speed: float) -> None:
        """Somebody who walks behind a pillar: within 2 degrees of the last direction shown."""
        way = [(0.0, 700.0, 1500.0), (1.0, 700.0, 1500.0), (2.0, 700.0 - speed, 1500.0)]
        walk = WalkScript("pillar", 4.0, RoomSpec(), (visitor("one", way),))
        shown = list(lit(walk, Config(tracking=PHOTOGRAPHS), rate))
        learnt = 2.0 + 2 / rate  # when the second look has missed them
        last = next(angle for moment, angle in shown if moment >= learnt)
        held = [angle for moment, angle in shown if learnt <= moment < 2.0 + PHOTOGRAPHS.hold]
        assert max(abs(angle - last) for angle in held) <= 2.0

    def test_then_the_sitter_returns_to_rest(self) -> None:
        way = [(0.0, 700.0, 1500.0), (1.0, 700.0, 1500.0)]
        walk = WalkScript("gone", 5.5, RoomSpec(), (visitor("one", way),))
        assert list(lit(walk, Config(tracking=PHOTOGRAPHS)))[-1][1] == pytest.approx(0.0, abs=0.1)


def test_a_clock_that_goes_back_begins_anew() -> None:
    controller = GazeController(Config(tracking=PHOTOGRAPHS))
    for start in (1000.0, 900.0):
        for i in range(10):
            target = controller.see(face_in(0.3, start + i / 30), 66, PACK)
        assert target.viewer is not None and target.seen == start + 9 / 30


def test_a_viewer_hidden_for_a_moment_is_still_the_viewer() -> None:
    follower, hidden = GazeController(Config()), np.full((360, 640, 3), 90, np.uint8)
    for i in range(30):
        seen = follower.see(face_in(0.5, i / 30), 66, PACK).identity
    assert seen is not None
    after = [follower.see(RgbPicture(hidden, i / 30, i), 66, PACK).identity for i in range(30, 35)]
    assert after == [seen] * 5


def test_a_viewer_cut_by_the_pictures_edge_keeps_the_eyes() -> None:
    controller = GazeController(Config(tracking=PHOTOGRAPHS))
    angles = []
    for i in range(150):
        share = max(0.2 - 0.01 * i, 0.02)  # walks to the edge, and stands there for four seconds
        target = controller.see(face_in(share, i / 30), 66, PACK)
        angles.append(gaze_direction_at(target, i / 30, GRID, PHOTOGRAPHS)[0])
    assert target.identity is not None
    assert min(angles[30:]) > 20


class TestContact:
    def test_contact_comes_and_goes_within_its_time(self) -> None:
        meets = replace(target_at(20.0, at=5.0), contact_to=0.75, contact_at=5.0)
        way = [
            gaze_direction_at(meets, 5.0 + t, GRID, replace(TRACKING, hold=60.0))[0]
            for t in np.arange(0, 1, 0.02)
        ]
        assert way[0] == 20.0 and way[-1] == pytest.approx(5.0)
        assert all(b <= a for a, b in pairwise(way)) and np.abs(np.diff(way)).max() < 0.7
        leaves = replace(meets, contact_from=0.75, contact_to=0.0)
        assert gaze_direction_at(leaves, 5.0 + CONTACT_TIME, GRID, TRACKING)[0] == pytest.approx(20.0)

    def test_a_standing_viewer_is_met_and_a_walking_one_followed(self) -> None:
        way = [(0.0, -600.0, 1500.0), (3.5, -600.0, 1500.0), (5.0, 600.0, 1500.0), (5.2, 600.0, 1500.0)]
        walk = WalkScript("stands, walks", 5.2, RoomSpec(), (visitor("one", way),))
        true = math.degrees(math.atan(600 / 1500))
        config = Config(tracking=PHOTOGRAPHS, gaze=GazeConfig(contact=0.6))
        shown = list(lit(walk, config))
        stood = [angle for moment, angle in shown if 2.5 < moment < 3.4]
        assert stood == pytest.approx([0.4 * true] * len(stood), abs=0.5)
        walked = [angle for moment, angle in shown if 4.5 < moment < 4.9]
        plain = [a for m, a in lit(walk, Config(tracking=PHOTOGRAPHS)) if 4.5 < m < 4.9]
        assert walked == pytest.approx(plain, abs=0.5)

    def test_it_is_off_by_default(self) -> None:
        assert Config().gaze.contact == 0.0


def test_a_followed_walk_is_met_where_the_viewer_is() -> None:
    """Speed and angle of the target on a walk at 1 m/s: the light is where the viewer is then."""
    walk = WalkScript("walks", 2.4, RoomSpec(), (visitor("one", [(0, 1200, 2000), (2.4, -1200, 2000)]),))
    controller = GazeController(Config(tracking=PHOTOGRAPHS))
    errors = []
    with GalleryCamera(walk, pace=False) as camera:
        for _ in range(72):
            picture = camera.newest()
            target = controller.see(picture, camera.horizontal_fov, PACK, picture.captured + 0.1)
            (there,) = walk.people_at(picture.captured + 0.1)
            if 0.6 < picture.captured < 2.2:
                true = gaze_angle_to(there.x_mm, there.y_mm, there.z_mm, GazeConfig())
                errors.append(gaze_direction_at(target, picture.captured + 0.1, GRID, TRACKING)[0] - true)
                assert target.speed > 8
    assert np.abs(errors).mean() < 0.4


def test_two_who_stop_are_looked_at_in_turn() -> None:
    config = Config(tracking=replace(PHOTOGRAPHS, share=True))
    people = [visitor("left", [(0, -500, 1800), (20, -500, 1800)]),
              visitor("right", [(0, 500, 1900), (20, 500, 1900)], face=1)]  # fmt: skip
    walk = WalkScript("two", 20.0, RoomSpec(), tuple(people))
    shown = [angle for _, angle in lit(walk, config, rate=10.0)]
    sides = [angle > 0 for angle in shown if abs(angle) > 10]
    changes = sum(a != b for a, b in pairwise(sides))
    assert 2 <= changes <= 6 and 0.3 < np.mean(sides) < 0.7


@pytest.mark.parametrize("rate", [10.0, 15.0, 30.0])
def test_a_visitor_is_met_at_once_beside_a_photograph(rate: float) -> None:
    """The gallery's figures are photographs: one stands there from the start, a visitor walks in."""
    photograph = visitor("photograph", [(0, 800, 3500), (6, 800, 3500)])
    comes = visitor("comes", [(3, -1700, 2200), (4.5, -400, 2200), (6, -400, 2200)], face=1)
    walk = WalkScript("photograph and visitor", 6.0, RoomSpec(), (photograph, comes))
    came = 3 + (1700 - 1350) / 1300 * 1.5  # when their face is in the picture
    met = None
    for moment, angle in lit(walk, Config(tracking=replace(TRACKING, share=False)), rate):
        there = next((v for v in walk.people_at(moment) if v.who == "comes"), None)
        if there and moment > came:
            true = gaze_angle_to(there.x_mm, there.y_mm, there.z_mm, GazeConfig())
            if met is None and abs(angle - true) < 6:
                met = moment
            if moment > 5:
                assert abs(angle - true) < 3
    assert met is not None and met - came < 0.5
