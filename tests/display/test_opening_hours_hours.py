import logging
import os
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.config import WEEK, HoursConfig
from appliance.display import opening_hours
from appliance.display import opening_hours as system_clock
from appliance.display.cec import MonitorWaker
from appliance.display.opening_hours import (
    Dimmer,
    OpeningController,
    OpeningHours,
    battery_clock_agrees,
    parse_openings,
)
from tests.conftest import every_day
from tests.display.television import Rack

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # its clocks leapt over midnight until 2018
    "Asia/Beirut",  # and these back over midnight
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # left out a day in 2011
    "Asia/Kathmandu",
    "UTC",
]
START, END = datetime(2009, 1, 1, tzinfo=UTC).timestamp(), datetime(2037, 12, 1, tzinfo=UTC).timestamp()
MOMENTS = st.floats(START, END).map(round)


def clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


@st.composite
def openings(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["always", "closed", "span", "span", "two"]))
    if kind in ("always", "closed"):
        return kind
    minutes = st.integers(0, 24 * 60 - 1)
    return ", ".join(f"{clock(draw(minutes))}-{clock(draw(minutes))}" for _ in range(1 + (kind == "two")))


@st.composite
def weeks(draw: st.DrawFn) -> HoursConfig:
    days: dict[str, Any] = {day: draw(openings()) for day in WEEK}
    closed = draw(st.lists(st.dates(date(2009, 1, 1), date(2037, 12, 1)), max_size=3))
    return HoursConfig(
        timezone=draw(st.sampled_from(ZONES)),
        closed_days=tuple(day.isoformat()[draw(st.sampled_from([0, 5])) :] for day in closed),
        clock="any",
        **days,
    )


def by_wall_clock(config: HoursConfig, local: datetime) -> bool:
    """Opening hours as a warden reads them from a sign: day and time of the clock on the wall, no more."""
    for back in (0, 1):
        day = local.date() - timedelta(back)
        if day.isoformat() in config.closed_days or day.isoformat()[5:] in config.closed_days:
            continue
        text = getattr(config, WEEK[day.weekday()])
        if text == "always" and back == 0:
            return True
        if text in ("always", "closed"):
            continue
        for span in text.split(", "):
            start, end = (time.fromisoformat(moment) for moment in span.split("-"))
            overnight = end <= start
            if back == 0 and local.time() >= start and (overnight or local.time() < end):
                return True
            if back == 1 and overnight and local.time() < end:
                return True
    return False


@settings(max_examples=200, deadline=None)
@given(weeks(), MOMENTS)
def test_it_is_open_when_sign_and_wall_clock_say_so(config: HoursConfig, moment: int) -> None:
    zone = ZoneInfo(config.timezone)
    local = datetime.fromtimestamp(moment, zone)
    around = {datetime.fromtimestamp(moment + day * 86400, zone).utcoffset() for day in range(-2, 3)}
    assume(len(around) == 1)  # within two days of a change of clocks the other tests look
    assert OpeningHours(config).open_at(moment) == by_wall_clock(config, local.replace(tzinfo=None))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(ZONES[:6]), st.integers(2009, 2036))
def test_when_clocks_change_it_opens_and_closes_once(zone: str, year: int) -> None:
    hours = OpeningHours(HoursConfig(timezone=zone, **every_day("18:00-02:30")))
    info = ZoneInfo(zone)
    none = timedelta()
    days = [datetime(year, 1, 1, 12, tzinfo=info) + timedelta(day) for day in range(365)]
    for before, after in pairwise(days):
        leap = (after.utcoffset() or none) - (before.utcoffset() or none)
        if not leap or abs(leap) > timedelta(hours=3):
            continue  # no change, or a country that went over the date line
        states = [
            hours.open_at(moment) for moment in range(int(before.timestamp()), int(after.timestamp()), 300)
        ]
        assert sum(a != b for a, b in pairwise(states)) == 2


@given(st.sampled_from(ZONES), MOMENTS)
def test_always_is_always_and_closed_never(zone: str, moment: int) -> None:
    assert OpeningHours(HoursConfig(timezone=zone)).open_at(moment)
    assert not OpeningHours(HoursConfig(timezone=zone, **every_day("closed"))).open_at(moment)


def test_when_clocks_go_back_it_closes_at_the_first_such_hour() -> None:
    hours = OpeningHours(HoursConfig(timezone="Europe/Berlin", **every_day("18:00-02:30")))
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()  # 02:30 summer time
    assert hours.open_at(first - 1) and not hours.open_at(first)
    assert not hours.open_at(first + 3600 - 600), "at 02:20 for the second time it stays closed"


def test_the_night_before_a_closed_day_runs_to_its_end() -> None:
    config = HoursConfig(timezone="UTC", closed_days=("12-25",), **every_day("18:00-02:00"))
    hours = OpeningHours(config)
    for text, is_open in (
        ("2026-12-24T23:00", True),
        ("2026-12-25T01:59", True),
        ("2026-12-25T02:00", False),
        ("2026-12-25T20:00", False),
        ("2026-12-26T01:00", False),
        ("2026-12-26T18:00", True),
    ):
        assert hours.open_at(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) is is_open, text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("closed", ()),
        ("always", ((0, 1440),)),
        ("10:00-18:00", ((600, 1080),)),
        ("10:00-12:30, 14:00-24:00", ((600, 750), (840, 1440))),
        ("18:00-02:00", ((1080, 1560),)),
    ],
)
def test_times_are_read(text: str, expected: tuple[tuple[int, int], ...]) -> None:
    assert parse_openings(text) == expected


@settings(max_examples=60, deadline=None)
@given(
    weeks(),
    MOMENTS,
    st.lists(st.sampled_from([-366 * 86400, 366 * 86400, -3600, 3600, 40, 0]), min_size=1, max_size=12),
)
def test_a_clock_leaping_a_year_is_right_within_a_minute(
    config: HoursConfig, wall: int, leaps: list[int]
) -> None:
    screen = Dimmer(OpeningController(config))
    hours = OpeningHours(config)
    now, wall_now = 1000.0, float(wall)
    screen.start(now, wall_now)
    for leap in leaps:
        wall_now += leap
        wrong_since = None
        for _ in range(30):  # two and a half minutes
            now, wall_now = now + 5, wall_now + 5
            screen.step(now, wall_now)
            if screen.level == float(hours.open_at(wall_now)):
                wrong_since = None
            else:
                wrong_since = now if wrong_since is None else wrong_since
                assert now - wrong_since < 60


def test_it_fades_slowly_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    config = HoursConfig(timezone="UTC", clock="any", fade=4.0, **every_day("10:00-18:00"))
    screen = Dimmer(OpeningController(config))
    closing = datetime(2026, 5, 4, 18, tzinfo=UTC).timestamp()
    screen.start(0.0, closing - 10)
    levels = []
    for tick in range(200):
        screen.step(tick / 10, closing - 10 + tick / 10)
        levels.append(screen.level)
    assert levels[95] == 1.0 and levels[-1] == 0.0
    falling = [level for level in levels if 0 < level < 1]
    assert 35 <= len(falling) <= 40
    assert falling == sorted(falling, reverse=True)
    assert [record.getMessage() for record in caplog.records] == [opening_hours.SCREEN_CLOSED]


def test_a_fade_begins_without_a_jump_though_steps_were_rare() -> None:
    config = HoursConfig(timezone="UTC", clock="any", fade=3.0, **every_day("10:00-18:00"))
    screen = Dimmer(OpeningController(config))
    closing = datetime(2026, 5, 4, 18, tzinfo=UTC).timestamp()
    screen.start(0.0, closing - 5)
    for second in range(6):
        screen.step(float(second), closing - 5 + second)
    assert not screen.open and screen.level == 1.0
    screen.step(5.05, closing + 0.05)
    assert screen.level == pytest.approx(1 - 0.05 / 3)


def test_at_a_start_outside_hours_it_is_black_at_once() -> None:
    config = HoursConfig(timezone="UTC", clock="any", **every_day("10:00-18:00"))
    screen = Dimmer(OpeningController(config))
    screen.start(0.0, datetime(2026, 5, 4, 22, tzinfo=UTC).timestamp())
    assert screen.level == 0.0 and not screen.open


def test_with_no_fade_it_closes_and_opens_at_once() -> None:
    config = HoursConfig(timezone="UTC", clock="any", fade=0.0, monday="10:00-18:00")
    screen = Dimmer(OpeningController(config))
    opening_hours = datetime(2026, 5, 4, 10, tzinfo=UTC).timestamp()
    screen.start(0.0, opening_hours - 10)
    levels = []
    for now in range(20):
        screen.step(float(now), opening_hours - 10 + now)
        levels.append(screen.level)
    assert levels == [0.0] * 10 + [1.0] * 10
    assert screen.step(30.0, opening_hours + 8 * 3600) and screen.level == 0.0


def test_the_television_sleeps_once_the_screen_is_black(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rack = Rack(tmp_path / "rack", monkeypatch)
    rack.adapter("cec0", 33, "1.0.0.0")
    rack.plug_in(rack.connector("card1-HDMI-A-1", 33))
    monkeypatch.setattr(MonitorWaker.__init__, "__defaults__", (rack.devices, rack.system))
    config = HoursConfig(cec=True, timezone="UTC", clock="any", fade=4.0, monday="10:00-18:00")
    opening_hours = OpeningController(config)
    screen = Dimmer(opening_hours)
    closing = datetime(2026, 5, 4, 18, tzinfo=UTC).timestamp()
    screen.start(0.0, closing - 10)
    asleep = []
    for now in range(20):
        screen.step(float(now), closing - 10 + now)
        while opening_hours._waker and opening_hours._waker._cec.busy:
            os.sched_yield()
            opening_hours._waker._cec.step(now)
        asleep.append(rack.messages()[-1:] == ["cec0 --playback --to 0 --standby"])
    assert asleep == [False] * 14 + [True] * 6  # 10 s until it closes, and 4 s of fading


def test_a_clock_that_was_not_set_counts_as_open(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(system_clock, "TIMESYNC_FLAG", tmp_path / "synchronized")
    monkeypatch.setattr(system_clock, "BATTERY_CLOCK", tmp_path)
    monkeypatch.setattr(system_clock, "_kernel_synchronised", lambda: False)  # this machine's may well be
    screen = Dimmer(OpeningController(HoursConfig(**every_day("closed"))))
    for second in range(5):
        screen.start(float(second), 0.0)
    assert screen.open
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, opening_hours.CLOCK_NOT_SET)
    ]


@pytest.mark.parametrize(
    ("set_by_it", "shows", "believed"),
    [("1", 0, True), ("1", 3600, False), ("0", 0, False), ("1", -1.7e9, False), ("", 0, False)],
)
def test_a_battery_clock_that_set_the_systems_is_believed(
    tmp_path: Path, set_by_it: str, shows: float, believed: bool
) -> None:
    now = datetime(2026, 5, 4, tzinfo=UTC).timestamp()
    if set_by_it:
        (tmp_path / "hctosys").write_text(f"{set_by_it}\n")
        (tmp_path / "since_epoch").write_text(f"{now + shows:.0f}\n")
    assert battery_clock_agrees(tmp_path, now) == believed
