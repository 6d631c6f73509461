"""The portraits on this machine, and the one that hangs.

A folder with a pack per portrait and a link `current` to one of them; the link is replaced in one
step, so that a power cut leaves the old portrait or the new one.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.assets import home
from appliance.errors import BadPack, CannotWrite, ConfigError
from appliance.files import as_owner, sync
from appliance.pack import Pack

DEFAULT: Final = "sconosciuta"
SYSTEM_LIBRARY: Final = Path("/var/lib/mona-lisa")
_CURRENT: Final = "current"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def library() -> Path:
    """Return the library's folder: systemd's STATE_DIRECTORY, else the system's, else the checkout's."""
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder.split(":")[0])
    return SYSTEM_LIBRARY if SYSTEM_LIBRARY.is_dir() else home() / "frames"


def name_for(picture: Path) -> str:
    """Return the name under which a picture's portrait is kept: its file name, simplified.

    Raises
    ------
    ConfigError
        If nothing of it is left.
    """
    name = re.sub(r"[^a-z0-9_-]+", "-", picture.stem.lower()).strip("-_")[:64]
    if not _NAME.fullmatch(name) or name == _CURRENT:
        raise ConfigError(
            f"{picture}: no name to be had from it; expected letters or digits in the file name"
        )
    return name


def folder_of(name: str) -> Path:
    """Return the folder of the portrait of that name; raises `ConfigError` if it cannot be one."""
    if not _NAME.fullmatch(name) or name == _CURRENT:
        raise ConfigError(f"portrait {name}; expected lower-case letters, digits, - and _")
    return library() / name


def installed() -> list[Pack]:
    """List the portraits that load, in the order of their names; what is no pack is passed over."""
    packs = []
    for folder in sorted(library().glob("[a-z0-9]*/")):
        if folder.name != _CURRENT and _NAME.fullmatch(folder.name):
            with suppress(BadPack):
                packs.append(Pack(folder))
    return packs


def current() -> Path:
    """Return the folder of the portrait that hangs, `DEFAULT`'s if none was chosen."""
    link = library() / _CURRENT
    try:
        return library() / (link.readlink().name if link.is_symlink() else DEFAULT)
    except OSError:
        return link  # a failing disk: reading the pack there tells of it


def use(name: str) -> Pack:
    """Hang another portrait: a running service takes it up within seconds.

    Raises
    ------
    BadPack
        If it is not installed or damaged; the present one stays.
    CannotWrite
        If the library cannot be written.
    """
    pack = Pack(folder_of(name))
    pack.check()
    link = library() / f".{_CURRENT}.{os.getpid()}"
    try:
        with as_owner(library()):
            try:
                link.unlink(missing_ok=True)
                link.symlink_to(name)
                link.replace(library() / _CURRENT)
                sync(library())
            finally:
                link.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"{library() / _CURRENT}: cannot be written ({error.strerror})") from error
    return pack
