"""Whether the house is open, and the wake and standby of the monitor that go with it."""

import logging
import math
from typing import TYPE_CHECKING, Final

from appliance.config import WEEK, HoursConfig

if TYPE_CHECKING:  # loaded where a config asks for them
    from appliance.display.hours import Hours
    from appliance.display.waker import Waker

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


def _waker(config: HoursConfig) -> "Waker | None":
    if not config.cec:
        return None
    from appliance.display.waker import Waker

    return Waker()
