"""A film of what was shown, for support: small pictures with the frame's index, as WebP or GIF."""

import io
import logging
import time
from itertools import pairwise
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from appliance.display.frames import Lit
from appliance.display.sdl import pygame
from appliance.errors import CannotWrite
from appliance.files import write_atomic

log = logging.getLogger(__name__)

FULL: Final = "%s: %d pictures, the most a film holds; what comes after is not filmed"
MOST: Final = 600  # Pillow unpacks all of them to write the file: 240 MB, which a Pi of 1 GB has
_LONGEST: Final = 480  # pixels of the picture's long side
_FASTEST: Final = 0.04  # seconds; changes in between are passed over
_LAST: Final = 1.0  # seconds for which the last picture stands
_STRIP: Final = 16


class Film:
    """Gathers pictures in memory, packed, and writes the file at the end."""

    def __init__(self, path: Path) -> None:
        """Write nothing yet; `path` ends in .webp or .gif."""
        self._path = path
        self._shots: list[tuple[float, bytes]] = []

    def open(self) -> None:
        """Make sure that the file can be written; raises `CannotWrite`."""
        write_atomic(self._path, b"")

    def lit(self, frames: Lit | None, surface: pygame.Surface) -> None:
        """Take a picture of the screen; `frames` is None where it is black."""
        now = time.monotonic()
        if self._shots and now - self._shots[-1][0] < _FASTEST:
            return
        if len(self._shots) >= MOST:
            if len(self._shots) == MOST:
                log.warning(FULL, self._path, MOST)
                self._shots.append(self._shots[-1])
            return
        self._shots.append((now, _packed(frames, surface)))

    def forget(self) -> None:
        """Film on: another portrait hangs."""

    def close(self) -> None:
        """Write the film; raises `CannotWrite`."""
        shots = self._shots[:MOST]
        if not shots:
            return
        moments = [moment for moment, _ in shots]
        lasting = [after - before for before, after in pairwise(moments)] + [_LAST]
        images = [Image.open(io.BytesIO(shot)).convert("RGB") for _, shot in shots]
        packed = io.BytesIO()
        try:
            images[0].save(
                packed,
                self._path.suffix[1:].upper(),
                save_all=True,
                append_images=images[1:],
                duration=[round(1000 * seconds) for seconds in lasting],
                loop=0,
            )
        except OSError as error:  # Pillow without WebP
            raise CannotWrite(f"{self._path}: cannot be written ({error})") from error
        write_atomic(self._path, packed.getvalue())


def _packed(frames: Lit | None, surface: pygame.Surface) -> bytes:
    scale = min(1.0, _LONGEST / max(surface.get_size()))
    size = max(1, round(surface.get_width() * scale)), max(1, round(surface.get_height() * scale))
    small = pygame.transform.scale(surface, size)  # without averaging: the display's thread does it
    image = Image.new("RGB", (size[0], size[1] + _STRIP))
    image.paste(Image.frombuffer("RGB", size, pygame.image.tostring(small, "RGB")))
    label = f"frame {' '.join(map(str, frames))}" if frames else "black"
    ImageDraw.Draw(image).text((3, size[1] + 2), label, fill="#d8d0bd")
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=85)
    return packed.getvalue()
