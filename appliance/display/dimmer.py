"""The dimmer: how bright the picture is now by the opening hours, and the monitor's standby with it."""

import ctypes
import logging
import math
import time
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

from appliance.config import WEEK, HoursConfig

if TYPE_CHECKING:  # loaded where a config asks for them
    from appliance.display.cec import Waker


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


_DAY: Final = 24 * 60


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return a weekday's openings as minutes from its midnight; an end may lie on the next day."""
    if text == "closed":
        return ()
    if text == "always":
        return ((0, _DAY),)
    found = []
    for span in text.split(","):
        start, end = (_minutes(moment) for moment in span.strip().split("-"))
        found.append((start, end if end > start else end + _DAY))
    return tuple(found)


class Hours:
    """The hours of a week, the days it stays closed, and the zone in which both are meant."""

    def __init__(self, config: HoursConfig) -> None:
        """Read them out of a config that was checked."""
        self._zone: tzinfo | None = None
        if config.timezone:
            from zoneinfo import ZoneInfo  # here, because without a zone the first light need not wait for it

            self._zone = ZoneInfo(config.timezone)
        self._week = [spans(getattr(config, day)) for day in WEEK]
        self._closed = frozenset(config.closed_days)

    def open_at(self, moment: float) -> bool:
        """Tell whether it is open at `moment`, seconds since 1970.

        An opening belongs to the day on which it begins, so that the night after a closed day's eve
        runs to its end. Both ends are moments of the wall clock, once a day: when clocks go back,
        the first time they show it; a time they leap over is as long after midnight as usual.
        """
        today = datetime.fromtimestamp(moment, self._zone).date()
        # An opening lasts a day at most; tomorrow's may begin before midnight as clocks leap over it.
        for day in (today - timedelta(1), today, today + timedelta(1)):
            if day.isoformat() in self._closed or day.isoformat()[5:] in self._closed:
                continue
            for start, end in self._week[day.weekday()]:
                if self._moment(day, start) <= moment < self._moment(day, end):
                    return True
        return False

    def _moment(self, day: date, minutes: int) -> float:
        clock = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
        return clock.replace(tzinfo=self._zone).timestamp()


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


log = logging.getLogger(__name__)

NOT_SET: Final = "the clock is not set yet: it counts as open"

# The wall clock may leap, so nothing is planned by it: it is asked anew every second.
LOOK: Final = 1.0
# Seconds after the start in which a clock that is not set yet wakes no monitor: after a power cut at
# night the network sets it in this time (guess).
_CLOCK_COMES: Final = 45.0


class Opening:
    """Follows the opening hours; with `hours.cec` it wakes the monitor and sends it to standby.

    It does not need the display, because a television in standby may look unplugged: the display is
    opened only once the television is awake.
    """

    def __init__(self, config: HoursConfig) -> None:
        """Begin open; the first `step` looks at the clock."""
        self.config = config
        self.open = True
        self._hours = _hours(config)
        self._waker = _waker(config)
        self._believed = config.clock == "any"
        self._said_not_set = False
        self._looked, self._began = -math.inf, math.inf

    @property
    def asleep(self) -> bool:
        """Whether the monitor was sent to standby."""
        return self._waker is not None and not self.open

    def waking(self, now: float) -> bool:
        """Tell whether a monitor that is away may still be on its way back from standby."""
        return self._waker is not None and self._waker.waking(now)

    def step(self, now: float, wall: float) -> None:
        """Look at the clock and wake the monitor, once a second; nothing is waited for.

        Parameters
        ----------
        now : seconds on the monotonic clock
        wall : seconds since 1970
        """
        if now - self._looked < LOOK:
            return
        self._looked, self._began = now, min(self._began, now)
        known = self._hours is None or self._clock_believed()
        if self._hours is not None:
            self.open = self._hours.open_at(wall) if known else True
        if self._waker:
            self._waker.step(now, self.open and (known or now - self._began >= _CLOCK_COMES))

    def black(self) -> None:
        """Send the monitor to standby: the picture has gone to black."""
        if self._waker:
            self._waker.standby()

    def _clock_believed(self) -> bool:
        if not self._believed:
            self._believed = clock_is_set()
            if not self._believed and not self._said_not_set:
                self._said_not_set = True
                log.warning(NOT_SET)
        return self._believed


def _hours(config: HoursConfig) -> "Hours | None":
    """Return the hours, None if it is always open."""
    week = (getattr(config, day) for day in WEEK)
    if not config.closed_days and all(text == "always" for text in week):
        return None

    return Hours(config)


def _waker(config: HoursConfig) -> "Waker | None":
    if not config.cec:
        return None
    from appliance.display.cec import Waker

    return Waker()


OPENED: Final = "open: the picture is lit"
CLOSED: Final = "closed: the screen is black"


class Curtain:
    """Follows the opening hours; `level` is the brightness as a part of 1, 0 is black.

    The hours go by the wall clock, fading by the monotonic clock.
    """

    def __init__(self, opening: Opening) -> None:
        """Begin open or closed, without a fade; `first` decides which."""
        self._opening = opening
        self._moved = 0.0
        self.open = True
        self.level = 1.0

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self.level != float(self.open)

    def first(self, now: float, wall: float) -> None:
        """Take the place the hours want at the start, at once."""
        self._look(now, wall)
        self.level = float(self.open)
        if not self.open:
            self._opening.black()

    def step(self, now: float, wall: float) -> bool:
        """Move on; tell whether the level has changed.

        Parameters
        ----------
        now : seconds on the monotonic clock
        wall : seconds since 1970
        """
        self._look(now, wall)
        if not self.moving:
            self._moved = now
            return False
        fade = self._opening.config.fade
        reach = (now - self._moved) / fade if fade else 1.0
        self._moved = now
        self.level = min(self.level + reach, 1.0) if self.open else max(self.level - reach, 0.0)
        if self.level == 0:
            self._opening.black()
        return reach > 0

    def _look(self, now: float, wall: float) -> None:
        self._opening.step(now, wall)
        if self._opening.open != self.open:
            self.open = self._opening.open
            log.info(OPENED if self.open else CLOSED)
