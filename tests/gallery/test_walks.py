"""Walks: scripts are data, the truth is exact and smooth."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.camera.lens import Lens
from appliance.errors import ConfigError
from appliance.gallery.body_motion import MonotoneCurve
from appliance.gallery.walks import VisitorState, WalkScript, bundled_walks, load_walk, parse_walk

LENS = Lens(640, 360, 66.0)

PERSON = """
[[person]]
who = "anna"
photograph = "astronaut.png"
keys = [
  { time = 1.0, x_mm = -500, z_mm = 1000 },
  { time = 3.0, x_mm = 700, y_mm = 40, z_mm = 2000 },
]
"""
FOLLOW = """
[[follow]]
time = 0.0
who = "anna"
[[follow]]
time = 2.0
who = "bert"
"""
HEAD = 'title = "A test"\nduration = 5.0\n'


def only(walk: WalkScript, time: float) -> VisitorState:
    (visitor,) = walk.people_at(time)
    return visitor


def in_view(visitor: VisitorState) -> bool:
    return 0 <= LENS.project(visitor.x_mm, visitor.y_mm, visitor.z_mm)[0] <= LENS.width


@st.composite
def curves(draw: st.DrawFn) -> MonotoneCurve:
    steps = draw(st.lists(st.floats(0.1, 10), min_size=1, max_size=6))
    times = [draw(st.floats(0, 5))]
    for step in steps:
        times.append(times[-1] + step)
    values = draw(st.lists(st.floats(-5000, 5000), min_size=len(times), max_size=len(times)))
    return MonotoneCurve.through(tuple(times), tuple(values))


class TestMotion:
    @given(curves())
    def test_passes_through_every_key(self, curve: MonotoneCurve) -> None:
        for time, value in zip(curve.times, curve.values, strict=True):
            assert curve.value_at(time)[0] == pytest.approx(value, abs=1e-6)

    @given(curves(), st.floats(0, 1))
    def test_has_neither_jump_nor_kink(self, curve: MonotoneCurve, part: float) -> None:
        span = curve.times[-1] - curve.times[0]
        h = 1e-5
        moments = [curve.times[0] + 2 * h + part * (span - 4 * h), *curve.times[1:-1]]
        # The steepest a monotone cubic can be is three times its steepest secant.
        steepest = 3 * max(
            abs(b - a) / (t - s)
            for s, t, a, b in zip(curve.times, curve.times[1:], curve.values, curve.values[1:], strict=False)
        )
        for moment in moments:
            before, here, after = (curve.value_at(moment + d) for d in (-h, 0.0, h))
            assert abs(after[0] - before[0]) <= steepest * 2 * h * 1.01 + 1e-9
            # In a tenth of a second, the shortest step here, the speed can change by 24 times at most.
            assert abs(after[1] - before[1]) <= 240 * steepest * h + 1e-6
            assert (after[0] - before[0]) / (2 * h) == pytest.approx(here[1], abs=steepest * 0.01 + 1e-3)

    @given(curves(), st.floats(0, 1))
    def test_never_swings_over_its_keys(self, curve: MonotoneCurve, part: float) -> None:
        moment = curve.times[0] + part * (curve.times[-1] - curve.times[0])
        k = max(i for i in range(len(curve.times) - 1) if curve.times[i] <= moment)
        low, high = sorted(curve.values[k : k + 2])
        assert low - 1e-6 <= curve.value_at(min(moment, curve.times[k + 1]))[0] <= high + 1e-6

    def test_two_keys_make_a_steady_pace(self) -> None:
        curve = MonotoneCurve.through((0.0, 6.0), (-1500.0, 1500.0))
        assert {curve.value_at(t)[1] for t in (0.5, 2.0, 5.5)} == {500.0}


class TestTruth:
    def test_somebody_is_there_from_the_first_key_to_the_last_only(self) -> None:
        walk = parse_walk(HEAD + PERSON, "test")
        assert walk.people_at(0.99) == []
        assert only(walk, 1.0).x_mm == -500
        assert only(walk, 3.0).x_mm == 700
        assert walk.people_at(3.01) == []

    def test_a_walk_begins_again_after_its_duration(self) -> None:
        walk = parse_walk(HEAD + PERSON, "test")
        assert walk.people_at(2.0) == walk.people_at(7.0) == walk.people_at(12.0) != []

    @given(st.floats(1.01, 2.99))
    def test_velocity_is_the_change_of_place(self, moment: float) -> None:
        walk = parse_walk(HEAD + PERSON, "test")
        before, here, after = (only(walk, moment + d) for d in (-1e-4, 0.0, 1e-4))
        for axis in "xyz":
            change = (getattr(after, f"{axis}_mm") - getattr(before, f"{axis}_mm")) / 2e-4
            assert change == pytest.approx(getattr(here, f"v{axis}_mm_s"), abs=0.5)

    def test_the_head_bobs_with_steps_and_rests_when_standing(self) -> None:
        stop = load_walk("stop")
        walking = [only(stop, t / 20).y_mm for t in range(30)]
        assert 10 < max(walking) - min(walking) < 20
        standing = [only(stop, 2.5 + t / 5) for t in range(15)]
        assert len({v.y_mm for v in standing}) == 1
        assert {(v.vx_mm_s, v.vy_mm_s, v.vz_mm_s) for v in standing} == {(0, 0, 0)}


class TestBundledWalks:
    def test_every_named_walk_is_there(self) -> None:
        known = {"child", "couple", "cross", "crowd", "demo", "empty", "label", "still", "stop"}
        assert set(bundled_walks()) >= known

    @pytest.mark.parametrize("name", bundled_walks())
    def test_people_come_and_go_out_of_view(self, name: str) -> None:
        walk = load_walk(name)
        for person in walk.people:
            first, last = person.x.times[0], person.x.times[-1]
            start, end = person.state_at(first), person.state_at(last)
            assert start is not None
            assert end is not None
            if first == 0 and last == walk.duration:
                assert (start.x_mm, start.y_mm, start.z_mm) == (end.x_mm, end.y_mm, end.z_mm)
            else:
                assert not in_view(start)
                assert not in_view(end)

    def test_the_demo_crosses_the_view_and_empties_the_room(self) -> None:
        demo = load_walk("demo")
        assert demo.duration == 20
        angles = []
        for i in range(2000):
            there = demo.people_at(i / 100)
            if there and in_view(there[0]):
                angles.append(LENS.angle(LENS.project(there[0].x_mm, 0, there[0].z_mm)[0]))
        assert min(angles) < -29
        assert max(angles) > 29
        assert all(not demo.people_at(t) for t in (17.6, 18.7, 19.9))

    def test_the_demo_visitor_walks_stands_and_comes_nearer(self) -> None:
        visitor = load_walk("demo").people[0]
        there = [visitor.state_at(i / 10) for i in range(175)]
        seen = [v for v in there if v and in_view(v)]
        speeds = [abs(v.vx_mm_s) for v in seen]
        assert max(speeds) > 600
        assert sum(speed < 1 for speed in speeds) >= 15
        assert min(v.z_mm for v in seen) < 900

    def test_in_the_demo_a_child_comes_while_nobody_else_is_in_view(self) -> None:
        demo = load_walk("demo")
        seen = [{v.who for v in demo.people_at(i / 100) if in_view(v)} for i in range(2000)]
        assert all(len(who) <= 1 for who in seen)
        assert sum("child" in who for who in seen) > 500
        child = demo.people[1].state_at(7.5)
        assert child and 14 < math.degrees(math.atan2(child.y_mm, child.z_mm)) < 16

    def test_crossing_is_steady(self) -> None:
        cross = load_walk("cross")
        assert {round(only(cross, t / 10).vx_mm_s, 6) for t in range(60)} == {500.0}

    def test_the_stop_takes_less_than_a_fifth_of_a_second(self) -> None:
        stop = load_walk("stop")
        assert only(stop, 1.88).vx_mm_s > 500
        assert only(stop, 2.06).vx_mm_s == 0

    def test_in_the_empty_room_nobody_ever_is(self) -> None:
        assert all(not load_walk("empty").people_at(t) for t in range(10))


def key(row: str) -> str:
    """The test's person with another second key."""
    return PERSON.replace("  { time = 3.0, x_mm = 700, y_mm = 40, z_mm = 2000 },\n", row and f"  {row},\n")


class TestWrongWalks:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("title = ", "w.toml: not TOML: Invalid value (at end of document)"),
            ("duration = " + "[" * 5000, "w.toml: not TOML: nested too deeply"),
            ("duration = 3.0", "w.toml: title missing; expected text"),
            ('title = "A"', "w.toml: duration missing; expected a number, 0.1 to 3600 seconds"),
            (
                HEAD + "speed = 3",
                "w.toml: speed = 3; unknown key, expected one of title, duration, room, person, follow",
            ),
            (
                HEAD + "[room]\nlight = 9",
                "w.toml: room.light = 9; expected a number, 0.05 to 2",
            ),
            (
                HEAD + "[room]\nnoise = true",
                "w.toml: room.noise = true; expected a number, 0 to 40 grey levels",
            ),
            (HEAD + "person = 1", "w.toml: person = 1; expected a list of tables"),
            (
                HEAD + PERSON + PERSON,
                'w.toml: person 2: who = "anna"; expected a name of its own',
            ),
            (
                HEAD + PERSON.replace('who = "anna"\n', ""),
                "w.toml: person 1: who missing; expected text",
            ),
            (
                HEAD + PERSON.replace("astronaut.png", "bob.png"),
                'w.toml: person 1 (anna): photograph = "bob.png"; '
                "expected one of astronaut.png, grace_hopper.jpg",
            ),
            (
                HEAD + PERSON.replace("keys", "hat = 1\nkeys"),
                "w.toml: person 1: hat = 1; unknown key, expected one of "
                "who, photograph, kind, mirrored, eye_distance_mm, gait_mm, life, turned_away, keys",
            ),
            (
                HEAD + PERSON.replace("keys", "life = 1.5\nkeys"),
                "w.toml: person 1 (anna): life = 1.5; expected a number, 0 to 1",
            ),
            (
                HEAD + PERSON.replace("keys", 'kind = "ghost"\nkeys'),
                'w.toml: person 1 (anna): kind = "ghost"; expected one of "person", "statue", "poster"',
            ),
            (
                HEAD + PERSON.replace("keys", 'kind = "poster"\nlife = 1\nkeys'),
                'w.toml: person 1 (anna): kind = "poster"; '
                "expected person, because life and turned_away are a living person's",
            ),
            (
                HEAD + PERSON.replace("keys", "eye_distance_mm = 200\nkeys"),
                "w.toml: person 1 (anna): eye_distance_mm = 200; expected a number, 30 to 90 mm",
            ),
            (
                HEAD + PERSON.replace("keys", "turned_away = [[1, 2]]\nkeys"),
                "w.toml: person 1 (anna): turned_away = [[1, 2]]; expected a list of tables",
            ),
            (
                HEAD + PERSON.replace("keys", "turned_away = [{ from = 1 }]\nkeys"),
                "w.toml: person 1 (anna): turned_away 1: to missing; "
                "expected a number, 0 to 5 seconds (the walk's duration)",
            ),
            (
                HEAD
                + PERSON.replace(
                    "keys", "turned_away = [{ from = 2, to = 3 }, { from = 2.5, to = 4 }]\nkeys"
                ),
                "w.toml: person 1 (anna): turned_away 2: from = 2.5; expected more than 3, the one before",
            ),
            (
                HEAD + PERSON.replace("keys", "turned_away = [{ from = 2, to = 2 }]\nkeys"),
                "w.toml: person 1 (anna): turned_away 1: to = 2; expected more than 2, the one before",
            ),
            (
                HEAD + "[room]\nback_light = 2",
                "w.toml: room.back_light = 2; expected a number, 0 to 1",
            ),
            (
                HEAD + PERSON.replace("keys", 'mirrored = "yes"\nkeys'),
                'w.toml: person 1 (anna): mirrored = "yes"; expected true or false',
            ),
            (
                HEAD + key(""),
                'w.toml: person 1 (anna): keys = [{"time": 1.0, "x_mm": -500, "z_mm": 1000}]; '
                "expected at least two {time, x_mm, z_mm}",
            ),
            (
                HEAD + key("{ time = 3.0, x_mm = 700, z_mm = -5 }"),
                "w.toml: person 1 (anna): key 2: z_mm = -5; expected a number, 200 to 20000 mm",
            ),
            (
                HEAD + key("{ time = 3.0, x_mm = 700 }"),
                "w.toml: person 1 (anna): key 2: z_mm missing; expected a number, 200 to 20000 mm",
            ),
            (
                HEAD + key("{ time = 1.0, x_mm = 700, z_mm = 900 }"),
                "w.toml: person 1 (anna): key 2: time = 1.0; expected more than 1, the key before",
            ),
            (
                HEAD + key("{ time = 6.0, x_mm = 700, z_mm = 900 }"),
                "w.toml: person 1 (anna): key 2: time = 6.0; "
                "expected a number, 0 to 5 seconds (the walk's duration)",
            ),
            (
                HEAD + key("{ time = 3.0, x_mm = nan, z_mm = 900 }"),
                "w.toml: person 1 (anna): key 2: x_mm = nan; expected a number, -20000 to 20000 mm",
            ),
        ],
    )
    def test_wrong_walks_are_refused_in_one_clear_line(self, text: str, line: str) -> None:
        with pytest.raises(ConfigError) as error:
            parse_walk(text, "w.toml")
        assert str(error.value) == line

    def test_a_number_too_long_for_python_is_refused_in_one_line(self) -> None:
        with pytest.raises(ConfigError, match=r"^w\.toml: not TOML: .*5000 digits"):
            parse_walk("duration = " + "1" * 5000, "w.toml")

    def test_an_unknown_name_is_answered_with_those_there_are(self) -> None:
        with pytest.raises(
            ConfigError, match=r"no walk 'stroll'; expected one of child, couple, cross, crowd, demo"
        ):
            load_walk("stroll")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"mine\.toml: cannot be read \(No such file or directory\)"):
            load_walk(tmp_path / "mine.toml")

    def test_a_file_of_ones_own_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(HEAD + PERSON)
        assert load_walk(path) == parse_walk(HEAD + PERSON, "")


class TestKinds:
    def test_a_file_tells_living_people_from_pictures(self) -> None:
        life = PERSON.replace("keys", "life = 0.5\nturned_away = [{ from = 1.5, to = 2 }]\nkeys")
        hung = PERSON.replace("anna", "bert").replace("keys", 'kind = "poster"\neye_distance_mm = 200\nkeys')
        walk = parse_walk(HEAD + life + hung + "[room]\nback_light = 0.5\n", "w")
        anna, bert = walk.people
        assert (anna.kind, anna.life, anna.turned_away) == ("person", 0.5, ((1.5, 2.0),))
        assert (bert.kind, bert.life, bert.eye_distance_mm) == ("poster", 0.0, 200.0)
        assert walk.room.back_light == 0.5

    @pytest.mark.parametrize("kind", ["statue", "poster"])
    def test_statues_and_posters_are_not_to_be_followed(self, kind: str) -> None:
        near = PERSON.replace("anna", "bert").replace("keys", f'kind = "{kind}"\nkeys')
        near = near.replace("z_mm = 1000", "z_mm = 700").replace("z_mm = 2000", "z_mm = 800")
        followed = parse_walk(HEAD + PERSON + near, "w").followed_at(2.0, LENS)
        assert followed is not None and followed.who == "anna"
        assert parse_walk(HEAD + near, "w").followed_at(2.0, LENS) is None


class TestWhomToFollow:
    def test_the_script_says_whom_and_else_the_nearest_in_view(self) -> None:
        other = PERSON.replace("anna", "bert").replace("-500, z_mm = 1000", "-100, z_mm = 800")
        plain = parse_walk(HEAD + PERSON + other, "w")
        scripted = parse_walk(HEAD + PERSON + other + FOLLOW, "w")
        for time, who in ((1.1, "anna"), (2.1, "bert")):
            nearest, asked = plain.followed_at(time, LENS), scripted.followed_at(time, LENS)
            assert nearest is not None and nearest.who == "bert"
            assert asked is not None and asked.who == who
        assert plain.followed_at(4.5, LENS) is None

    @pytest.mark.parametrize(
        ("row", "fault"),
        [
            ("time = 9.0\nwho = 'anna'", "time = 9.0; expected a number, 0 to 5 seconds"),
            ("time = 1.0\nwho = 'carl'", 'who = "carl"; expected one of anna'),
            ("time = 1.0", "who missing; expected text"),
        ],
    )
    def test_a_wrong_line_is_named(self, row: str, fault: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_walk(f"{HEAD}{PERSON}[[follow]]\n{row}\n", "w.toml")
        assert str(caught.value).startswith(f"w.toml: follow 1: {fault}")
