"""Text for a terminal and the log: safe to print, and progress of long work."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, TypeVar

# Longest message, in characters: ten lines of a terminal, and more than any message of our own.
MAX_LENGTH: Final = 1000
# Characters at the end that are always shown, because there a message says what to do.
_SHOWN_END: Final = 300
_OMITTED: Final = " ... ({:,} characters left out) ... "  # text in place of the middle
_JOINERS: Final = "\u200c\u200d"  # characters that join letters, which Persian, Indian scripts and emoji need


def escape_unprintable(text: str) -> str:
    r"""Return a text with \uXXXX for controls, line ends, direction marks and surrogates."""
    if text.isprintable():
        return text
    with suppress(UnicodeError):  # a file's name in UTF-8, where the locale's letters are ASCII
        text = text.encode("utf-8", "surrogateescape").decode()
    return "".join(char if _is_printed(char) else _escape(char) for char in text)


def printable_line(text: object, longest: int = MAX_LENGTH) -> str:
    """Return a text in one line, escaped; of more than `longest` characters the middle is left out."""
    line = escape_unprintable(str(text))
    if len(line) <= longest:
        return line
    room = longest - len(_OMITTED.format(len(line)))
    end = min(_SHOWN_END, room // 2)
    return f"{line[: room - end]}{_OMITTED.format(len(line) - room)}{line[len(line) - end :]}"


def _is_printed(char: str) -> bool:
    import unicodedata  # imported here, because it is a megabyte that few texts need

    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


T = TypeVar("T")

_BAR_WIDTH: Final = 30  # width of the bar, in characters


def print_step(line: str) -> None:
    """Print one step at once."""
    sys.stderr.write(printable_line(line) + "\n")
    sys.stderr.flush()


def show_progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items, and show on standard error how many of `total` are done."""
    shown = sys.stderr.isatty()
    count = 0
    try:
        for count, item in enumerate(items, 1):
            yield item
            if shown:
                done = _BAR_WIDTH * count // total
                sys.stderr.write(f"\r{what} [{'#' * done + '.' * (_BAR_WIDTH - done)}] {count}/{total}")
                sys.stderr.flush()
    finally:  # also if items end early or fail, so that the next message begins a new line
        if shown and count:
            sys.stderr.write("\n")
