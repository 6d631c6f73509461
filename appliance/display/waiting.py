"""Waiting for the display before SDL is started: it takes no second try in one process."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.display.connectors import SYSTEM, usable, wait_for_monitor
from appliance.display.outputs import CARDS, check_driver, chosen, parsed
from appliance.display.scanout import taken

log = logging.getLogger(__name__)

HELD: Final = "no display: another program holds %s, `sudo mona-lisa doctor` names it; waiting until it ends"
FREE: Final = "display free: %s"

_HANDED_OVER: Final = 30.0  # seconds in which udev has given a new card to its group, on the slowest machine
_LOOK: Final = 0.2
_LOOK_AGAIN: Final = 1.0  # seconds between looks at a display that another program holds


def wait_for_display(
    output: str,
    stop: threading.Event,
    end: float = float("inf"),
    each: Callable[[], object] = bool,
    held: Callable[[], object] = bool,
) -> bool:
    """Wait until an output can be opened: at once for a window or a folder, else for a monitor.

    A monitor that another program shows on is waited for as well.

    Parameters
    ----------
    output : as in the config
    stop : set to give up
    end : moment on the monotonic clock at which to give up
    each : called once a second while waiting for a monitor
    held : called once a second while another program holds the display

    Returns
    -------
    Whether it is there, and free.

    Raises
    ------
    NoDisplay
        If waiting would be in vain: no desktop and no graphics card, or an SDL without KMSDRM.
    ConfigError
        If `output` is none.
    """
    if chosen(parsed(output)[0]) != "kmsdrm":
        return True
    check_driver()
    return wait_for_free_card(stop, end, each, held)


def wait_for_free_card(
    stop: threading.Event,
    end: float,
    each: Callable[[], object],
    held: Callable[[], object],
    system: Path = SYSTEM,
    cards: Path = CARDS,
) -> bool:
    """Wait until a monitor is connected and no other program shows on it; what is awaited is logged.

    The parameters are those of `wait_for_display`, and where the kernel lists connectors and cards.
    """
    said = ""
    while wait_for_monitor(stop, end, each, system):
        if not wait_for_card(stop, min(end, time.monotonic() + _HANDED_OVER), cards):
            return False
        lit = sorted({cards / plug.card for plug in usable(system)})
        free = [card for card in lit if not taken(card)]
        if free or not lit:  # SDL takes one that is free
            if said:
                log.info(FREE, ", ".join(map(str, free)))
            return True
        if not said:
            said = ", ".join(map(str, lit))
            log.warning(HELD, said)
        held()
        if time.monotonic() >= end:
            return False
        stop.wait(_LOOK_AGAIN)
    return False


def wait_for_card(stop: threading.Event, end: float, cards: Path = CARDS) -> bool:
    """Wait until the graphics cards may be opened: a monitor is seen before udev has set their group.

    Parameters
    ----------
    stop : set to give up
    end : moment on the monotonic clock at which to try all the same: what fails then says why

    Returns
    -------
    Whether to go on.
    """
    while not all(os.access(card, os.R_OK | os.W_OK) for card in cards.glob("card*")):
        if time.monotonic() >= end or stop.wait(_LOOK):
            break
    return not stop.is_set()
