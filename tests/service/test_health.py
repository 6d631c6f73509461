import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from appliance.service.health import (
    PATIENCE,
    SLOW_FOR,
    HealthInputs,
    State,
    cause,
    healthy,
    hung,
    sentence,
    should_ping_watchdog,
    state_of,
)

HOLD = 1.5
WELL = HealthInputs(
    now=100.0, lit=99.0, due=105.0, pictures=3000, seen=99.9, visitors=3, distance=2.13, frame=17, row=5
)

TIMES = st.floats(0, 1000)
INPUTS = st.builds(
    HealthInputs, now=TIMES, lit=TIMES | st.just(-math.inf), due=TIMES, pictures=st.integers(0, 10), seen=TIMES,
    blind=st.sampled_from(["", "no camera found"]), dark=st.sampled_from(["", "no monitor"]), closed=st.booleans(),
    slow=st.sampled_from(["", "pictures come more than 1 s late; ..."]),
)  # fmt: skip


def test_the_state_follows_from_what_is_measured() -> None:
    assert state_of(replace(WELL, pictures=0), HOLD) is State.STARTING
    assert state_of(WELL, HOLD) is State.FOLLOWING
    assert state_of(replace(WELL, seen=98.6), HOLD) is State.FOLLOWING, "missed for a moment"
    assert state_of(replace(WELL, seen=98.4), HOLD) is State.ALONE
    assert state_of(replace(WELL, blind="no camera found"), HOLD) is State.BLIND
    assert state_of(replace(WELL, blind="no camera found", closed=True), HOLD) is State.CLOSED
    assert state_of(replace(WELL, closed=True, dark="no monitor"), HOLD) is State.DARK
    slow = replace(WELL, slow="pictures come more than 1 s late; the power supply is too weak")
    assert state_of(slow, HOLD) is State.SLOW
    assert state_of(replace(slow, blind="no camera found"), HOLD) is State.BLIND
    assert state_of(replace(slow, closed=True), HOLD) is State.CLOSED


def test_closed_hours_hide_no_missing_camera_or_dead_screen() -> None:
    closed = replace(WELL, closed=True)
    assert healthy(closed) and sentence(closed, State.CLOSED, 5) == "closed, the screen is black"
    blind = replace(closed, blind="no camera found")
    assert not healthy(blind) and cause(blind) == "no camera found"
    assert sentence(blind, State.CLOSED, 0) == "closed, the screen is black; but no camera found"
    dark = replace(blind, dark="no monitor")
    assert not healthy(dark) and cause(dark) == "no monitor"


def test_a_monitor_that_was_sent_to_sleep_is_not_dead() -> None:
    asleep = HealthInputs(now=100.0, dark="no monitor is connected", asleep=True, closed=True)
    assert state_of(asleep, HOLD) is State.CLOSED
    assert healthy(asleep) and should_ping_watchdog(asleep) and cause(asleep) == ""
    assert sentence(asleep, State.CLOSED, 0) == "closed, the screen is black"


def test_pictures_that_come_slowly_are_a_fault_after_a_minute() -> None:
    slow = replace(WELL, slow="pictures come more than 1 s late; ...", slow_since=WELL.now - SLOW_FOR)
    assert healthy(slow)
    for closed in (False, True):
        assert not healthy(replace(slow, now=WELL.now + 1, closed=closed))
    assert (
        sentence(slow, State.SLOW, 2) == "slow (pictures come more than 1 s late; ...); the eyes lag behind"
    )


@given(INPUTS)
def test_the_watchdog_is_fed_while_looks_and_flips_go_on(
    inputs: HealthInputs,
) -> None:
    thread_comes_by = inputs.now <= inputs.due + PATIENCE
    flips_complete = inputs.now - inputs.lit <= PATIENCE
    assert should_ping_watchdog(inputs) == (thread_comes_by and (flips_complete or inputs.dark != ""))
    assert hung(inputs) == (not thread_comes_by)


def test_only_a_silent_camera_starves_the_watchdog() -> None:
    assert should_ping_watchdog(replace(WELL, blind="no camera found", due=WELL.now + 60))
    assert not should_ping_watchdog(replace(WELL, due=WELL.now - PATIENCE - 1))


def test_the_status_sentence_tells_a_person_how_it_is() -> None:
    following = "following 1 of 3 visitors at 2.1 m, 29.8 pictures/s, frame 17, row 5"
    assert sentence(WELL, State.FOLLOWING, 29.84) == following
    one = replace(WELL, visitors=1)
    assert sentence(one, State.FOLLOWING, 29.84).startswith("following 1 of 1 visitor at")
    assert sentence(replace(WELL, distance=None), State.FOLLOWING, 30).startswith(
        "following 1 of 3 visitors, 30.0"
    )
    assert sentence(WELL, State.ALONE, 12.0) == "alone, 12.0 pictures/s, frame 17, row 5"
    blind = replace(WELL, blind="no picture for 5 s")
    assert sentence(blind, State.BLIND, 0.0) == "blind (no picture for 5 s); the sitter rests"


@given(INPUTS, st.sampled_from(State))
def test_the_status_sentence_is_always_one_line(inputs: HealthInputs, state: State) -> None:
    assert len(sentence(inputs, state, 30.0).splitlines()) == 1
