"""The best picture that can be shown, whatever is wrong with the portrait that hangs."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.display.screen import PortraitScreen
from appliance.errors import BadPack
from appliance.library import DEFAULT_PORTRAIT, installed_packs, portrait_folder
from appliance.pack import Pack, as_bad_pack

log = logging.getLogger(__name__)

INSTEAD: Final = "%s; showing %s instead"
RESTS: Final = "%s; the sitter rests"
HELD: Final = "%s; the picture stays as it is"
SHAPE: Final = "%s is %dx%d and the screen %dx%d: %s; render it for this screen"


def light_best(screen: PortraitScreen, folder: Path, spare: Path | None = None) -> tuple[Pack, str]:
    """Light the portrait of a folder at rest; if it cannot be, any installed one, or the `spare`.

    Returns
    -------
    The pack that is lit, and what is wrong with the one that was wanted: empty if that is the one.

    Raises
    ------
    BadPack
        What is wrong with the portrait of the folder, if nothing else can be shown either.
    """
    try:
        with as_bad_pack(folder, "cannot be shown"):
            pack = Pack(folder)
            screen.light(pack)
    except BadPack as error:
        for other in _others(spare):
            try:
                with as_bad_pack(other.folder, "cannot be shown"):
                    screen.light(other)
            except BadPack:
                continue  # that one is not what the technician asked for
            log.error(INSTEAD, error, other.info.title)
            return other, INSTEAD % (error, other.info.title)
        raise
    return pack, ""


def load_or_rest(
    screen: PortraitScreen, pack: Pack, stop: threading.Event, each: Callable[[], object]
) -> str:
    """Load a portrait's frames, calling `each` after every one; if they are damaged its sitter rests.

    Returns what is wrong, which the log says as well; empty if nothing is.
    """
    wrong = ""
    try:
        with as_bad_pack(pack.folder, "cannot be shown"):
            screen.load(pack, stop, each)
    except BadPack as error:
        wrong = RESTS % error
        log.error(RESTS, error)
    if shape := screen.misfit(pack):
        log.warning(SHAPE, pack.info.title, *pack.info.size, *screen.size, shape)
    return wrong


def reload_after_damage(
    screen: PortraitScreen,
    folder: Path,
    spare: Path | None,
    stop: threading.Event,
    each: Callable[[], object],
) -> tuple[Pack | None, str]:
    """Light and load a portrait as at the start, because the compiled file was damaged while it was shown.

    The result is the pack that is lit, and what is wrong; None where no portrait can be read: the picture
    stays on the screen.
    """
    try:
        pack, wrong = light_best(screen, folder, spare)
    except BadPack as error:
        log.error(HELD, error)
        return None, HELD % error
    return pack, load_or_rest(screen, pack, stop, each) or wrong


def _others(spare: Path | None) -> list[Pack]:
    bundled = portrait_folder(DEFAULT_PORTRAIT)
    packs: list[Pack] = []
    with suppress(OSError):  # a failing disk
        packs = sorted(installed_packs(), key=lambda pack: pack.folder != bundled)
    if spare:
        with suppress(BadPack):
            packs.append(Pack(spare))
    return packs
