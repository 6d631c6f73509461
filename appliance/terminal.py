"""Text for a terminal and the log: safe to print, and progress of long work."""

import sys
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

# Characters of one message: ten lines of a terminal, and longer than any message of our own.
LONGEST: Final = 1000
# Of these the end is shown: that is where a message says what to do.
_END: Final = 300
_CUT: Final = " ... ({:,} characters left out) ... "
# Joiners of letters, which Persian, Indian scripts and emoji need.
_JOINERS: Final = "\u200c\u200d"


def escaped(text: str) -> str:
    r"""Return a text with what is not printed as \uXXXX: controls, line ends, direction marks, surrogates."""
    if text.isprintable():
        return text
    return "".join(char if _is_printed(char) else _code(char) for char in text)


def readable(text: object, longest: int = LONGEST) -> str:
    """Return a text `escaped`, in one line of at most `longest` characters; the middle is left out."""
    line = escaped(str(text))
    if len(line) <= longest:
        return line
    room = longest - len(_CUT.format(len(line)))
    end = min(_END, room // 2)
    return f"{line[: room - end]}{_CUT.format(len(line) - room)}{line[len(line) - end :]}"


def _is_printed(char: str) -> bool:
    import unicodedata  # a megabyte of tables, which hardly any text needs

    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _code(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


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
