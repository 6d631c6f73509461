"""The screen: one code over a window, the bare display (KMSDRM) or a folder of what would be lit."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pygame
from PIL import Image

from appliance.display.drivers import video_drivers
from appliance.display.offscreen import OffscreenFolder
from appliance.display.patches import fitted_base, fitted_patches
from appliance.errors import ConfigError, NoDisplay
from appliance.pack import Pack

KINDS: Final = ("auto", "kmsdrm", "window", "offscreen")
# What SDL falls back to by itself when no desktop answers: it would light nothing.
_INVISIBLE: Final = ("dummy", "evdev", "offscreen")


class Screen:
    """Shows one pack: its base once, then patches; flips only when told to show another frame."""

    def __init__(self, output: str, size: tuple[int, int]) -> None:
        """Choose a screen.

        Parameters
        ----------
        output : "auto", "kmsdrm", "window" or "offscreen:FOLDER"
        size : (width, height) in pixels of a window or of an offscreen picture

        Raises
        ------
        ConfigError
            If `output` is none of these.
        """
        self._kind, _, folder = output.partition(":")
        if self._kind not in KINDS or (self._kind == "offscreen") != bool(folder):
            raise ConfigError(f"display {output}; expected auto, kmsdrm, window or offscreen:FOLDER")
        self._folder = OffscreenFolder(Path(folder)) if folder else None
        self._size = size
        self._patches: list[pygame.Surface] = []
        self._place = (0, 0)

    def __enter__(self) -> Self:
        """Open the display.

        Raises
        ------
        NoDisplay
            If there is none, or SDL cannot drive it.
        CannotWrite
            If the folder of an offscreen display cannot be written.
        """
        kind = _choose() if self._kind == "auto" else self._kind
        # SDL's own handlers would swallow Ctrl-C; without vsync a Pi tears or fails to flip.
        os.environ.update(SDL_NO_SIGNAL_HANDLERS="1", SDL_RENDER_VSYNC="1")
        if kind != "window":
            os.environ["SDL_VIDEODRIVER"] = "dummy" if kind == "offscreen" else "kmsdrm"
        if self._folder:
            self._folder.open()
        try:
            pygame.display.init()
            if kind == "window" and pygame.display.get_driver() in _INVISIBLE:
                raise pygame.error("no desktop can be reached")
            self._surface = _open(kind, self._size)
        except pygame.error as error:
            self.__exit__(None, None, None)
            raise NoDisplay(_explain(kind, str(error))) from error
        pygame.mouse.set_visible(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the display."""
        self._patches.clear()
        pygame.display.quit()
        if self._folder:
            self._folder.close()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._surface.get_size()

    def light(self, pack: Pack) -> None:
        """Show a pack's resting picture, before anything else of it is loaded; raises `BadPack`."""
        self._surface.blit(_surface(fitted_base(pack, self.size)), (0, 0))
        self._flip(pack.info.resting)

    def load(self, pack: Pack, stop: threading.Event) -> None:
        """Load a pack's patches, unless `stop` is set meanwhile; raises `BadPack`."""
        place, images = fitted_patches(pack, self.size)
        patches = []
        for image in images:
            if stop.is_set():
                return
            patches.append(_surface(image))
        self._place, self._patches = place, patches

    def switch(self, pack: Pack, stop: threading.Event) -> None:
        """Show another pack at rest once all of it is loaded; raises `BadPack`, and the old one stays."""
        base = _surface(fitted_base(pack, self.size))
        self.load(pack, stop)
        if self._folder:
            self._folder.forget()
        self._surface.blit(base, (0, 0))
        self._flip(pack.info.resting)

    def show(self, frame: int) -> None:
        """Light another frame of the loaded pack."""
        self._surface.blit(self._patches[frame], self._place)
        self._flip(frame)

    def closed(self) -> bool:
        """Handle the window system's events; tell whether the window was closed."""
        return any(event.type == pygame.QUIT for event in pygame.event.get())

    def _flip(self, frame: int) -> None:
        pygame.display.flip()
        if self._folder:
            self._folder.lit(frame, self._surface)


def _choose() -> str:
    if os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"):
        return "window"
    if any(Path("/dev/dri").glob("card*")):
        return "kmsdrm"
    raise NoDisplay("no display: no desktop session and no /dev/dri/card*; expected one, or offscreen:FOLDER")


def _open(kind: str, size: tuple[int, int]) -> pygame.Surface:
    if kind == "kmsdrm":
        return pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
    if kind == "window":
        pygame.display.set_caption("the framed screen")
        desktop = pygame.display.get_desktop_sizes()[0]
        scale = min(1.0, 0.9 * desktop[0] / size[0], 0.9 * desktop[1] / size[1])
        size = round(size[0] * scale), round(size[1] * scale)
    return pygame.display.set_mode(size)


def _explain(kind: str, message: str) -> str:
    """Turn SDL's message into what a technician can act on."""
    drivers = video_drivers()
    if kind == "kmsdrm" and drivers and "KMSDRM" not in drivers:
        return (
            f"no display: this SDL was built without KMSDRM (it has {', '.join(drivers)}); "
            "install Debian's python3-pygame"
        )
    advice = "; expected a connected monitor and the groups video and render" if kind == "kmsdrm" else ""
    return f"no display: {kind}: {message}{advice}"


def _surface(image: Image.Image) -> pygame.Surface:
    return pygame.image.frombuffer(image.tobytes(), image.size, "RGB").convert()
