"""A film strip: what the screen showed after power-on, with times, as one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

from tests.boot.look import Frame, Sight

_HEIGHT: Final = 320
_GAP: Final = 8
_CAPTION: Final = 48
_PAPER: Final = (24, 24, 26)
_INK: Final = (225, 225, 220)


def film_strip(
    sights: Sequence[tuple[Sight, str]], face: tuple[int, int, int, int], path: Path, columns: int = 8
) -> None:
    """Write sights left to right, each with a caption and, where a portrait is lit, its face again, larger.

    Parameters
    ----------
    sights : what was shown, and the caption's last line
    face : (x0, y0, x1, y1) on a screen that shows a portrait, pixels
    path : its suffix says whether PNG or WebP
    """
    # Before there is a signal qemu shows a picture of another shape: the narrowest is the screen's.
    width = round(_HEIGHT * min(sight.screen.width / sight.screen.height for sight, _ in sights))
    tall = round(width * (face[3] - face[1]) / (face[2] - face[0]))
    step = width + _GAP, _HEIGHT + tall + _CAPTION + 2 * _GAP
    rows = -(-len(sights) // columns)
    sheet = Image.new("RGB", (step[0] * min(columns, len(sights)) + _GAP, step[1] * rows), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (sight, act) in enumerate(sights):
        x, y = _GAP + place % columns * step[0], _GAP + place // columns * step[1]
        sheet.paste(ImageOps.contain(sight.screen, (width, _HEIGHT), Image.Resampling.LANCZOS), (x, y))
        y += _HEIGHT + _GAP
        if isinstance(sight.shown, Frame):
            sheet.paste(sight.screen.resize((width, tall), Image.Resampling.LANCZOS, face), (x, y))
        caption = f"{sight.moment:.0f} s\n{sight.shown}\n{act}"
        draw.multiline_text((x, y + tall + 4), caption, _INK, ImageFont.load_default(), spacing=2)
    sheet.save(path, quality=80)
