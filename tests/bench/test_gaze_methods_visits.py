"""Scenes with living people: what is measured of a rule, and that the rules run on them."""

from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.bench.gaze_methods import (
    REFRESH,
    MedianOfFive,
    Moment,
    Original,
    Shown,
    compare_methods_on_scene,
    figures,
    moment_of,
    trembling,
    viewer_changes,
    watch,
)
from appliance.bench.gaze_walks import Trial, living_trials, standing, visitor
from appliance.bench.peer import Peer
from appliance.gallery.walks import RoomSpec, WalkScript
from tests.conftest import small_info


def stands(angle: float, seconds: float) -> list[Moment]:
    """Anna stands at an angle and is to be looked at."""
    return [Moment({"anna": angle}, frozenset({"anna"}), "anna")] * round(seconds * REFRESH)


def looks(*spans: tuple[float, float]) -> list[Shown]:
    """What was shown: (angle, seconds) one after the other; the frame is the angle's whole degrees."""
    return [Shown(round(angle), angle) for angle, seconds in spans for _ in range(round(seconds * REFRESH))]


class TestFigures:
    def test_errors_from_the_true_angle_count_within_six_degrees(self) -> None:
        row = figures(stands(10.0, 4), looks((0.0, 1), (9.0, 3)), shared=False)
        assert row["mean_degrees"] == pytest.approx(10 / 4 + 3 / 4)
        assert row["within_6_degrees"] == 0.75
        assert row["acquire_seconds"] == 1.0

    def test_where_nobody_is_wanted_nothing_counts(self) -> None:
        nobody = [Moment({}, frozenset(), None)] * 60
        row = figures(
            [*nobody, *stands(0.0, 3), *nobody], looks((30.0, 1), (0.0, 3), (30.0, 1)), shared=False
        )
        assert (row["mean_degrees"], row["acquire_seconds"]) == (0, 0)
        assert figures(nobody, looks((0.0, 1)), shared=False)["mean_degrees"] is None

    def test_a_person_never_looked_at_was_never_acquired(self) -> None:
        assert figures(stands(20.0, 2), looks((0.0, 2)), shared=False)["acquire_seconds"] is None

    def test_the_longest_of_all_waits_is_told(self) -> None:
        moments = [*stands(0.0, 2), *[Moment({}, frozenset(), None)] * 60, *stands(20.0, 2)]
        row = figures(moments, looks((0.0, 4.5), (20.0, 0.5)), shared=False)
        assert row["acquire_seconds"] == 1.5

    def test_trembling_counts_only_once_the_eyes_should_be_at_rest(self) -> None:
        shown = looks((1.0, 0.5), (2.0, 0.5), (1.0, 2), (2.0, 0.5), (1.0, 2), (2.0, 1.5))
        row = figures(stands(1.0, 7), shown, shared=False)
        assert row["changes_per_second"] == pytest.approx(3 / 5.5, abs=0.001)
        assert row["reversals_per_second"] == pytest.approx(1 / 5.5, abs=0.001)

    def test_a_reversal_undoes_a_change_within_a_second(self) -> None:
        frames = [0] * 10 + [1] * 59 + [0] * 61 + [1] * 10 + [2] * 10
        assert trembling(frames, [range(len(frames))]) == (4, 1)
        assert trembling(frames, [range(60), range(60, len(frames))]) == (4, 0)

    def test_a_glimpse_in_passing_is_no_change_of_viewer(self) -> None:
        anna, bert, nobody = ["anna"] * 60, ["bert"] * 60, [None] * 60
        assert viewer_changes([*anna, *bert[:10], *anna, *nobody, *anna]) == 0
        assert viewer_changes([*anna, *nobody, *bert, *anna]) == 2

    def test_shared_looks_are_told_by_person(self) -> None:
        both = [Moment({"anna": -10.0, "bert": 10.0}, frozenset({"anna", "bert"}), None)] * 600
        row = figures(both, looks((-9.0, 2), (11.0, 3), (-9.0, 5)), shared=True)
        assert row["mean_degrees"] == 1.0
        assert row["first_look_seconds"] == {"anna": 0, "bert": 2.0}
        assert row["longest_wait_seconds"] == 5.0
        assert row["viewer_changes_per_minute"] == pytest.approx(12)
        row = figures(both, looks((-9.0, 10)), shared=True)
        assert row["first_look_seconds"] == {"anna": 0, "bert": None}


class TestScenes:
    def test_the_set_is_fixed_and_of_three_rates(self) -> None:
        chosen = living_trials()
        assert len({trial.name for trial in chosen}) == len(chosen) >= 25
        assert {trial.rate for trial in chosen} == {10.0, 15.0, 30.0}
        assert [trial.name for trial in chosen if trial.shared] == ["two equals", "four", "crowd walks past"]

    @pytest.mark.parametrize("trial", living_trials(), ids=lambda trial: trial.name)
    def test_somebody_is_in_view_and_only_people_live(self, trial: Trial) -> None:
        moments = [moment_of(trial, trial.walk.duration * k / 100) for k in range(100)]
        assert any(moment.angles if trial.shared else moment.wanted for moment in moments)
        for person in trial.walk.people:
            assert person.life == (person.kind == "person")
            if person.kind == "person" and not person.turned_away:
                assert any(person.who in moment.angles for moment in moments), person.who

    def test_posters_and_half_seen_faces_are_not_to_be_looked_at(self) -> None:
        keys = [(0.0, 0.0, 1500.0), (5.0, 0.0, 1500.0)]
        edge = [(time, 960.0, z) for time, _, z in keys]
        people = replace(visitor("poster", keys), kind="poster"), visitor("half", edge)
        trial = Trial("a test", WalkScript("a test", 5.0, RoomSpec(), people, ((0.0, "half"),)))
        assert moment_of(trial, 1.0) == Moment({}, frozenset(), None)

    def test_it_finds_distant_people_that_the_original_misses(self) -> None:
        walk = replace(standing(2.5, -500.0, 3.5), follow=((0.0, "visitor"),))
        alive = replace(walk, people=tuple(replace(person, life=1.0) for person in walk.people))
        row = compare_methods_on_scene(Trial("stands", alive, 15.0, 0.05), small_info())
        assert row["ours"]["acquire_seconds"] < 0.6 and row["original"]["acquire_seconds"] is None
        assert row["ours"]["within_6_degrees"] > 0.8 > row["original"]["within_6_degrees"]
        assert row["needed_changes_per_second"] < 1
        assert "peer" not in row

    def test_a_shared_scene_tells_who_got_a_look(self) -> None:
        (trial,) = (each for each in living_trials() if each.name == "two equals")
        row = compare_methods_on_scene(replace(trial, walk=replace(trial.walk, duration=3.0)), small_info())
        assert set(row["ours"]["first_look_seconds"]) == {"first", "second"}
        assert "needed_changes_per_second" not in row


@pytest.mark.peer
def test_the_peer_follows_whom_it_sees_near_by() -> None:
    walk = replace(standing(1.0, 210.0, 4.0), follow=((0.0, "visitor"),))
    trial = Trial("stands", walk, 30.0, 0.05)
    with Peer() as peer:
        row = compare_methods_on_scene(trial, small_info(), peer)
        rule = MedianOfFive(trial, peer)
        watch(trial, [rule])
    assert row["peer"]["mean_degrees"] < 4 and row["peer"]["acquire_seconds"] < 1
    places = [rule.shown(k / REFRESH).frame for k in range(240)]
    assert max(abs(a - b) for a, b in pairwise(places)) == 5


def test_the_original_looks_only_when_its_timer_fires() -> None:
    trial = Trial("stands", standing(1.0, 210.0, 2.0))
    rule = Original(trial)
    assert (rule.shown(0.0).frame, rule.shown(0.0).angle) == (16, 0)
    watch(trial, [rule])
    frames = [rule.shown(k / REFRESH) for k in range(120)]
    assert 1 < len({shown.captured for shown in frames}) < 52
    assert frames[-1].angle == pytest.approx(-12, abs=2)
