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

from appliance.display.flip_check import is_card_taken
from appliance.display.layout import Size
from appliance.display.monitor import CARDS, SYS_DRM, usable_connectors, wait_for_monitor
from appliance.errors import ConfigError, NoDisplay


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Make imports of these modules fail, unless they are already loaded."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "there is none"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


# Modules of pygame that are not needed at the start. With them, and with numpy and pkg_resources, importing
# pygame takes 0.3 s and 40 MB more before the first light. pygame works without them.
_UNUSED: Final = ("font", "imageext", "mixer", "mixer_music", "scrap", "sndarray", "surfarray")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
_loaded_before: Final = "pygame" in sys.modules
with _absent("numpy", "pkg_resources", *(f"pygame.{name}" for name in _UNUSED)):
    import pygame as pygame


def _load_the_rest(name: str) -> Any:
    """Load a module that was left out; Python calls this for a missing attribute of pygame (PEP 562)."""
    if name not in _UNUSED:
        raise AttributeError(f"module 'pygame' has no attribute {name!r}")
    del vars(pygame)["__getattr__"]
    importlib.reload(pygame)  # imports again what is not loaded yet
    return getattr(pygame, name)


# Other code in this process may need a module that was left out; it is loaded at its first use.
if not _loaded_before:
    for _name in _UNUSED:
        vars(pygame).pop(_name, None)  # pygame's placeholder, which raises an error when used
    vars(pygame)["__getattr__"] = _load_the_rest


def video_drivers() -> list[str]:
    """List the video drivers of the loaded SDL; empty if they cannot be determined."""
    maps = Path("/proc/self/maps")
    rows = maps.read_text().splitlines() if maps.exists() else []
    loaded = next((row.split()[-1] for row in rows if "libSDL2-2" in row), None)
    if loaded is None:
        return []
    sdl = CDLL(loaded)
    sdl.SDL_GetVideoDriver.restype = c_char_p
    return [sdl.SDL_GetVideoDriver(i).decode() for i in range(sdl.SDL_GetNumVideoDrivers())]


# The kinds of output that the config may name.
OUTPUT_KINDS: Final = ("auto", "kmsdrm", "window", "offscreen")
# SDL's drivers when no desktop answers: they show nothing.
_INVISIBLE_DRIVERS: Final = ("dummy", "evdev", "offscreen")


def parse_output(output: str) -> tuple[str, str]:
    """Split an output into its kind, one of `OUTPUT_KINDS`, and the folder of an offscreen one.

    Raises `ConfigError` if it is not a valid output.
    """
    kind, _, folder = output.partition(":")
    if kind not in OUTPUT_KINDS or (kind == "offscreen") != bool(folder):
        raise ConfigError(f"display {output}; expected auto, kmsdrm, window or offscreen:FOLDER")
    return kind, folder


def resolve_output(kind: str) -> str:
    """Return the kind that "auto" means on this machine; other kinds are returned unchanged.

    Raises `NoDisplay` if there is neither a desktop nor a graphics card.
    """
    if kind != "auto":
        return kind
    if has_desktop():
        return "window"
    if list(CARDS.glob("card*")):
        return "kmsdrm"
    raise NoDisplay(
        "no display: no desktop session and no /dev/dri/card*; expected one, or --display offscreen:FOLDER"
    )


def has_desktop() -> bool:
    """Tell whether this process runs in a desktop session."""
    return bool(os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"))


def require_kmsdrm() -> None:
    """Make sure that SDL supports KMSDRM, because without it no monitor could ever be used.

    Raises `NoDisplay` if this SDL was built without KMSDRM, like the one in PyPI's pygame.
    """
    drivers = video_drivers()
    if drivers and "KMSDRM" not in drivers:
        raise NoDisplay(
            f"no display: this SDL was built without KMSDRM (it has {', '.join(drivers)}); "
            "install Debian's python3-pygame"
        )


def open_surface(kind: str, size: Size) -> pygame.Surface:
    """Open a display and return its surface; `size` is that of a window or an offscreen picture.

    Raises `NoDisplay` if it cannot be opened.
    """
    # SDL's own signal handlers would catch Ctrl-C; without vsync a Pi shows tearing or fails to flip.
    os.environ.update(SDL_NO_SIGNAL_HANDLERS="1", SDL_RENDER_VSYNC="1", SDL_VIDEO_DOUBLE_BUFFER="1")
    if kind != "window":
        os.environ["SDL_VIDEODRIVER"] = "dummy" if kind == "offscreen" else "kmsdrm"
    if kind == "kmsdrm":
        require_kmsdrm()
    try:
        pygame.display.init()
        if kind == "window" and pygame.display.get_driver() in _INVISIBLE_DRIVERS:
            raise pygame.error("no desktop can be reached")
        pygame.mouse.set_visible(False)
        return _set_mode(kind, size)
    except pygame.error as error:
        raise NoDisplay(_explain(kind, str(error))) from error


def _set_mode(kind: str, size: Size) -> pygame.Surface:
    if kind == "kmsdrm":
        return pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
    if kind == "window":
        if pygame.display.get_driver() == "x11":
            # Otherwise SDL uses OpenGL, which is 60 times slower where it is done in software.
            os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
        pygame.display.set_caption("the framed screen")
        desktop = pygame.display.get_desktop_sizes()[0]
        scale = min(1.0, 0.9 * desktop[0] / size[0], 0.9 * desktop[1] / size[1])
        size = round(size[0] * scale), round(size[1] * scale)
    return pygame.display.set_mode(size)


def _explain(kind: str, message: str) -> str:
    advice = "; expected a connected monitor and the groups video and render" if kind == "kmsdrm" else ""
    if kind == "kmsdrm" and usable_connectors():
        advice = (
            "; a monitor is connected: is another program showing on it, or a group (video, render) missing?"
        )
    return f"no display: {kind}: {message}{advice}"


log = logging.getLogger(__name__)

DISPLAY_HELD: Final = (
    "no display: another program holds %s, `sudo mona-lisa doctor` names it; waiting until it ends"
)
DISPLAY_FREE: Final = "display free: %s"

# Time within which udev sets the group of a new card even on the slowest machine, in seconds (guess).
_UDEV_TIMEOUT: Final = 30.0
_CARD_INTERVAL: Final = 0.2  # time between two checks whether the cards may be opened, in seconds
_HELD_INTERVAL: Final = 1.0  # time between two checks of a display that another program holds, in seconds


def wait_until_display_opens(
    output: str,
    stop: threading.Event,
    end: float = float("inf"),
    each: Callable[[], object] = bool,
    held: Callable[[], object] = bool,
) -> bool:
    """Wait until an output can be opened; a window or a folder can at once.

    For KMSDRM wait for a connected monitor, and until no other program uses it. Returns whether it can be
    opened. Raises `NoDisplay` if waiting would not help: no desktop and no graphics card, or an SDL without
    KMSDRM; `ConfigError` if `output` is not valid.

    Parameters
    ----------
    output : as in the config
    stop : set to give up
    end : moment on the monotonic clock at which to give up
    each : called once a second while waiting for a monitor
    held : called once a second while another program holds the display
    """
    if resolve_output(parse_output(output)[0]) != "kmsdrm":
        return True
    require_kmsdrm()
    return wait_for_free_card(stop, end, each, held)


def wait_for_free_card(
    stop: threading.Event,
    end: float,
    each: Callable[[], object],
    held: Callable[[], object],
    system: Path = SYS_DRM,
    cards: Path = CARDS,
) -> bool:
    """Wait until a monitor is connected and no other program uses its card; log what is missing.

    The parameters are those of `wait_until_display_opens`, and the folders where the kernel lists connectors
    and cards.
    """
    said = ""
    while wait_for_monitor(stop, end, each, system):
        if not wait_for_card_permissions(stop, min(end, time.monotonic() + _UDEV_TIMEOUT), cards):
            return False
        lit = sorted({cards / plug.card for plug in usable_connectors(system)})
        free = [card for card in lit if not is_card_taken(card)]
        if free or not lit:  # SDL uses a free one
            if said:
                log.info(DISPLAY_FREE, ", ".join(map(str, free)))
            return True
        if not said:
            said = ", ".join(map(str, lit))
            log.warning(DISPLAY_HELD, said)
        held()
        if time.monotonic() >= end:
            return False
        stop.wait(_HELD_INTERVAL)
    return False


def wait_for_card_permissions(stop: threading.Event, end: float, cards: Path = CARDS) -> bool:
    """Wait until the graphics cards may be opened, because udev sets their group after a monitor is found.

    Returns whether to continue.

    It gives up if `stop` is set, and continues anyway at the moment `end` on the monotonic clock; opening
    then fails with a reason.
    """
    while not all(os.access(card, os.R_OK | os.W_OK) for card in cards.glob("card*")):
        if time.monotonic() >= end or stop.wait(_CARD_INTERVAL):
            break
    return not stop.is_set()
