"""Which moments of a film become frames: equal steps of gaze, out of the best sweep."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.errors import BadFilm
from appliance.fomm.driving_video import Watched, best_pass, check, crossings, find_sweep
from appliance.fomm.network import hull_area

FACE = np.random.default_rng(5).normal(size=(468, 2)) * (60, 80) + (200, 300)


def turned_mesh(yaw: NDArray[np.float64]) -> NDArray[np.float64]:
    away = FACE - FACE.mean(0)
    mesh = np.repeat(FACE[None], len(yaw), 0)
    mesh[:, :, 0] += np.radians(yaw)[:, None] * 0.4 * (away[:, 1] ** 2 / 80)[None]
    return mesh


def seen(gaze: NDArray[np.float64], share: float = 0.4) -> Watched:
    """A film in which the head takes `share` of the gaze, the eyes the rest."""
    yaw = share * gaze
    return Watched(
        yaw=yaw,
        eyes=gaze - yaw,
        opening=np.full(len(gaze), 0.35),
        mesh=turned_mesh(yaw),
        seen=np.ones(len(gaze), bool),
        size=(400, 600),
        times=np.arange(len(gaze)) / 30,
    )


def sweep_of(pictures: int = 150) -> NDArray[np.float64]:
    gaze: NDArray[np.float64] = 20 * np.sin(np.linspace(0, 2 * np.pi, pictures))
    return gaze


@pytest.mark.parametrize("frames", [3, 33, 65])
@pytest.mark.parametrize("pictures", [40, 60, 400])
def test_frames_have_equal_steps_of_gaze_in_an_uneven_film(frames: int, pictures: int) -> None:
    watched = seen(sweep_of(pictures))
    sweep = find_sweep(watched, frames, watched.mesh[0])
    gaze = np.interp(sweep.moments, np.arange(pictures), sweep.motion)
    steps = np.diff(gaze)
    assert (steps > 0).all()
    # The start is a whole picture: beside it a step may be off by what lies within that picture.
    assert np.ptp(steps) < 1e-6
    assert sweep.moments[frames // 2] == sweep.start
    assert gaze[-1] - gaze[0] == pytest.approx(2 * sweep.reach)


def test_a_sweep_to_picture_left_gives_frames_in_the_same_order() -> None:
    one, other = sweep_of(), -sweep_of()
    assert np.diff(find_sweep(seen(one), 33, FACE).moments).sum() < 0
    assert np.diff(find_sweep(seen(other), 33, FACE).moments).sum() > 0


def test_frames_come_from_the_sweep_that_turns_back_least() -> None:
    rough = sweep_of(100) + 3 * np.sin(np.arange(100) * 1.3)
    clean = sweep_of(100)
    sweep = find_sweep(seen(np.concatenate([rough, clean])), 33, FACE)
    assert sweep.first >= 100
    assert sweep.last - sweep.first <= 60


def test_it_starts_at_the_paintings_pose_with_room_both_ways() -> None:
    watched = seen(sweep_of())
    wanted = 70
    sweep = find_sweep(watched, 33, watched.mesh[wanted] * 1.7 + 30)  # place and size do not count
    assert sweep.start == wanted
    # A pose at the end of the sweep would leave nothing to one side.
    far = find_sweep(watched, 33, watched.mesh[int(watched.motion.argmax())])
    assert far.reach > 0.25 * np.ptp(watched.motion)


def test_the_start_can_be_chosen_by_hand_within_the_sweep() -> None:
    watched = seen(sweep_of())
    assert find_sweep(watched, 33, FACE, 80 / 30).start == 80
    with pytest.raises(
        BadFilm, match=r"--start 4\.9; expected a moment of the best sweep, 1\.\d+ to 3\.\d+ s"
    ):
        find_sweep(watched, 33, FACE, 4.9)


@pytest.mark.parametrize("gaze", [np.zeros(90), 2 * np.sin(np.linspace(0, 6, 90))], ids=["still", "hardly"])
def test_a_film_without_a_sweep_is_refused(gaze: NDArray[np.float64]) -> None:
    with pytest.raises(BadFilm, match="the gaze"):
        find_sweep(seen(gaze), 33, FACE)


def test_a_pass_ends_at_its_turning_points() -> None:
    motion = np.array([0, -1, -2, -3, -1, 1, 3, 4, 3, 0.0])
    assert best_pass(motion, np.ones(10, bool)) == (3, 7)


def test_a_sweep_with_a_blink_gives_way_to_one_that_is_rougher() -> None:
    clean, rough = sweep_of(100), sweep_of(100) + np.sin(np.arange(100) * 1.3)
    watched = seen(np.concatenate([clean, rough]))
    assert find_sweep(watched, 33, FACE).last < 100
    opening = watched.opening.copy()
    opening[[50, 90]] = 0.1  # on the way down, and up again
    sweep = find_sweep(replace(watched, opening=opening), 33, FACE)
    assert sweep.first >= 100


def test_crossings_are_the_first_moments_of_the_values() -> None:
    motion = np.array([0.0, 2.0, 1.0, 4.0])
    np.testing.assert_allclose(crossings(motion, np.array([0.0, 1.0, 2.0, 2.5, 4.0])), [0, 0.5, 1, 2.5, 3])


def test_a_hull_is_as_large_as_what_it_encloses() -> None:
    square = [[0.0, 0.0], [2.0, 0.0], [2.0, 3.0], [0.0, 3.0]]
    assert hull_area([*square, [1.0, 1.0], [0.0, 1.5], [1.0, 0.0]]) == pytest.approx(6)
    turn = np.linspace(0, 2 * np.pi, 1001)
    assert hull_area(np.column_stack([np.cos(turn), np.sin(turn)]).tolist()) == pytest.approx(np.pi, rel=1e-4)
    assert hull_area([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]) == 0


def verdicts(watched: Watched) -> dict[str, bool]:
    return {finding.name: finding.right for finding in check(watched)[1]}


def test_an_even_film_will_do() -> None:
    assert all(verdicts(seen(sweep_of())).values())


def wrong(watched: Watched) -> set[str]:
    return {name for name, right in verdicts(watched).items() if not right}


def test_what_is_wrong_with_a_film_is_told_apart() -> None:
    good = seen(sweep_of())
    gaze = sweep_of()
    assert wrong(seen(gaze, share=0.95)) == {"eyes"}
    assert wrong(seen(gaze, share=0.05)) == {"head"}
    assert wrong(seen(0.4 * gaze)) >= {"gaze"}
    blink = good.opening.copy()
    blink[75] = 0.05
    assert wrong(replace(good, opening=blink)) == {"lids"}
    lost = good.seen.copy()
    lost[3] = False
    assert wrong(replace(good, seen=lost)) == {"face"}
    nod = good.mesh.copy()
    nod[60:] += (0, 60)
    assert wrong(replace(good, mesh=nod)) == {"steadiness"}


def test_blinking_at_the_ends_of_the_sweep_does_no_harm() -> None:
    watched = seen(sweep_of())
    opening = watched.opening.copy()
    opening[[36, 37, 38, 111, 112, 113]] = 0.1
    assert not wrong(replace(watched, opening=opening))


def test_a_film_in_jerks_is_told() -> None:
    stairs = np.repeat(np.array([0, -20.0, -7, 7, 20, 0]), 15)
    assert "pace" in wrong(seen(stairs))


def test_eyes_that_run_ahead_of_the_head_are_told() -> None:
    gaze = sweep_of()
    yaw = 0.4 * gaze
    eyes = 12.0 * np.tanh(gaze)
    assert wrong(replace(seen(gaze), yaw=yaw, eyes=eyes)) & {"eyes", "head"}
