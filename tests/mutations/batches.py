"""Files read in batches by processes of their own, with the limits that every reader keeps.

As a program: `python -m tests.mutations.batches READER FILE...`; READER is the name of a function in
`tests.mutations.readers`. It says what it begins and how that ended, so that the file is known which a
reader hangs at, or which ends it.
"""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 20  # seconds
MOST_MB = 300
_BATCH = 100
BEGIN, FAULT, DONE = "begin ", "fault ", "done"


def faults(reader: str, files: Sequence[Path]) -> list[str]:
    """Read files; return what is wrong with how each ended: nothing where all kept to the rules."""
    wrong: list[str] = []
    left = list(files)
    while left:
        batch = left[:_BATCH]
        process = subprocess.run(
            [sys.executable, "-m", "tests.mutations.batches", reader, *map(str, batch)],
            cwd=ROOT, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        rows = process.stdout.splitlines()
        begun = sum(row.startswith(BEGIN) for row in rows)
        wrong += [row.removeprefix(FAULT) for row in rows if row.startswith(FAULT)]
        if not rows or rows[-1] != DONE:
            name = batch[max(begun - 1, 0)].name
            how = f"over {LONGEST} s" if process.returncode == -signal.SIGALRM else process.returncode
            wrong.append(f"{name}: the process ended ({how}): {process.stderr[-300:]}")
        elif process.stderr.strip():
            wrong.append(f"{batch[0].name}...: said on stderr: {process.stderr[-300:]}")
        left = left[begun if rows and rows[-1] != DONE else len(batch) :]
    return wrong


def _peak_mb() -> int:
    # Not ru_maxrss, which begins at the parent's.
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) // 1024 if found else 0


def main(reader: str, files: list[str]) -> None:
    from tests.mutations import readers

    out = os.fdopen(os.dup(1), "w", buffering=1)
    for name in files:
        out.write(f"{BEGIN}{name}\n")
        signal.alarm(LONGEST)
        said = io.StringIO()
        before = _peak_mb()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                fault = getattr(readers, reader)(Path(name))
        except BaseException as error:  # noqa: BLE001  (whatever comes out is a fault)
            last = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:200]}"
        signal.alarm(0)
        if "\n" in said.getvalue().removesuffix("\n"):
            fault = fault or f"more than a line: {said.getvalue()[:300]}"
        if before <= MOST_MB < _peak_mb():
            fault = fault or f"{_peak_mb()} MB"
        if fault:
            out.write(f"{FAULT}{Path(name).name}: {fault!r}\n")
    out.write(f"{DONE}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
