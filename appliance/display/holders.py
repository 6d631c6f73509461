"""Which processes hold a graphics card open, and which of them shows on it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CARDS: Final = Path("/dev/dri")
_CARD: Final = re.compile(r"card\d+")
# A row of debugfs' dri/*/clients: the command, its process, the device's number (below 64 for a card), and
# whether it is master.
_CLIENT: Final = re.compile(r"\s*.*?\s(\d+)\s+\d{1,2}\s+([yn])\s+[yn]\s+\d+\s+\d+(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a card open.

    `unit` is the systemd unit it belongs to, empty if unknown. `master` is whether it decides what is shown,
    None if the kernel does not tell.
    """

    pid: int
    name: str
    unit: str
    master: bool | None


def holders(root: Path = Path("/")) -> list[Holder]:
    """List the processes that have a card open, the master first; `root` is where /proc and /sys lie.

    Only root sees every process.
    """
    masters = _masters(root)
    pids = {int(process.name) for process in (root / "proc").glob("[0-9]*") if _opens_card(process)}
    found = [
        Holder(pid, *_describe(root / "proc" / str(pid)), None if masters is None else pid in masters)
        for pid in sorted(pids | (masters or set()))
    ]
    return sorted(found, key=lambda holder: not holder.master)


def _opens_card(process: Path) -> bool:
    try:
        return any(map(_leads_to_card, (process / "fd").iterdir()))
    except OSError:
        return False  # it has ended, or is another user's


def _leads_to_card(link: Path) -> bool:
    try:
        path = link.readlink()
    except OSError:
        return False  # closed this moment
    return path.parent == CARDS and _CARD.fullmatch(path.name) is not None


def _masters(root: Path) -> set[int] | None:
    """Return the processes that are master of a card; None if debugfs cannot be read."""
    tables = list(_readable((root / "sys/kernel/debug/dri").glob("*/clients")))
    if not tables:
        return None
    rows = [row for table in tables for row in map(_CLIENT.match, table.splitlines()) if row]
    return {int(row[1]) for row in rows if row[2] == "y"}


def _readable(paths: Iterator[Path]) -> Iterator[str]:
    try:
        for path in paths:
            yield path.read_text("utf-8", "replace")
    except OSError:
        return


def _describe(process: Path) -> tuple[str, str]:
    """Return a process's name and unit, as they are: whoever prints them escapes them."""
    try:
        name = (process / "comm").read_text("utf-8", "replace").rstrip("\n")
        groups = (process / "cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return "?", ""
    unit = next((row.rpartition("/")[2] for row in groups if row.startswith("0::")), "")
    return name, unit
