"""When a simulated camera takes its pictures: in real time, or as fast as they are read."""

import math
import time


class Pace:
    """Numbers pictures and gives each its time.

    In real time, picture n is captured n / rate seconds after `start` and there for the reader
    `latency` seconds later; a slow reader gets the newest, and the numbers in between are gone.
    Otherwise time is virtual: it begins at 0, nothing is waited for, nothing is dropped.
    """

    def __init__(self, rate: float, latency: float = 0.0, real: bool = True) -> None:
        """`rate` is in pictures per second, > 0; `latency` in seconds, >= 0."""
        self.latency, self.real = latency, real
        self._first_rate = rate
        self.begun = 0.0
        self.start()

    def start(self) -> None:
        """Begin with picture 0, now."""
        self.begun = time.monotonic() if self.real else 0.0
        self.rate, self._from, self._since = self._first_rate, 0, self.begun
        self._last = -1

    def set_rate(self, rate: float) -> None:
        """Take `rate` pictures per second after the picture that was delivered last."""
        if rate != self.rate:
            last = max(self._last, 0)
            self._since, self._from, self.rate = self.captured(last), last, rate

    def next_number(self, final: int | None = None) -> int:
        """Return the number of the picture to deliver next: the newest that is there, else the next.

        Of a recording whose last number is `final`, the last picture is never skipped; after it
        comes `final + 1`.
        """
        following = newest = self._last + 1
        if self.real:
            newest = self._from + math.floor((time.monotonic() - self._since - self.latency) * self.rate)
            if final is not None:
                newest = min(newest, final)
        self._last = max(following, newest)
        return self._last

    def captured(self, number: int) -> float:
        """Return when a picture is taken, in seconds: on the monotonic clock if real, else from 0."""
        return self._since + (number - self._from) / self.rate

    def wait(self, number: int) -> None:
        """Wait until a picture is there for the reader; at most until the next one."""
        if self.real:
            time.sleep(max(0.0, self.captured(number) + self.latency - time.monotonic()))
