"""The settings in force: read at the start and on SIGHUP.

A file that is wrong takes nothing else down: the service logs it once and goes on with the other layers, and
in place of the wrong one with what was last right of it.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from appliance.assets import home_folder
from appliance.config import (
    CONFIG_FILE,
    Config,
    Key,
    Layer,
    config_folder,
    config_toml,
    keep_until_restart,
    layer_files,
    merge,
    needs_restart,
    parse_config,
    read_layer,
)
from appliance.errors import CannotWrite, ConfigError
from appliance.files import read_regular, write_atomic
from appliance.library import DEFAULT_PORTRAIT, current_folder, library_folder
from appliance.schema import MOST_BYTES
from appliance.service import status

log = logging.getLogger(__name__)

CONFIG_WRONG: Final = "config wrong, %s: %s"
DEFAULTS: Final = "the defaults are in force"
FILE_IGNORED: Final = "nothing of this file counts"
LAST_RIGHT: Final = "the last right one is in force"
STAYS: Final = "the one before stays in force"
CONFIG_TAKEN: Final = "config read again: %s"
LATER: Final = "%s: in force after sudo systemctl restart mona-lisa"

# In the folder of the status: the settings in force, for `mona-lisa config check` and `status`.
IN_FORCE: Final = "in-force.toml"

# A copy of the last config.toml that was right, beside the portraits.
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
    """The settings of the command line and of the config files.

    `config` is what was asked for when it was last right: at the start, then at each reload.
    `file` is the one config file to read, None for the system's layers; `camera`, `display`, `film` and
    `pack` come from the command line and win. A `supervised` run is the service's: it goes on without what is
    wrong. `fault` says what is wrong, empty if nothing is. `overridden` has a line for each value that a
    higher layer overrides.
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
    _asked: Config = field(default_factory=Config, init=False)  # by the files alone, without the options
    _in_force: Config = field(default_factory=Config, init=False)
    _waiting: list[Key] = field(default_factory=list, init=False)
    overridden: tuple[str, ...] = field(default=(), init=False)
    _right: dict[Path, Layer] = field(default_factory=dict, init=False)

    @property
    def source(self) -> str:
        """The files that are read, for people."""
        return ", ".join(map(str, layer_files(self.file))) or "the defaults"

    def start(self) -> Config:
        """Return the config to begin with; raises `ConfigError` unless supervised."""
        self.config = self._read(strict=not self.supervised)
        self._go_by(self._asked)
        return self.config

    def newer(self) -> Config | None:
        """Read the config again if asked to; return it, or None if what is wrong changes nothing."""
        if not self.reread.take():
            return None
        config = self._read()
        if self.fault and config == self.config:
            return None
        log.info(CONFIG_TAKEN, self.source)
        waiting = needs_restart(self._in_force, self._asked)
        if waiting and waiting != self._waiting:
            log.warning(LATER, ", ".join(map(".".join, waiting)))
        self._waiting = waiting
        self._go_by(keep_until_restart(self._in_force, self._asked))
        self.config = config
        return config

    def hanging(self) -> Path:
        """Return the folder of the portrait to show."""
        fixed = self.pack or self.config.display.pack
        return Path(fixed) if fixed else current_folder()

    @staticmethod
    def spare() -> Path:
        """Return the folder of the portrait that came with the program."""
        return home_folder() / "frames" / DEFAULT_PORTRAIT

    def _read(self, strict: bool = False) -> Config:
        """Read every layer; unless `strict`, a wrong one is logged, and what `_instead` gives counts."""
        right: dict[Path, Layer] = {}
        faults = []
        for path in layer_files(self.file):
            try:
                layer: Layer | None = read_layer(path)
                if self.supervised and path == self._lowest:
                    _remember(path)
            except ConfigError as error:
                if strict:
                    raise
                layer, standing = self._instead(path)
                faults.append(str(error))
                log.error(CONFIG_WRONG, standing, error)
            if layer:
                right[path] = layer
        merged = merge(right.values())
        self._right, self.fault, self.overridden = right, "; ".join(faults), tuple(merged.overridden())
        self._asked = merged.config
        return self._with_options(merged.config)

    def _go_by(self, config: Config) -> None:
        self._in_force = config
        folder = status.folder()
        if self.supervised and folder.is_dir():
            with suppress(CannotWrite):  # `config check` then compares with nothing
                write_atomic(folder / IN_FORCE, config_toml(config).encode())

    @property
    def _lowest(self) -> Path:
        return self.file or config_folder() / CONFIG_FILE

    def _instead(self, path: Path) -> tuple[Layer | None, str]:
        """Return the layer used in place of a wrong one, None if none is, and the words for the log."""
        if path in self._right:
            return self._right[path], STAYS
        if path != self._lowest:
            return None, FILE_IGNORED
        try:
            return read_layer(library_folder() / _COPY), LAST_RIGHT
        except ConfigError:
            return None, DEFAULTS

    def _with_options(self, config: Config) -> Config:
        if self.camera:
            config = replace(config, camera=replace(config.camera, source=self.camera))
        if self.display:
            config = replace(config, display=replace(config.display, output=self.display))
        if self.film:
            config = replace(config, display=replace(config.display, film=self.film))
        return config


def read_in_force(folder: Path) -> Config | None:
    """Return what the running service goes by, from the status's folder; None if that cannot be read."""
    file = folder / IN_FORCE
    try:
        return parse_config(read_regular(file, MOST_BYTES).decode(), str(file))
    except (OSError, ValueError):
        return None


def _remember(path: Path) -> None:
    copy = library_folder() / _COPY
    try:
        text = bytes(read_regular(path, MOST_BYTES))
        if not copy.exists() or read_regular(copy, MOST_BYTES) != text:
            write_atomic(copy, text)
    except (OSError, CannotWrite):
        return  # a disk that is full or read-only: it will do without, as it would without a copy
