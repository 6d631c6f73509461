"""How a command tells of its progress: lines on standard error, and on a terminal a bar."""

import sys
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

_WIDTH: Final = 30


def say(line: str) -> None:
    """Tell one step, at once."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass items on, and show on standard error how many of `total` have passed."""
    shown = sys.stderr.isatty()
    for count, item in enumerate(items, 1):
        yield item
        if shown:
            done = _WIDTH * count // total
            bar = "#" * done + "." * (_WIDTH - done)
            end = "\n" if count >= total else ""
            sys.stderr.write(f"\r{what} [{bar}] {count}/{total}{end}")
            sys.stderr.flush()
