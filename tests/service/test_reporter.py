import json
import logging
import socket
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.config import CARD_FILE, CONFIG_FILE, Config
from appliance.errors import CameraStalled
from appliance.service import reporter as module
from appliance.service.health import HOT, PATIENCE, RARE, HealthInputs, Machine
from appliance.service.reporter import HOUR, HOURLY, MORE_TIME, Flipped, Reporter, p95
from appliance.service.settings import Settings
from appliance.service.status import PROMETHEUS, STATUS


def told(reporter: Reporter, inputs: HealthInputs, seconds: float) -> None:
    """Tell the same inputs ten times a second, as the loop does."""
    for step in range(int(10 * seconds)):
        reporter.take(replace(inputs, now=inputs.now + step / 10))


def test_a_pause_of_the_whole_process_is_no_camera_hang() -> None:
    now = time.monotonic()
    reporter = Reporter(Config())
    well = HealthInputs(now, lit=now, due=now + 5, pictures=100)
    told(reporter, well, 1)
    stopped = replace(well, now=now + 600)
    told(reporter, stopped, PATIENCE - 1)
    with pytest.raises(CameraStalled):
        told(reporter, replace(stopped, now=stopped.now + PATIENCE - 1), 3)


def test_a_camera_silent_while_all_else_goes_on_is_a_hang() -> None:
    now = time.monotonic()
    with pytest.raises(CameraStalled):
        told(Reporter(Config()), HealthInputs(now, lit=now, due=now + 5, pictures=100), 5 + PATIENCE + 1)


def test_the_summary_of_an_hour_counts_that_hour_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "appliance")
    monkeypatch.setattr(module, "read_machine", lambda: Machine(51.0, True, False))
    now = time.monotonic()
    reporter = Reporter(Config())
    empty = HealthInputs(now, lit=now)
    reporter.take(empty)
    reporter.take(replace(empty, pictures=3600, now=now + 2, seen=now + 2))  # somebody comes,
    reporter.take(Flipped(0.1))
    reporter.take(replace(empty, pictures=7200, now=now + 62, seen=now + 62))  # and goes
    monkeypatch.setattr(module, "read_machine", lambda: Machine(40.0, False, False))
    reporter.take(replace(empty, pictures=36000, now=now + HOUR + 1))
    reporter.take(replace(empty, pictures=72000, now=now + 2 * HOUR + 2))
    first, second = (record.getMessage() for record in caplog.records if record.msg == HOURLY)
    assert first == (
        "last hour: 1 visitors followed for 62 s, 10.0 pictures/s, picture to flip 100 ms (p95), "
        "51 degrees C, UNDER-VOLTAGE, no throttling"
    )
    assert second.startswith(
        "last hour: 0 visitors followed for 0 s, 10.0 pictures/s, picture to flip never,"
    )


def test_a_status_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.monotonic()
    reporter = Reporter(Config(), place=tmp_path)
    for step, obstacle in enumerate((".mona-lisa.prom.new", ".status.json.new")):
        (tmp_path / obstacle).mkdir()
        told(reporter, HealthInputs(now + 10 * step, lit=now), 5)
    assert [record.msg for record in caplog.records] == [module.STATUS_UNWRITTEN]


def written(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / STATUS).read_text())
    return found


def test_the_status_counts_every_flip(tmp_path: Path) -> None:
    now = time.monotonic()
    reporter = Reporter(Config(), place=tmp_path)
    for delay in (0.1, None, 0.1):  # a flip without a picture counts too
        reporter.take(Flipped(delay))
    told(reporter, HealthInputs(now, lit=now), 5)
    assert written(tmp_path)["counts"]["flips"] == 3
    assert "flips_total 3\n" in (tmp_path / PROMETHEUS).read_text()


def test_a_starved_service_is_unhealthy_after_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_machine", lambda: Machine(84.0, False, True))
    now = time.monotonic()
    reporter, total = Reporter(Config(), place=tmp_path), 1.0

    def starve(seconds: int, pictures: float) -> dict[str, Any]:
        nonlocal now, total
        for _ in range(10 * seconds):
            now, total = now + 0.1, total + pictures / 10
            reporter.take(HealthInputs(now, lit=now, due=now + 5, pictures=int(total), asked=30.0, delay=0.1))
        return written(tmp_path)

    assert starve(20, 30)["healthy"]
    slow = starve(30, 2)
    assert (slow["state"], slow["healthy"]) == ("slow", True)
    assert slow["cause"] == RARE % (30, HOT)
    late = starve(60, 2)
    assert (late["state"], late["healthy"]) == ("slow", False)
    assert late["since_s"] == pytest.approx(slow["since_s"] + 60, abs=1.1) and slow["since_s"] < 30
    assert starve(20, 30)["healthy"]
    said = [record.getMessage() for record in caplog.records]
    assert said == [module.SLOW % slow["cause"], module.FAST_AGAIN]


def test_a_camera_lost_after_hours_is_told_but_not_a_dark_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.monotonic()
    reporter = Reporter(Config(), place=tmp_path)
    night = HealthInputs(now, lit=now, pictures=100, closed=True)
    reporter.take(night)
    reporter.take(replace(night, now=now + 2, blind="pictures are black for 10 s"))
    assert written(tmp_path)["healthy"] and not caplog.records
    reporter.take(replace(night, now=now + 4, blind="no camera found", pause=2.0))
    status = written(tmp_path)
    assert (status["state"], status["healthy"], status["cause"]) == ("closed", False, "no camera found")
    assert status["sentence"] == "closed, the screen is black; but no camera found"
    assert [record.msg for record in caplog.records] == [module.CAMERA_LOST]
    reporter.take(replace(night, now=now + 6, blind="pictures are black for 10 s"))
    assert written(tmp_path)["healthy"], "it is back, in a dark room"


def test_a_lens_covered_by_day_stays_a_fault_after_hours(tmp_path: Path) -> None:
    now = time.monotonic()
    reporter = Reporter(Config(), place=tmp_path)
    covered = HealthInputs(now, lit=now, pictures=100, blind="pictures are black for 10 s")
    reporter.take(covered)
    reporter.take(replace(covered, now=now + 2, closed=True))
    assert not written(tmp_path)["healthy"]


def test_the_camera_is_logged_once_also_after_hours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = time.monotonic()
    reporter = Reporter(Config(), place=tmp_path)
    night = HealthInputs(now, lit=now, closed=True)
    reporter.take(night)
    lens = "picamera (imx708_wide), 102 degrees wide"
    for step in range(5):
        reporter.take(replace(night, now=now + step, pictures=1 + step, camera=lens))
    assert [record.getMessage() for record in caplog.records] == [module.SEEING % lens]
    assert written(tmp_path)["seen_through"] == lens


def heard(systemd: socket.socket) -> list[list[str]]:
    """The messages that have come, each as its lines."""
    messages = []
    with suppress(BlockingIOError):
        while True:
            messages.append(systemd.recv(4000).decode().splitlines())
    return messages


def test_systemd_hears_every_second_how_it_is_unless_it_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    now = time.monotonic()
    well = HealthInputs(now, lit=now, due=now + 600, pictures=100)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        reporter = Reporter(Config())
        messages = []
        for second in range(30):
            # The last flip completed at `now`: some seconds after it the watchdog is no longer fed.
            told(reporter, replace(well, now=now + second), 1)
            messages += heard(systemd)  # the socket holds ten
        assert [m[0].startswith("STATUS=alone, ") for m in messages] == [True] * 30
        assert ["WATCHDOG=1" in m for m in messages] == [second <= PATIENCE for second in range(30)]
        told(reporter, replace(well, now=now + 30, dark="no monitor"), 1)
        assert heard(systemd) == [
            ["STATUS=dark (no monitor); waiting for a display", "WATCHDOG=1", MORE_TIME]
        ]


def test_camera_faults_are_counted_once_for_each_loss() -> None:
    now = time.monotonic()
    reporter = Reporter(Config())
    counted = []
    for step, blind in enumerate(("", "no camera found", "", "no camera found", "")):
        told(reporter, HealthInputs(now + 2 * step, lit=now, pictures=100, blind=blind), 2)
        counted.append(reporter.counts.camera_faults)
    assert counted == [0, 1, 1, 2, 2]


def test_the_status_names_the_settings_that_are_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    for name in (CONFIG_FILE, CARD_FILE):
        (tmp_path / name).write_text("[gaze]\ngain = 2\n")
    settings = Settings(supervised=True)
    reporter, now = Reporter(settings.start(), tmp_path), time.monotonic()
    reporter.take(HealthInputs(now, lit=now, overridden=settings.overridden))
    (line,) = json.loads((tmp_path / STATUS).read_text())["overridden"]
    assert line.startswith(
        f"{tmp_path / CONFIG_FILE}:2: gaze.gain = 2.0; overridden: {tmp_path / CARD_FILE}:2"
    )


def test_the_95th_percentile_is_never_below_the_median() -> None:
    assert p95([]) is None
    assert p95([3.0]) == 3
    assert p95([3.0, 1.0]) == 3
    assert p95(range(1, 21)) == 19
    assert p95(range(1, 101)) == 95
