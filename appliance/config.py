"""The settings: every key with its type, default, range, unit and meaning; read from layers of TOML files.

Each layer is a file of its own and sets some of the keys. A higher layer goes over a lower one:

    defaults  <  config.toml (a person)  <  card.toml (from the card)  <  calibration.toml (`calibrate`)

No program writes config.toml. Every value knows the file and line it comes from. A layer that holds anything
unknown or out of range is refused as a whole.

The same description checks the files and prints `appliance/config.toml` (`mona-lisa config print`).
"""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar, get_origin, get_type_hints

from appliance.errors import ConfigError
from appliance.schema import (
    CheckedTable,
    ListOf,
    OneOf,
    Pattern,
    Predicate,
    Range,
    TimeZone,
    ValueRule,
    YesNo,
    ZeroOr,
    names,
    parse_config_text,
    read_config_text,
    toml_value,
)
from appliance.terminal import printable_line

SYSTEM_FOLDER: Final = Path("/etc/mona-lisa")
CONFIG_FILE: Final = "config.toml"  # a person writes this file
CARD_FILE: Final = "card.toml"  # deploy/card_config.py copies this file from the card's boot partition
CALIBRATION_FILE: Final = "calibration.toml"  # `mona-lisa calibrate` writes this file
# The layers in the system's folder, the lowest first.
LAYERS: Final = (CONFIG_FILE, CARD_FILE, CALIBRATION_FILE)

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
REMOVED: Final = {"tracking.beta": "a walking viewer is followed without a filter"}

# Characters of a value that are quoted where several values share a line: any number, and most texts.
_LONGEST_VALUE: Final = 60

_PRINTED_HEAD: Final = """\
# Settings of the framed screen. Every key stands here with its default, behind a "#": take the "#" away and
# change the value. What you do not set keeps the program's default.
# Then `mona-lisa config check` says what to reload or restart; `mona-lisa config show` prints all of them.
# Two other files override this one: mona-lisa.toml on the card, and the result of `mona-lisa calibrate`."""

WEEK: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


_T = TypeVar("_T")


def setting(default: _T, rule: ValueRule, meaning: str = "", restart: bool = False) -> _T:
    """Describe a key: its default, what a value may be, what it means, and whether it needs a restart.

    A key without a meaning belongs to the one above it. A key that needs no restart counts after a reload.
    """
    return field(default=default, metadata={"rule": rule, "meaning": meaning, "restart": restart})


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """The camera and its pictures."""

    source: str = setting(
        "picamera",
        CAMERAS,
        'Where pictures come from: "picamera" (the Pi\'s camera), "gallery" (a simulated room), '
        '"gallery:WALK" (one of its walks) or "replay:FOLDER" (a folder of pictures).',
    )
    width: int = setting(
        640,
        Range(64, 4608, "pixels"),
        "Size of the pictures searched for faces. Keep the sensor's shape (16:9 for Camera Module 3) and a "
        "width that is a multiple of 128.",
    )
    height: int = setting(360, Range(64, 2592, "pixels"))
    rate: float = setting(
        30.0,
        Range(1, 120, "pictures/s"),
        "Pictures per second asked of the camera. In the dark it may give down to half of it.",
    )
    field_of_view: float = setting(
        0.0,
        ZeroOr("the camera's own lens", Range(10, 170, "degrees")),
        "Horizontal field of view. 0 takes that of the camera's own lens, by its name (Camera Module 3 has "
        "66 degrees, its wide version 102). With a lens of your own (HQ or GS camera) write its angle.",
    )
    rotation: int = setting(
        0,
        OneOf((0, 180)),
        "180 for a camera that is mounted upside down, because no face is found in an upside-down picture.",
    )
    distortion: float = setting(
        0.0,
        Range(-0.3, 0.3),
        "The lens's first radial distortion coefficient (Brown's k1): below 0 for a barrel, 0 for none.",
    )
    timeout: float = setting(
        5.0,
        Range(0.5, 60, "seconds"),
        "Time without a picture after which the camera counts as stalled. The first picture may take "
        f"{OPENING:g} s longer.",
    )


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The detection of faces."""

    model: str = setting(
        "full",
        OneOf(("short", "full")),
        'The model that searches the room, tile by tile, while nobody is followed. "full" sees all of it in '
        'seven pictures, to 5 m at 66 degrees. "short" needs a third of the time for each picture, but four '
        "times as many pictures.",
    )
    threshold: float = setting(
        0.5, Range(0.1, 0.99), "A newcomer's face with a lower score is not looked at again."
    )
    runtime: str = setting(
        "auto",
        OneOf(("auto", "tflite", "litert")),
        'The package that runs the models: "tflite" is tflite-runtime, "litert" its successor '
        'ai-edge-litert, "auto" ai-edge-litert where it can be imported. Both find the same faces. '
        "`mona-lisa bench vision` says which is faster on this machine.",
    )


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """The choice of the viewer, and the calm of the gaze."""

    stickiness: float = setting(
        1.45,
        Range(1, 5),
        "How much nearer a newcomer must stand to take the gaze from the current viewer: 1.45 means 1.45 "
        "times. Someone who only walks past must be that ratio squared nearer.",
    )
    attention: float = setting(
        8.0,
        Range(1, 3600, "seconds"),
        "After this time without a step, a person counts as having stood for long. The sitter does not look "
        "from a walking viewer back to such a person. With share = false, such a viewer loses the gaze to a "
        "walking person, and to a person who came later and stands nearer.",
    )
    dwell: float = setting(
        1.5,
        Range(0, 60, "seconds"),
        "The gaze stays with a viewer for at least this time, unless they are lost, show no sign of life, or "
        "a wider face is found in the first 0.7 s after somebody came into the empty room.",
    )
    fixture_after: float = setting(
        8.0,
        Range(0, 86400, "seconds"),
        "A face that shows no sign of life for this time (no sway, no turn, no blink) is a picture or a "
        "statue, and is ignored. Faces narrower than 20 pixels take three times as long. 0: no face is "
        "ignored.",
    )
    hold: float = setting(
        1.5,
        Range(0.2, 60, "seconds"),
        "How long the sitter keeps looking at the place where the viewer was last seen.",
    )
    return_time: float = setting(
        2.0, Range(0.1, 60, "seconds"), "How long the eyes then take to return to rest."
    )
    min_cutoff: float = setting(
        0.7,
        Range(0.01, 30, "Hz"),
        "Cut-off frequency of the filter on the gaze while the viewer stands: lower is calmer. A walking "
        "viewer is followed without a filter.",
    )
    hysteresis: float = setting(
        0.15,
        Range(0, 0.49, "frames"),
        "How far past the middle between two frames the gaze must go before the frame changes.",
    )
    prediction: float = setting(
        0.3,
        Range(0, 5, "seconds"),
        "The viewer's motion is continued to the moment when the light leaves the screen, for at most this "
        "time. 0: nothing is predicted.",
    )
    display_latency: float = setting(
        0.02,
        Range(0, 1, "seconds"),
        "Time between the choice of a frame and the moment when its light leaves the screen.",
    )
    wander_every: float = setting(
        0.0,
        Range(0, 3600, "seconds"),
        "How often the sitter looks around in an empty room. Less than 5 counts as 5. 0: never.",
    )
    share: bool = setting(
        True,
        YesNo(),
        "Whether the sitter looks at everybody who stops in front of the portrait, in turn. With false one "
        "visitor keeps the gaze until they leave or somebody clearly nearer comes.",
    )
    idle_after: float = setting(
        60.0,
        Range(1, 86400, "seconds"),
        "When nobody was there and nothing moved for this time, the camera takes only idle_rate pictures.",
    )
    idle_rate: float = setting(5.0, Range(1, 120, "pictures/s"))


@dataclass(frozen=True, slots=True)
class GazeConfig:
    """The way from a viewer's place to a frame."""

    mapping: str = setting(
        "angle",
        OneOf(("angle", "original")),
        '"angle": the sitter looks at the viewer\'s true place. "original": the 2020 piece, which uses the '
        "viewer's horizontal place in the picture alone.",
    )
    camera_right: float = setting(
        0.0,
        Range(-5000, 5000, "mm"),
        "Place of the camera relative to the sitter's eyes: to the right as the visitor sees it, forward "
        "(towards the visitor), and up (below 0: the camera is lower than the sitter's eyes). `mona-lisa "
        "calibrate` measures camera_right and camera_up.",
    )
    camera_forward: float = setting(0.0, Range(-5000, 5000, "mm"))
    camera_up: float = setting(0.0, CAMERA_UP)
    camera_pitch: float = setting(
        0.0,
        CAMERA_PITCH,
        "Tilt of the camera: above 0 it looks up, below 0 down. `mona-lisa calibrate` measures it.",
    )
    mirrored: bool = setting(
        False,
        YesNo(),
        "Whether the camera's pictures are mirrored. `mona-lisa calibrate` finds out.",
    )
    limit_left: float = setting(
        -90.0,
        Range(-90, 0, "degrees"),
        "The outermost angles to the sides at which the sitter looks. `mona-lisa calibrate` measures them.",
    )
    limit_right: float = setting(90.0, Range(0, 90, "degrees"))
    limit_up: float = setting(
        90.0,
        Range(0, 90, "degrees"),
        "The outermost angles up and down. The portrait's own frames reach less far.",
    )
    limit_down: float = setting(-90.0, Range(-90, 0, "degrees"))
    gain: float = setting(
        1.0,
        Range(0.1, 5),
        "Degrees that the sitter's gaze turns for each degree by which the viewer walks round the portrait, "
        "or is higher or lower.",
    )
    contact: float = setting(
        0.0,
        Range(0, 1),
        "How much the sitter meets the eyes of a viewer who stands still: 0 looks to the viewer's true "
        "place, 1 straight out of the picture. deploy/guide/contact.md says why, and how to try it.",
    )


@dataclass(frozen=True, slots=True)
class DisplayConfig:
    """The screen and the picture on it."""

    output: str = setting(
        "auto",
        DISPLAYS,
        '"auto" (a window on a desktop, else the screen itself), "kmsdrm", "window" or "offscreen:FOLDER".',
        restart=True,
    )
    width: int = setting(
        1080,
        Range(64, 7680, "pixels"),
        "Size of a window or of an offscreen picture; a real screen keeps its own. Portraits are rendered "
        "for this size: set it to the real screen's as it hangs, upright if the monitor is.",
        restart=True,
    )
    height: int = setting(1920, Range(64, 7680, "pixels"), restart=True)
    width_mm: float = setting(
        0.0,
        ZeroOr("what the monitor says", Range(50, 10000, "mm")),
        "Width of the lit part of the screen as it hangs. It is needed where several sitters turn to one "
        "visitor, each by its own angle. A monitor that does not say its size counts as one of 27 inches.",
        restart=True,
    )
    pack: str = setting(
        "",
        Predicate(str.isprintable, "a pack's folder, or empty for the portrait that hangs"),
        "Folder of the portrait to show. Empty: the one that hangs (`mona-lisa portrait use`).",
    )
    rotation: int = setting(
        0,
        OneOf((0, 90, 180, 270)),
        "Degrees by which the picture is turned clockwise on the screen. A monitor that hangs upright but is "
        "driven as a wide one needs 90 or 270.",
        restart=True,
    )
    fit: str = setting(
        "contain",
        OneOf(("contain", "cover")),
        '"contain": all of the picture, with borders where its shape is another. "cover": no borders; the '
        "picture's edges are cut off, and the face stays in view.",
        restart=True,
    )
    border: str = setting(
        "#000000",
        Pattern(r"#[0-9a-fA-F]{6}", 'a colour like "#000000"'),
        'Colour of the borders, like "#000000".',
        restart=True,
    )
    margin: int = setting(
        0,
        Range(0, 400, "pixels"),
        "Width of a border on every side: for a frame's rabbet, or a television that cuts off the edges.",
        restart=True,
    )
    brightness: float = setting(
        1.0, Range(0.05, 1), "Part of full brightness that is never exceeded.", restart=True
    )
    crossfade: bool = setting(
        False,
        YesNo(),
        "Whether to fade between neighbouring frames, in two steps instead of one: calmer, at twice the "
        "work.",
        restart=True,
    )
    shift: int = setting(
        2,
        Range(0, 8, "pixels"),
        "Against burn-in the whole picture moves by a pixel every shift_time minutes, and at most this far "
        "from its place. 0: it stays where it is.",
        restart=True,
    )
    shift_time: float = setting(3.0, Range(0.05, 1440, "minutes"), restart=True)
    film: str = setting(
        "",
        FILMS,
        "Record what is shown in this .webp or .gif file, for support. Empty: do not. Also `run --film "
        "FILE`.",
        restart=True,
    )


@dataclass(frozen=True, slots=True)
class HoursConfig:
    """The opening hours."""

    timezone: str = setting(
        "",
        TimeZone(),
        'Time zone of the opening hours, like "Europe/Berlin". Empty: the system\'s.',
        restart=True,
    )
    monday: str = setting(
        "always",
        OPENINGS,
        'When the screen is lit, by the day on which it opens: "always" (all day), "closed", or times like '
        '"10:00-18:00". Separate several with commas. An end before its beginning is on the next day '
        '("18:00-02:00").',
        restart=True,
    )
    tuesday: str = setting("always", OPENINGS, restart=True)
    wednesday: str = setting("always", OPENINGS, restart=True)
    thursday: str = setting("always", OPENINGS, restart=True)
    friday: str = setting("always", OPENINGS, restart=True)
    saturday: str = setting("always", OPENINGS, restart=True)
    sunday: str = setting("always", OPENINGS, restart=True)
    closed_days: tuple[str, ...] = setting(
        (),
        ListOf(DAYS),
        'Days on which it does not open: "12-25" is every year, "2027-04-05" once. Like '
        '["12-25", "2027-04-05"].',
        restart=True,
    )
    clock: str = setting(
        "synchronised",
        OneOf(("synchronised", "any")),
        '"synchronised": the screen counts as open until the clock was set, by the network or by a clock '
        'with a battery. "any": believe whatever the clock says.',
        restart=True,
    )
    fade: float = setting(3.0, Range(0, 60, "seconds"), "Time to fade in and out.", restart=True)
    cec: bool = setting(
        False,
        YesNo(),
        "Whether to send the monitor to standby and to wake it, by HDMI-CEC (needs `cec-ctl` of v4l-utils). "
        "A monitor that is switched off with its remote control during opening hours wakes again: use "
        "closed_days, or its plug.",
        restart=True,
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; every key has a default."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    gaze: GazeConfig = field(default_factory=GazeConfig)
    display: DisplayConfig = field(default_factory=DisplayConfig)
    hours: HoursConfig = field(default_factory=HoursConfig)


# A section and a key in it.
Key = tuple[str, str]


@dataclass(frozen=True)
class Layer:
    """The keys that one file sets; `name` is what messages call the file."""

    name: str
    values: Mapping[Key, Any]
    text: str = field(repr=False)

    @functools.cached_property
    def _lines(self) -> dict[tuple[str, ...], int]:
        return _lines(self.text)

    def place(self, key: Key) -> str:
        """Return "file:line" of a key, with lines counted from 1."""
        return f"{self.name}:{_line(self._lines, *key)}"


@dataclass(frozen=True, slots=True)
class LayeredConfig:
    """The settings in force, and the layers they come from, the lowest first."""

    config: Config
    layers: tuple[Layer, ...]

    def origin(self, key: Key) -> str:
        """Return where a value comes from: "file:line", or "default"."""
        setters = [layer for layer in self.layers if key in layer.values]
        return setters[-1].place(key) if setters else "default"

    def overridden(self) -> list[str]:
        """Return a line for every value that does not count because a higher layer sets the same key."""
        found = []
        for number, layer in enumerate(self.layers):
            for key, value in layer.values.items():
                above = [other for other in self.layers[number + 1 :] if key in other.values]
                if above:
                    said = f"{layer.place(key)}: {'.'.join(key)} = {_short(value)}"
                    wins = f"{above[-1].place(key)} sets {_short(above[-1].values[key])}"
                    found.append(f"{said}; overridden: {wins}")
        return found


def config_folder() -> Path:
    """Return the folder of the layers: systemd's CONFIGURATION_DIRECTORY, else the system's."""
    given = os.environ.get("CONFIGURATION_DIRECTORY")
    return Path(given.split(":")[0]) if given else SYSTEM_FOLDER


def layer_files(path: Path | None = None) -> list[Path]:
    """Return the files that are read, the lowest layer first: `path` alone, or the system's that are there.

    One that cannot be looked at is among them, so that reading it says why.
    """
    if path is not None:
        return [path]
    return [file for name in LAYERS if _may_exist(file := config_folder() / name)]


def read_layer(path: Path) -> Layer:
    """Read one file of settings.

    Raises `ConfigError` if it cannot be read or holds anything unknown or out of range: names file, line,
    key, value and what was expected.
    """
    return parse_layer(read_config_text(path), str(path))


def parse_layer(text: str, name: str) -> Layer:
    """Read a layer from text; `name` is what errors call it. Raises `ConfigError`."""
    tree = parse_config_text(text, name)
    sections = get_type_hints(Config)
    values: dict[Key, Any] = {}
    for section, keys in tree.items():
        if section not in sections or not isinstance(keys, dict):
            where = f"{name}:{_line(_lines(text), section)}"
            if section in sections:
                raise ConfigError(f"{where}: {section} = {toml_value(keys)}; expected a section [{section}]")
            raise ConfigError(f"{where}: unknown section [{section}]; expected one of {', '.join(sections)}")
        found = _section(sections[section], section, keys, text, name)
        values.update({(section, key): value for key, value in found.items()})
    return Layer(name, values, text)


def merge(layers: Iterable[Layer]) -> LayeredConfig:
    """Return the settings that layers give together, the lowest first; what none of them sets is default."""
    layers = tuple(layers)
    kinds = get_type_hints(Config)
    values: dict[str, dict[str, Any]] = {section: {} for section in kinds}
    for layer in layers:
        for (section, key), value in layer.values.items():
            values[section][key] = value
    return LayeredConfig(Config(**{name: kinds[name](**keys) for name, keys in values.items()}), layers)


def load_layers(path: Path | None = None) -> LayeredConfig:
    """Read one file over the defaults, or without one all of the system's layers; raises `ConfigError`."""
    return merge(map(read_layer, layer_files(path)))


def load_config(path: Path | None = None) -> Config:
    """Return the settings in force, as `load_layers` reads them; raises `ConfigError`."""
    return load_layers(path).config


def parse_config(text: str, name: str) -> Config:
    """Read a config from text; `name` is what errors call it. Raises `ConfigError`."""
    return merge([parse_layer(text, name)]).config


def show_config(layered: LayeredConfig) -> str:
    """Write the settings that the files ask for as TOML: every key with its value and its origin."""
    return config_toml(layered.config, lambda key: f"  # {printable_line(layered.origin(key))}")


def config_toml(config: Config, remark: Callable[[Key], str] = lambda key: "") -> str:
    """Write settings as TOML that `parse_config` reads, every key with its value and a remark after it."""
    parts = []
    for part in fields(Config):
        section = getattr(config, part.name)
        rows = [f"[{part.name}]"]
        for each in fields(section):
            value = toml_value(getattr(section, each.name))
            rows.append(f"{each.name} = {value}{remark((part.name, each.name))}")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def print_config() -> str:
    """Write a config.toml in which every key stands as a comment, with its default, meaning and range."""
    import textwrap  # not before the first light

    rows = [_PRINTED_HEAD]
    for part in fields(Config):
        rows += ["", f"[{part.name}]"]
        keys = fields(get_type_hints(Config)[part.name])
        if any(each.metadata["restart"] for each in keys):
            live = ", ".join(each.name for each in keys if not each.metadata["restart"])
            told = "Changes here count after `sudo systemctl restart mona-lisa`"
            rows.append(f"# {told}{f'; {live} after a reload' if live else ''}.")
        for each in keys:
            rows += [""] * bool(each.metadata["meaning"] and rows[-1][0] == "#")
            rows += textwrap.wrap(each.metadata["meaning"], 108, initial_indent="# ", subsequent_indent="# ")
            rule = each.metadata["rule"]
            allowed = f"  # {rule}" if isinstance(rule, Range | ZeroOr | OneOf | YesNo) else ""
            rows.append(f"#{each.name} = {toml_value(each.default)}{allowed}")
    return "\n".join(rows) + "\n"


def needs_restart(old: Config, new: Config) -> list[Key]:
    """List the keys that change and count after a restart only."""
    return list(_changes(keep_until_restart(old, new), new))


def not_yet_in_force(layered: LayeredConfig, in_force: Config) -> list[str]:
    """Return a line for every value of the files that a running service does not have yet.

    The line says what makes it count. `in_force` is what that service goes by.
    """
    after_restart = needs_restart(in_force, layered.config)
    found = []
    for key in _changes(in_force, layered.config):
        value, now = (_short(getattr(getattr(each, key[0]), key[1])) for each in (layered.config, in_force))
        how = "restart" if key in after_restart else "reload"
        told = f"{layered.origin(key)}: {'.'.join(key)} = {value}; in force is {now}"
        found.append(f"{told}; it counts after: sudo systemctl {how} mona-lisa")
    return found


def _changes(old: Config, new: Config) -> Iterator[Key]:
    for part in fields(Config):
        before, after = getattr(old, part.name), getattr(new, part.name)
        for each in fields(before):
            if getattr(before, each.name) != getattr(after, each.name):
                yield part.name, each.name


def keep_until_restart(old: Config, new: Config) -> Config:
    """Return `new` with the values of `old` for all keys that count after a restart only."""
    sections = {}
    for part in fields(Config):
        before = getattr(old, part.name)
        kept = {each.name: getattr(before, each.name) for each in fields(before) if each.metadata["restart"]}
        sections[part.name] = replace(getattr(new, part.name), **kept)
    return Config(**sections)


def _short(value: Any) -> str:
    return printable_line(toml_value(value), _LONGEST_VALUE)


def _may_exist(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def _section(kind: Any, section: str, keys: dict[str, Any], text: str, name: str) -> dict[str, Any]:
    def place(key: str) -> str:
        return f"{name}:{_line(_lines(text), section, key)}: {section}."

    table = CheckedTable(keys, place, ConfigError)
    for key in keys:
        if why := REMOVED.get(f"{section}.{key}"):
            raise table.refusal(key, f"no longer used, because {why}: delete the line")
    known = {each.name: each for each in fields(kind)}
    table.check_keys(known)
    types = get_type_hints(kind)
    plain = {key: get_origin(types[key]) or types[key] for key in keys}
    return {key: table.get(key, plain[key], known[key].metadata["rule"]) for key in keys}


def _line(lines: Mapping[tuple[str, ...], int], section: str, *key: str) -> int:
    """Return the line of a section or of a key in it; a table that stands within one line holds its keys."""
    return lines.get((section, *key)) or lines.get((section,)) or 1


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line on which each section, and each key in one, stands first."""
    found: dict[tuple[str, ...], int] = {}
    for name in names(text):
        for parts in (1, 2):
            found.setdefault(name.path[:parts], name.line)
    return found
