"""What `mona-lisa status` tells: the service's own word, and systemd's."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.files import read_regular
from appliance.service.status import STATUS

UNIT: Final = "mona-lisa.service"
NOT_RUNNING: Final = "not running (systemd says %s); start it: sudo systemctl start mona-lisa"
NO_STATUS: Final = "no status in %s; is the service running?"
NOT_OURS: Final = "%s is no status of this service (%s); sudo systemctl restart mona-lisa"
STALE: Final = "no word from the service for %.0f s; it hangs or was stopped"
WRONG: Final = "%s; but %s"

# The service writes every second; this long without a word it hangs.
_FRESH: Final = 10.0
# How far ahead of our clock the status's may be, in seconds: it is rounded, and it is the same clock.
_AHEAD: Final = 1.0
# Largest status that is read, in bytes: ours have some 1,500, with a title and a fault of a screen each.
_MOST_BYTES: Final = 65_536
# What a status must hold for its line.
_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "monotonic": (int, float),
    "sentence": str,
    "healthy": bool,
    "fault": str,
}
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
    status, odd = _read(place / STATUS)
    systemd = ask_systemd()
    active = systemd["ActiveState"] if systemd else ""
    if active not in ("", "active", "reloading", "activating"):
        return Condition(False, NOT_RUNNING % active, status, systemd)
    if status is None:
        line = NOT_OURS % (place / STATUS, odd) if odd else NO_STATUS % place
        return Condition(False, line, None, systemd)
    # One clock for all processes since the machine started, and nobody sets it.
    if (age := time.monotonic() - status["monotonic"]) > _FRESH:
        return Condition(False, STALE % age, status, systemd)
    line = status["sentence"]
    if status["fault"]:
        line = WRONG % (line, status["fault"])
    return Condition(status["healthy"], line, status, systemd)


def ask_systemd(unit: str = UNIT) -> dict[str, str] | None:
    """Return what systemd knows of a unit, None where there is no systemd or no such unit."""
    wanted = ",".join((*_PROPERTIES, "LoadState"))
    import subprocess  # here, because the running service needs only what it writes

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


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Read a status; or return why what is there is none, in a few words, empty if nothing is there."""
    try:
        status = json.loads(read_regular(path, _MOST_BYTES).decode())
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, str(error.strerror)
    except RecursionError:
        return None, "nested too deeply"
    except ValueError:
        return None, "not JSON"
    if not isinstance(status, dict) or not _plain(status, 2):
        return None, "expected a flat JSON object"
    for key, kind in _KINDS.items():
        if not isinstance(status.get(key), kind) or (kind is not bool and isinstance(status[key], bool)):
            return None, f"{key} is missing or of another kind"
    if not 0 <= status["monotonic"] <= time.monotonic() + _AHEAD:
        return None, "its time is not one since this machine started"
    return status, ""


def _plain(value: object, depth: int) -> bool:
    """Tell whether a value can be shown: finite numbers, whole text, nested `depth` deep at most."""
    if isinstance(value, dict):
        return depth > 0 and all(_plain(each, depth - 1) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return depth > 0 and all(_plain(each, depth - 1) for each in value)
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)  # half a character
    return value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
