"""The configuration: one typed, frozen tree, read from TOML; what it does not know it refuses."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from appliance.errors import ConfigError
from appliance.schema import (
    ListOf,
    OneOf,
    Pattern,
    Range,
    Text,
    TimeZone,
    YesNo,
    ZeroOr,
    names,
    parse_toml,
    read_toml,
    toml_value,
)

SYSTEM_CONFIG: Final = Path("/etc/mona-lisa/config.toml")

# The types a key's value may have in TOML, by the type it has here.
_IN_TOML: Final[dict[type, tuple[type, ...]]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
    tuple: (list,),
}


CAMERAS: Final = Pattern(
    r"picamera|gallery(:.+)?|replay:.+", "picamera, gallery, gallery:WALK or replay:FOLDER"
)
DISPLAYS: Final = Pattern(r"auto|kmsdrm|window|offscreen:.+", "auto, kmsdrm, window or offscreen:FOLDER")

FILMS: Final = Pattern(r"(.+\.(webp|gif))?", "a file whose name ends in .webp or .gif, or empty")
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d"
_SPAN: Final = rf"{_TIME}-({_TIME}|24:00)"
OPENINGS: Final = Pattern(
    rf"always|closed|{_SPAN}(, ?{_SPAN})*",
    '"always", "closed" or times like "10:00-18:00" or "10:00-12:30, 14:00-02:00"',
)
DAYS: Final = Pattern(
    r"(\d{4}-)?(?!02-3|(0[2469]|11)-31)(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    'a day like "12-25" (every year) or "2027-04-05"',
)


CAMERA_UP: Final = Range(-3000, 3000, "mm")
CAMERA_PITCH: Final = Range(-60, 60, "degrees")
# Seconds by which opening a camera, and then its first picture, may take longer than `camera.timeout`
# (estimate for a small machine: picamera2 and the models are loaded; an AI Camera loads its firmware).
OPENING: Final = 40.0
# Keys of earlier versions, and why they are gone.
REMOVED: Final = {
    "tracking.beta": "a walking viewer is followed without a filter",
}

WEEK: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """How pictures are taken."""

    source: Annotated[str, CAMERAS] = "picamera"
    width: Annotated[int, Range(64, 4608, "pixels")] = 640
    height: Annotated[int, Range(64, 2592, "pixels")] = 360
    rate: Annotated[float, Range(1, 120, "pictures/s")] = 30.0
    field_of_view: Annotated[float, ZeroOr("the camera's own lens", Range(10, 170, "degrees"))] = 0.0
    rotation: Annotated[int, OneOf((0, 180))] = 0
    distortion: Annotated[float, Range(-0.3, 0.3)] = 0.0
    timeout: Annotated[float, Range(0.5, 60, "seconds")] = 5.0


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """How faces are found."""

    model: Annotated[str, OneOf(("short", "full"))] = "full"
    threshold: Annotated[float, Range(0.1, 0.99)] = 0.5


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """Whom the sitter follows, and how calmly."""

    stickiness: Annotated[float, Range(1, 5)] = 1.45
    attention: Annotated[float, Range(1, 3600, "seconds")] = 8.0
    dwell: Annotated[float, Range(0, 60, "seconds")] = 1.5
    fixture_after: Annotated[float, Range(0, 86400, "seconds")] = 8.0
    hold: Annotated[float, Range(0.2, 60, "seconds")] = 1.5
    return_time: Annotated[float, Range(0.1, 60, "seconds")] = 2.0
    min_cutoff: Annotated[float, Range(0.01, 30, "Hz")] = 0.7
    hysteresis: Annotated[float, Range(0, 0.49, "frames")] = 0.15
    prediction: Annotated[float, Range(0, 5, "seconds")] = 0.3
    display_latency: Annotated[float, Range(0, 1, "seconds")] = 0.02
    wander_every: Annotated[float, Range(0, 3600, "seconds")] = 0.0
    share: Annotated[bool, YesNo()] = True
    idle_after: Annotated[float, Range(1, 86400, "seconds")] = 60.0
    idle_rate: Annotated[float, Range(1, 120, "pictures/s")] = 5.0


@dataclass(frozen=True, slots=True)
class GazeConfig:
    """How a viewer's place becomes a frame."""

    mapping: Annotated[str, OneOf(("angle", "original"))] = "angle"
    camera_right: Annotated[float, Range(-5000, 5000, "mm")] = 0.0
    camera_forward: Annotated[float, Range(-5000, 5000, "mm")] = 0.0
    camera_up: Annotated[float, CAMERA_UP] = 0.0
    camera_pitch: Annotated[float, CAMERA_PITCH] = 0.0
    mirrored: Annotated[bool, YesNo()] = False
    limit_left: Annotated[float, Range(-90, 0, "degrees")] = -90.0
    limit_right: Annotated[float, Range(0, 90, "degrees")] = 90.0
    limit_up: Annotated[float, Range(0, 90, "degrees")] = 90.0
    limit_down: Annotated[float, Range(-90, 0, "degrees")] = -90.0
    gain: Annotated[float, Range(0.1, 5)] = 1.0
    contact: Annotated[float, Range(0, 1)] = 0.0


@dataclass(frozen=True, slots=True)
class DisplayConfig:
    """Where the light goes."""

    output: Annotated[str, DISPLAYS] = "auto"
    width: Annotated[int, Range(64, 7680, "pixels")] = 1080
    height: Annotated[int, Range(64, 7680, "pixels")] = 1920
    width_mm: Annotated[float, ZeroOr("what the monitor says", Range(50, 10000, "mm"))] = 0.0
    pack: Annotated[str, Text("a pack's folder, or empty for the portrait that hangs")] = ""
    rotation: Annotated[int, OneOf((0, 90, 180, 270))] = 0
    fit: Annotated[str, OneOf(("contain", "cover"))] = "contain"
    border: Annotated[str, Pattern(r"#[0-9a-fA-F]{6}", 'a colour like "#000000"')] = "#000000"
    margin: Annotated[int, Range(0, 400, "pixels")] = 0
    brightness: Annotated[float, Range(0.05, 1)] = 1.0
    crossfade: Annotated[bool, YesNo()] = False
    shift: Annotated[int, Range(0, 8, "pixels")] = 2
    shift_time: Annotated[float, Range(0.05, 1440, "minutes")] = 3.0
    film: Annotated[str, FILMS] = ""


@dataclass(frozen=True, slots=True)
class HoursConfig:
    """When the screen is lit."""

    timezone: Annotated[str, TimeZone()] = ""
    monday: Annotated[str, OPENINGS] = "always"
    tuesday: Annotated[str, OPENINGS] = "always"
    wednesday: Annotated[str, OPENINGS] = "always"
    thursday: Annotated[str, OPENINGS] = "always"
    friday: Annotated[str, OPENINGS] = "always"
    saturday: Annotated[str, OPENINGS] = "always"
    sunday: Annotated[str, OPENINGS] = "always"
    closed_days: Annotated[tuple[str, ...], ListOf(DAYS)] = ()
    clock: Annotated[str, OneOf(("synchronised", "any"))] = "synchronised"
    fade: Annotated[float, Range(0, 60, "seconds")] = 3.0
    cec: Annotated[bool, YesNo()] = False


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; every key has a default."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    gaze: GazeConfig = field(default_factory=GazeConfig)
    display: DisplayConfig = field(default_factory=DisplayConfig)
    hours: HoursConfig = field(default_factory=HoursConfig)


def system_config() -> Path | None:
    """Return the system's config file, None if there is none; reading one that is closed to us tells so."""
    try:
        SYSTEM_CONFIG.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass
    return SYSTEM_CONFIG


def load_config(path: Path | None = None) -> Config:
    """Read a config file; without one, the system's if it exists, else the defaults.

    Raises
    ------
    ConfigError
        If the file cannot be read or holds anything unknown or out of range: names file, line,
        key, value and what was expected.
    """
    path = path or system_config()
    if path is None:
        return Config()
    try:
        text = read_toml(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return parse_config(text, str(path))


def parse_config(text: str, name: str) -> Config:
    """Read a config from text; `name` is what errors call it. Raises `ConfigError`."""
    try:
        tree = parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    sections = get_type_hints(Config)
    values: dict[str, Any] = {}
    for section, keys in tree.items():
        if section not in sections:
            where = f"{name}:{_line(text, section)}"
            raise ConfigError(f"{where}: unknown section [{section}]; expected one of {', '.join(sections)}")
        if not isinstance(keys, dict):
            where = f"{name}:{_line(text, section)}"
            raise ConfigError(f"{where}: {section} = {toml_value(keys)}; expected a section [{section}]")
        values[section] = _section(sections[section], section, keys, text, name)
    return Config(**values)


def dump_config(config: Config) -> str:
    """Write a config as TOML, every key with its value."""
    parts = []
    for part in fields(config):
        section = getattr(config, part.name)
        rows = [f"{f.name} = {toml_value(getattr(section, f.name))}" for f in fields(section)]
        parts.append("\n".join([f"[{part.name}]", *rows]))
    return "\n\n".join(parts) + "\n"


def _section(kind: Any, section: str, keys: dict[str, Any], text: str, name: str) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}

    def wrong(key: str, why: str) -> ConfigError:
        where = f"{name}:{_line(text, section, key)}: {section}.{key}"
        return ConfigError(f"{where} = {toml_value(keys[key])}; {why}")

    for key, value in keys.items():
        if why := REMOVED.get(f"{section}.{key}"):
            raise wrong(key, f"no longer used, because {why}: delete the line")
        if key not in hints:
            raise wrong(key, f"unknown key, expected one of {', '.join(hints)}")
        assert get_origin(hints[key]) is Annotated
        wanted, rule = get_args(hints[key])
        plain = get_origin(wanted) or wanted
        right_type = type(value) in _IN_TOML[plain]
        if not right_type or not rule.accepts(value):
            kind_name = {int: "a whole number, ", float: "a number, "}.get(plain, "")
            kind_name = "" if isinstance(rule, OneOf) else kind_name
            raise wrong(key, f"expected {kind_name}{rule}")
        values[key] = plain(value)
    return kind(**values)


def _line(text: str, section: str, *key: str) -> int:
    """Find the line of a section or of a key in it, 1 where it cannot be told."""
    found = 0
    for name in names(text):
        if name.path[: 1 + len(key)] == (section, *key):
            return name.line
        if name.path[0] == section:  # a table inside of a line holds the key
            found = found or name.line
    return found or 1
