"""A contact sheet: all frames of a portrait side by side, for the eye to judge."""

import io
import math
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image, ImageDraw

from appliance.grid import Box

_WIDEST = 300
_MARGIN = 0.12
_LABEL = 14
_CLOSE = 1000


class Sheet:
    """Frames laid out as they pass by, cut around the patch, each with its number and gaze angle."""

    def __init__(
        self, base: Image.Image, box: Box, angles: Sequence[float], name: str = "", part: float = 1.0
    ) -> None:
        """Begin a sheet.

        Parameters
        ----------
        base : the whole painting
        box : where the patches lie in it
        angles : of every frame, in degrees
        name : of the sitter, written before each frame's number if there are several
        part : of the usual width
        """
        margin = round(_MARGIN * (box[2] - box[0]))
        x0, y0 = max(box[0] - margin, 0), max(box[1] - margin, 0)
        self._around = base.crop(
            (x0, y0, min(box[2] + margin, base.width), min(box[3] + margin, base.height))
        )
        self._at = box[0] - x0, box[1] - y0
        self._angles, self._name = angles, name
        self._width = min(self._around.width, round(_WIDEST * part))
        self._height = round(self._around.height * self._width / self._around.width)
        self._columns = max(1, round(math.sqrt(len(angles) * self._height / self._width)))
        rows = math.ceil(len(angles) / self._columns)
        self.image = Image.new("RGB", (self._columns * self._width, rows * (self._height + _LABEL)))

    def passing(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come, and lay each out."""
        for i, patch in enumerate(patches):
            self._lay(i, patch)
            yield patch

    def _lay(self, i: int, patch: Image.Image) -> None:
        x, y = i % self._columns * self._width, i // self._columns * (self._height + _LABEL)
        self._around.paste(patch, self._at)
        small = self._around.resize((self._width, self._height), Image.Resampling.BOX)
        self.image.paste(small, (x, y))
        text = f"{self._name} {i}: {self._angles[i]:+.1f} deg".lstrip()
        ImageDraw.Draw(self.image).text((x + 2, y + self._height + 1), text, fill="white")


class CloseUp:
    """The eyes large, as the patches pass: the painting above, then both ends and halves of the travel."""

    def __init__(
        self, base: Image.Image, box: Box, region: Box, frames: int, resting: int, part: float = 1.0
    ) -> None:
        """Begin a close-up.

        Parameters
        ----------
        base : the whole painting
        box : where the patches lie in it
        region : around both eyes, in its pixels
        frames, resting : how many, and which of them is the painting
        part : of the usual width
        """
        x0, y0 = min(box[0], region[0]), min(box[1], region[1])
        self._around = base.crop((x0, y0, max(box[2], region[2]), max(box[3], region[3])))
        self._at = box[0] - x0, box[1] - y0
        self._region = region[0] - x0, region[1] - y0, region[2] - x0, region[3] - y0
        last = frames - 1
        self._shown = (resting, 0, resting // 2, (resting + last) // 2, last)
        self._width = round(_CLOSE * part)
        self._height = round(self._width * (region[3] - region[1]) / (region[2] - region[0]))
        self.image = Image.new("RGB", (self._width, len(self._shown) * self._height))

    def passing(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come, and lay those that are shown."""
        for frame, patch in enumerate(patches):
            if frame in self._shown:
                self._around.paste(patch, self._at)
                size = (self._width, self._height)
                large = self._around.resize(size, Image.Resampling.LANCZOS, self._region)
                for row in (i for i, shown in enumerate(self._shown) if shown == frame):
                    self.image.paste(large, (0, row * self._height))
            yield patch


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures one below the other."""
    if len(pictures) == 1:
        return pictures[0]
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)))
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole


def png(picture: Image.Image) -> bytes:
    """Return a picture as a PNG file, quickly made."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
