import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.lens import Lens
from appliance.config import TrackingConfig
from appliance.tracking.head import frontal_eye_distance
from appliance.tracking.people import Person
from appliance.tracking.viewer import INTERPUPILLARY_MM, choose, locate
from tests.tracking.faces import person_at

TRACKING = TrackingConfig()
LONG_AGO, NOW = -10.0, 100.0


def chosen(
    known: list[Person], followed: Person | None, since: float = LONG_AGO, surveying: bool = False
) -> Person | None:
    return choose(known, followed, NOW, since, surveying, TRACKING)


def here(x: float, **changes: object) -> Person:
    person = person_at(x, seen=NOW, width=float(changes.pop("width", 60.0)))  # type: ignore[arg-type]
    return replace(person, identity=int(x), **changes)  # type: ignore[arg-type]


def test_nobody_is_followed_in_an_empty_room() -> None:
    assert chosen([], None) is None


def test_the_nearest_is_followed_first() -> None:
    near, far = here(300, width=80.0), here(100, width=40.0)
    assert chosen([far, near], None) is near


def test_a_slightly_nearer_newcomer_does_not_win_the_gaze_a_clearly_nearer_one_does() -> None:
    present = here(100)
    slightly, clearly = (here(x, width=w, still_since=NOW - 2) for x, w in ((400, 70.0), (500, 100.0)))
    assert chosen([slightly, present], present) is present
    assert chosen([clearly, present], present) is clearly


def test_what_was_hardly_seen_does_not_win_the_gaze_however_near() -> None:
    present, glimpse = here(100), here(400, width=200.0, still_since=NOW - 2, hits=3)
    assert chosen([present, glimpse], present) is present
    assert chosen([present, replace(glimpse, hits=4)], present) is not present


def test_who_only_passes_by_must_be_much_nearer_than_who_comes_and_stands() -> None:
    present = here(100)
    passing = here(400, width=100.0, vx=300.0)
    assert chosen([passing, present], present) is present
    assert chosen([replace(passing, width=150.0, vx=450.0), present], present) is not present


def test_who_walks_is_not_taken_to_stand_only_because_they_were_not_looked_at_lately() -> None:
    present = here(100)
    glimpsed = here(400, width=100.0, seen=NOW - 0.75, first=NOW - 0.8, still_since=NOW - 0.8)
    assert chosen([glimpsed, present], present) is present
    assert chosen([replace(glimpsed, seen=NOW), present], present) is not present


def test_the_eyes_do_not_dart() -> None:
    present, nearer = here(100), here(400, width=130.0)
    assert chosen([present, nearer], present, since=NOW - TRACKING.dwell / 2) is present
    assert chosen([present, nearer], present, since=NOW - TRACKING.dwell * 2) is nearer


def test_right_after_somebody_came_who_is_simply_nearer_is_followed() -> None:
    first, nearer = here(100), here(400, width=80.0)
    assert chosen([first, nearer], first, NOW - 0.2, surveying=True) is nearer


def test_who_walks_wins_the_gaze_once_the_present_one_has_stood_still_for_a_while() -> None:
    for stood, wins in ((TRACKING.attention / 2, False), (TRACKING.attention * 2, True)):
        present = here(100, still_since=NOW - stood)
        walker = here(400, vx=120.0, still_since=NOW - 0.1)
        assert (chosen([present, walker], present) is walker) == wins


def test_who_came_later_and_stands_a_little_before_the_present_one_gets_a_turn_and_only_one() -> None:
    adult = here(100, first=LONG_AGO - 1, still_since=NOW - 2 * TRACKING.attention)
    child = here(300, width=63.0, first=NOW - 9, still_since=NOW - 7)
    new = replace(adult, still_since=NOW - 2)
    assert chosen([new, child], new) is new
    assert chosen([adult, child], adult) is child
    assert chosen([adult, replace(child, width=57.0)], adult) is adult, "who stands behind waits"
    for nearer in (60.0, 64.0):
        left = replace(adult, width=nearer)
        stood = replace(child, still_since=NOW - 2 * TRACKING.attention)
        assert chosen([left, stood], stood, since=NOW - TRACKING.attention) is stood


def test_who_was_left_for_a_walker_wins_the_gaze_back_by_a_step_not_by_being_nearer() -> None:
    walker = here(400, vx=120.0, still_since=NOW - 0.1)
    left = here(100, width=100.0, still_since=NOW - 2 * TRACKING.attention)
    assert chosen([left, walker], walker) is walker
    assert chosen([replace(left, still_since=NOW - 1), walker], walker) is not walker
    stopped = replace(walker, vx=0.0, still_since=NOW - 1)
    assert chosen([left, stopped], stopped) is left


def test_a_viewer_is_kept_through_a_short_loss_and_let_go_after_a_long_one() -> None:
    other = here(400)
    lost = here(100, seen=NOW - 0.5 * TRACKING.hold, missed=5)
    assert chosen([lost, other], lost) is lost
    gone = here(100, seen=NOW - 1.1 * TRACKING.hold, missed=9)
    assert chosen([gone, other], gone) is other
    assert chosen([gone], gone) is None


@given(
    st.floats(-1500, 1500), st.floats(-800, 800), st.floats(400, 6000), st.floats(30, 110),
    st.integers(64, 2000), st.floats(-0.1, 0.1),
)  # fmt: skip
def test_a_point_in_the_room_projected_into_the_picture_is_found_again(
    x_mm: float, y_mm: float, z_mm: float, fov: float, width: int, distortion: float
) -> None:
    x_mm, y_mm = (max(-z_mm, min(z_mm, v)) for v in (x_mm, y_mm))
    lens = Lens(width, 100, fov, distortion)
    eye_distance = lens.focal * INTERPUPILLARY_MM / z_mm
    person = person_at(*lens.project(x_mm, y_mm, z_mm), width=eye_distance * 2.5)
    viewer = locate(person, 0.0, (width, 100), fov, distortion)
    scale = min(1.0, eye_distance)  # faces under a pixel between the eyes count as one
    assert viewer.z_mm == pytest.approx(z_mm * scale, rel=1e-6)
    assert viewer.x_mm == pytest.approx(x_mm * scale, rel=1e-3, abs=0.5)
    assert viewer.y_mm == pytest.approx(y_mm * scale, rel=1e-3, abs=0.5)
    assert viewer.distance_mm == pytest.approx(math.hypot(x_mm, y_mm, z_mm) * scale, rel=1e-3)


@pytest.mark.parametrize("yaw", [-40, -25, 25, 40])
def test_a_head_that_turns_keeps_its_place(yaw: float) -> None:
    """Eyes 63 mm apart, 76 mm before the axis of the head, at 1.5 m; the nose 38 mm before the eyes."""
    lens = Lens(640, 360, 66)
    angle = math.radians(yaw)

    def seen(right: float, ahead: float) -> tuple[float, float]:
        x = right * math.cos(angle) + ahead * math.sin(angle)
        return lens.project(x, 0.0, 1500.0)  # far enough to leave the depth out

    right, left, nose = seen(-31.5, 76), seen(31.5, 76), seen(0, 76 + 38)
    middle = ((right[0] + left[0]) / 2, 180.0)
    face = replace(person_at(*middle).face, right_eye=right, left_eye=left, nose=nose)
    person = replace(person_at(*middle), face=face, eye_distance=frontal_eye_distance(face))
    viewer = locate(person, 0.0, (640, 360), 66, 0.0)
    eyes_moved = abs(76 * math.sin(angle))
    assert abs(viewer.x_mm) < 0.6 * eyes_moved
    assert viewer.distance_mm == pytest.approx(1500, rel=0.05)


def test_a_viewer_carries_the_pictures_time_and_the_faces_score() -> None:
    viewer = locate(person_at(320, seen=1.5), 1.5, (640, 360), 66, 0.0)
    assert (viewer.captured, viewer.confidence, viewer.x, viewer.eye_distance) == (1.5, 0.9, 320, 24)
