"""Waiting for the display before SDL is started: it takes no second try in one process."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.display.connectors import wait_for_monitor
from appliance.display.outputs import CARDS, check_driver, chosen, parsed

_HANDED_OVER: Final = 30.0  # seconds in which udev has given a new card to its group, on the slowest machine
_LOOK: Final = 0.2


def wait_for_display(
    output: str, stop: threading.Event, end: float = float("inf"), each: Callable[[], object] = bool
) -> bool:
    """Wait until an output can be opened: at once for a window or a folder, else for a monitor.

    Parameters
    ----------
    output : as in the config
    stop : set to give up
    end : moment on the monotonic clock at which to give up
    each : called once a second while waiting

    Returns
    -------
    Whether it is there.

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
    if not wait_for_monitor(stop, end, each):
        return False
    return wait_for_card(stop, min(end, time.monotonic() + _HANDED_OVER))


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
