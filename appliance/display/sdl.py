"""pygame without what it drags in, and what it does not say about the SDL beneath it."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL, c_char_p
from pathlib import Path
from typing import Any, Final


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
