"""What a setting's value may be: each rule accepts a value or not, and says what it expects."""

import json
import re
from dataclasses import dataclass
from typing import Any


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
