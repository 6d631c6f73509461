"""The contact sheet, all frames of a portrait side by side, and the close-up of the eyes."""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from PIL import Image, ImageDraw

from appliance.pack import Box, FrameGrid

_WIDEST: Final = 300  # greatest width of a frame on the contact sheet, in pixels
_MARGIN: Final = 0.12  # painting shown around the patch, as a fraction of its width
_LABEL: Final = 14  # height of a frame's text, in pixels
_CLOSE: Final = 1000  # width of the close-up, in pixels


class ContactSheet:
    """Frames laid out as they pass through, cut around the patch, each with its number and gaze angle.

    All frames of the level row, and of a grid with more rows the corners and middles as well.
    """

    def __init__(self, base: Image.Image, grid: FrameGrid, name: str = "", part: float = 1.0) -> None:
        """Begin a sheet of the painting `base`, at the fraction `part` of the usual width.

        The sitter's `name`, if there are several, is written before each frame's number.
        """
        box = grid.box
        margin = round(_MARGIN * (box[2] - box[0]))
        x0, y0 = max(box[0] - margin, 0), max(box[1] - margin, 0)
        x1, y1 = min(box[2] + margin, base.width), min(box[3] + margin, base.height)
        self._around = base.crop((x0, y0, x1, y1))
        self._at = box[0] - x0, box[1] - y0
        self._grid, self._name = grid, name
        self._width = min(self._around.width, round(_WIDEST * part))
        self._height = round(self._around.height * self._width / self._around.width)
        level = grid.level_frames
        columns = max(1, round(math.sqrt(len(level) * self._height / self._width)))
        rows = math.ceil(len(level) / columns)
        self._places = [(frame, i % columns, i // columns) for i, frame in enumerate(level)]
        if len(grid.pitches) > 1:
            columns = max(columns, 3)
            self._places += [(frame, i % 3, rows + i // 3) for i, frame in enumerate(grid.corners())]
            rows += 3
        self.image = Image.new("RGB", (columns * self._width, rows * (self._height + _LABEL)))

    def pass_through(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come, and lay out those that are shown."""
        for frame, patch in enumerate(patches):
            places = [(column, row) for shown, column, row in self._places if shown == frame]
            if places:
                self._lay(frame, patch, places)
            yield patch

    def _lay(self, frame: int, patch: Image.Image, places: list[tuple[int, int]]) -> None:
        self._around.paste(patch, self._at)
        small = self._around.resize((self._width, self._height), Image.Resampling.BOX)
        row, column = self._grid.place(frame)
        place = f"row {row}, {column}" if row != self._grid.resting[0] else str(column)
        text = f"{self._name} {place}: {self._grid.angles[column]:+.1f} deg".lstrip()
        if len(self._grid.pitches) > 1:
            text += f", {self._grid.pitches[row]:+.1f} up"
        for i, j in places:
            x, y = i * self._width, j * (self._height + _LABEL)
            self.image.paste(small, (x, y))
            ImageDraw.Draw(self.image).text((x + 2, y + self._height + 1), text, fill="white")


class EyeCloseUp:
    """The eyes enlarged, as the patches pass through: the painting, then both ends and halves of the travel.

    Of a grid with more rows, both ends and the middle of the first and of the last row follow.
    """

    def __init__(self, base: Image.Image, grid: FrameGrid, region: Box, part: float = 1.0) -> None:
        """Begin a close-up of the painting `base`, at the fraction `part` of the usual width.

        `region` lies around both eyes, in its pixels.
        """
        box = grid.box
        x0, y0 = min(box[0], region[0]), min(box[1], region[1])
        self._around = base.crop((x0, y0, max(box[2], region[2]), max(box[3], region[3])))
        self._at = box[0] - x0, box[1] - y0
        self._region = region[0] - x0, region[1] - y0, region[2] - x0, region[3] - y0
        (row, resting), last = grid.resting, len(grid.angles) - 1
        columns = resting, 0, resting // 2, (resting + last) // 2, last
        self._shown = [grid.number(row, column) for column in columns]
        if len(grid.pitches) > 1:
            self._shown += [*grid.corners()[:3], *grid.corners()[-3:]]
        self._width = round(_CLOSE * part)
        self._height = round(self._width * (region[3] - region[1]) / (region[2] - region[0]))
        self.image = Image.new("RGB", (self._width, len(self._shown) * self._height))

    def pass_through(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come, and lay those that are shown."""
        for frame, patch in enumerate(patches):
            if frame in self._shown:
                self._around.paste(patch, self._at)
                size = (self._width, self._height)
                large = self._around.resize(size, Image.Resampling.LANCZOS, self._region)
                for row in (i for i, shown in enumerate(self._shown) if shown == frame):
                    self.image.paste(large, (0, row * self._height))
            yield patch


def stack_pictures(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures one below the other."""
    if len(pictures) == 1:
        return pictures[0]
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)))
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole


def png_bytes(picture: Image.Image) -> bytes:
    """Return a picture as a PNG file, quickly made."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
