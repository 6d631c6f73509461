"""CPU time and peak memory of a process of its own."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from appliance.errors import ApplianceError


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took: seconds of CPU on all cores together, and peak resident memory in MB."""

    cpu_s: float
    peak_mb: float


def measure(arguments: list[str]) -> Usage:
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
    return Usage(round(usage.ru_utime + usage.ru_stime, 2), round(usage.ru_maxrss / 1024, 1))
