"""Which display to light, opening it, and what to say when it cannot be."""

import os
from pathlib import Path
from typing import Final

from appliance.display.connectors import usable
from appliance.display.layout import Size
from appliance.display.sdl import pygame, video_drivers
from appliance.errors import ConfigError, NoDisplay

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
