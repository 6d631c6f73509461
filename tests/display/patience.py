"""A stop event whose waits take no time."""

import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest


class Patience(threading.Event):
    """Stands for the service's stop event: a wait moves the clock that the waiting modules read.

    `now` is that clock, in seconds. As with the real event, a wait ends at the moment at which it is set.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        super().__init__()
        self.now = 1000.0
        self._due: list[tuple[float, Callable[[], object]]] = []
        for module in modules:
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Call `action` in the wait during which so many seconds have passed."""
        self._due.append((self.now + seconds, action))
        self._due.sort(key=lambda due: due[0])

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass in no time."""
        assert timeout is not None
        end = self.now + timeout
        while not self.is_set() and self._due and self._due[0][0] <= end:
            moment, action = self._due.pop(0)
            self.now = moment
            action()
        if not self.is_set():
            self.now = end
        return self.is_set()
