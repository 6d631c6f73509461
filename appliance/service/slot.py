"""One place for the newest value: the writer never waits, the reader never sees an old one."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds the newest value put into it; earlier ones are forgotten."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._value: T | None = None
        self._fresh = False

    def put(self, value: T) -> None:
        """Replace the value and wake the reader."""
        with self._changed:
            self._value = value
            self._fresh = True
            self._changed.notify_all()

    def newest(self, timeout: float) -> T | None:
        """Wait up to `timeout` seconds for a new value; return the newest, None before the first."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh, timeout)
            self._fresh = False
            return self._value
