"""The settings in force: read at the start and on SIGHUP; the last right ones when a file is wrong."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from appliance.assets import home
from appliance.config import Config, load_config, parse_config, system_config
from appliance.errors import CannotWrite, ConfigError
from appliance.files import read_regular, write_atomic
from appliance.library import DEFAULT, current, library
from appliance.schema import MOST_BYTES, read_toml

log = logging.getLogger(__name__)

CONFIG_WRONG: Final = "config wrong, %s: %s"
DEFAULTS: Final = "the defaults are in force"
LAST_RIGHT: Final = "the last right one is in force"
STAYS: Final = "the one before stays in force"
CONFIG_TAKEN: Final = "config read again: %s"
LATER: Final = "[%s] counts from the next start on: sudo systemctl restart mona-lisa"

# A copy of the last config that was right, beside the portraits.
_COPY: Final = ".last-right-config.toml"


class Flag:
    """Set by a signal's handler, which may interrupt anything: an Event's lock could be held just then."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Ask for something."""
        self._is_set = True

    def is_set(self) -> bool:
        """Tell whether it is still asked for."""
        return self._is_set

    def take(self) -> bool:
        """Tell whether it was asked for, and forget it."""
        was_set, self._is_set = self._is_set, False
        return was_set


@dataclass
class Settings:
    """What the command line and the config file ask for.

    `config` is what was asked for when it was last right: at the start, then at each reload.
    `file` is the config file, None for the system's; `camera`, `display`, `film` and `pack` come from
    the command line and win. A `supervised` run is the service's: it goes on without what is wrong.
    """

    file: Path | None = None
    camera: str = ""
    display: str = ""
    film: str = ""
    pack: Path | None = None
    supervised: bool = False
    reread: Flag = field(default_factory=Flag)
    fault: str = ""
    config: Config = field(default_factory=Config, init=False)

    @property
    def path(self) -> Path | None:
        """The file that is read, None if there is none."""
        return self.file or system_config()

    def start(self) -> Config:
        """Return the config to begin with; raises `ConfigError` unless supervised."""
        try:
            config = self._read()
        except ConfigError as error:
            if not self.supervised:
                raise
            config, standing = _last_right()
            self.fault = str(error)
            log.error(CONFIG_WRONG, standing, error)
            config = self._with_options(config)
        self.config = config
        return config

    def newer(self) -> Config | None:
        """Return the config if it is to be read again and is right; what is wrong is logged."""
        if not self.reread.take():
            return None
        try:
            config = self._read()
        except ConfigError as error:
            self.fault = str(error)
            log.error(CONFIG_WRONG, STAYS, error)
            return None
        self.fault = ""
        log.info(CONFIG_TAKEN, self.path or "the defaults")
        for section in _later(self.config, config):
            log.warning(LATER, section)
        self.config = config
        return config

    def hanging(self) -> Path:
        """Return the folder of the portrait to show."""
        fixed = self.pack or self.config.display.pack
        return Path(fixed) if fixed else current()

    @staticmethod
    def spare() -> Path:
        """Return the folder of the portrait that came with the program."""
        return home() / "frames" / DEFAULT

    def _read(self) -> Config:
        path = self.path
        config = load_config(path)
        if self.supervised and path:
            _remember(path)
        return self._with_options(config)

    def _with_options(self, config: Config) -> Config:
        if self.camera:
            config = replace(config, camera=replace(config.camera, source=self.camera))
        if self.display:
            config = replace(config, display=replace(config.display, output=self.display))
        if self.film:
            config = replace(config, display=replace(config.display, film=self.film))
        return config


def _later(old: Config, new: Config) -> list[str]:
    """Name the sections whose changes wait for the next start: the display is opened once."""
    display = replace(new.display, pack=old.display.pack)
    return ["display"] * (display != old.display) + ["hours"] * (new.hours != old.hours)


def _remember(path: Path) -> None:
    copy = library() / _COPY
    try:
        text = bytes(read_regular(path, MOST_BYTES))
        if not copy.exists() or read_regular(copy, MOST_BYTES) != text:
            write_atomic(copy, text)
    except (OSError, CannotWrite):
        return  # a disk that is full or read-only: it will do without, as it would without a copy


def _last_right() -> tuple[Config, str]:
    copy = library() / _COPY
    try:
        return parse_config(read_toml(copy), str(copy)), LAST_RIGHT
    except (OSError, ValueError):  # ConfigError is one, and what is not UTF-8 raises another
        return Config(), DEFAULTS
