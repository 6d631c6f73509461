"""The configuration: one typed, frozen tree, read from TOML; what it does not know it refuses."""

import json
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from appliance.errors import ConfigError

SYSTEM_CONFIG: Final = Path("/etc/mona-lisa/config.toml")


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
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        """Tell whether the value is one of the words."""
        return value in self.words

    def __str__(self) -> str:
        return "one of " + ", ".join(f'"{word}"' for word in self.words)


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


Rule = Range | OneOf | Pattern | Text

CAMERAS: Final = Pattern(
    r"picamera|gallery(:.+)?|replay:.+", "picamera, gallery, gallery:WALK or replay:FOLDER"
)
DISPLAYS: Final = Pattern(r"auto|kmsdrm|window|offscreen:.+", "auto, kmsdrm, window or offscreen:FOLDER")


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """How pictures are taken."""

    source: Annotated[str, CAMERAS] = "picamera"
    width: Annotated[int, Range(64, 4608, "pixels")] = 640
    height: Annotated[int, Range(64, 2592, "pixels")] = 360
    rate: Annotated[float, Range(1, 120, "pictures/s")] = 30.0
    field_of_view: Annotated[float, Range(10, 170, "degrees")] = 66.0
    timeout: Annotated[float, Range(0.5, 60, "seconds")] = 5.0


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """How faces are found."""

    model: Annotated[str, OneOf(("short", "full"))] = "full"
    threshold: Annotated[float, Range(0.1, 0.99)] = 0.6


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """Whom the sitter follows, and how calmly."""

    stickiness: Annotated[float, Range(1, 5)] = 1.4
    hold: Annotated[float, Range(0.2, 60, "seconds")] = 1.5
    return_time: Annotated[float, Range(0.1, 60, "seconds")] = 2.0
    min_cutoff: Annotated[float, Range(0.01, 30, "Hz")] = 1.0
    beta: Annotated[float, Range(0, 10, "Hz per degree/s")] = 0.5
    hysteresis: Annotated[float, Range(0, 0.49, "frames")] = 0.15


@dataclass(frozen=True, slots=True)
class GazeConfig:
    """How a viewer's place becomes a frame."""

    mapping: Annotated[str, OneOf(("angle", "original"))] = "angle"
    camera_right: Annotated[float, Range(-5000, 5000, "mm")] = 0.0
    camera_forward: Annotated[float, Range(-5000, 5000, "mm")] = 0.0
    gain: Annotated[float, Range(0.1, 5)] = 1.0


@dataclass(frozen=True, slots=True)
class DisplayConfig:
    """Where the light goes."""

    output: Annotated[str, DISPLAYS] = "auto"
    width: Annotated[int, Range(64, 7680, "pixels")] = 1080
    height: Annotated[int, Range(64, 7680, "pixels")] = 1920
    pack: Annotated[str, Text("a pack's folder, or empty for the portrait that hangs")] = ""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; every key has a default."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    gaze: GazeConfig = field(default_factory=GazeConfig)
    display: DisplayConfig = field(default_factory=DisplayConfig)


def load_config(path: Path | None = None) -> Config:
    """Read a config file; without one, the system's if it exists, else the defaults.

    Raises
    ------
    ConfigError
        If the file cannot be read or holds anything unknown or out of range: names file, line,
        key, value and what was expected.
    """
    if path is None:
        if not SYSTEM_CONFIG.exists():
            return Config()
        path = SYSTEM_CONFIG
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return parse_config(text, str(path))


def parse_config(text: str, name: str) -> Config:
    """Read a config from text; `name` is what errors call it. Raises `ConfigError`."""
    try:
        tree = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; a number of 5000 digits raises another
        raise ConfigError(f"{name}: not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: not TOML: nested too deeply") from error
    sections = get_type_hints(Config)
    values: dict[str, Any] = {}
    for section, keys in tree.items():
        where = f"{name}:{_line(text, section, None)}"
        if section not in sections:
            raise ConfigError(f"{where}: unknown section [{section}]; expected one of {', '.join(sections)}")
        if not isinstance(keys, dict):
            raise ConfigError(f"{where}: {section} = {_toml(keys)}; expected a section [{section}]")
        values[section] = _section(sections[section], section, keys, text, name)
    return Config(**values)


def dump_config(config: Config) -> str:
    """Write a config as TOML, every key with its value."""
    parts = []
    for part in fields(config):
        section = getattr(config, part.name)
        rows = [f"{f.name} = {_toml(getattr(section, f.name))}" for f in fields(section)]
        parts.append("\n".join([f"[{part.name}]", *rows]))
    return "\n\n".join(parts) + "\n"


def _section(kind: Any, section: str, keys: dict[str, Any], text: str, name: str) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for key, value in keys.items():
        where = f"{name}:{_line(text, section, key)}: {section}.{key}"
        if key not in hints:
            raise ConfigError(f"{where} = {_toml(value)}; unknown key, expected one of {', '.join(hints)}")
        assert get_origin(hints[key]) is Annotated
        wanted, rule = get_args(hints[key])
        right_type = type(value) is wanted or (wanted is float and type(value) is int)
        if not right_type or not rule.accepts(value):
            kind_name = {int: "a whole number, ", float: "a number, ", str: ""}[wanted]
            raise ConfigError(f"{where} = {_toml(value)}; expected {kind_name}{rule}")
        values[key] = wanted(value)
    return kind(**values)


def _toml(value: Any) -> str:
    # JSON's strings, numbers, lists and booleans are TOML's; dates and tables only occur in errors.
    if isinstance(value, float):
        return repr(value)  # nan and inf, which JSON spells otherwise
    return json.dumps(value, ensure_ascii=False, default=str)


def _line(text: str, section: str, key: str | None) -> int:
    """Find the line of a section or key, since tomllib keeps none; 1 where it cannot be told."""
    current, found = "", 1
    for number, row in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*[\"']?([^\]\"']+?)[\"']?\s*\]", row):
            current = header[1]
            if current == section:
                found = number
                if key is None:
                    return number
        elif match := re.match(r"\s*([\w.\"'-]+)\s*=", row):
            path = match[1].replace('"', "").replace("'", "")
            full = f"{current}.{path}" if current else path
            if full == f"{section}.{key}" or (key is None and full.split(".")[0] == section):
                return number
    return found
