"""The library: the portraits on this machine, and which of them is shown.

It is a folder with a pack for each portrait and a link `current` to one of them. The link is replaced in one
step, so that a power cut leaves the old portrait or the new one.
"""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from appliance.assets import home_folder
from appliance.errors import BadPack, CannotWrite, ConfigError
from appliance.files import as_owner, read_regular, sync_to_disk
from appliance.pack import Pack
from appliance.schema import MOST_BYTES

# The portrait that is shown until another one is chosen.
DEFAULT_PORTRAIT: Final = "sconosciuta"
# The library of an installed system.
SYSTEM_LIBRARY: Final = Path("/var/lib/mona-lisa")
# In the library: what became of the last picture on the card, written by deploy/card_portrait.py.
CARD_RECORD: Final = ".card-portrait.json"
# What it says: "failed" is tried again at the next boot, "refused" is not.
CardState = Literal["rendering", "hangs", "refused", "failed"]
_CURRENT: Final = "current"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def library_folder() -> Path:
    """Return the library's folder: systemd's STATE_DIRECTORY, else the system's, else frames/ at home."""
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder.split(":")[0])
    return SYSTEM_LIBRARY if SYSTEM_LIBRARY.is_dir() else home_folder() / "frames"


def portrait_name_for(picture: Path) -> str:
    """Return a picture's simplified file name as its portrait's; raises `ConfigError` if nothing remains."""
    name = re.sub(r"[^a-z0-9_-]+", "-", picture.stem.lower()).strip("-_")[:64]
    if not _NAME.fullmatch(name) or name == _CURRENT:
        raise ConfigError(f"{picture}: its file name gives no portrait name; expected letters or digits")
    return name


def portrait_folder(name: str) -> Path:
    """Return the folder of the portrait of that name; raises `ConfigError` if it cannot be one."""
    if not _NAME.fullmatch(name) or name == _CURRENT:
        raise ConfigError(f"portrait {name}; expected lower-case letters, digits, - and _")
    return library_folder() / name


def installed_packs() -> list[Pack]:
    """List the portraits that can be read, by name; other folders are ignored."""
    packs = []
    for folder in sorted(library_folder().glob("[a-z0-9]*/")):
        if folder.name != _CURRENT and _NAME.fullmatch(folder.name):
            with suppress(BadPack):
                packs.append(Pack(folder))
    return packs


def current_folder() -> Path:
    """Return the folder of the portrait that is shown; `DEFAULT_PORTRAIT`'s if none was chosen."""
    link = library_folder() / _CURRENT
    try:
        return library_folder() / (link.readlink().name if link.is_symlink() else DEFAULT_PORTRAIT)
    except OSError:
        return link  # the disk fails; reading the pack will report it


def hang_portrait(name: str) -> Pack:
    """Choose the portrait to show; a running service shows it within seconds.

    Raises `BadPack` if it is not installed or damaged, and `CannotWrite` if the library cannot be written;
    the present one stays then.
    """
    pack = Pack(portrait_folder(name))
    pack.check()
    link = library_folder() / f".{_CURRENT}.{os.getpid()}"
    try:
        with as_owner(library_folder()):
            try:
                link.unlink(missing_ok=True)
                link.symlink_to(name)
                link.replace(library_folder() / _CURRENT)
                sync_to_disk(library_folder())
            finally:
                link.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"{library_folder() / _CURRENT}: cannot be written ({error.strerror})") from error
    return pack


def picture_on_card_news() -> str | None:
    """Return the line on a picture from the card that is being rendered or does not hang; None otherwise."""
    try:
        known = json.loads(read_regular(library_folder() / CARD_RECORD, MOST_BYTES))
        hangs: CardState = "hangs"
        return None if known["state"] == hangs else str(known["told"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
