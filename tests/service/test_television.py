"""The service's command in front of a television that sleeps, with fake connectors, adapters and cec-ctl."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.pack import Pack
from tests.display.television import Rack
from tests.service.test_harder_faults import Process

pytestmark = pytest.mark.faults

WAKE, SWITCH = "cec1 --playback --to 0 --image-view-on", "cec1 --active-source phys-addr=2.0.0.0"

# The command itself; only the places of the kernel's files differ, and the half minute is two seconds.
PROGRAM = """
import pathlib, sys
from appliance.display import cec, monitor, screen, open_display
from appliance.service import app
devices, system = map(pathlib.Path, sys.argv[-2:])
cec.MonitorWaker.__init__.__defaults__ = (devices, system)
cec._WAKE_TIME = 2.0
app.wait_until_display_opens = lambda _, *what: open_display.wait_for_free_card(*what, system, devices)
enter = screen.PortraitScreen.__enter__
def watched(self):
    self._monitor = monitor.MonitorWatch(system)
    return enter(self)
screen.PortraitScreen.__enter__ = watched
from appliance.cli import main
sys.exit(main(sys.argv[1:-2]))
"""


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rack:
    rack = Rack(tmp_path / "rack", monkeypatch)
    rack.adapter("cec0", 33)
    rack.adapter("cec1", 42)
    rack.connector("card1-HDMI-A-1", 33)
    return rack


@contextmanager
def service(folder: Path, pack: Pack, rack: Rack, hours: str = "") -> Iterator[Process]:
    config = f"[hours]\ncec = true\n{hours}"
    running = Process(folder, pack, ["-c", PROGRAM], [str(rack.devices), str(rack.system)], config)
    try:
        yield running
        running.host.terminate()
        assert running.host.wait(20) == 0
    finally:
        running.host.kill()
        running.host.wait()


def test_a_television_asleep_at_a_restart_wakes_within_a_minute(
    pack: Pack, tmp_path: Path, rack: Rack
) -> None:
    rack.wakes("cec1", rack.connector("card1-HDMI-A-2", 42), "2.0.0.0")
    with service(tmp_path, pack, rack) as running:
        running.until(lambda: running.status().get("state") == "following")
        running.until(lambda: rack.messages()[-1:] == [SWITCH], 10)
        sent = rack.messages()
        assert [row for row in sent if row.startswith("cec1")] == [WAKE, WAKE, SWITCH]
        assert [row for row in sent if row.startswith("cec0")] == [WAKE.replace("cec1", "cec0")]


def test_a_television_switched_off_by_remote_comes_back(pack: Pack, tmp_path: Path, rack: Rack) -> None:
    plug = rack.connector("card1-HDMI-A-2", 42)
    rack.wakes("cec1", plug, "2.0.0.0")
    with service(tmp_path, pack, rack) as running:
        running.until(lambda: running.status().get("state") == "following" and SWITCH in rack.messages())
        rack.takes("cec1", 5)
        rack.sleeps("cec1", plug)
        running.until(lambda: running.status()["state"] == "dark")
        assert rack.unfinished(), "a wake is under way while the process begins anew"
        rack.wakes("cec1", plug, "2.0.0.0")
        rack.takes("cec1", 0)
        running.until(lambda: running.status()["state"] == "following")
        running.until(lambda: rack.messages()[-1:] == [SWITCH], 10)
        running.until(lambda: not rack.unfinished(), 10)


def test_a_restart_in_closed_hours_wakes_nobody(pack: Pack, tmp_path: Path, rack: Rack) -> None:
    rack.wakes("cec1", rack.connector("card1-HDMI-A-2", 42), "2.0.0.0")
    days = "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    hours = 'clock = "any"\n' + "".join(f'{day} = "closed"\n' for day in days)
    with service(tmp_path, pack, rack, hours) as running:
        running.until(lambda: running.status().get("state") == "closed")
        time.sleep(3)
        assert rack.messages() == []
        assert running.status()["healthy"], "a monitor that sleeps after hours is no fault"
