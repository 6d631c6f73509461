"""The status: one small file for `mona-lisa status`, the same figures for Prometheus."""

import json
import os
from pathlib import Path
from typing import Any, Final

from appliance.rights import as_owner
from appliance.service.health import State
from appliance.text import escaped

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
    quoted = escaped(text).replace("\\", r"\\").replace('"', r"\"")
    return f'"{quoted}"'


def _replace(path: Path, text: str) -> None:
    # Not synced: /run is memory, and this happens every second.
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, "utf-8", "replace")
    new.replace(path)
