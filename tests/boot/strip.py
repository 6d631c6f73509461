"""A film strip: what the screen showed after power-on, with times, as one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

from tests.boot.look import Sight

_HEIGHT: Final = 320
_GAP: Final = 8
_CAPTION: Final = 34
_PAPER: Final = (24, 24, 26)
_INK: Final = (225, 225, 220)


def film_strip(sights: Sequence[tuple[Sight, str]], path: Path, columns: int = 8) -> None:
    """Write sights with a caption each, left to right, as PNG or WebP by the path's suffix."""
    # Before there is a signal qemu shows a picture of another shape: the narrowest is the screen's.
    narrowest = min(sight.screen.width / sight.screen.height for sight, _ in sights)
    room = round(narrowest * _HEIGHT), _HEIGHT
    thumbs = [
        (ImageOps.contain(sight.screen, room, Image.Resampling.LANCZOS), f"{sight.moment:.0f} s\n{caption}")
        for sight, caption in sights
    ]
    width = room[0] + _GAP
    rows = -(-len(thumbs) // columns)
    sheet = Image.new(
        "RGB", (width * min(columns, len(thumbs)) + _GAP, rows * (_HEIGHT + _CAPTION + _GAP) + _GAP), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    for place, (thumb, caption) in enumerate(thumbs):
        x = _GAP + place % columns * width
        y = _GAP + place // columns * (_HEIGHT + _CAPTION + _GAP)
        sheet.paste(thumb, (x, y))
        draw.multiline_text((x, y + _HEIGHT + 4), caption, _INK, ImageFont.load_default(), spacing=2)
    sheet.save(path, quality=80)
