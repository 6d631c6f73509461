import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.sampling import Region
from appliance.tracking.liveness import MeanSamples, StaticFace
from appliance.tracking.tracker import Tracker
from tests.tracking.faces import DT, face_at, take, walk


def tracker(fixture_after: float = 0.0) -> Tracker:
    return Tracker(threshold=0.5, fixture_after=fixture_after, memory=8.0)


class TestConfirmation:
    def test_a_face_seen_twice_is_confirmed_and_once_is_not(self) -> None:
        people = tracker()
        take(people, [face_at(100, score=0.75)], 0.0)
        assert people.confirmed() == []
        take(people, [face_at(100, score=0.75)], DT)
        assert len(people.confirmed()) == 1

    def test_a_face_below_the_threshold_starts_no_track(self) -> None:
        people = tracker()
        take(people, [face_at(100, score=0.49)], 0.0, moving=0.5)
        assert people.tracks == []
        take(people, [face_at(100, score=0.51)], DT, moving=0.5)
        take(people, [face_at(101, score=0.45)], 2 * DT)
        assert [(p.hits, p.misses) for p in people.tracks] == [(2, 0)], "a known face may be weaker"

    def test_a_moving_face_needs_no_second_look(self) -> None:
        people = tracker()
        take(people, [face_at(100, score=0.75)], 0.0, moving=0.5)
        assert len(people.confirmed()) == 1

    def test_a_face_not_found_again_is_forgotten(self) -> None:
        people = tracker()
        take(people, [face_at(100, score=0.6)], 0.0)
        for i in (1, 2):
            take(people, [], i * DT)
        assert people.tracks == []

    def test_a_doubtful_face_does_not_hold_up_the_search(self) -> None:
        people = tracker()
        for i in range(10):
            take(people, [face_at(100, score=0.55)], i * DT)
        assert people.confirmed() == [] and people.tentative() is None

    def test_a_dim_still_face_is_confirmed_after_four_looks(self) -> None:
        people = tracker()
        for i in range(4):
            assert people.confirmed() == []
            take(people, [face_at(100, score=0.65)], i * DT)
        assert len(people.confirmed()) == 1

    @pytest.mark.parametrize("value", [math.nan, 0.0, -5.0])
    def test_a_face_without_a_size_is_none(self, value: float) -> None:
        people = tracker()
        eyes = replace(face_at(200), right_eye=(value, value), left_eye=(value, value))
        for i in range(4):
            take(people, [face_at(100), face_at(150, width=value), eyes], i * DT)
        assert [round(p.x) for p in people.tracks] == [100]

    def test_a_faint_face_on_a_body_is_clothes(self) -> None:
        people = tracker()
        for i in range(10):
            take(people, [face_at(100 + 3 * i, 100), face_at(110 + 3 * i, 200, score=0.65)], i * DT)
        assert [round(p.y) for p in people.confirmed()] == [100]

    def test_a_child_before_an_adult_is_somebody(self) -> None:
        people = tracker()
        for i in range(10):
            take(people, [face_at(100 + 3 * i, 100), face_at(110 + 3 * i, 200, score=0.9)], i * DT)
        assert len(people.confirmed()) == 2


class TestIdentity:
    def test_people_keep_their_identity_while_they_walk(self) -> None:
        people = tracker()
        walk(people, {100: 150.0, 500: -20.0}, 1.0)
        found = [round(p.x) for p in people.confirmed()]
        assert found == [pytest.approx(245, abs=3), pytest.approx(481, abs=3)]
        assert people.confirmed()[0].vx == pytest.approx(150, rel=0.15)  # a whole room is looked at coarsely

    @given(st.sampled_from([10, 15, 30]), st.floats(-8, 8), st.floats(-8, 8))
    def test_quick_starts_and_stops_keep_the_identity(self, rate: int, first: float, then: float) -> None:
        """Up to 1.2 m/s (8 face widths per second) from one picture to the next, at any rate."""
        people, x = tracker(), 1000.0
        for i in range(3 * rate):
            x += {0: 0.0, 1: first, 2: then}[i // rate] * 60 / rate
            take(people, [face_at(x)], i / rate)
        assert [p.identity for p in people.tracks] == [1]

    def test_two_who_cross_are_not_exchanged(self) -> None:
        people = tracker()
        walk(people, {100: 200.0, 500: -200.0}, 1.0)
        first = next(p for p in people.confirmed() if p.vx > 0)
        for i in range(30, 60):
            gap = 40 <= i - 30 + 36 <= 42  # for three pictures only one of the two is seen
            faces = [face_at(100 + 200 * i * DT), face_at(500 - 200 * i * DT)]
            take(people, faces[:1] if gap else faces, i * DT)
        assert first.x == pytest.approx(100 + 200 * 59 * DT, abs=4)

    def test_all_faces_are_assigned_to_all_tracks_at_once(self) -> None:
        # The face between both tracks is nearer to the first one, whose own face fits it better still.
        people = tracker()
        for i in range(3):
            take(people, [face_at(100), face_at(160)], i * DT)
        left, right = (p.identity for p in people.tracks)
        take(people, [face_at(92), face_at(125)], 3 * DT)
        assert [(p.identity, p.misses) for p in people.tracks] == [(left, 0), (right, 0)]

    def test_a_hidden_walker_keeps_the_identity(self) -> None:
        people = tracker()
        walk(people, {100: 150.0}, 1.0)
        (person,) = people.confirmed()
        for i in range(30, 50):
            take(people, [], i * DT)
        take(people, [face_at(100 + 150 * 50 * DT)], 50 * DT)
        assert people.confirmed() == [person] and person.misses == 0

    def test_a_lost_track_is_joined_with_the_new_one(self) -> None:
        people = tracker()
        walk(people, {300: 0.0}, 1.0)
        (before,) = people.confirmed()
        take(people, [], 1.0)
        take(people, [], 1.0 + DT)
        take(people, [face_at(480)], 1.0 + 12 * DT)  # farther than a face is looked for
        (after,) = people.confirmed()
        assert (after.identity, after.first) == (before.identity, before.first)
        assert after.x == 480 and after is not before

    def test_someone_seen_beside_the_lost_person_is_not_them(self) -> None:
        people = tracker()
        walk(people, {300: 0.0, 400: 0.0}, 1.0)
        lost, other = people.confirmed()
        for i in range(30, 40):
            take(people, [face_at(400)], i * DT)
        assert [p.identity for p in people.confirmed()] == [lost.identity, other.identity]
        assert not lost.in_view(40 * DT)

    def test_a_face_that_turns_away_and_returns_is_the_same(self) -> None:
        people = tracker()
        walk(people, {300: 0.0}, 1.0)
        (person,) = people.confirmed()
        for i in range(30, 150):
            take(people, [], i * DT)
        take(people, [face_at(310)], 150 * DT)
        assert people.confirmed() == [person]

    def test_a_walker_who_returns_is_followed_from_there(self) -> None:
        people = tracker()
        walk(people, {300: 300.0}, 1.0)  # out at 600
        take(people, [], 1.0)
        take(people, [face_at(610)], 4.0)  # and back in after three seconds
        (person,) = people.tracks
        assert (person.identity, person.x, person.vx) == (1, 610, 0)

    def test_a_weak_pattern_does_not_inherit_a_strong_track(self) -> None:
        people = tracker()
        walk(people, {300: 0.0}, 1.0)
        (person,) = people.confirmed()
        for i in range(30, 40):
            take(people, [], i * DT)
        take(people, [face_at(320, score=0.42)], 40 * DT)
        assert person.misses and person.x == pytest.approx(300, abs=1)

    def test_a_person_not_seen_for_long_is_gone(self) -> None:
        people = tracker()
        walk(people, {100: 0.0}, 0.5)
        take(people, [], 9.0)
        assert people.tracks == []


class TestMeasurements:
    def test_a_walker_is_known_again_by_a_slow_camera(self) -> None:
        people = tracker()
        for i in range(5):  # 1.2 m/s, five pictures a second
            take(people, [face_at(100 + 8 * 60 * 0.2 * i)], i * 0.2)
        (person,) = people.tracks
        assert person.confirmed and person.hits == 5

    def test_a_face_seems_larger_in_a_tile_than_in_a_crop(self) -> None:
        people = tracker()
        for i in range(3):
            take(people, [face_at(100, width=41.0)], i * DT)
        (person,) = people.confirmed()
        crop = Region(38, 36, 166, 164)
        take(people, [face_at(102, width=25.0)], 3 * DT, region=crop, sought=person)
        assert people.tracks == [person] and person.misses == 0
        assert person.width == 25.0, "a crop measures better: it counts at once"
        take(people, [face_at(104, width=41.0)], 4 * DT)
        assert person.width == 25.0, "a coarse look has nothing to add"
        assert person.x == pytest.approx(102, abs=0.5)

    def test_an_approach_is_measured(self) -> None:
        people = tracker()
        for i in range(60):
            width = 40 * 4 / (4 - 3 * i / 60)  # from 4 m to 1 m in two seconds
            take(people, [face_at(300, width=width)], i * DT)
        (person,) = people.confirmed()
        assert person.eye_distance == pytest.approx(0.4 * width, rel=0.35)

    def test_someone_beside_a_doubted_spot_is_a_person(self) -> None:
        people = tracker()
        people.static.append(
            StaticFace(100, 100, 60, until=20.0)
        )  # a pattern taken for a face, not confirmed
        for i in range(6):
            take(people, [face_at(100 + 14, score=0.65)], i * DT)
        assert people.tracks == [], "within a quarter of the face's width it is the pattern"
        for i in range(6, 12):
            take(people, [face_at(100 + 16, score=0.65)], i * DT)
        assert len(people.confirmed()) == 1

    def test_a_wall_picture_is_known_in_a_coarse_look(self) -> None:
        picture = StaticFace(
            100, 100, 60, pattern=MeanSamples(np.ones((3, 3), np.float32), np.ones((3, 3), np.float32))
        )
        crop, room = Region(0, 0, 200, 200), Region(0, 0, 1000, 1000)  # errors of 4 and 20 pixels
        assert picture.is_at(face_at(118), crop) and not picture.is_at(face_at(120), crop)
        assert picture.is_at(face_at(134), room) and not picture.is_at(face_at(136), room)

    @pytest.mark.parametrize("step", [0.0, -0.5, -100.0])
    def test_a_clock_that_stands_or_goes_back_is_no_error(self, step: float) -> None:
        people = tracker()
        walk(people, {100: 90.0}, 0.5)
        for i in range(1, 8):
            take(people, [face_at(145 + i)], 0.5 + i * step)
        assert len(people.confirmed()) == 1 and abs(people.confirmed()[0].x - 150) < 10

    def test_after_a_long_pause_everybody_is_new(self) -> None:
        people = tracker()
        for moment in (0.0, DT, 2 * DT, 600.0, 600.0 + DT):
            take(people, [face_at(100)], moment)
        (person,) = people.confirmed()
        assert person.first == 600.0 and people.static == []


def test_a_wall_picture_that_is_gone_is_forgotten() -> None:
    people = tracker(fixture_after=8.0)
    looks = MeanSamples(np.ones((3, 3), np.float32), np.ones((3, 3), np.float32))
    people.static.append(StaticFace(100, 100, 60, region=Region(20, 20, 40, 40), pattern=looks, matched=0.0))
    take(people, [], 599.0)
    assert len(people.static) == 1
    take(people, [], 601.0)
    assert people.static == []


class TestPrints:
    """Faces on a shirt 1.5 face widths below the wearer's eyes, who sways and then walks."""

    @staticmethod
    def sway(i: int, amplitude: float = 4.0, period: float = 5.7) -> float:
        return 300 + amplitude * math.sin(2 * math.pi * i * DT / period)

    def test_a_printed_face_is_recognised_and_follows_the_wearer(self) -> None:
        people = tracker(fixture_after=8.0)
        for i in range(300):
            x = self.sway(i)
            take(people, [face_at(x, 100), face_at(x + 10, 190, width=40.0)], i * DT)
        assert [round(p.y) for p in people.confirmed()] == [100]
        for i in range(300, 340):
            x = self.sway(300) + 4 * (i - 300)
            take(people, [face_at(x, 100), face_at(x + 10, 190, width=40.0)], i * DT)
        assert [round(p.y) for p in people.tracks] == [100], "no blind spot, and no new person"

    def test_a_child_before_an_adult_sways_alone_and_is_a_person(self) -> None:
        people = tracker(fixture_after=8.0)
        for i in range(900):
            adult, child = self.sway(i), self.sway(i, 4.0, period=4.1) + 10
            take(people, [face_at(adult, 100), face_at(child, 190, width=45.0)], i * DT)
        assert len(people.confirmed()) == 2
