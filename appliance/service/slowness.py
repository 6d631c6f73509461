"""Whether pictures come far too rarely, or far too late, for the eyes to follow anybody."""

import math
from collections import deque
from typing import Final

from appliance.service.machine import Machine

RARE: Final = "less than a third of the %.3g pictures/s wanted come; %s"
LATE: Final = "pictures come more than %.3g s late; %s"
WEAK: Final = "the power supply is too weak"
HOT: Final = "the processor is too hot and slowed down"
BUSY: Final = "other programs may take the processor's time"

# Seconds over which pictures are counted, and for which each must be late.
SPAN: Final = 10.0
# Pictures, as a fraction of those asked for, below which they are too rare, and from which on they no
# longer are: in the dark a camera gives half of them.
_RARE: Final = 1 / 3
_ENOUGH: Final = 0.4
# Pictures per second of which no more than that fraction is needed: a third of 30 still follows a walker
# (a mean error of 2.2 degrees at 10 pictures/s: bench gaze), and a sensor may not give what is asked for.
_PLENTY: Final = 30.0
# Seconds from exposure to arrival from which on a picture is late; at low rates as many intervals between
# pictures, because an exposure may last for two of them.
_LATE: Final = 1.0
_INTERVALS: Final = 3.0
# Degrees Celsius at which a Raspberry Pi begins to slow down.
_HOT: Final = 80.0


class Slowness:
    """Is told many times a second how pictures come.

    `cause` says how slowly they come and what is the likely cause, empty if they come well; `since` is
    the moment from which on that was known, inf if they come well.
    """

    def __init__(self, longest: float) -> None:
        """Prepare; a time between two calls beyond `longest` seconds counts as that."""
        self.cause, self.since = "", math.inf
        self._longest = longest
        self._now: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._passed = self._expected = self._late = 0.0
        # Seconds passed, pictures taken and pictures expected.
        self._samples: deque[tuple[float, int, float]] = deque()

    def take(self, now: float, pictures: int, asked: float, delay: float, machine: Machine) -> None:
        """Take in how pictures come at the moment `now`, in seconds on the monotonic clock.

        Parameters
        ----------
        pictures : taken in all
        asked : pictures per second asked of the camera; 0 while none is open
        delay : seconds from the newest picture's exposure to its arrival
        """
        passed = 0.0 if self._now is None else min(now - self._now, self._longest)
        self._now = now
        if asked == 0:
            self._begin()
            return
        wanted = min(asked, _PLENTY)
        self._passed += passed
        self._expected += passed * wanted
        limit = max(_LATE, _INTERVALS / asked)
        self._late = self._late + passed if delay > limit else 0.0
        if self._samples and self._passed - self._samples[-1][0] < 1:
            return
        self._samples.append((self._passed, pictures, self._expected))
        while len(self._samples) > 1 and self._passed - self._samples[1][0] >= SPAN:
            self._samples.popleft()
        began, before, expected = self._samples[0]
        if self._passed - began < SPAN:
            return
        share = (pictures - before) / (self._expected - expected)
        rare = share < (_ENOUGH if self.cause else _RARE)
        late = self._late >= SPAN
        if not (rare or late):
            self.cause, self.since = "", math.inf
        elif not self.cause:
            likely = _likely_cause(machine)
            self.cause = RARE % (wanted, likely) if rare else LATE % (limit, likely)
            self.since = now


def _likely_cause(machine: Machine) -> str:
    if machine.under_voltage:
        return WEAK
    hot = machine.temperature is not None and machine.temperature >= _HOT
    return HOT if machine.throttled or hot else BUSY
