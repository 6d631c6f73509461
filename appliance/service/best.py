"""The best picture that can be shown, whatever is wrong with the portrait that hangs."""

import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.display.screen import Screen
from appliance.errors import BadPack
from appliance.library import DEFAULT, folder_of, installed
from appliance.pack import Pack

log = logging.getLogger(__name__)

INSTEAD: Final = "%s; showing %s instead"
RESTS: Final = "%s; the sitter rests"
SHAPE: Final = "%s is %dx%d and the screen %dx%d: %s; render it for this screen"


def light_best(screen: Screen, folder: Path, spare: Path | None = None) -> Pack:
    """Light the portrait of a folder at rest; if it cannot be, any installed one, or the `spare`.

    Raises
    ------
    BadPack
        What is wrong with the portrait of the folder, if nothing else can be shown either.
    """
    try:
        pack = Pack(folder)
        screen.light(pack)
    except BadPack as error:
        for other in _others(spare):
            try:
                screen.light(other)
            except BadPack:
                continue  # that one is not what the technician asked for
            log.error(INSTEAD, error, other.info.title)
            return other
        raise
    return pack


def load_or_rest(screen: Screen, pack: Pack, stop: threading.Event) -> None:
    """Load a portrait's frames; if they are damaged its sitter rests, and the log says so."""
    try:
        screen.load(pack, stop)
    except BadPack as error:
        log.error(RESTS, error)
    if shape := screen.misfit(pack):
        log.warning(SHAPE, pack.info.title, *pack.info.size, *screen.size, shape)


def _others(spare: Path | None) -> list[Pack]:
    bundled = folder_of(DEFAULT)
    packs = sorted(installed(), key=lambda pack: pack.folder != bundled)
    if spare:
        with suppress(BadPack):
            packs.append(Pack(spare))
    return packs
