"""Wakes the monitor over HDMI while the house is open, for as long as it takes."""

import math
from pathlib import Path
from typing import Final

from appliance.display.cec import DEVICES, Cec
from appliance.display.connectors import SYSTEM, usable

# Seconds between two wakes: doubled from the first to the longest (guess: a television boots in 5 to 20 s).
_FIRST: Final = 5.0
_LONGEST: Final = 60.0
# Seconds that a monitor may take to come back after the first wake before it counts as lost (guess).
_WAKES: Final = 30.0


class Waker:
    """Decides when the monitor is woken; `Cec` sends what is needed.

    A wake is repeated until a monitor is seen and was switched to our input. One that is seen but
    does not take the message is asked four times: it is lit, and may not listen to CEC at all.
    """

    def __init__(self, devices: Path = DEVICES, system: Path = SYSTEM) -> None:
        """Prepare to wake the monitor at the first `step`."""
        self._system = system
        self._cec = Cec(devices, system)
        self._seen = self._done = self._sent = False
        self._begun = self._due = -math.inf
        self._pause = _FIRST

    def step(self, now: float, is_open: bool) -> None:
        """Look at the connectors and send what is due at the moment `now` of the monotonic clock."""
        self._cec.step(now)
        plugs = usable(self._system)
        if plugs:
            self._cec.connector = plugs[0].name  # SDL takes the first
        was_seen, self._seen = self._seen, bool(plugs)
        if not is_open or (was_seen and not self._seen):
            self._done, self._sent, self._begun, self._due, self._pause = False, False, now, now, _FIRST
        elif self._seen and not was_seen:  # its adapter has a physical address now
            self._due, self._pause = now, _FIRST
        if not is_open or self._done or self._cec.busy:
            return
        if self._sent:  # a wake has just ended
            self._sent = False
            self._done = self._seen and (self._cec.switched or self._pause >= _LONGEST)
        elif now >= self._due:
            self._cec.wake()
            self._cec.step(now)
            self._sent = True
            self._due, self._pause = now + self._pause, min(2 * self._pause, _LONGEST)

    def standby(self) -> None:
        """Send the monitor to standby."""
        self._cec.standby()

    def waking(self, now: float) -> bool:
        """Tell whether a monitor that is away may still be on its way back."""
        return now - self._begun < _WAKES
