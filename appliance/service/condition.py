"""What `mona-lisa status` tells: the service's own word, and systemd's."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.service.status import STATUS

UNIT: Final = "mona-lisa.service"
NOT_RUNNING: Final = "not running (systemd says %s); start it: sudo systemctl start mona-lisa"
NO_STATUS: Final = "no status in %s; is the service running?"
STALE: Final = "no word from the service for %.0f s; it hangs or was stopped"
WRONG: Final = "%s; but %s"

# The service writes every second; this long without a word it hangs.
_FRESH: Final = 10.0
_PROPERTIES: Final = ("ActiveState", "SubState", "NRestarts", "Result", "ActiveEnterTimestamp")


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether all is well, in a line; what the service wrote last and what systemd knows of it."""

    healthy: bool
    line: str
    status: dict[str, Any] | None
    systemd: dict[str, str] | None


def condition(place: Path) -> Condition:
    """Find out how the service is, from the status in the folder `place` and from systemd."""
    status, systemd = _read(place / STATUS), ask_systemd()
    active = systemd["ActiveState"] if systemd else ""
    if active not in ("", "active", "reloading", "activating"):
        return Condition(False, NOT_RUNNING % active, status, systemd)
    if status is None:
        return Condition(False, NO_STATUS % place, None, systemd)
    # One clock for all processes since the machine started, and nobody sets it.
    if (age := time.monotonic() - status["monotonic"]) > _FRESH:
        return Condition(False, STALE % age, status, systemd)
    line = str(status["sentence"])
    if status["fault"]:
        line = WRONG % (line, status["fault"])
    return Condition(bool(status["healthy"]), line, status, systemd)


def ask_systemd(unit: str = UNIT) -> dict[str, str] | None:
    """Return what systemd knows of a unit, None where there is no systemd or no such unit."""
    wanted = ",".join((*_PROPERTIES, "LoadState"))
    try:
        done = subprocess.run(
            ["systemctl", "show", f"--property={wanted}", unit], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    known = dict(row.split("=", 1) for row in done.stdout.splitlines() if "=" in row)
    if done.returncode != 0 or known.pop("LoadState", "") != "loaded":
        return None
    return known


def _read(path: Path) -> dict[str, Any] | None:
    try:
        status = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(status, dict) and {"monotonic", "sentence", "healthy", "fault"} <= status.keys()
    return status if whole else None
