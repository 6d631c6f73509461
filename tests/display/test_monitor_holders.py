import subprocess
import sys
from pathlib import Path

import pytest

from appliance.display.monitor import CardHolder, card_holders

OLD_KERNEL = """             command  tgid dev master a   uid      magic
           mona-lisa   367   0   n    y   991          0
        kmscube it's   412   0   y    y     0          0
           mona-lisa   367 128   y    y   991          0
"""
NEW_KERNEL = """             command  tgid dev master a   uid      magic                                                             name                   id
           mona-lisa   367   0   n    y   991          0                                                          <unset>                    7
             kmscube   412   0   y    y     0          0                                                          <unset>                    9
"""


def process(root: Path, pid: int, name: str, unit: str, *opened: str) -> None:
    """A process as the kernel shows it."""
    place = root / "proc" / str(pid)
    (place / "fd").mkdir(parents=True)
    (place / "comm").write_text(f"{name}\n")
    (place / "cgroup").write_text(f"0::/system.slice/{unit}\n")
    for number, path in enumerate(opened):
        (place / "fd" / str(number)).symlink_to(path)


def clients(root: Path, table: str) -> None:
    """What debugfs says of the card."""
    place = root / "sys/kernel/debug/dri/0"
    place.mkdir(parents=True)
    (place / "clients").write_text(table)


@pytest.mark.parametrize("table", [OLD_KERNEL, NEW_KERNEL])
def test_the_program_that_shows_on_the_screen_is_named_first(tmp_path: Path, table: str) -> None:
    process(tmp_path, 367, "mona-lisa", "mona-lisa.service", "/dev/null", "/dev/dri/card0")
    process(tmp_path, 412, "kmscube", "kiosk.service", "/dev/dri/card0")
    process(tmp_path, 413, "reader", "", "/dev/dri/renderD128", "/dev/dri/cardigan", "/dev/null")
    clients(tmp_path, table)
    assert card_holders(tmp_path) == [
        CardHolder(412, "kmscube", "kiosk.service", True),
        CardHolder(367, "mona-lisa", "mona-lisa.service", False),
    ]


def test_without_debugfs_all_that_opened_the_card_are_named(tmp_path: Path) -> None:
    process(tmp_path, 9, "kmscube", "kiosk.service", "/dev/dri/card1")
    assert card_holders(tmp_path) == [CardHolder(9, "kmscube", "kiosk.service", None)]


def test_a_master_that_has_ended_meanwhile_is_still_told(tmp_path: Path) -> None:
    clients(tmp_path, OLD_KERNEL)
    assert [(each.pid, each.name) for each in card_holders(tmp_path)] == [(412, "?")]


def test_no_process_and_no_table_hold_nothing(tmp_path: Path) -> None:
    assert card_holders(tmp_path) == []


def test_a_real_process_with_a_card_open_is_found(tmp_path: Path) -> None:
    # The real /proc, but for the name of the file: no card is here to be opened.
    (tmp_path / "card0").touch()
    script = f"import time; file = open({str(tmp_path / 'card0')!r}); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as host:
        assert host.stdout
        host.stdout.readline()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("appliance.display.monitor.CARDS", tmp_path)
            found = [each for each in card_holders() if each.pid == host.pid]
        host.kill()
    assert [each.name for each in found] == [Path(sys.executable).name[:15]]
