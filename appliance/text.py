"""Text for a terminal or the log: it moves no cursor, forges no line and fits on a screen."""

from typing import Final

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
