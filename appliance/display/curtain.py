"""The curtain: how bright the picture is now, by the hours, falling and rising slowly."""

import logging
from typing import Final

from appliance.display.opening import Opening

log = logging.getLogger(__name__)

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
