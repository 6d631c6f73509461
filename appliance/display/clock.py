"""Whether the system's clock was set: a Pi without a battery wakes up in the past."""

import ctypes
import time
from pathlib import Path
from typing import Final

TIMESYNC: Final = Path("/run/systemd/timesync/synchronized")
RTC: Final = Path("/sys/class/rtc/rtc0")
_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)
_RTC_DRIFT: Final = 120.0  # seconds a battery-backed clock may be off the system's
_EARLIEST: Final = 1_750_000_000.0  # June 2025: a battery-backed clock before that has lost its power


class _Timex(ctypes.Structure):
    # The head of struct timex; the kernel writes all of it, so room for the rest follows.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def clock_is_set() -> bool:
    """Tell whether the clock was set, by the network or by a clock that has a battery.

    The opening hours and `doctor` ask this.
    """
    return TIMESYNC.exists() or _kernel_synchronised() or rtc_agrees(RTC, time.time())


def rtc_agrees(rtc: Path, now: float) -> bool:
    """Tell whether a battery-backed clock, a folder of /sys/class/rtc, set the system's and still agrees."""
    try:
        if (rtc / "hctosys").read_text().strip() != "1":
            return False  # the system's clock was not set by it
        shown = float((rtc / "since_epoch").read_text())
    except (OSError, ValueError):
        return False
    return shown >= _EARLIEST and abs(shown - now) <= _RTC_DRIFT


def _kernel_synchronised() -> bool:
    state = _Timex()
    try:
        return ctypes.CDLL(None).adjtimex(ctypes.byref(state)) >= 0 and not state.status & _UNSYNCHRONISED
    except (OSError, AttributeError):
        return False
