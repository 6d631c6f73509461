"""The curtain: how bright the picture is now, by the hours, falling and rising slowly."""

import logging
from typing import TYPE_CHECKING, Final

from appliance.config import WEEK, HoursConfig

if TYPE_CHECKING:  # loaded where a config asks for them
    from appliance.display.cec import Cec
    from appliance.display.hours import Hours

log = logging.getLogger(__name__)

OPENED: Final = "open: the picture is lit"
CLOSED: Final = "closed: the screen is black"
NOT_SET: Final = "the clock is not set yet: it counts as open"

# The wall clock may leap, so nothing is planned by it: it is asked anew every second.
LOOK: Final = 1.0


class Curtain:
    """Follows the opening hours; `level` is the brightness as a part of 1, 0 is black.

    The hours are asked of the wall clock every second, so that a leap of it either way is followed
    within that second; fading goes by the monotonic clock.
    """

    def __init__(self, config: HoursConfig) -> None:
        """Begin open or closed, without a fade; `first` decides which."""
        self._config = config
        self._hours = _hours(config)
        self._cec = _cec(config)
        self._believed = config.clock == "any"
        self._said_not_set = False
        self._looked = -LOOK
        self._moved = 0.0
        self.open = True
        self.level = 1.0

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self.level != float(self.open)

    @property
    def asleep(self) -> bool:
        """Whether the monitor was sent to standby."""
        return self._cec is not None and not self.open

    def first(self, now: float, wall: float) -> None:
        """Take the place the hours want at the start, at once."""
        self._look(now, wall)
        self.level = float(self.open)
        if self._cec:
            self._cec.wake() if self.open else self._cec.standby()

    def close(self) -> None:
        """Leave nothing running."""
        if self._cec:
            self._cec.close()

    def step(self, now: float, wall: float) -> bool:
        """Move on; tell whether the level has changed.

        Parameters
        ----------
        now : seconds on the monotonic clock
        wall : seconds since 1970
        """
        if now - self._looked >= LOOK:
            self._look(now, wall)
        if not self.moving:
            self._moved = now
            return False
        reach = (now - self._moved) / self._config.fade if self._config.fade else 1.0
        self._moved = now
        self.level = min(self.level + reach, 1.0) if self.open else max(self.level - reach, 0.0)
        if self._cec and self.level == 0:
            self._cec.standby()
        return reach > 0

    def _look(self, now: float, wall: float) -> None:
        self._looked = now
        if self._cec:
            self._cec.reap()
        if self._hours is None:
            return
        is_open = self._hours.open_at(wall) if self._clock_believed() else True
        if is_open != self.open:
            self.open = is_open
            log.info(OPENED if is_open else CLOSED)
            if self._cec and is_open:
                self._cec.wake()

    def _clock_believed(self) -> bool:
        if not self._believed:
            from appliance.display.clock import clock_is_set  # loads ctypes: not before the first light

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
    from appliance.display.hours import Hours

    return Hours(config)


def _cec(config: HoursConfig) -> "Cec | None":
    if not config.cec:
        return None
    from appliance.display.cec import Cec

    return Cec()
