import math
from dataclasses import replace

import pytest

from appliance.camera.averaging import Region
from appliance.tracking.people import Crowd
from appliance.vision.blazeface import Face
from tests.tracking.faces import face_at

ROOM = Region(0, 0, 580, 580)
DT = 1 / 30


def crowd() -> Crowd:
    return Crowd(threshold=0.5, fixture_after=20.0, memory=4.0)


def take(people: Crowd, faces: list[Face], moment: float, moving: float = 0.0) -> None:
    people.take(faces, ROOM, None, moment, lambda _: moving)


def walk(people: Crowd, ways: dict[float, float], seconds: float, y: float = 100.0) -> None:
    """People who walk: {where they start: pixels per second}."""
    for i in range(round(seconds / DT)):
        take(people, [face_at(x + v * i * DT, y) for x, v in ways.items()], i * DT)


def test_who_is_seen_twice_is_believed_and_once_is_not() -> None:
    people = crowd()
    take(people, [face_at(100, score=0.75)], 0.0)
    assert people.known() == []
    take(people, [face_at(100, score=0.75)], DT)
    assert len(people.known()) == 1


def test_what_moves_and_looks_like_a_face_needs_no_second_look() -> None:
    people = crowd()
    take(people, [face_at(100, score=0.75)], 0.0, moving=0.5)
    assert len(people.known()) == 1


def test_a_spot_that_a_second_and_third_look_cannot_find_is_forgotten() -> None:
    people = crowd()
    take(people, [face_at(100, score=0.6)], 0.0)
    for i in (1, 2):
        take(people, [], i * DT)
    assert people.people == []


def test_what_stays_doubtful_is_left_alone_and_does_not_hold_up_the_search() -> None:
    people = crowd()
    for i in range(10):
        take(people, [face_at(100, score=0.55)], i * DT)
    assert people.known() == [] and people.candidate() is None


@pytest.mark.parametrize("value", [math.nan, 0.0, -5.0])
def test_a_face_without_a_size_is_none(value: float) -> None:
    people = crowd()
    eyes = replace(face_at(200), right_eye=(value, value), left_eye=(value, value))
    for i in range(4):
        take(people, [face_at(100), face_at(150, width=value), eyes], i * DT)
    assert [round(p.x) for p in people.people] == [100]


def test_people_keep_their_identity_while_they_walk() -> None:
    people = crowd()
    walk(people, {100: 150.0, 500: -20.0}, 1.0)
    assert [round(p.x) for p in people.known()] == [pytest.approx(245, abs=3), pytest.approx(481, abs=3)]
    assert people.known()[0].vx == pytest.approx(150, rel=0.05)


def test_two_who_cross_are_not_exchanged() -> None:
    people = crowd()
    walk(people, {100: 200.0, 500: -200.0}, 1.0)
    first = next(p for p in people.known() if p.vx > 0)
    for i in range(30, 60):
        gap = 40 <= i - 30 + 36 <= 42  # for three pictures only one of the two is seen
        faces = [face_at(100 + 200 * i * DT), face_at(500 - 200 * i * DT)]
        take(people, faces[:1] if gap else faces, i * DT)
    assert first.x == pytest.approx(100 + 200 * 59 * DT, abs=4)


def test_who_passes_behind_somebody_is_known_again() -> None:
    people = crowd()
    walk(people, {100: 150.0}, 1.0)
    (person,) = people.known()
    for i in range(30, 50):
        take(people, [], i * DT)
    take(people, [face_at(100 + 150 * 50 * DT)], 50 * DT)
    assert people.known() == [person] and person.missed == 0


def test_who_comes_out_from_behind_somebody_slower_than_expected_is_the_same() -> None:
    people = crowd()
    walk(people, {100: 150.0}, 1.0)
    (person,) = people.known()
    for i in range(30, 39):
        take(people, [], i * DT)
    take(people, [face_at(245 + 0.3 * 150 - 0.85 * 60, width=50.0)], 39 * DT)
    assert people.known() == [person] and person.missed == 0


def test_a_face_that_never_moves_is_a_picture_and_ignored_for_good() -> None:
    people = crowd()
    for i in range(90):
        take(people, [face_at(100 + 0.5 * (i % 2)), face_at(400 + (i % 40))], i * 0.25)
    assert [round(p.x, -2) for p in people.known()] == [400]
    assert len(people.fixtures) == 1


def test_a_picture_half_hidden_now_and_then_is_still_learnt() -> None:
    people = crowd()
    for i in range(90):
        hidden = i % 30 == 7  # only one side of it is seen, which moves its middle
        take(people, [face_at(112 if hidden else 100)], i * 0.25)
    assert people.known() == [] and len(people.fixtures) == 1


def test_a_learnt_picture_is_not_somebody_to_a_look_that_measures_coarsely() -> None:
    people = crowd()
    for i in range(90):
        take(people, [face_at(384, width=24.0)], i * 0.25)
    for region, newcomers in ((Region(0, -140, 640, 500), 0), (Region(309, 36, 437, 164), 1)):
        people.take([face_at(373, width=35.0)], region, None, 30.0, lambda _: 0.0)
        assert len(people.people) == newcomers


def test_who_sways_is_somebody_however_long_they_stand() -> None:
    people = crowd()
    for i in range(120):
        take(people, [face_at(100 + (8 if i % 10 == 0 else 0))], i * 0.25)
    assert len(people.known()) == 1 and people.fixtures == []


def test_a_walker_is_known_again_at_the_next_picture_of_a_slow_camera() -> None:
    people = crowd()
    for i in range(5):  # 1.2 m/s, five pictures a second
        take(people, [face_at(100 + 8 * 60 * 0.2 * i)], i * 0.2)
    (person,) = people.people
    assert person.trusted and person.hits == 5


def test_who_seemed_larger_in_a_tile_is_the_same_in_a_crop() -> None:
    people = crowd()
    for i in range(3):
        take(people, [face_at(100, width=41.0)], i * DT)
    (person,) = people.known()
    people.take([face_at(102, width=25.0)], Region(38, 36, 166, 164), person, 3 * DT, lambda _: 0.0)
    assert people.people == [person] and person.missed == 0
    assert person.width == 25.0, "a crop measures better: it counts at once"


def test_after_a_long_pause_everybody_is_somebody_new_and_no_picture() -> None:
    people = crowd()
    for moment in (0.0, DT, 2 * DT, 600.0, 600.0 + DT):
        take(people, [face_at(100)], moment)
    (person,) = people.known()
    assert person.first == 600.0 and people.fixtures == []


@pytest.mark.parametrize("step", [0.0, -0.5, -100.0])
def test_a_clock_that_stands_or_goes_back_is_no_error(step: float) -> None:
    people = crowd()
    walk(people, {100: 90.0}, 0.5)
    for i in range(1, 8):
        take(people, [face_at(145 + i)], 0.5 + i * step)
    assert len(people.known()) == 1 and abs(people.known()[0].x - 150) < 10


def test_what_looks_a_little_like_a_face_on_somebodys_body_is_clothes() -> None:
    people = crowd()
    for i in range(10):
        take(people, [face_at(100 + 3 * i, 100), face_at(110 + 3 * i, 200, score=0.65)], i * DT)
    assert [round(p.y) for p in people.known()] == [100]


def test_a_child_before_an_adult_is_somebody() -> None:
    people = crowd()
    for i in range(10):
        take(people, [face_at(100 + 3 * i, 100), face_at(110 + 3 * i, 200, score=0.9)], i * DT)
    assert len(people.known()) == 2


def test_who_was_not_seen_for_long_is_gone() -> None:
    people = crowd()
    walk(people, {100: 0.0}, 0.5)
    take(people, [], 5.0)
    assert people.people == []
