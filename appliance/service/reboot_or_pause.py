"""Reboot after the service has failed five times, at most twice a day; otherwise pause and start it again.

`mona-lisa-failed.service` runs this file by itself with the system's Python, as root: it imports
nothing of the package, since a broken installation may be what failed.
"""

import logging
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

UNIT: Final = "mona-lisa.service"
REBOOTING: Final = "mona-lisa.service keeps failing: rebooting (number %d in 24 hours, at most %d)"
PAUSING: Final = "mona-lisa.service keeps failing: %s; starting it again in %.0f s"
TOO_SOON: Final = "the machine is up for %.0f s only, and somebody may want to log in"
TOO_OFTEN: Final = "rebooted %d times in 24 hours already"
NOT_NOTED: Final = "a reboot cannot be noted (%s)"

DAY: Final = 24 * 3600.0  # seconds
REBOOTS_A_DAY: Final = 2  # at most (guess)
# Properties of the unit: when the program began, was active, no longer was, and had ended; microseconds.
_MOMENTS: Final = tuple(
    f"{name}TimestampMonotonic" for name in ("ExecMainStart", "ActiveEnter", "ActiveExit", "ExecMainExit")
)
# Seconds to log in over SSH and say `systemctl stop mona-lisa` before the next reboot (guess).
SHORTEST_UPTIME: Final = 15 * 60.0
PAUSE: Final = 5 * 60.0  # seconds before the service is started again (guess)


def objection(now: float, uptime: float, reboots: Sequence[float]) -> str:
    """Say why this is no moment to reboot; empty if it is.

    Parameters
    ----------
    now : wall time in seconds
    uptime : seconds since the machine started
    reboots : wall times of the reboots so far; one in the future counts as recent, for the clock
        of a machine without a battery may have gone back
    """
    recent = sum(now - reboot < DAY for reboot in reboots)
    if recent >= REBOOTS_A_DAY:
        return TOO_OFTEN % recent
    if uptime < SHORTEST_UPTIME:
        return TOO_SOON % uptime
    return ""


def read_reboots(path: Path) -> list[float]:
    """Read the noted reboots; lines that are no number are passed over, a missing file is none."""
    try:
        words = path.read_text("utf-8", "replace").split()
    except FileNotFoundError:
        return []
    return [float(word) for word in words if word.replace(".", "", 1).isdecimal()]


def note_reboot(path: Path, reboots: Sequence[float], now: float) -> None:
    """Write the newest reboots down, on the disk before this returns; raises `OSError`."""
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write("".join(f"{moment:.0f}\n" for moment in [*reboots[-9:], now]))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def systemd_gave_up() -> bool:
    """Tell whether systemd has given the service up, and nobody stopped it.

    From version 254 on OnFailure= is also called when a service fails and is about to be restarted.
    """
    names = ",".join(("ActiveState", "Result", *_MOMENTS))
    command = ["systemctl", "show", f"--property={names}", UNIT]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    known = dict(row.split("=", 1) for row in said.splitlines())
    return known["ActiveState"] == "inactive" or (known["ActiveState"] == "failed" and not was_stopped(known))


def was_stopped(known: Mapping[str, str]) -> bool:
    """Tell, by its properties, whether a service that has failed was told to stop, and only ended badly.

    What fails while it runs has ended before its unit leaves the active state, unless systemd ended it: for
    the watchdog, or when memory ran out.
    """
    began, active, left, ended = (int(known[name]) for name in _MOMENTS)
    return known["Result"] not in ("watchdog", "oom-kill") and began <= active <= left < ended


def main() -> None:
    """Reboot, or pause and start the service again; nothing if systemd or nobody wants it back."""
    if not systemd_gave_up():
        return
    notes = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/mona-lisa-failed")) / "reboots"
    now = time.time()
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    try:
        reboots = read_reboots(notes)
        against = objection(now, uptime, reboots)
        if not against:
            note_reboot(notes, reboots, now)
    except OSError as error:
        # Without a note the limit cannot be kept, and the machine might reboot again and again.
        against = NOT_NOTED % error
    if not against:
        recent = sum(now - reboot < DAY for reboot in reboots) + 1
        log.warning(REBOOTING, recent, REBOOTS_A_DAY)
        subprocess.run(["systemctl", "--no-block", "reboot"], check=True)
        return
    log.warning(PAUSING, against, PAUSE)
    time.sleep(PAUSE)
    subprocess.run(["systemctl", "reset-failed", UNIT], check=True)
    subprocess.run(["systemctl", "--no-block", "start", UNIT], check=True)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    main()
