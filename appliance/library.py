"""The library: the portraits on this machine, and which of them is shown.

It is a folder with a pack for each portrait and a link `current` to one of them. The link is replaced in one
step, so that a power cut leaves the old portrait or the new one.
"""

import difflib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from appliance.assets import home_folder, load_portraits
from appliance.errors import BadPack, CannotWrite, ConfigError
from appliance.files import as_owner, check_writable, read_regular, sync_to_disk
from appliance.pack import Pack
from appliance.schema import MOST_BYTES

DEFAULT_PORTRAIT: Final = "sconosciuta"  # the portrait that is shown until another one is chosen
SYSTEM_LIBRARY: Final = Path("/var/lib/mona-lisa")  # the library of an installed system
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
    name = _simplified(picture.stem)
    if not _is_name(name):
        raise ConfigError(f"{picture}: its file name gives no portrait name; expected letters or digits")
    return name


def portrait_folder(name: str) -> Path:
    """Return the folder of the portrait of that name; raises `ConfigError` if it cannot be one."""
    if not _is_name(name):
        raise ConfigError(f"portrait {name}; expected lower-case letters, digits, - and _")
    return library_folder() / name


def find_portrait(wanted: str) -> str:
    """Return the name of the installed portrait that is meant by its name, its title or its file's name.

    Raises
    ------
    ConfigError
        If none is meant, or several have that title; the message lists the names that would work.
    BadManifest
        If the list of known portraits cannot be read.
    """
    if _is_name(wanted) and portrait_folder(wanted).is_dir():
        return wanted  # also if it is damaged, because reading it will say how
    titles = {pack.folder.name: pack.info.title for pack in installed_packs()}
    meant = [name for name, title in titles.items() if title.casefold() == wanted.casefold()]
    meant = meant or [
        name for name in titles if name in {_simplified(wanted), _simplified(Path(wanted).stem)}
    ]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ConfigError(f"portrait {wanted}: several have this title; expected one of {', '.join(meant)}")
    if wanted in {known.name for known in load_portraits()}:
        raise ConfigError(f"portrait {wanted}: not installed; mona-lisa portrait install {wanted} renders it")
    near = difflib.get_close_matches(_simplified(wanted), titles, 1)
    hint = f"; do you mean {near[0]}?" if near else ""
    raise ConfigError(f"portrait {wanted}: not installed; installed: {', '.join(titles) or 'none'}{hint}")


def _simplified(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:64]


def _is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text)) and text != _CURRENT


def installed_packs() -> list[Pack]:
    """List the portraits that can be read, by name; other folders are ignored."""
    packs = []
    for folder in sorted(library_folder().glob("[a-z0-9]*/")):
        if _is_name(folder.name):
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
    check_writable(library_folder() / _CURRENT)
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
