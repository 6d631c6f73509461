import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.assets import home
from appliance.display import cec
from appliance.display.care import offset_at
from appliance.display.cec import Cec


@pytest.mark.parametrize("reach", [0, 1, 2, 8])
def test_the_picture_wanders_over_every_place_alike_one_pixel_at_a_time(reach: int) -> None:
    places = (2 * reach + 1) ** 2
    walk = [offset_at(180.0 * step, reach, 180.0) for step in range(4 * places)]
    assert walk[0] == (0, 0)
    assert all(abs(x) <= reach and abs(y) <= reach for x, y in walk)
    assert all(abs(a[0] - b[0]) + abs(a[1] - b[1]) <= 1 for a, b in pairwise(walk))
    assert set(Counter(walk).values()) == {4}


def test_between_steps_it_stands_still() -> None:
    assert len({offset_at(179.9 * part / 10, 2, 180.0) for part in range(11)}) == 1


def tool(folder: Path, code: int) -> Path:
    """A cec-ctl that writes down what it was asked for."""
    folder.mkdir(exist_ok=True)
    asked = folder / "asked"
    script = folder / "cec-ctl"
    script.write_text(f'#!/bin/sh\necho "$@" >>{asked}\nexit {code}\n')
    script.chmod(0o755)
    return asked


def ended(sender: Cec) -> None:
    while sender.busy:
        os.sched_yield()
        sender.reap()


def test_standby_and_wake_are_sent_on_every_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tool(tmp_path / "bin", 0)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("cec0", "cec1", "cecil"):
        (tmp_path / name).touch()
    sender = Cec(tmp_path)
    sender.standby()
    ended(sender)
    sender.wake()
    ended(sender)
    rows = sorted(asked.read_text().splitlines())
    assert rows == [
        f"--device {tmp_path}/cec{number} --playback --to 0 {message}"
        for number in (0, 1)
        for message in ("--image-view-on", "--standby")
    ]


def test_a_failure_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tool(tmp_path / "bin", 3)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "cec0").touch()
    sender = Cec(tmp_path)
    for _ in range(3):
        sender.standby()
        ended(sender)
    (line,) = caplog.records
    assert line.msg == cec.FAILED and "ended with 3" in line.getMessage()


def test_a_missing_tool_is_told_at_the_start_and_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sender = Cec(tmp_path)
    sender.standby()
    assert not sender.busy
    assert [record.getMessage() for record in caplog.records] == [cec.NO_TOOL]


def test_the_services_unit_lets_it_open_the_adapters() -> None:
    rows = (home() / "systemd" / "mona-lisa.service").read_text().splitlines()
    assert "DevicePolicy=closed" in rows and "DeviceAllow=char-cec rw" in rows  # its name in /proc/devices
