"""The bench itself: its truth, and its comparison on walks of a second or two."""

import pytest

from appliance.bench.gaze import GazeRun, over_scenes, run_trial, summary
from appliance.bench.gaze_methods import FRAMES, LENS, column_angle
from appliance.bench.gaze_walks import Trial, meeting, standing, trials
from appliance.bench.vision import models_used, swap_free_meetings
from appliance.gallery.camera import GalleryCamera
from appliance.gaze.geometry import frame_of_original_piece
from tests.conftest import small_info


def test_the_set_is_fixed_and_always_says_whom_to_follow() -> None:
    chosen = trials()
    assert len(chosen) >= 12
    assert len({trial.name for trial in chosen}) == len(chosen)
    for trial in chosen:
        moments = [trial.walk.duration * i / 50 for i in range(50)]
        assert any(trial.walk.followed_at(moment, LENS) for moment in moments), trial.name
    assert {trial.rate for trial in chosen} == {12.0, 30.0} and max(t.latency for t in chosen) == 0.1


@pytest.mark.parametrize("seed", range(20))
def test_two_people_meet_a_metre_apart_in_the_middle(seed: int) -> None:
    walk, moment = meeting(seed)
    first, second = walk.people_at(moment)
    assert abs(first.z_mm - second.z_mm) == pytest.approx(1000)
    assert first.x_mm == pytest.approx(0, abs=1) and second.x_mm == pytest.approx(0, abs=1)
    assert first.vx_mm_s * second.vx_mm_s < 0
    begins = {person.who: person.x.times[0] for person in walk.people}
    assert begins["first"] == pytest.approx(0, abs=1e-9) and begins["second"] >= 1 - 1e-9


def test_frames_of_the_original_look_where_its_rule_says() -> None:
    for i in range(FRAMES):
        x = 640 * (1 - i / (FRAMES - 1))
        assert frame_of_original_piece(x, 640, FRAMES) == i
        assert column_angle(i, FRAMES) == pytest.approx(-LENS.angle(x))


def test_it_finds_distant_people_that_the_original_misses() -> None:
    pack = small_info()
    row, errors = run_trial(Trial("still", standing(2.5, -500.0, 2.5)), pack)
    assert row["original"]["right_person"] == 0 and row["original"]["acquire_seconds"] is None
    assert row["ours"]["right_person"] > 0.85 and row["ours"]["acquire_seconds"] < 0.5
    assert row["ours"]["still_changes"] == 0
    assert row["ratio"] < 0.7
    assert len(errors) == pytest.approx(150, abs=3)
    everywhere = summary(errors)["everywhere"]
    assert everywhere["ours_degrees"] == pytest.approx(row["ours"]["mean_degrees"], abs=0.001)


@pytest.mark.slow
def test_two_who_meet_are_not_exchanged() -> None:
    assert swap_free_meetings(small_info())["share"] >= 0.95


def test_a_change_of_frame_counts_only_while_the_visitor_stands() -> None:
    track = GazeRun(frame=3)
    for frame, still in ((4, False), (5, True), (5, True), (6, True)):
        track.note(frame, error=1.0, right=True, still=still, since=0.5)
    assert track.report(still=2.0)["still_changes_per_second"] == 1.0
    assert track.acquired == 0.5


def test_means_over_scenes_leave_out_those_that_are_shared() -> None:
    row = {"mean_degrees": 2.0, "within_6_degrees": 0.9}
    other = {"mean_degrees": 4.0, "within_6_degrees": 0.8}
    scenes = {
        "one": {"needed_changes_per_second": 0.1, "ours": row, "original": other},
        "two": {"needed_changes_per_second": None, "ours": other, "original": other},
        "shared": {"ours": {"mean_degrees": 90.0}, "original": other},
    }
    means = over_scenes(scenes)
    assert means["ours"] == {"mean_degrees": 3.0, "within_6_degrees": 0.85}
    assert list(means) == ["ours", "original"]


def test_every_picture_is_looked_at_once_and_by_a_known_model() -> None:
    with GalleryCamera(standing(1.0, 200.0, 2.0), pace=False) as camera:
        pictures = [camera.newest() for _ in range(40)]
    used = models_used(pictures, small_info())
    assert len(used) == 40 and set(used) <= {"short", "full"}
    assert used.count("short") > 20
