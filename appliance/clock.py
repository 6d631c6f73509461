"""The machine's clocks as one object, so that a test can pass a clock that it moves itself."""

import time
from typing import Final


class Clock:
    """The real time."""

    def monotonic(self) -> float:
        """Return seconds on the monotonic clock, which never leaps."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since 1970; this clock may leap."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


CLOCK: Final = Clock()
