"""Which video drivers SDL was built with: pygame does not say."""

from ctypes import CDLL, c_char_p
from pathlib import Path


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
