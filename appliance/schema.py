"""Read and check TOML files from outside: within bounds, with the lines of names and rules for values.

Each rule accepts a value or not, and says what it expects. Settings, packs, walks, manifests and the
gallery's catalogue are all checked by `CheckedTable`, so that their errors read alike.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from appliance.errors import ConfigError
from appliance.files import read_regular
from appliance.terminal import printable_line

MOST_BYTES: Final = 65_536  # largest file that is read, in bytes: ten times the commented config.toml
# Most parts of a dotted name (ours have two). tomllib's time grows with the square of their number or worse
# (measured: 11 s for a header of 8,000 parts over 8,000 keys).
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


def read_toml_text(path: Path) -> str:
    """Read a TOML file's text.

    Raises `OSError` if it is missing, no regular file, or larger than `MOST_BYTES`; `strerror` says which.
    Raises `UnicodeDecodeError` if it is not UTF-8; the byte-order mark of editors on Windows is ignored.
    """
    return read_regular(path, MOST_BYTES).decode("utf-8-sig")


def read_config_text(path: Path) -> str:
    """Read a TOML file that a person wrote; raises `ConfigError`, in one line, if it cannot be read."""
    try:
        return read_toml_text(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error


def parse_config_text(text: str, name: str) -> dict[str, Any]:
    """Parse the text of such a file, called `name` in errors. Raises `ConfigError` if it is not TOML."""
    try:
        return parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML text; raises `ValueError` if it is none, is nested deeply or has names of many parts."""
    dots = 0
    for match in _TOKEN.finditer(text):
        dots = 0 if match[0] in _SEPARATORS else dots + (match[0] == ".")
        if dots >= MOST_PARTS:
            line = text.count("\n", 0, match.start()) + 1
            raise ValueError(f"a name of more than {MOST_PARTS} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def toml_value(value: Any) -> str:
    """Write a value of a TOML file as it may stand in one; dates and tables, for errors, as JSON has them."""
    try:
        return _written(value)
    except ValueError:  # Python writes no number of more than 4300 digits; in hexadecimal it reads one
        return "a number too long to write"
    except RecursionError:
        return "a value nested too deeply to write"


def _written(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)  # nan and inf, which JSON spells otherwise
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)


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
    words = (token for token in head if token not in {"[", "]", "."})
    return tuple(tomllib.loads(f"_ = {word}")["_"] if word[0] in "\"'" else word for word in words)


# The types that a value may have in TOML, where that is not the type that it has here.
_IN_TOML: Final[dict[type, tuple[type, ...]]] = {float: (float, int), tuple: (list,)}
_MOST_QUOTED: Final = 200  # characters of a wrong value that an error quotes: several lines of a terminal
_T = TypeVar("_T")


class ValueRule(Protocol):
    """A rule for a value; as text it says what is expected."""

    def accepts(self, value: Any) -> bool:
        """Tell whether a value of the right type is allowed."""


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


@dataclass(frozen=True, slots=True)
class Predicate:
    """A value for which a function holds; says in words what that is."""

    holds: Callable[[Any], bool]
    what: str

    def accepts(self, value: Any) -> bool:
        """Ask the function."""
        return self.holds(value)

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table read from TOML, whose values are checked one by one.

    `place` gives what stands before a key in an error, such as "config.toml:3: camera."; `error` makes the
    exception of a message; `advice` ends each message.
    """

    values: Mapping[str, Any]
    place: Callable[[str], str]
    error: Callable[[str], Exception]
    advice: str = ""

    def refusal(self, key: str, why: str) -> Exception:
        """Return the error of a key: its place, its value and why it is wrong."""
        value = printable_line(toml_value(self.values[key]), _MOST_QUOTED) if key in self.values else None
        shown = "missing" if value is None else f"= {value}"
        return self.error(f"{self.place(key)}{key} {shown}; {why}{self.advice}")

    def check_keys(self, known: Iterable[str]) -> None:
        """Raise the error of the first key that is not among the known ones."""
        names = tuple(known)
        for key in self.values:
            if key not in names:
                raise self.refusal(key, f"unknown key, expected one of {', '.join(names)}")

    def get(self, key: str, kind: type[_T], rule: ValueRule, default: _T | None = None) -> _T:
        """Return a value as `kind`: bool, int, float, str, tuple, list or dict.

        A key that is missing gives `default`. Without a default, and where type or rule do not fit, this
        raises the table's error.
        """
        if key not in self.values and default is not None:
            return default
        value = self.values.get(key)
        if type(value) not in _IN_TOML.get(kind, (kind,)) or not rule.accepts(value):
            numbers: dict[type, str] = {int: "a whole number, ", float: "a number, "}
            what = "" if isinstance(rule, OneOf | Predicate) else numbers.get(kind, "")
            raise self.refusal(key, f"expected {what}{rule}")
        make: Any = kind
        made: _T = make(value)
        return made


ANY_TEXT: Final = Predicate(lambda _: True, "text")
ANY_WHOLE: Final = Predicate(lambda _: True, "a whole number")
ANY_TABLE: Final = Predicate(lambda _: True, "a table")
TABLES: Final = Predicate(lambda rows: all(isinstance(row, dict) for row in rows), "a list of tables")
