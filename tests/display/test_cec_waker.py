import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.display.cec import MonitorWaker
from tests.display.television import REFUSED, Rack

WAKE = "cec0 --playback --to 0 --image-view-on"


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rack:
    return Rack(tmp_path / "rack", monkeypatch)


def times(waker: MonitorWaker, rack: Rack, begin: int, end: int, is_open: bool = True) -> list[int]:
    """Let these seconds pass; return those in which a television was woken."""
    woken = []
    for now in range(begin, end):
        before = rack.messages().count(WAKE)
        waker.step(now, is_open)
        while waker._cec.busy:
            os.sched_yield()
            waker._cec.step(now)
        woken += [now] * (rack.messages().count(WAKE) - before)
    return woken


def test_a_sleeping_television_is_woken_until_it_wakes(rack: Rack) -> None:
    rack.adapter("cec0", 33)
    rack.connector("card1-HDMI-A-1", 33)
    woken = times(MonitorWaker(rack.devices, rack.system), rack, 0, 400)
    assert woken[0] == 0
    pauses = [b - a for a, b in pairwise(woken)]
    assert pauses[:5] == [5, 10, 20, 40, 60] and set(pauses[4:]) == {60}


def test_the_first_step_wakes_and_the_next_ones_end_it(rack: Rack) -> None:
    """The service calls nothing but `step`, once a second."""
    rack.adapter("cec0", 33)
    waker = MonitorWaker(rack.devices, rack.system)
    waker.step(0.0, is_open=True)
    end = time.monotonic() + 20
    while not rack.messages() and time.monotonic() < end:
        os.sched_yield()
    assert rack.messages() == [WAKE]
    while waker._cec.busy and time.monotonic() < end:
        os.sched_yield()
        waker.step(0.0, is_open=True)
    assert not waker._cec.busy


def test_a_television_is_woken_at_opening_and_never_before(rack: Rack) -> None:
    rack.adapter("cec0", 33)
    rack.connector("card1-HDMI-A-1", 33)
    waker = MonitorWaker(rack.devices, rack.system)
    assert times(waker, rack, 0, 1000, is_open=False) == []
    assert times(waker, rack, 1000, 1004) == [1000]


def test_a_television_that_wakes_shows_us_and_is_left_alone(rack: Rack) -> None:
    rack.adapter("cec0", 33)
    rack.wakes("cec0", rack.connector("card1-HDMI-A-1", 33), "1.0.0.0")
    times(MonitorWaker(rack.devices, rack.system), rack, 0, 600)
    assert rack.messages() == [WAKE, WAKE, "cec0 --active-source phys-addr=1.0.0.0"]


def test_a_lit_monitor_that_does_not_listen_is_asked_four_times(rack: Rack) -> None:
    rack.adapter("cec0", 33)
    rack.reply("cec0", REFUSED)
    rack.plug_in(rack.connector("card1-HDMI-A-1", 33))
    assert times(MonitorWaker(rack.devices, rack.system), rack, 0, 600) == [0, 5, 15, 35]


def test_a_television_switched_off_during_hours_is_woken_again(rack: Rack) -> None:
    rack.adapter("cec0", 33, "1.0.0.0")
    plug = rack.connector("card1-HDMI-A-1", 33)
    rack.plug_in(plug)
    waker = MonitorWaker(rack.devices, rack.system)
    assert times(waker, rack, 0, 100) == [0]
    assert not waker.waking(99)
    rack.plug_in(plug, connected=False)
    assert times(waker, rack, 100, 110) == [100, 105]
    assert waker.waking(129) and not waker.waking(130)
