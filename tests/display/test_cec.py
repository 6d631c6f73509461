import os
import time
from pathlib import Path

import pytest

from appliance.assets import home_folder
from appliance.display import cec
from appliance.display.cec import CecSender
from tests.display.television import REFUSED, Rack

WAKE, STANDBY = "--playback --to 0 --image-view-on", "--playback --to 0 --standby"


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rack:
    return Rack(tmp_path / "rack", monkeypatch)


def ended(sender: CecSender, now: float = 0.0) -> None:
    while sender.busy:
        os.sched_yield()
        sender.step(now)


@pytest.mark.parametrize("ids", [(33, 42), (0, 0)], ids=["kernel tells numbers", "older kernel"])
def test_of_two_televisions_only_ours_is_woken_and_shows_us(rack: Rack, ids: tuple[int, int]) -> None:
    rack.adapter("cec0", 33, "1.0.0.0")
    rack.adapter("cec1", 42, "2.0.0.0")
    rack.connector("card1-HDMI-A-1", ids[0])
    rack.connector("card1-HDMI-A-2", ids[1])
    sender = CecSender(rack.devices, rack.system)
    sender.connector = "HDMI-A-2"
    sender.wake()
    ended(sender)
    assert sender.switched
    sender.standby()
    ended(sender)
    assert rack.messages() == [f"cec1 {WAKE}", "cec1 --active-source phys-addr=2.0.0.0", f"cec1 {STANDBY}"]


def test_before_a_monitor_was_seen_every_adapter_wakes(rack: Rack) -> None:
    rack.adapter("cec0", 33)
    rack.adapter("cec1", 42)
    rack.adapter("cecil")
    sender = CecSender(rack.devices, rack.system)
    sender.wake()
    ended(sender)
    assert rack.messages() == [f"cec0 {WAKE}", f"cec1 {WAKE}"]
    assert not sender.switched


@pytest.mark.parametrize(
    ("address", "through"),
    [("1.0.0.0", ["cec1"]), ("f.f.f.f", ["cec0", "cec1"])],
    ids=["one has a monitor", "none has"],
)
def test_adapters_that_tell_no_connector_are_told_of(
    rack: Rack, address: str, through: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    rack.adapter("cec0")
    rack.adapter("cec1", address=address)
    rack.connector("card1-HDMI-A-1", 33)
    sender = CecSender(rack.devices, rack.system)
    sender.connector = "HDMI-A-1"
    for _ in range(2):
        sender.standby()
        ended(sender)
    assert rack.messages() == [f"{name} {STANDBY}" for name in through] * 2
    names = ", ".join(f"{rack.devices}/{name}" for name in through)
    assert [record.getMessage() for record in caplog.records] == [
        cec.CEC_ADAPTER_UNKNOWN % ("HDMI-A-1", names)
    ]


def test_a_monitor_without_adapter_wakes_no_other_television(
    rack: Rack, caplog: pytest.LogCaptureFixture
) -> None:
    rack.adapter("cec0", 33, "1.0.0.0")
    rack.adapter("cec1", 42, "2.0.0.0")
    rack.connector("card1-HDMI-A-1", 33)
    rack.connector("card1-HDMI-A-2", 42)
    rack.plug_in(rack.connector("card1-DSI-1", 50))
    sender = CecSender(rack.devices, rack.system)
    sender.connector = "DSI-1"
    sender.wake()
    ended(sender)
    assert rack.messages() == []
    assert [record.getMessage() for record in caplog.records] == [cec.CEC_ADAPTER_UNKNOWN % ("DSI-1", "none")]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (REFUSED, 0, "Not Acknowledged (4), Max Retries"),
        ("Failed to open /dev/cec0: Permission denied\n", 1, "ended with 1: Failed to open /dev/cec0: Perm"),
        ("", 3, "ended with 3: "),
        ("\nTransmit from Playback Device 1 to TV (4 to 0):\n", 0, "not sent"),
        ("\nAdapter is unconfigured, please configure it first.\n", 0, "not sent"),
    ],
)
def test_a_wake_that_fails_is_told_once_until_it_heals(
    rack: Rack, text: str, code: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    rack.adapter("cec0", 33, "1.0.0.0")
    sender = CecSender(rack.devices, rack.system)
    for fault in (True, True, False, False, True):
        rack.reply("cec0", text, code) if fault else rack.reply("cec0")
        sender.wake()
        ended(sender)
        assert sender.switched != fault
    assert len(caplog.records) == 2
    for line in caplog.records:
        assert line.msg == cec.CEC_FAILED and f"image-view-on: {said}" in line.getMessage()


def test_an_error_is_told_in_cec_ctls_whole_line(rack: Rack, caplog: pytest.LogCaptureFixture) -> None:
    rack.adapter("cec0")
    rack.fails("cec0", "Failed to open /dev/cec0: Permission denied\n")
    sender = CecSender(rack.devices, rack.system)
    sender.wake()
    ended(sender)
    told = "ended with 1: Failed to open /dev/cec0: Permission denied"
    assert [record.getMessage() for record in caplog.records] == [cec.CEC_FAILED % ("image-view-on", told)]


def test_an_empty_socket_beside_a_television_is_no_failure(
    rack: Rack, caplog: pytest.LogCaptureFixture
) -> None:
    rack.adapter("cec0", 33)
    rack.adapter("cec1", 42)
    rack.reply("cec1", REFUSED)
    sender = CecSender(rack.devices, rack.system)
    sender.wake()
    ended(sender)
    assert len(rack.messages()) == 2 and not caplog.records


def test_a_wake_under_way_is_left_alone_for_half_a_minute(
    rack: Rack, caplog: pytest.LogCaptureFixture
) -> None:
    rack.adapter("cec0", 33)
    rack.takes("cec0", 5)
    sender = CecSender(rack.devices, rack.system)
    sender.wake()
    sender.step(100.0)
    began = time.monotonic()
    while not rack.messages():  # else the half minute, which takes no time here, ends before it starts
        assert time.monotonic() - began < 30
        time.sleep(0.01)
    sender.standby()
    for second in range(30):
        sender.step(100.0 + second)
    assert sender._process and sender._process.poll() is None
    rack.takes("cec0", 0)
    began = time.monotonic()
    ended(sender, 130.0)
    assert time.monotonic() - began < 4, "one that hangs is ended after that"
    assert rack.messages() == [f"cec0 {WAKE}", f"cec0 {STANDBY}"]
    assert not caplog.records


def test_a_missing_cec_ctl_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sender = CecSender(tmp_path)
    sender.standby()
    assert not sender.busy
    assert [record.getMessage() for record in caplog.records] == [cec.NO_CEC_TOOL]


def test_adapters_that_appear_after_the_start_are_used(rack: Rack, caplog: pytest.LogCaptureFixture) -> None:
    sender = CecSender(rack.devices, rack.system)
    for _ in range(2):
        sender.wake()
        ended(sender)
    assert [record.getMessage() for record in caplog.records] == [cec.NO_CEC_ADAPTER]
    rack.adapter("cec0", 33)
    sender.wake()
    ended(sender)
    assert rack.messages() == [f"cec0 {WAKE}"]


def test_the_services_unit_lets_it_open_the_adapters() -> None:
    rows = (home_folder() / "systemd" / "mona-lisa.service").read_text().splitlines()
    assert "DevicePolicy=closed" in rows and "DeviceAllow=char-cec rw" in rows  # its name in /proc/devices
