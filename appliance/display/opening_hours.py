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
    from appliance.display.cec import MonitorWaker


# The file that systemd-timesyncd makes when the network has set the clock.
TIMESYNC_FLAG: Final = Path("/run/systemd/timesync/synchronized")
# The battery-backed clock that the kernel reads at the start.
BATTERY_CLOCK: Final = Path("/sys/class/rtc/rtc0")
_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)
# Largest difference between a battery-backed clock and the system's, in seconds (guess).
_MAX_CLOCK_DIFFERENCE: Final = 120.0
# June 2025, in seconds since 1970: a battery-backed clock that shows less has lost its power.
_EARLIEST_TIME: Final = 1_750_000_000.0


class _Timex(ctypes.Structure):
    # The beginning of struct timex; the kernel writes all of it, so `rest` holds the remainder.
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
    """Tell whether the clock was set, by the network or by a battery-backed clock."""
    by_network = TIMESYNC_FLAG.exists() or _kernel_synchronised()
    return by_network or battery_clock_agrees(BATTERY_CLOCK, time.time())


def battery_clock_agrees(rtc: Path, now: float) -> bool:
    """Tell whether a battery-backed clock, a folder of /sys/class/rtc, has set the system's and agrees."""
    try:
        if (rtc / "hctosys").read_text().strip() != "1":
            return False  # the system's clock was not set by it
        shown = float((rtc / "since_epoch").read_text())
    except (OSError, ValueError):
        return False
    return shown >= _EARLIEST_TIME and abs(shown - now) <= _MAX_CLOCK_DIFFERENCE


def _kernel_synchronised() -> bool:
    state = _Timex()
    try:
        return ctypes.CDLL(None).adjtimex(ctypes.byref(state)) >= 0 and not state.status & _UNSYNCHRONISED
    except (OSError, AttributeError):
        return False


_MINUTES_PER_DAY: Final = 24 * 60


def parse_openings(text: str) -> tuple[tuple[int, int], ...]:
    """Return a weekday's openings as minutes after its midnight; an end may be on the next day."""
    if text == "closed":
        return ()
    if text == "always":
        return ((0, _MINUTES_PER_DAY),)
    found = []
    for span in text.split(","):
        start, end = (_minutes(moment) for moment in span.strip().split("-"))
        found.append((start, end if end > start else end + _MINUTES_PER_DAY))
    return tuple(found)


class OpeningHours:
    """The opening hours of a week, the closed days, and their time zone."""

    def __init__(self, config: HoursConfig) -> None:
        self._zone: tzinfo | None = None
        if config.timezone:
            from zoneinfo import ZoneInfo  # here, because without a zone the first light need not wait for it

            self._zone = ZoneInfo(config.timezone)
        self._week = [parse_openings(getattr(config, day)) for day in WEEK]
        self._closed = frozenset(config.closed_days)

    def open_at(self, moment: float) -> bool:
        """Tell whether it is open at `moment`, seconds since 1970.

        An opening belongs to the day on which it begins; so one that begins on the evening before a closed
        day lasts to its end. Both ends are times of the wall clock. When clocks go back, the first such time
        counts; a time that clocks skip is as long after midnight as usual.
        """
        today = datetime.fromtimestamp(moment, self._zone).date()
        # An opening lasts a day at most. Tomorrow's may begin before midnight, where clocks skip midnight.
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

CLOCK_NOT_SET: Final = "the clock is not set yet: it counts as open"

# Time between two checks of the wall clock, in seconds. It may jump, so nothing is scheduled by it.
CHECK_INTERVAL: Final = 1.0
# Time after the start within which a clock that is not set wakes no monitor, in seconds: after a power cut at
# night the network sets the clock within this time (guess).
_CLOCK_TIMEOUT: Final = 45.0


class OpeningController:
    """Follows the opening hours; with `hours.cec` it wakes the monitor and sends it to standby.

    It works before the display is open, because a television in standby may look unplugged; the display is
    opened once the television is awake.
    """

    def __init__(self, config: HoursConfig) -> None:
        """Start as open; the first `step` checks the clock."""
        self.config = config
        self.open = True
        self._hours = _create_hours(config)
        self._waker = _create_waker(config)
        self._believed = config.clock == "any"
        self._said_not_set = False
        self._looked, self._began = -math.inf, math.inf

    @property
    def asleep(self) -> bool:
        """Whether the monitor was sent to standby."""
        return self._waker is not None and not self.open

    def waking(self, now: float) -> bool:
        """Tell whether a missing monitor may still be waking from standby."""
        return self._waker is not None and self._waker.waking(now)

    def step(self, now: float, wall: float) -> None:
        """Check the clock and wake the monitor, once a second, without waiting.

        `now` is in seconds on the monotonic clock, `wall` in seconds since 1970.
        """
        if now - self._looked < CHECK_INTERVAL:
            return
        self._looked, self._began = now, min(self._began, now)
        known = self._hours is None or self._clock_believed()
        self.open = not known or self._hours is None or self._hours.open_at(wall)
        if self._waker:
            self._waker.step(now, self.open and (known or now - self._began >= _CLOCK_TIMEOUT))

    def send_standby(self) -> None:
        """Send the monitor to standby, because the picture has faded to black."""
        if self._waker:
            self._waker.standby()

    def _clock_believed(self) -> bool:
        self._believed = self._believed or clock_is_set()
        if not self._believed and not self._said_not_set:
            self._said_not_set = True
            log.warning(CLOCK_NOT_SET)
        return self._believed


def _create_hours(config: HoursConfig) -> "OpeningHours | None":
    always = not config.closed_days and all(getattr(config, day) == "always" for day in WEEK)
    return None if always else OpeningHours(config)


def _create_waker(config: HoursConfig) -> "MonitorWaker | None":
    if not config.cec:
        return None
    from appliance.display.cec import MonitorWaker

    return MonitorWaker()


SCREEN_OPENED: Final = "open: the picture is lit"
SCREEN_CLOSED: Final = "closed: the screen is black"


class Dimmer:
    """Fades the picture by the opening hours; `level` is the brightness from 0, black, to 1.

    The hours use the wall clock, the fades the monotonic clock.
    """

    def __init__(self, opening: OpeningController) -> None:
        """Start at full brightness; `start` applies the opening hours."""
        self._opening = opening
        self._moved = 0.0
        self.open = True
        self.level = 1.0

    @property
    def moving(self) -> bool:
        """Whether a fade is in progress."""
        return self.level != float(self.open)

    def start(self, now: float, wall: float) -> None:
        """Apply the opening hours at the start, without a fade."""
        self._check_hours(now, wall)
        self.level = float(self.open)
        if not self.open:
            self._opening.send_standby()

    def step(self, now: float, wall: float) -> bool:
        """Continue a fade; return whether the level has changed. Clocks as for `OpeningController.step`."""
        self._check_hours(now, wall)
        if not self.moving:
            self._moved = now
            return False
        fade = self._opening.config.fade
        reach = (now - self._moved) / fade if fade else 1.0
        self._moved = now
        self.level = min(self.level + reach, 1.0) if self.open else max(self.level - reach, 0.0)
        if self.level == 0:
            self._opening.send_standby()
        return reach > 0

    def _check_hours(self, now: float, wall: float) -> None:
        self._opening.step(now, wall)
        if self._opening.open != self.open:
            if not self.moving:
                self._moved = now  # the fade begins now, though the last step may be a second ago
            self.open = self._opening.open
            log.info(SCREEN_OPENED if self.open else SCREEN_CLOSED)
