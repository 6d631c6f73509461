"""Whom the sitter looks at."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from appliance.config import TrackingConfig
from appliance.tracking.liveness import Liveness
from appliance.tracking.tracker import Track
from appliance.tracking.viewer_choice import ViewerSelector
from tests.tracking.faces import track_at

ALONE = TrackingConfig(share=False)
SHARED = TrackingConfig()
NOW, WIDTH = 100.0, 640.0


def here(x: float, width: float = 60.0, **changes: Any) -> Track:
    """A living person at x, in view now, who took a step just now."""
    track = track_at(x, seen=NOW, width=width)
    return replace(track, identity=int(x), **changes)


def lifeless(track: Track, since: float = NOW - 6.0) -> Track:
    """The same face, if it has shown no life."""
    return replace(track, first=since, life=Liveness(8.0, still_since=since))


def chosen(
    tracks: Sequence[Track],
    viewer: Track | None,
    since: float = NOW - 60.0,
    arrived: float = NOW - 60.0,
    tracking: TrackingConfig = ALONE,
) -> Track | None:
    """Whom the gaze goes to, from a viewer looked at since a moment."""
    attention = ViewerSelector(tracking)
    attention.viewer, attention.since, attention.arrived = viewer, since, arrived
    return attention.choose(tracks, NOW, WIDTH)


class TestOneViewer:
    def test_nobody_is_looked_at_in_an_empty_room(self) -> None:
        assert chosen([], None) is None

    def test_the_nearest_is_looked_at_first(self) -> None:
        near, far = here(300, width=80.0), here(100, width=40.0)
        assert chosen([far, near], None) is near

    def test_of_two_as_near_the_one_in_the_middle_is_first(self) -> None:
        middle, aside = here(330, width=58.0), here(100, width=60.0)
        assert chosen([aside, middle], None) is middle

    def test_a_person_about_to_leave_is_looked_at_last(self) -> None:
        leaving, stays = here(600, width=80.0, vx=200.0), here(100, width=40.0)
        assert chosen([leaving, stays], None) is stays

    def test_only_a_clearly_nearer_newcomer_wins(self) -> None:
        present = here(100)
        slightly, clearly = (here(x, width=w, still_since=NOW - 2) for x, w in ((400, 70.0), (500, 100.0)))
        assert chosen([slightly, present], present) is present
        assert chosen([clearly, present], present) is clearly

    def test_a_face_hardly_seen_does_not_win(self) -> None:
        present, glimpse = here(100), here(400, width=200.0, still_since=NOW - 2, hits=3)
        assert chosen([present, glimpse], present) is present
        assert chosen([present, replace(glimpse, hits=4)], present) is not present

    def test_a_passer_by_must_be_much_nearer(self) -> None:
        present, passing = here(100), here(400, width=100.0, vx=300.0)
        assert chosen([passing, present], present) is present
        assert chosen([replace(passing, width=150.0, vx=450.0), present], present) is not present

    def test_a_walker_unseen_for_a_second_does_not_win(self) -> None:
        """Others are seen rarely, so a standing person counts as there for longer."""
        present, stands = here(100), here(400, width=100.0, still_since=NOW - 5)
        walks = here(400, width=150.0, vx=200.0)
        for unseen, standing_wins, walking_wins in (
            (0.3, True, True),
            (1.0, True, False),
            (2.5, False, False),
        ):
            stands.seen = walks.seen = NOW - unseen
            assert (chosen([present, stands], present) is stands) == standing_wins
            assert (chosen([present, walks], present) is walks) == walking_wins

    def test_the_eyes_do_not_dart(self) -> None:
        present, nearer = here(100), here(400, width=130.0)
        assert chosen([present, nearer], present, since=NOW - ALONE.dwell / 2) is present
        assert chosen([present, nearer], present, since=NOW - ALONE.dwell * 2) is nearer

    def test_just_after_the_first_face_a_nearer_one_wins(self) -> None:
        first, nearer = here(100), here(400, width=80.0)
        assert chosen([first, nearer], first, NOW - 0.2, arrived=NOW - 0.2) is nearer

    def test_a_walker_wins_once_the_viewer_stood_for_long(self) -> None:
        for stood, wins in ((ALONE.attention / 2, False), (ALONE.attention * 2, True)):
            present = here(100, still_since=NOW - stood)
            walker = here(400, vx=120.0, still_since=NOW - 0.1)
            assert (chosen([present, walker], present) is walker) == wins

    def test_a_later_and_nearer_person_gets_one_turn(self) -> None:
        adult = here(100, first=NOW - 111, still_since=NOW - 2 * ALONE.attention)
        child = here(300, width=63.0, first=NOW - 9, still_since=NOW - 7)
        new = replace(adult, still_since=NOW - 2)
        assert chosen([new, child], new) is new
        assert chosen([adult, child], adult) is child
        assert chosen([adult, replace(child, width=57.0)], adult) is adult, "farther back: waits"
        stood = replace(child, still_since=NOW - 2 * ALONE.attention)
        assert chosen([adult, stood], stood, since=NOW - ALONE.attention) is stood

    def test_a_person_left_for_a_walker_wins_back_by_a_step(self) -> None:
        walker = here(400, vx=120.0, still_since=NOW - 0.1)
        left = here(100, width=100.0, still_since=NOW - 2 * ALONE.attention)
        assert chosen([left, walker], walker) is walker
        assert chosen([replace(left, still_since=NOW - 1), walker], walker) is not walker


class TestLoss:
    def test_a_lost_viewer_is_waited_for(self) -> None:
        lost = here(100, misses=5)
        for gone, waits in ((0.5 * ALONE.hold, True), (1.1 * ALONE.hold, False)):
            lost.seen = NOW - gone
            assert chosen([lost], lost) is (lost if waits else None)

    def test_another_person_shortens_the_wait(self) -> None:
        other, lost = here(400), here(100, misses=5)
        lost.seen = NOW - 0.3
        assert chosen([lost, other], lost) is lost
        lost.seen = NOW - 0.5
        assert chosen([lost, other], lost) is other

    def test_a_joined_track_keeps_the_gaze(self) -> None:
        lost = here(100, misses=5)
        joined = replace(here(160), identity=lost.identity)
        assert chosen([joined, here(400, width=66.0)], lost) is joined


class TestLife:
    def test_a_moving_newcomer_wins_at_once_from_a_picture(self) -> None:
        picture = lifeless(here(100, width=90.0), since=NOW - 3.0)
        newcomer = here(400, width=30.0)
        newcomer.life.note_step(NOW - 0.1)
        assert chosen([picture, newcomer], picture, since=NOW - 0.1) is newcomer

    def test_a_living_face_wins_from_one_that_showed_no_life(self) -> None:
        picture, person = lifeless(here(100, width=90.0)), here(400, width=30.0)
        assert chosen([picture, person], picture) is person
        young = lifeless(here(100, width=90.0), since=NOW - 2.0)
        assert chosen([young, person], young) is young, "too early to tell"

    def test_a_living_viewer_keeps_the_gaze_from_a_newcomer(self) -> None:
        viewer, newcomer = here(100), here(400, width=40.0)
        newcomer.life.note_step(NOW - 0.1)
        assert chosen([viewer, newcomer], viewer) is viewer


class TestSharing:
    @staticmethod
    def looks(
        people: Sequence[Track], seconds: float, tracking: TrackingConfig = SHARED
    ) -> list[tuple[float, int]]:
        """The moments at which the viewer changes, and to whom, while everybody stands."""
        attention = ViewerSelector(tracking)
        out: list[tuple[float, int]] = []
        for i in range(round(seconds * 10)):
            now = i / 10
            for person in people:
                person.seen, person.still_since = now, -1.0
            viewer = attention.choose(people, now, WIDTH)
            if viewer and (not out or out[-1][1] != viewer.identity):
                out.append((now, viewer.identity))
        return out

    @pytest.mark.parametrize("count", [2, 3, 4])
    def test_everybody_gets_looks_early_often_and_long_enough(self, count: int) -> None:
        people = [here(100 + 120 * i, width=60.0 - 4 * i, first=-1.0) for i in range(count)]
        looks = self.looks(people, 60.0)
        for person in people:
            times = [at for at, who in looks if who == person.identity]
            ends = [looks[i + 1][0] for i, (_, who) in enumerate(looks[:-1]) if who == person.identity]
            assert times[0] < 8.0 and len(times) > 1
            assert all(later - end < 15.0 for end, later in zip(ends, times[1:], strict=False))
        lengths = [b[0] - a[0] for a, b in pairwise(looks)]
        assert min(lengths) >= 2.0 and len(lengths) < 20

    def test_of_five_the_nearest_four_share(self) -> None:
        people = [here(100 + 100 * i, width=60.0 - 4 * i, first=-1.0) for i in range(5)]
        assert len({who for _, who in self.looks(people, 60.0)}) == 4

    def test_a_person_far_behind_does_not_share(self) -> None:
        people = [here(100, width=90.0, first=-1.0), here(400, width=15.0, first=-1.0)]
        assert [who for _, who in self.looks(people, 30.0)] == [100]

    def test_without_sharing_one_viewer_keeps_the_gaze(self) -> None:
        people = [here(100, first=-1.0), here(400, width=58.0, first=-1.0)]
        assert len(self.looks(people, 30.0, ALONE)) == 1

    def test_people_who_walk_past_do_not_share(self) -> None:
        stands, walks = here(100, still_since=NOW - 5), here(400, vx=200.0)
        assert chosen([stands, walks], stands, tracking=SHARED) is stands

    def test_after_many_changes_the_eyes_rest_on_one_person(self) -> None:
        """Three viewers leave at once; the next change is due 12.5 s after the first."""
        selector = ViewerSelector(SHARED)
        for i in range(4):
            selector.choose([here(100 + i, seen=i / 10, first=-1.0)], i / 10, WIDTH)
        present = selector.viewer
        assert present
        other = here(400, width=58.0, first=-1.0)
        seen = {}
        for now in (4.0, 8.0, 12.0, 14.0):
            for person in (present, other):
                person.seen, person.still_since = now, -1.0
            seen[now] = selector.choose([present, other], now, WIDTH)
        assert seen == {4.0: present, 8.0: present, 12.0: present, 14.0: other}
