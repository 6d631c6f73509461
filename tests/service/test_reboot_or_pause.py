import ast
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.service import reboot_or_pause
from appliance.service.reboot_or_pause import DAY, SHORTEST_UPTIME, note_reboot, objection, read_reboots

NOW = 1_800_000_000.0


def test_it_reboots_at_most_twice_in_24_hours() -> None:
    assert not objection(NOW, 3600, [])
    assert not objection(NOW, 3600, [NOW - 7200])
    assert objection(NOW, 3600, [NOW - 7200, NOW - 3600]) == reboot_or_pause.TOO_OFTEN % 2
    assert not objection(NOW, 3600, [NOW - DAY, NOW - 3600])


def test_it_never_reboots_so_soon_that_nobody_can_log_in() -> None:
    assert objection(NOW, SHORTEST_UPTIME - 1, []) == reboot_or_pause.TOO_SOON % (SHORTEST_UPTIME - 1)
    assert not objection(NOW, SHORTEST_UPTIME, [])


@given(st.lists(st.floats(-3 * DAY, 0), max_size=50))
def test_a_clock_that_is_set_back_gives_no_more_than_two_reboots(steps: list[float]) -> None:
    now, reboots = NOW, list[float]()
    for step in steps:
        now += step
        if not objection(now, 3600, reboots):
            reboots.append(now)
    assert len(reboots) <= 2


def test_reboots_are_remembered_despite_a_damaged_note(tmp_path: Path) -> None:
    notes = tmp_path / "reboots"
    assert read_reboots(notes) == []
    note_reboot(notes, [], NOW)
    note_reboot(notes, read_reboots(notes), NOW + 60)
    assert read_reboots(notes) == [NOW, NOW + 60]
    notes.write_bytes(b"\xff\x00 12 x -3 4e5\n1800000000\n")
    assert read_reboots(notes) == [12.0, NOW]
    assert [path.name for path in tmp_path.iterdir()] == ["reboots"]


def test_an_unwritable_note_is_an_error_so_that_the_limit_holds(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        note_reboot(tmp_path / "file" / "reboots", [], NOW)


def test_it_needs_nothing_but_pythons_own_library() -> None:
    tree = ast.parse(Path(reboot_or_pause.__file__).read_text("utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("result", "began", "active", "left", "ended", "stopped"),
    [
        ("signal", 29587099908, 29587781150, 29588916169, 29589035744, True),  # stopped, then killed
        ("signal", 29626348704, 29626675323, 29626807244, 29626807029, False),  # crashed, five times
        ("watchdog", 29626348704, 29626675323, 29656807244, 29656907029, False),  # systemd ends it
        ("exit-code", 29626348704, 29587781150, 29588916169, 29626807029, False),  # not even ready
        ("exit-code", 29626348704, 0, 0, 29626807029, False),  # never ready since the machine was started
    ],
)
def test_a_service_that_was_stopped_is_told_from_one_that_fails(
    result: str, began: int, active: int, left: int, ended: int, stopped: bool
) -> None:
    moments = zip(reboot_or_pause._MOMENTS, map(str, (began, active, left, ended)), strict=True)
    assert reboot_or_pause.was_stopped({"Result": result, **dict(moments)}) == stopped


def it_is(folder: Path, state: str, moments: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
    """Let systemd say of the service that it is in a state, and when it began, was ready, stopped and ended."""
    rows = [f"{name}={moment}" for name, moment in zip(reboot_or_pause._MOMENTS, moments, strict=True)]
    (folder / "known").write_text("\n".join([f"ActiveState={state}", "Result=exit-code", *rows]))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemd was asked for, a line each; it says that the service crashed. No pause takes time."""
    asked = tmp_path / "asked"
    asked.touch()
    it_is(tmp_path, "failed")
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(f"#!/bin/sh\n[ $1 = show ] && cat {tmp_path}/known || echo $* >>{asked}\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    # The machine of the test may just have started.
    monkeypatch.setattr(reboot_or_pause, "SHORTEST_UPTIME", 0.0)
    monkeypatch.setattr(reboot_or_pause, "PAUSE", 0.0)
    return asked


def test_a_service_that_keeps_failing_reboots_twice_then_pauses(
    asked: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        reboot_or_pause.main()
    again = ["reset-failed mona-lisa.service", "--no-block start mona-lisa.service"]
    assert asked.read_text().splitlines() == ["--no-block reboot", "--no-block reboot", *again]
    assert len(read_reboots(tmp_path / "reboots")) == 2, "each was noted before it"
    assert [record.getMessage() for record in caplog.records] == [
        reboot_or_pause.REBOOTING % (1, 2),
        reboot_or_pause.REBOOTING % (2, 2),
        reboot_or_pause.PAUSING % (reboot_or_pause.TOO_OFTEN % 2, 0),
    ]


def test_where_no_reboot_can_be_noted_none_is_made(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "missing"))
    reboot_or_pause.main()
    assert [line.split()[-1] for line in asked.read_text().splitlines()] == ["mona-lisa.service"] * 2


@pytest.mark.parametrize(
    ("state", "moments"),
    [
        ("activating", (0, 0, 0, 0)),  # systemd is about to start it again
        ("active", (1, 2, 0, 0)),
        ("failed", (1, 2, 3, 4)),  # somebody stopped it, and it ended badly
    ],
)
def test_a_service_restarted_or_stopped_meanwhile_is_left_alone(
    asked: Path, tmp_path: Path, state: str, moments: tuple[int, int, int, int]
) -> None:
    it_is(tmp_path, state, moments)
    reboot_or_pause.main()
    assert asked.read_text() == ""


def test_a_service_that_systemd_no_longer_starts_reboots(asked: Path, tmp_path: Path) -> None:
    it_is(tmp_path, "inactive")
    reboot_or_pause.main()
    assert asked.read_text() == "--no-block reboot\n"
