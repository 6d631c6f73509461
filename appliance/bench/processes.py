"""CPU time and peak memory of a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took: seconds of CPU on all cores together, and peak resident memory in MB."""

    cpu_s: float
    peak_mb: float


def measure(arguments: list[str]) -> Usage:
    """Run Python with these arguments to its end, silently.

    Raises
    ------
    RuntimeError
        If it does not end well: the bench itself is broken.
    """
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return Usage(round(usage.ru_utime + usage.ru_stime, 2), round(usage.ru_maxrss / 1024, 1))
