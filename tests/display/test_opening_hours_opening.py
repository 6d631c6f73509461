import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.config import HoursConfig
from appliance.display import opening_hours as system_clock
from appliance.display.cec import MonitorWaker
from appliance.display.opening_hours import OpeningController
from tests.conftest import every_day
from tests.display.television import Rack

WAKE = "cec0 --playback --to 0 --image-view-on"
NINE = datetime(2026, 5, 4, 9, tzinfo=UTC).timestamp()


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rack:
    rack = Rack(tmp_path / "rack", monkeypatch)
    rack.adapter("cec0", 33)
    rack.connector("card1-HDMI-A-1", 33)
    monkeypatch.setattr(MonitorWaker.__init__, "__defaults__", (rack.devices, rack.system))
    return rack


def wakes_by(opening: OpeningController, rack: Rack, seconds: range, wall: float) -> int | None:
    """Let seconds pass on both clocks; return the first in which the television was woken."""
    assert opening._waker
    for now in seconds:
        opening.step(float(now), wall + now)
        while opening._waker._cec.busy:
            os.sched_yield()
            opening._waker._cec.step(now)
        if WAKE in rack.messages():
            return now
    return None


def test_a_television_wakes_at_opening_with_no_display_open(rack: Rack) -> None:
    hours = HoursConfig(cec=True, timezone="UTC", clock="any", **every_day("10:00-18:00"))
    assert wakes_by(OpeningController(hours), rack, range(0, 7200), NINE) == 3600


@pytest.mark.parametrize(("comes", "woken"), [(20, 3600), (None, 45)], ids=["network", "no network"])
def test_a_power_cut_at_night_wakes_no_television(
    rack: Rack, comes: int | None, woken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0

    def is_set() -> bool:
        nonlocal now
        now += 1
        return comes is not None and now > comes

    monkeypatch.setattr(system_clock, "clock_is_set", is_set)
    hours = HoursConfig(cec=True, timezone="UTC", **every_day("10:00-18:00"))
    assert wakes_by(OpeningController(hours), rack, range(0, 7200), NINE) == woken


def test_without_cec_a_start_loads_nothing_of_it() -> None:
    script = (
        "import sys, appliance.service.app; from appliance.config import HoursConfig;"
        "from appliance.display.opening_hours import OpeningController; OpeningController(HoursConfig()).step(0.0, 0.0);"
        "print(sorted(name for name in sys.modules if name.endswith(('.cec', 'zoneinfo'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
