"""CPU time and peak memory of a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from appliance.errors import ApplianceError


@dataclass(frozen=True, slots=True)
class CpuAndPeakMemory:
    """The cost of a process: seconds of CPU on all cores together, and peak resident memory in MB."""

    cpu_s: float
    peak_mb: float


def run_and_measure(arguments: list[str]) -> CpuAndPeakMemory:
    """Run Python with these arguments to its end, silently.

    Raises
    ------
    ApplianceError
        With the last line it said, if it does not end well.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *arguments], stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            last = (said.read().decode(errors="replace").splitlines() or ["no reason given"])[-1]
            raise ApplianceError(last.removeprefix("mona-lisa: "))
    return CpuAndPeakMemory(round(usage.ru_utime + usage.ru_stime, 2), round(usage.ru_maxrss / 1024, 1))


_LIBRARIES: Final = (
    "import appliance.display.screen, appliance.service.camera_creation, appliance.vision.blazeface;"
    "from appliance.vision.runtime import find_interpreter; find_interpreter()"
)
_SECONDS: Final = "12"


def bench_memory(say: Callable[[str], None]) -> dict[str, Any]:
    """Return peak resident memory in MB: the loop on the gallery, offscreen at 1080x1920, 33 frames."""
    say("memory: 12 s with one visitor in the gallery, offscreen")
    with tempfile.TemporaryDirectory() as folder:
        road = ["run", "--camera", "gallery:cross", "--display", f"offscreen:{folder}", "--seconds", _SECONDS]
        ours = run_and_measure(["-m", "appliance", *road]).peak_mb
    libraries = run_and_measure(["-c", _LIBRARIES]).peak_mb
    return {"run_mb": ours, "libraries_mb": libraries, "ratio": round(ours / libraries, 2)}
