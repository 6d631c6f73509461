"""The calibration overlay: text for the technician over the portrait, opened only by `calibrate`."""

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
from appliance.display.fitted_patches import dim_and_rotate
from appliance.display.frame_loader import LitFrames
from appliance.display.layout import layout_for
from appliance.display.screen import PortraitScreen
from appliance.display.sdl import pygame
from appliance.errors import DisplayLost, DisplayStuck, NoDisplay
from appliance.pack import Pack

SCREEN_NOT_USED: Final = "nothing is written on the screen (%s)"
STOP_THE_SERVICE: Final = "if the service runs: sudo systemctl stop mona-lisa"

# Characters in a line: the letters can then be read from two metres on an upright screen.
_LINE_LENGTH: Final = 40
# Width of the text plate as a fraction of the screen's shorter side (chosen by eye).
_PLATE_WIDTH: Final = 0.95
# Margin around the text, in pixels of the font before it is enlarged (chosen by eye).
_PLATE_MARGIN: Final = 4
# Shortest time between two changes of the text, in seconds: the figures change faster than one can read.
_WRITE_INTERVAL: Final = 0.2


class CalibrationOverlay(PortraitScreen):
    """A screen that shows text over the lower edge of the portrait."""

    def __init__(self, config: DisplayConfig) -> None:
        """Choose a screen; raises `ConfigError` if `config.output` is none."""
        super().__init__(replace(config, film="", shift=0))
        self._plate: tuple[pygame.Surface, tuple[int, int]] | None = None
        self._text = ""

    def write(self, frames: LitFrames, text: str) -> None:
        """Show frames, one of each sitter, and replace the text; raises `DisplayLost`."""
        if text != self._text:
            self._text = text
            layout = layout_for(self._config, self.size)
            width, height = layout.upright
            plate = draw_text_plate(text, min(width, height))
            left, top = (width - plate.width) // 2, height - plate.height
            turned = dim_and_rotate(plate, layout)
            surface = pygame.image.frombuffer(turned.tobytes(), turned.size, "RGB").convert(self._surface)
            self._plate = surface, layout.rotate_box((left, top, left + plate.width, top + plate.height))[:2]
        self.shown = frames
        self._draw()
        self._notify_recorders(frames)

    def _paint(self) -> None:
        super()._paint()
        if self._plate:
            self._surface.blit(*self._plate)


def draw_text_plate(text: str, width: int) -> Image.Image:
    """Return white text on black, at most `width` pixels wide, in Pillow's built-in font, enlarged."""
    font = ImageFont.load_default()
    text = "\n".join(textwrap.fill(line, _LINE_LENGTH) for line in text.splitlines() if line.strip())
    ruler = ImageDraw.Draw(Image.new("L", (1, 1)))
    across = int(ruler.textbbox((0, 0), "e" * _LINE_LENGTH, font=font)[2])  # a full line
    down = int(ruler.multiline_textbbox((0, 0), text, font=font)[3])
    small = Image.new("L", (across + 2 * _PLATE_MARGIN, down + 2 * _PLATE_MARGIN))
    ImageDraw.Draw(small).multiline_text((_PLATE_MARGIN, _PLATE_MARGIN), text, fill=255, font=font)
    scale = _PLATE_WIDTH * width / small.width
    size = max(1, round(scale * small.width)), max(1, round(scale * small.height))
    return small.resize(size, Image.Resampling.BICUBIC).convert("RGB")


@contextmanager
def calibration_overlay(
    display: DisplayConfig, pack: Pack, say: Callable[[str], None]
) -> Iterator[Callable[[LitFrames, str], None]]:
    """Show the portrait, and yield a function that shows frames, one of each sitter, with text over them.

    If there is no display, or it is lost, this is passed to `say` and the function does nothing. Raises
    `BadPack` or `CannotWrite` if the portrait cannot be shown, or the folder of an offscreen display cannot
    be written.
    """
    # Otherwise SDL would take the keyboard away from the terminal.
    os.environ["SDL_INPUT_LINUX_KEEP_KBD"] = "1"
    with ExitStack() as stack:
        screen: CalibrationOverlay | None = None
        try:
            screen = stack.enter_context(CalibrationOverlay(display))
            screen.light(pack)
            screen.load(pack, threading.Event())
        except NoDisplay as error:
            say(SCREEN_NOT_USED % f"{error}; {STOP_THE_SERVICE}")
        except DisplayLost as error:
            screen = None
            say(SCREEN_NOT_USED % error)
        shown, due = tuple(grid.rest for grid in pack.info.sitters), 0.0

        def show(frames: LitFrames, text: str) -> None:
            nonlocal screen, shown, due
            now = time.monotonic()
            if screen is None or (frames == shown and now < due):
                return
            shown, due = frames, now + _WRITE_INTERVAL
            try:
                screen.write(frames, text)
                screen.tick(now, time.time())
                screen.window_closed()  # handles a window's events
            except (DisplayLost, DisplayStuck) as error:
                screen = None
                say(SCREEN_NOT_USED % error)

        yield show
