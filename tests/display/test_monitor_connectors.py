import logging
import threading
import time
from pathlib import Path

import pytest

from appliance.display import monitor
from appliance.display.monitor import MonitorWatch, usable_connectors, wait_for_monitor
from appliance.errors import DisplayLost


def plug(system: Path, name: str, status: str, *modes: str) -> Path:
    """A connector as the kernel shows it."""
    folder = system / name
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "status").write_text(f"{status}\n")
    (folder / "modes").write_text("".join(f"{mode}\n" for mode in modes))
    return folder


def test_a_monitor_on_any_card_is_found_and_writeback_is_none(tmp_path: Path) -> None:
    plug(tmp_path, "card0-Writeback-1", "connected", "1920x1080")
    plug(tmp_path, "card0-HDMI-A-1", "disconnected")
    assert usable_connectors(tmp_path) == []
    plug(tmp_path, "card1-HDMI-A-2", "connected", "1080x1920", "800x600")
    (tmp_path / "card1").mkdir()
    (tmp_path / "renderD128").mkdir()
    (found,) = usable_connectors(tmp_path)
    assert (found.name, found.modes) == ("HDMI-A-2", ("1080x1920", "800x600"))


@pytest.mark.parametrize(
    ("plugs", "said"),
    [
        ([], "no graphics card in"),
        ([("card0-HDMI-A-1", "disconnected")], "no monitor on HDMI-A-1; check that it is on and plugged in"),
        ([("card1-HDMI-A-1", "unknown"), ("card1-DSI-1", "disconnected")], "no monitor on DSI-1, HDMI-A-1"),
        (
            [("card0-HDMI-A-1", "connected")],
            "the monitor on HDMI-A-1 reports no modes; check its cable, or add video=HDMI-A-1:1920x1080@60D",
        ),
    ],
)
def test_what_is_missing_is_said_once_a_minute_at_most(
    tmp_path: Path, plugs: list[tuple[str, str]], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name, status in plugs:
        plug(tmp_path, name, status)
    looks = []
    end = time.monotonic() + 1.2
    assert not wait_for_monitor(threading.Event(), end, lambda: looks.append(1), tmp_path)
    assert len(looks) >= 2
    ((name, level, line),) = caplog.record_tuples
    assert (name, level) == ("appliance.display.monitor", logging.WARNING)
    assert line.startswith(f"no display: {said}") and line.endswith("; waiting for one")


def test_a_monitor_turned_on_late_ends_the_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "disconnected")
    later = threading.Timer(0.3, plug, (tmp_path, "card0-HDMI-A-1", "connected", "1080x1920"))
    later.start()
    assert wait_for_monitor(threading.Event(), system=tmp_path)
    later.join()
    assert [record.getMessage() for record in caplog.records][1:] == [
        monitor.MONITOR_CONNECTED % "HDMI-A-1 1080x1920"
    ]


def test_a_monitor_that_is_there_is_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    assert wait_for_monitor(threading.Event(), system=tmp_path)
    assert not caplog.records


def test_the_wait_ends_when_the_service_is_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert not wait_for_monitor(stop, system=tmp_path)


@pytest.mark.parametrize(
    ("status", "modes", "said"),
    [
        ("disconnected", (), "no monitor now"),
        ("connected", ("1024x768",), "HDMI-A-1 1024x768 now"),
    ],
)
def test_a_monitor_that_goes_or_changes_its_mode_is_lost(
    tmp_path: Path, status: str, modes: tuple[str, ...], said: str
) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    monitor = MonitorWatch(tmp_path)
    monitor.check(0.0)
    plug(tmp_path, "card0-HDMI-A-1", status, *modes)
    monitor.check(1.0)
    monitor.check(3.9)
    with pytest.raises(DisplayLost, match=f"HDMI-A-1 1080x1920 at the start, {said}"):
        monitor.check(4.0)


def test_a_line_let_go_for_a_moment_is_forgiven(tmp_path: Path) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    monitor = MonitorWatch(tmp_path)
    for second in range(0, 20, 2):
        plug(tmp_path, "card0-HDMI-A-1", "disconnected")
        monitor.check(second)
        plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
        monitor.check(second + 1)


@pytest.mark.parametrize("back", [True, False])
def test_a_monitor_in_standby_may_disconnect_until_woken(tmp_path: Path, back: bool) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    monitor = MonitorWatch(tmp_path)
    plug(tmp_path, "card0-HDMI-A-1", "disconnected")
    for second in range(0, 40000, 100):
        monitor.check(second, asleep=True)
    if back:
        plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    monitor.check(40000.0)
    monitor.check(40002.9)  # meanwhile the wake is sent
    with pytest.raises(DisplayLost, match="1080x1920 at the start, away for a while, "):
        monitor.check(40003.0)  # opened anew, which sets the mode again


def test_a_monitor_that_holds_the_line_in_standby_stays_lit(tmp_path: Path) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    monitor = MonitorWatch(tmp_path)
    for second in range(0, 40000, 100):
        monitor.check(second, asleep=20000 < second < 30000)


def test_a_woken_monitor_has_half_a_minute_to_come_back(tmp_path: Path) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    monitor = MonitorWatch(tmp_path)
    plug(tmp_path, "card0-HDMI-A-1", "disconnected")
    monitor.check(100.0, asleep=True)
    for second in range(101, 131):
        monitor.check(second, waking=True)
    with pytest.raises(DisplayLost, match="away for a while, no monitor now"):
        monitor.check(131.0)


def test_a_woken_monitor_that_comes_back_is_opened_anew(tmp_path: Path) -> None:
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    monitor = MonitorWatch(tmp_path)
    plug(tmp_path, "card0-HDMI-A-1", "disconnected")
    for second in range(10):  # switched off by its remote during opening hours
        monitor.check(second, waking=True)
    plug(tmp_path, "card0-HDMI-A-1", "connected", "1080x1920")
    with pytest.raises(DisplayLost, match="away for a while, HDMI-A-1 1080x1920 now"):
        monitor.check(10.0, waking=True)
