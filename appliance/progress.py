"""How a command tells of its progress: lines on standard error, and on a terminal a bar."""

import sys
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from appliance.text import readable

T = TypeVar("T")

_WIDTH: Final = 30


def say(line: str) -> None:
    """Tell one step, at once."""
    sys.stderr.write(readable(line) + "\n")
    sys.stderr.flush()


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass items on, and show on standard error how many of `total` have passed."""
    shown = sys.stderr.isatty()
    count = 0
    try:
        for count, item in enumerate(items, 1):
            yield item
            if shown:
                done = _WIDTH * count // total
                sys.stderr.write(f"\r{what} [{'#' * done + '.' * (_WIDTH - done)}] {count}/{total}")
                sys.stderr.flush()
    finally:  # also when items end early or fail: what is told next begins a line
        if shown and count:
            sys.stderr.write("\n")
