"""Who is told of what is lit: a folder of pictures, a film."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from appliance.display.frames import Lit
from appliance.display.sdl import pygame


class Observer(Protocol):
    """Told of what is lit: a folder of pictures, a film."""

    def open(self) -> None:
        """Begin; may raise `CannotWrite`."""

    def lit(self, frames: Lit | None, surface: pygame.Surface) -> None:
        """Frames were lit, one of each sitter, or black (None)."""

    def forget(self) -> None:
        """Another portrait hangs."""

    def close(self) -> None:
        """End; may raise `CannotWrite`."""


def observers(folder: str, film: str) -> Iterator[Observer]:
    """Yield those that a config asks for: a `folder` of pictures, a `film`; either may be empty."""
    if folder:
        from appliance.display.offscreen import OffscreenFolder

        yield OffscreenFolder(Path(folder))
    if film:
        from appliance.display.film import Film

        yield Film(Path(film))


def close_all(observers: list[Observer]) -> None:
    """Close all of them; raises the first failure."""
    with ExitStack() as stack:
        for observer in observers:
            stack.callback(observer.close)
        observers.clear()
