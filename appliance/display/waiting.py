"""Waiting for the display before SDL is started: it takes no second try in one process."""

import threading
from collections.abc import Callable

from appliance.display.connectors import wait_for_monitor
from appliance.display.outputs import check_driver, chosen, parsed


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
    return wait_for_monitor(stop, end, each)
