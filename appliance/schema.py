"""What a TOML file from outside may hold: reading within bounds, lines of names, rules for values."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from appliance.files import read_regular

# Largest file that is read, in bytes: ten times the commented config.toml.
MOST_BYTES: Final = 65_536
# Most parts of a dotted name (ours have two). tomllib's time grows with the square of their number or
# worse (measured: 11 s for a header of 8,000 parts over 8,000 keys).
MOST_PARTS: Final = 8
# Strings of four kinds, comments, what separates, and anything else. No alternative gives back what it took
# (`*+`), so that the time is linear also in a text that is no TOML.
_TOKEN: Final = re.compile(
    r"""
    \"{3}(?: [^"\\] | \\. | "{1,2}(?!") )*+ "{0,5}
    | '{3}(?: [^'] | '{1,2}(?!') )*+ '{0,5}
    | "(?: [^"\\\n] | \\[^\n] )*+ "?
    | '[^'\n]*+ '?
    | \#[^\n]*+
    | [][{}=,.\n]
    | [^][{}=,.\n"'\#]++
    """,
    re.DOTALL | re.VERBOSE,
)
_SEPARATORS: Final = frozenset("[]{}=,\n")


class Name(NamedTuple):
    """The name of a table or key: the line it stands on, counted from 1; is it a header; its whole path."""

    line: int
    header: bool
    path: tuple[str, ...]


def read_toml(path: Path) -> str:
    """Read a TOML file's text.

    Raises
    ------
    OSError
        If it is missing, no regular file, or larger than `MOST_BYTES`; `strerror` says which.
    UnicodeDecodeError
        If it is not UTF-8; a byte-order mark, as editors on Windows write it, is passed over.
    """
    return read_regular(path, MOST_BYTES).decode("utf-8-sig")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML text; raises `ValueError` if it is none, is nested deeply or has names of many parts."""
    dots = 0
    for match in _TOKEN.finditer(text):
        if match[0] == ".":
            dots += 1
        elif match[0] in _SEPARATORS:
            dots = 0
        if dots >= MOST_PARTS:
            line = text.count("\n", 0, match.start()) + 1
            raise ValueError(f"a name of more than {MOST_PARTS} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def toml_value(value: Any) -> str:
    """Write a value of a TOML file as it may stand in one; dates and tables, for errors, as JSON has them."""
    if isinstance(value, float):
        return repr(value)  # nan and inf, which JSON spells otherwise
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # Python writes no number of more than 4300 digits; in hexadecimal it reads one
        return "a number too long to write"
    except RecursionError:
        return "a value nested too deeply to write"


def names(text: str) -> Iterator[Name]:
    """Yield the headers and keys of a valid TOML text in order; those inside of values are passed over."""
    line = first = 1
    depth = 0
    table: tuple[str, ...] = ()
    head: list[str] | None = []  # the words of the key before "=", or of the line; None inside a value
    for match in _TOKEN.finditer(text + "\n"):
        token = match[0]
        if token == "\n" and depth == 0:
            if head:
                table = _parts(head)
                yield Name(first, True, table)
            head = []
        elif head is None:
            depth += (token in {"[", "{"}) - (token in {"]", "}"})
        elif token == "=":
            yield Name(first, False, table + _parts(head))
            head = None
        elif not token.isspace() and not token.startswith("#"):
            first = first if head else line
            head.append(token.strip())
        line += token.count("\n")


def _parts(head: list[str]) -> tuple[str, ...]:
    """Return the parts of a name from its tokens."""
    words = (token for token in head if token not in {"[", "]", "."})
    return tuple(tomllib.loads(f"_ = {word}")["_"] if word[0] in "\"'" else word for word in words)


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both allowed."""

    low: float
    high: float
    unit: str = ""

    def accepts(self, value: Any) -> bool:
        """Tell whether the value lies in the range (NaN does not)."""
        return bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True, slots=True)
class ZeroOr:
    """0, which stands for `what`, or a number in a range."""

    what: str
    range: Range

    def accepts(self, value: Any) -> bool:
        """Tell whether the value is 0 or lies in the range."""
        return value == 0 or self.range.accepts(value)

    def __str__(self) -> str:
        return f"0 ({self.what}) or {self.range}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    words: tuple[str | int, ...]

    def accepts(self, value: Any) -> bool:
        """Tell whether the value is one of the words."""
        return value in self.words

    def __str__(self) -> str:
        return "one of " + ", ".join(json.dumps(word) for word in self.words)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text of a certain form; says which."""

    form: str
    what: str

    def accepts(self, value: Any) -> bool:
        """Tell whether the whole value has the form."""
        return re.fullmatch(self.form, str(value)) is not None and str(value).isprintable()

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; says what it stands for."""

    what: str

    def accepts(self, value: Any) -> bool:
        """Accept any text without control characters."""
        return str(value).isprintable()

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class YesNo:
    """True or false."""

    def accepts(self, value: Any) -> bool:
        """Accept either."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True, slots=True)
class TimeZone:
    """The name of a time zone this system knows, or empty for the system's own."""

    def accepts(self, value: Any) -> bool:
        """Look the name up."""
        if value == "":
            return True
        from zoneinfo import ZoneInfo  # here, since `run` must light the screen before it loads much

        try:
            return bool(ZoneInfo(str(value)).key)
        except (ValueError, OSError, KeyError):
            return False

    def __str__(self) -> str:
        return "a time zone like \"Europe/Berlin\" (Debian's tzdata), or empty for the system's"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of texts that each keep to one rule."""

    rule: Pattern

    def accepts(self, value: Any) -> bool:
        """Tell whether every entry is a text of that form."""
        return all(isinstance(entry, str) and self.rule.accepts(entry) for entry in value)

    def __str__(self) -> str:
        return f"a list, each entry {self.rule}"
