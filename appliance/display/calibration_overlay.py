"""The technician's view: text over the portrait for `calibrate`, the camera's picture for `aim`."""

import functools
import os
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from appliance.camera.sampling import Pixels
from appliance.config import DisplayConfig
from appliance.display.fitted_patches import dim_and_rotate
from appliance.display.frame_loader import LitFrames
from appliance.display.layout import ScreenLayout, Size, layout_for
from appliance.display.open_display import pygame
from appliance.display.screen import PortraitScreen
from appliance.errors import DisplayLost, DisplayStuck, NoDisplay
from appliance.pack import Box, Pack

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
        # Otherwise SDL would take the keyboard away from the terminal.
        os.environ["SDL_INPUT_LINUX_KEEP_KBD"] = "1"
        self._plate: tuple[pygame.Surface, tuple[int, int]] | None = None
        self._text = ""

    def write(self, frames: LitFrames, text: str) -> None:
        """Show frames, one of each sitter, and replace the text; raises `DisplayLost`."""
        if text != self._text:
            self._text = text
            layout = layout_for(self._config, self.size)
            width, height = layout.upright
            plate = draw_text_plate(text, min(width, height))
            self._plate = self._turn(plate, layout, (width - plate.width) // 2, height - plate.height)
        self.shown = frames
        self._draw()
        self._notify_recorders(frames)

    def _turn(
        self, image: Image.Image, layout: ScreenLayout, left: float, top: float
    ) -> tuple[pygame.Surface, tuple[int, int]]:
        """Return an image at a place of the upright screen as a surface, and its place on the screen."""
        turned = dim_and_rotate(image, layout)
        surface = pygame.image.frombuffer(turned.tobytes(), turned.size, "RGB").convert(self._surface)
        x, y = round(left), round(top)
        return surface, layout.rotate_box((x, y, x + image.width, y + image.height))[:2]

    def _paint(self) -> None:
        super()._paint()
        if self._plate:
            self._surface.blit(*self._plate)


@functools.lru_cache(maxsize=16)  # aim shows the same texts in every picture
def draw_text_plate(text: str, width: int, label: str = "") -> Image.Image:
    """Return text on black, in Pillow's built-in font, enlarged for a screen that is `width` pixels wide.

    A `label` is a colour: the plate is then only as wide as the text. Without it the text is white and the
    plate as wide as a full line.
    """
    font = ImageFont.load_default()
    text = "\n".join(textwrap.fill(line, _LINE_LENGTH) for line in text.splitlines() if line.strip())
    ruler = ImageDraw.Draw(Image.new("L", (1, 1)))
    full = int(ruler.textbbox((0, 0), "e" * _LINE_LENGTH, font=font)[2])
    across, down = map(int, ruler.multiline_textbbox((0, 0), text, font=font)[2:])
    small = Image.new("L", ((across if label else full) + 2 * _PLATE_MARGIN, down + 2 * _PLATE_MARGIN))
    ImageDraw.Draw(small).multiline_text((_PLATE_MARGIN, _PLATE_MARGIN), text, fill=255, font=font)
    scale = _PLATE_WIDTH * width / (full + 2 * _PLATE_MARGIN)
    size = max(1, round(scale * small.width)), max(1, round(scale * small.height))
    return ImageOps.colorize(small.resize(size, Image.Resampling.BICUBIC), "black", label or "white")


@contextmanager
def calibration_overlay(
    display: DisplayConfig, pack: Pack, say: Callable[[str], None]
) -> Iterator[Callable[[LitFrames, str], None]]:
    """Show the portrait, and yield a function that shows frames, one of each sitter, with text over them.

    If there is no display, or it is lost, this is passed to `say` and the function does nothing. Raises
    `BadPack` or `CannotWrite` if the portrait cannot be shown, or the folder of an offscreen display cannot
    be written.
    """
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


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A line over the camera's picture, and its label.

    `points` are in picture pixels; there are none if the line is out of the picture. The label stands at the
    "left" or "right" edge of the picture on the screen, as near to the height `y` (picture pixels, may be
    infinite) as other labels allow, or beside its points ("face"). `colour` is a name that Pillow knows.
    """

    points: Sequence[Point]
    label: str
    colour: str
    side: str
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class CameraPicturePlacement:
    """Where the camera's picture lies on a screen.

    `picture` is its size in pixels, `box` its place on the upright screen. `flipped` is whether picture left
    is shown at screen right, as in a mirror.
    """

    layout: ScreenLayout
    picture: Size
    box: Box
    flipped: bool

    def upright(self, x: float, y: float) -> Point:
        """Return where a point of the picture lies on the upright screen, in pixels."""
        (width, height), (x0, y0, x1, y1) = self.picture, self.box
        return x0 + (width - x if self.flipped else x) * (x1 - x0) / width, y0 + y * (y1 - y0) / height

    def on_screen(self, x: float, y: float) -> Point:
        """Return where a point of the picture lies on the screen, in whole pixels."""
        right, down = map(round, self.upright(x, y))
        return self.layout.rotate_box((right, down, right, down))[:2]


def place_camera(
    layout: ScreenLayout, picture: Size, head: int, foot: int, flipped: bool
) -> CameraPicturePlacement:
    """Return the largest place for a whole picture between texts that are `head` and `foot` pixels high."""
    width, height = layout.upright
    room = max(1, height - head - foot)
    scale = min(width / picture[0], room / picture[1])
    size = max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
    left, top = (width - size[0]) // 2, head + (room - size[1]) // 2
    return CameraPicturePlacement(layout, picture, (left, top, left + size[0], top + size[1]), flipped)


class AimScreen(CalibrationOverlay):
    """A screen that shows the camera's picture with marks and text; nothing of it is recorded."""

    def __init__(self, config: DisplayConfig, closed: Callable[[], object] = bool) -> None:
        """Choose a screen; `closed` is called when its window was closed."""
        super().__init__(config)
        self._closed = closed
        self._shown: tuple[Pixels, CameraPicturePlacement, Sequence[Mark]] | None = None
        self._texts: list[tuple[pygame.Surface, tuple[int, int]]] = []

    def show_camera(
        self, pixels: Pixels, marks: Sequence[Mark], lines: Sequence[tuple[str, str]], flipped: bool
    ) -> None:
        """Show a picture with marks, a line of text above it, and others below.

        Raises `DisplayLost` or `DisplayStuck` as `tick` does.

        Parameters
        ----------
        pixels : uint8 of shape (height, width, 3)
        lines : (text, colour); the first one stands above the picture
        flipped : whether picture left is shown at screen right
        """
        layout = layout_for(self._config, self.size)
        draw = functools.partial(draw_text_plate, width=min(layout.upright))
        head, *foot = (draw(text, label=colour) for text, colour in lines)
        down = sum(line.height for line in foot)
        place = place_camera(layout, (pixels.shape[1], pixels.shape[0]), head.height, down, flipped)
        placed, y = [(head, (layout.upright[0] - head.width) // 2, place.box[1] - head.height)], place.box[3]
        for line in foot:
            placed.append((line, (layout.upright[0] - line.width) // 2, y))
            y += line.height
        placed += [(image, box.left, box.top) for image, box in place_labels(marks, place, draw)]
        self._shown = np.ascontiguousarray(pixels), place, marks
        self._texts = [self._turn(image, layout, left, top) for image, left, top in placed]
        self._draw()
        self.tick(time.monotonic(), time.time())
        if self.window_closed():
            self._closed()

    def _paint(self) -> None:
        self._surface.fill((0, 0, 0))
        if not self._shown:
            return
        pixels, place, marks = self._shown
        picture = pygame.image.frombuffer(pixels.data, place.picture, "RGB")
        picture = pygame.transform.flip(picture, place.flipped, False)
        picture = pygame.transform.rotate(picture, -place.layout.rotation)
        x0, y0, x1, y1 = place.layout.rotate_box(place.box)
        self._surface.blit(pygame.transform.scale(picture, (x1 - x0, y1 - y0)), (x0, y0))
        self._surface.set_clip((x0, y0, x1 - x0, y1 - y0))
        for mark in marks:
            if len(mark.points) > 1:
                points = [place.on_screen(*point) for point in mark.points]
                pygame.draw.lines(self._surface, mark.colour, False, points, max(2, min(self.size) // 300))
        self._surface.set_clip(None)
        self._surface.blits(self._texts)

    def _notify_recorders(self, frames: LitFrames | None) -> None:
        """Do nothing: the camera's picture is never kept."""


def place_labels(
    marks: Sequence[Mark], place: CameraPicturePlacement, draw: Callable[..., Image.Image]
) -> list[tuple[Image.Image, pygame.Rect]]:
    """Return the labels of marks and their places on the upright screen: in the picture, without overlaps.

    A label that finds no such place is left out. `draw` makes an image of a text and its `label` colour.
    """
    left, top, right, bottom = place.box
    frame, placed = (
        pygame.Rect(left, top, right - left, bottom - top),
        list[tuple[Image.Image, pygame.Rect]](),
    )
    for mark in sorted(marks, key=lambda mark: (mark.side == "face", mark.y)):
        image = draw(mark.label, label=mark.colour)
        wide, high = image.size
        if mark.side == "face":
            corners = [place.upright(*point) for point in mark.points]
            (x0, x1), (y0, y1) = ((min(each), max(each)) for each in zip(*corners, strict=True))
            middle, beside = (x0 + x1 - wide) / 2, (y0 + y1 - high) / 2
            tries = [(middle, y0 - high), (middle, y1), (x1, beside), (x0 - wide, beside)]
        else:
            x, y = left if mark.side == "left" else right - wide, place.upright(0, mark.y)[1] - high / 2
            first = min(max(y, top), bottom - high)
            tries = [(x, first + step * high) for step in (0, 1, -1, 2, -2)]
        for corner in tries:
            box = pygame.Rect(round(corner[0]), round(corner[1]), wide, high)
            if frame.contains(box) and box.collidelist([other for _, other in placed]) < 0:
                placed.append((image, box))
                break
    return placed
