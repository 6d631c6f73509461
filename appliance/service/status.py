"""The status: the small file that the service writes, and what `mona-lisa status` says about it."""

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.files import as_owner, read_regular
from appliance.service.health import State
from appliance.terminal import escape_unprintable

STATUS: Final = "status.json"
PROMETHEUS: Final = "mona-lisa.prom"
SYSTEM_FOLDER: Final = Path("/run/mona-lisa")

# name, kind, help, and where the figure stands in the status
_METRICS: Final = (
    ("pictures_total", "counter", "Pictures searched for faces.", ("counts", "pictures")),
    ("flips_total", "counter", "Flips completed.", ("counts", "flips")),
    ("visitors_followed_total", "counter", "Times the sitter began to follow.", ("counts", "visitors")),
    ("followed_seconds_total", "counter", "Seconds spent following.", ("counts", "followed")),
    ("camera_faults_total", "counter", "Times the camera was lost.", ("counts", "camera_faults")),
    ("uptime_seconds", "gauge", "Since the service was started.", ("uptime_s",)),
    ("in_state_seconds", "gauge", "Since the state is what it is.", ("since_s",)),
    ("frame", "gauge", "The frame that is lit, by its column.", ("frame",)),
    ("row", "gauge", "The row of the frame that is lit, from 0, which looks up.", ("row",)),
    ("healthy", "gauge", "1 if `mona-lisa status` would exit 0.", ("healthy",)),
    ("visitors", "gauge", "Visitors in view.", ("visitors",)),
    ("distance_metres", "gauge", "Distance of the visitor followed.", ("distance_m",)),
    ("pictures_per_second", "gauge", "Pictures searched, over ten seconds.", ("pictures_per_second",)),
    ("picture_to_flip_p95_seconds", "gauge", "From exposure to flip.", ("picture_to_flip_p95_s",)),
    ("temperature_celsius", "gauge", "The processor's temperature.", ("machine", "temperature")),
    ("under_voltage", "gauge", "1 if the power supply is too weak.", ("machine", "under_voltage")),
    ("throttled", "gauge", "1 if the processor is slowed down.", ("machine", "throttled")),
    ("written_seconds", "gauge", "When this was written, seconds since 1970.", ("written",)),
)


def folder() -> Path:
    """Return where the status lies: systemd's RUNTIME_DIRECTORY, else the system's."""
    given = os.environ.get("RUNTIME_DIRECTORY")
    return Path(given.split(":")[0]) if given else SYSTEM_FOLDER


def write_status(place: Path, status: dict[str, Any]) -> None:
    """Write both files; a reader finds the old one or the new one, whole. Raises `OSError`."""
    with as_owner(place):
        _replace(place / STATUS, json.dumps(status, indent=1) + "\n")
        _replace(place / PROMETHEUS, prometheus(status))


def prometheus(status: dict[str, Any]) -> str:
    """Return a status in Prometheus's text format, for node_exporter's textfile collector."""
    rows = []
    for name, kind, text, path in _METRICS:
        value: Any = status
        for key in path:
            value = value.get(key)
        if value is not None:
            rows += [f"# HELP mona_lisa_{name} {text}", f"# TYPE mona_lisa_{name} {kind}"]
            rows.append(f"mona_lisa_{name} {float(value):.10g}")
    rows += ["# HELP mona_lisa_state 1 for the state it is in.", "# TYPE mona_lisa_state gauge"]
    rows += [f'mona_lisa_state{{state="{state}"}} {int(state == status["state"])}' for state in State]
    labels = ",".join(f"{key}={_label(status[key])}" for key in ("version", "portrait"))
    rows += ["# HELP mona_lisa_info What is running.", "# TYPE mona_lisa_info gauge"]
    rows.append(f"mona_lisa_info{{{labels}}} 1")
    return "\n".join(rows) + "\n"


def _label(text: str) -> str:
    quoted = escape_unprintable(text).replace("\\", r"\\").replace('"', r"\"")
    return f'"{quoted}"'


def _replace(path: Path, text: str) -> None:
    # Not synced: /run is memory, and this happens every second.
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, "utf-8", "replace")
    new.replace(path)


UNIT: Final = "mona-lisa.service"
NOT_RUNNING: Final = "not running (systemd says %s); start it: sudo systemctl start mona-lisa"
NO_STATUS: Final = "no status in %s; is the service running?"
NOT_OURS: Final = "%s is no status of this service (%s); sudo systemctl restart mona-lisa"
STALE: Final = "no word from the service for %.0f s; it hangs or was stopped"
WRONG: Final = "%s; but %s"

_FRESH: Final = 10.0  # the service writes every second; this long without a word it hangs
# The status's clock may be this far ahead of ours, in seconds: it is rounded, and it is the same clock.
_AHEAD: Final = 1.0
# Largest status that is read, in bytes: ours have some 1,500, with a title and a fault of a screen each.
_MOST_BYTES: Final = 65_536
# The keys that a status must hold for its line.
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
    overridden = status.get("overridden", [])
    if not isinstance(overridden, list) or not all(isinstance(each, str) for each in overridden):
        return None, "overridden is of another kind"
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
