"""The monitor: whether one is connected, and which programs hold the graphics card."""

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import DisplayLost

log = logging.getLogger(__name__)

SYS_DRM: Final = Path("/sys/class/drm")  # folder of the kernel's list of connectors
CARDS: Final = Path("/dev/dri")  # folder of the graphics cards
WAITING_FOR_MONITOR: Final = "no display: %s; waiting for one"
MONITOR_CONNECTED: Final = "display connected: %s"

_CHECK_INTERVAL: Final = 1.0  # time between two checks while waiting for a monitor, in seconds
_LOG_INTERVAL: Final = 60.0  # time between two log lines about the same wait, in seconds
# Time until a missing monitor is lost, in seconds: a change of input disconnects briefly (origin unknown).
_LOST_AFTER: Final = 3.0


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector of a graphics card; `modes` are those its monitor offers, the preferred one first.

    `card` is the name of the card's device in /dev/dri.
    """

    name: str
    connected: bool
    modes: tuple[str, ...]
    card: str


def list_connectors(system: Path = SYS_DRM) -> list[Connector]:
    """List the connectors of all cards, except write-back connectors, which have no monitor."""
    found = []
    for folder in sorted(system.glob("card*-*")):
        try:
            status = (folder / "status").read_text().strip()
            modes = tuple((folder / "modes").read_text().split())
        except OSError:
            continue  # the card has just been removed
        if "Writeback" not in folder.name:
            card, _, name = folder.name.partition("-")
            found.append(Connector(name, status == "connected", modes, card))
    return found


def usable_connectors(system: Path = SYS_DRM) -> list[Connector]:
    """List the connectors whose monitor offers a mode; SDL uses no others."""
    return [connector for connector in list_connectors(system) if connector.connected and connector.modes]


def wait_for_monitor(
    stop: threading.Event,
    end: float = math.inf,
    each: Callable[[], object] = bool,
    system: Path = SYS_DRM,
) -> bool:
    """Wait until a monitor is connected; log what is missing, at most once a minute.

    Returns whether a monitor is connected.

    Parameters
    ----------
    stop : set to give up
    end : moment on the monotonic clock at which to give up
    each : called once a second while waiting
    """
    said = -math.inf
    while not stop.is_set():
        if found := usable_connectors(system):
            if said > -math.inf:
                log.info(MONITOR_CONNECTED, ", ".join(f"{plug.name} {plug.modes[0]}" for plug in found))
            return True
        now = time.monotonic()
        if now >= end:
            return False
        if now - said >= _LOG_INTERVAL:
            log.warning(WAITING_FOR_MONITOR, _missing(system))
            said = now
        each()
        stop.wait(min(_CHECK_INTERVAL, end - now))
    return False


def _missing(system: Path) -> str:
    found = list_connectors(system)
    dumb = [plug.name for plug in found if plug.connected]
    if dumb:
        return (
            f"the monitor on {', '.join(dumb)} reports no modes; check its cable, or add "
            f"video={dumb[0]}:1920x1080@60D to the kernel's command line"
        )
    if found:
        return f"no monitor on {', '.join(plug.name for plug in found)}; check that it is on and plugged in"
    return f"no graphics card in {system}; expected the kernel's KMS driver (on a Pi, vc4-kms-v3d)"


class MonitorWatch:
    """Watches the monitors that were connected at the start."""

    def __init__(self, system: Path = SYS_DRM) -> None:
        self._system = system
        self._at_start = self._seen()
        self._since: float | None = None
        self._was_gone = False

    def check(self, now: float, asleep: bool = False, waking: bool = False) -> None:
        """Check the monitors at the moment `now` on the monotonic clock.

        A monitor that is `asleep`, in standby, may disconnect; while it is `waking` it gets more time. Raises
        `DisplayLost` if the monitor is missing, or another one is connected, for `_LOST_AFTER` seconds.
        """
        seen = self._seen()
        if asleep:
            self._since, self._was_gone = None, self._was_gone or seen != self._at_start
        elif seen == self._at_start and not self._was_gone:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= _LOST_AFTER:
            if waking and not seen:
                self._was_gone = True
                return
            was, now_is = _names(self._at_start), _names(seen)
            between = ", away for a while" * self._was_gone
            raise DisplayLost(f"display lost: {was} at the start{between}, {now_is} now")

    def _seen(self) -> list[tuple[str, str]]:
        return [(plug.name, plug.modes[0]) for plug in usable_connectors(self._system)]


def _names(seen: list[tuple[str, str]]) -> str:
    return ", ".join(" ".join(plug) for plug in seen) or "no monitor"


_CARD: Final = re.compile(r"card\d+")
# A row of debugfs' dri/*/clients: command, process id, device (below 64 for a card), whether it is master.
_CLIENT: Final = re.compile(r"\s*.*?\s(\d+)\s+\d{1,2}\s+([yn])\s+[yn]\s+\d+\s+\d+(?:\s|$)")


@dataclass(frozen=True, slots=True)
class CardHolder:
    """A process that has a card open.

    `unit` is its systemd unit, empty if unknown. `master` is whether it controls what the display shows, None
    if the kernel does not tell.
    """

    pid: int
    name: str
    unit: str
    master: bool | None


def card_holders(root: Path = Path("/")) -> list[CardHolder]:
    """List the processes that have a card open, the master first; `root` is where /proc and /sys lie.

    Only root sees every process.
    """
    masters = _masters(root)
    pids = {int(process.name) for process in (root / "proc").glob("[0-9]*") if _opens_card(process)}
    found = [
        CardHolder(pid, *_describe(root / "proc" / str(pid)), None if masters is None else pid in masters)
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
    """Return the ids of the processes that are master of a card; None if debugfs cannot be read."""
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
    """Return a process's name and unit, unescaped; the caller must escape them."""
    try:
        name = (process / "comm").read_text("utf-8", "replace").rstrip("\n")
        groups = (process / "cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return "?", ""
    unit = next((row.rpartition("/")[2] for row in groups if row.startswith("0::")), "")
    return name, unit
