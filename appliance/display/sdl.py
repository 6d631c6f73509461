"""SDL through pygame: waiting for the display, choosing and opening it, what pygame does not say."""

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL, c_char_p
from pathlib import Path
from typing import Any, Final

from appliance.display.layout import Size
from appliance.display.monitor import SYSTEM, usable, wait_for_monitor
from appliance.display.scanout import taken
from appliance.errors import ConfigError, NoDisplay


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Let imports of these modules fail, unless they are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "there is none"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


# pygame loads numpy for a module that nothing here uses, pkg_resources to find its icon, and what plays
# sound, draws letters and reads image files: 0.3 s and 40 MB before the first light. It is made to do
# without them, which it takes quietly.
_UNUSED: Final = ("font", "imageext", "mixer", "mixer_music", "scrap", "sndarray", "surfarray")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
_loaded_before: Final = "pygame" in sys.modules
with _absent("numpy", "pkg_resources", *(f"pygame.{name}" for name in _UNUSED)):
    import pygame as pygame


def _load_the_rest(name: str) -> Any:
    """Return what pygame lacks so far; Python calls this for a missing attribute (PEP 562)."""
    if name not in _UNUSED:
        raise AttributeError(f"module 'pygame' has no attribute {name!r}")
    del vars(pygame)["__getattr__"]
    importlib.reload(pygame)  # runs its imports again; modules that are loaded stay as they are
    return getattr(pygame, name)


# Another part of the same process may want what was left out: it is loaded at its first use.
if not _loaded_before:
    for _name in _UNUSED:
        vars(pygame).pop(_name, None)  # pygame's dummy, which raises an error whenever it is used
    vars(pygame)["__getattr__"] = _load_the_rest


def video_drivers() -> list[str]:
    """List the video drivers of the SDL this process has loaded; empty if it cannot be told."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    loaded = {row.split()[-1] for row in maps.read_text().splitlines() if "libSDL2-2" in row}
    if not loaded:
        return []
    sdl = CDLL(loaded.pop())
    sdl.SDL_GetVideoDriver.restype = c_char_p
    return [sdl.SDL_GetVideoDriver(i).decode() for i in range(sdl.SDL_GetNumVideoDrivers())]


KINDS: Final = ("auto", "kmsdrm", "window", "offscreen")
CARDS: Final = Path("/dev/dri")
# What SDL falls back to by itself when no desktop answers: it would light nothing.
_INVISIBLE: Final = ("dummy", "evdev", "offscreen")


def parsed(output: str) -> tuple[str, str]:
    """Split an output into its kind, one of `KINDS`, and the folder of an offscreen one.

    Raises
    ------
    ConfigError
        If it is no output.
    """
    kind, _, folder = output.partition(":")
    if kind not in KINDS or (kind == "offscreen") != bool(folder):
        raise ConfigError(f"display {output}; expected auto, kmsdrm, window or offscreen:FOLDER")
    return kind, folder


def chosen(kind: str) -> str:
    """Return what "auto" stands for on this machine, and any other kind as it is.

    Raises
    ------
    NoDisplay
        If there is neither a desktop nor a graphics card.
    """
    if kind != "auto":
        return kind
    if desktop():
        return "window"
    if list(CARDS.glob("card*")):
        return "kmsdrm"
    raise NoDisplay("no display: no desktop session and no /dev/dri/card*; expected one, or offscreen:FOLDER")


def desktop() -> bool:
    """Tell whether this process was given a desktop."""
    return bool(os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"))


def check_driver() -> None:
    """Make sure that SDL can drive a bare display: waiting for a monitor would be in vain.

    Raises
    ------
    NoDisplay
        If this SDL was built without KMSDRM, as the one in PyPI's pygame is.
    """
    drivers = video_drivers()
    if drivers and "KMSDRM" not in drivers:
        raise NoDisplay(
            f"no display: this SDL was built without KMSDRM (it has {', '.join(drivers)}); "
            "install Debian's python3-pygame"
        )


def open_surface(kind: str, size: Size) -> pygame.Surface:
    """Open a display and return its surface; `size` is that of a window or an offscreen picture.

    Raises
    ------
    NoDisplay
        If it cannot be opened.
    """
    # SDL's own handlers would swallow Ctrl-C; without vsync a Pi tears or fails to flip.
    os.environ.update(SDL_NO_SIGNAL_HANDLERS="1", SDL_RENDER_VSYNC="1", SDL_VIDEO_DOUBLE_BUFFER="1")
    if kind != "window":
        os.environ["SDL_VIDEODRIVER"] = "dummy" if kind == "offscreen" else "kmsdrm"
    if kind == "kmsdrm":
        check_driver()
    try:
        pygame.display.init()
        if kind == "window" and pygame.display.get_driver() in _INVISIBLE:
            raise pygame.error("no desktop can be reached")
        pygame.mouse.set_visible(False)
        return _set_mode(kind, size)
    except pygame.error as error:
        pygame.display.quit()
        raise NoDisplay(_explain(kind, str(error))) from error


def _set_mode(kind: str, size: Size) -> pygame.Surface:
    if kind == "kmsdrm":
        return pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
    if kind == "window":
        if pygame.display.get_driver() == "x11":
            # Else SDL sends each picture round by OpenGL, 60 times slower where that is software.
            os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
        pygame.display.set_caption("the framed screen")
        desktop = pygame.display.get_desktop_sizes()[0]
        scale = min(1.0, 0.9 * desktop[0] / size[0], 0.9 * desktop[1] / size[1])
        size = round(size[0] * scale), round(size[1] * scale)
    return pygame.display.set_mode(size)


def _explain(kind: str, message: str) -> str:
    """Turn SDL's message into what a technician can act on."""
    advice = "; expected a connected monitor and the groups video and render" if kind == "kmsdrm" else ""
    if kind == "kmsdrm" and usable():
        advice = (
            "; a monitor is connected: is another program showing on it, or a group (video, render) missing?"
        )
    return f"no display: {kind}: {message}{advice}"


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
