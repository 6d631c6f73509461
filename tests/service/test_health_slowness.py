import math
from dataclasses import replace

import pytest

from appliance.service.health import BUSY, HOT, LATE, RARE, SPAN, WEAK, Machine, Slowness

COOL = Machine(50.0, False, False)


class Minute:
    """Tells a `Slowness` ten times a second how pictures come."""

    def __init__(self) -> None:
        self.slowness = Slowness(5.0)
        self.now, self.pictures = 1000.0, 0.0

    def passes(
        self,
        seconds: float,
        rate: float,
        asked: float = 30.0,
        delay: float = 0.1,
        machine: Machine = COOL,
        step: float = 0.1,
    ) -> str:
        """Let pictures come at a rate for some seconds; return what is said of them at the end."""
        for _ in range(round(seconds / step)):
            self.now += step
            self.pictures += rate * step
            self.slowness.take(self.now, int(self.pictures), asked, delay, machine)
        return self.slowness.cause


@pytest.mark.parametrize("rate", [30, 15, 10.5])
def test_full_half_and_just_over_a_third_of_the_rate_is_well(rate: float) -> None:
    assert Minute().passes(60, rate) == ""


@pytest.mark.parametrize(("rate", "asked"), [(0.2, 30), (9, 30), (9, 120), (1.5, 5)])
def test_under_a_third_of_the_rate_is_slow_within_ten_seconds(rate: float, asked: float) -> None:
    minute = Minute()
    minute.passes(60, asked, asked)
    began = minute.now
    assert minute.passes(SPAN + 2, rate, asked) == RARE % (min(asked, 30), BUSY)
    assert began < minute.slowness.since <= began + SPAN + 2


def test_a_starved_process_is_slow_though_it_is_told_rarely() -> None:
    assert Minute().passes(60, 0.2, step=6.0) == RARE % (30, BUSY)


def test_a_room_that_wakes_up_is_not_slow() -> None:
    minute = Minute()
    assert minute.passes(60, 5, asked=5) == ""
    for _ in range(200):
        assert minute.passes(0.1, 30) == ""


def test_time_in_which_the_process_stood_still_is_not_slow() -> None:
    minute = Minute()
    minute.passes(60, 30)
    minute.now += 600
    for _ in range(200):
        assert minute.passes(0.1, 30) == ""


def test_late_pictures_are_slow_but_a_single_one_is_not() -> None:
    minute = Minute()
    assert minute.passes(1, 30, delay=2) == ""
    assert minute.passes(30, 30) == ""
    assert minute.passes(SPAN + 2, 30, delay=2) == LATE % (1, BUSY)
    assert minute.passes(2, 30) == "" and minute.slowness.since == math.inf


def test_a_long_exposure_at_a_low_rate_is_not_late() -> None:
    assert Minute().passes(60, 1, asked=1, delay=2) == ""


def test_slowness_ends_with_pictures_and_does_not_flicker() -> None:
    minute = Minute()
    said = minute.passes(20, 9.5)
    assert said == minute.passes(60, 11), "still as it was said first"
    assert minute.passes(20, 14) == ""


@pytest.mark.parametrize(
    ("machine", "likely"),
    [
        (COOL, BUSY),
        (Machine(None, None, None), BUSY),
        (replace(COOL, throttled=True), HOT),
        (replace(COOL, temperature=82.0), HOT),
        (Machine(82.0, True, True), WEAK),
    ],
)
def test_the_likely_cause_is_named(machine: Machine, likely: str) -> None:
    assert Minute().passes(20, 2, machine=machine) == RARE % (30, likely)


def test_nothing_is_expected_of_a_camera_that_is_not_open() -> None:
    minute = Minute()
    assert minute.passes(60, 0, asked=0) == ""
    assert minute.passes(5, 0) == "" and minute.passes(60, 0, asked=0) == ""
