"""Resident memory of `mona-lisa run`, against a Python that only loaded the same libraries."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Final

_LIBRARIES: Final = (
    "import appliance.display.screen, appliance.camera.sources, appliance.vision.blazeface;"
    "from appliance.vision.runtime import runtime; runtime()"
)
_SECONDS: Final = "12"


def bench_memory(say: Callable[[str], None]) -> dict[str, Any]:
    """Return peak resident memory in MB: the loop on the gallery, offscreen at 1080x1920, 33 frames."""
    say("memory: 12 s on the gallery, offscreen")
    with tempfile.TemporaryDirectory() as folder:
        road = ["run", "--camera", "gallery", "--display", f"offscreen:{folder}", "--seconds", _SECONDS]
        ours = _peak(["-m", "appliance", *road])
    libraries = _peak(["-c", _LIBRARIES])
    return {"run_mb": ours, "libraries_mb": libraries, "ratio": round(ours / libraries, 2)}


def _peak(arguments: list[str]) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{arguments[1]} ended with {process.returncode}")
    return round(usage.ru_maxrss / 1024, 1)
