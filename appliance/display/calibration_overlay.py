"""A screen that also bears lines for a technician; `calibrate` alone opens one, so the visitor sees none."""

import os
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from appliance.config import DisplayConfig
from appliance.display.fitted_patches import finished
from appliance.display.frame_loader import Lit
from appliance.display.layout import layout_for
from appliance.display.screen import Screen
from appliance.display.sdl import pygame
from appliance.errors import DisplayLost, DisplayStuck, NoDisplay
from appliance.pack import Pack

ONLY_HERE: Final = "nothing is written on the screen (%s)"
HELD: Final = "if the service runs: sudo systemctl stop mona-lisa"

# Characters to a line: as many as can be read from two metres on an upright screen.
_COLUMNS: Final = 40
# The plate's share of the width, and its edge in the font's own pixels.
_SHARE: Final = 0.95
_EDGE: Final = 4
# The figures change with every picture, but cannot be read so fast; seconds.
_PERIOD: Final = 0.2


class Board(Screen):
    """Shows frames of a loaded pack with lines over the portrait's lower edge."""

    def __init__(self, config: DisplayConfig) -> None:
        """Choose a screen; raises `ConfigError` if `config.output` is none."""
        super().__init__(replace(config, film="", shift=0))
        self._plate: tuple[pygame.Surface, tuple[int, int]] | None = None
        self._text = ""

    def write(self, frames: Lit, text: str) -> None:
        """Show frames, one of each sitter, and lines in place of those before; raises `DisplayLost`."""
        if text != self._text:
            self._text = text
            layout = layout_for(self._config, self.size)
            width, height = layout.upright
            plate = plate_with(text, min(width, height))
            left, top = (width - plate.width) // 2, height - plate.height
            turned = finished(plate, layout)
            surface = pygame.image.frombuffer(turned.tobytes(), turned.size, "RGB").convert(self._surface)
            self._plate = surface, layout.turned((left, top, left + plate.width, top + plate.height))[:2]
        self.shown = frames
        self._draw()
        self._tell(frames)

    def _paint(self) -> None:
        super()._paint()
        if self._plate:
            self._surface.blit(*self._plate)


def plate_with(text: str, width: int) -> Image.Image:
    """Return white lines on black, not wider than `width` pixels.

    Pillow's own small letters are enlarged: no font has to be installed.
    """
    font = ImageFont.load_default()
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _COLUMNS)]
    ruler = ImageDraw.Draw(Image.new("L", (1, 1)))
    across = int(ruler.textbbox((0, 0), "e" * _COLUMNS, font=font)[2])  # so that letters keep their size
    down = int(ruler.multiline_textbbox((0, 0), "\n".join(lines), font=font)[3])
    small = Image.new("L", (across + 2 * _EDGE, down + 2 * _EDGE))
    ImageDraw.Draw(small).multiline_text((_EDGE, _EDGE), "\n".join(lines), fill=255, font=font)
    scale = _SHARE * width / small.width
    size = max(1, round(scale * small.width)), max(1, round(scale * small.height))
    return small.resize(size, Image.Resampling.BICUBIC).convert("RGB")


@contextmanager
def board(
    display: DisplayConfig, pack: Pack, say: Callable[[str], None]
) -> Iterator[Callable[[Lit, str], None]]:
    """Light the portrait; yield what shows frames and writes lines over it. Both go with the context.

    Frames are one of each sitter. Without a display, or when it is lost, only `say` is told.

    Raises
    ------
    BadPack, CannotWrite
        If the portrait cannot be shown, or the folder of an offscreen display not be written.
    """
    # SDL would take the keyboard of the terminal away from who types there.
    os.environ["SDL_INPUT_LINUX_KEEP_KBD"] = "1"
    with ExitStack() as stack:
        screen: Board | None = None
        try:
            screen = stack.enter_context(Board(display))
            screen.light(pack)
            screen.load(pack, threading.Event())
        except NoDisplay as error:
            say(ONLY_HERE % f"{error}; {HELD}")
        except DisplayLost as error:
            screen = None
            say(ONLY_HERE % error)
        shown, due = tuple(grid.rest for grid in pack.info.sitters), 0.0

        def show(frames: Lit, text: str) -> None:
            nonlocal screen, shown, due
            now = time.monotonic()
            if screen is None or (frames == shown and now < due):
                return
            shown, due = frames, now + _PERIOD
            try:
                screen.write(frames, text)
                screen.tick(now, time.time())
                screen.closed()  # a window wants its events taken
            except (DisplayLost, DisplayStuck) as error:
                screen = None
                say(ONLY_HERE % error)

        yield show
