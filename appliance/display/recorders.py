"""Recorders of what was lit: a folder of pictures instead of a screen, and a small film for support."""

import io
import logging
import queue
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image, ImageDraw

from appliance.display.frame_loader import Lit
from appliance.display.layout import Size
from appliance.display.sdl import pygame
from appliance.errors import CannotWrite
from appliance.files import as_owner, write_atomic


def write_png(file: BinaryIO, strips: Iterable[bytes], size: Size) -> None:
    """Write an RGB picture; `strips` are whole rows of it, 3 bytes for each pixel; raises `OSError`.

    Source: W3C, "Portable Network Graphics (PNG) Specification (Second Edition)", 2003.
    """
    width, height = size
    row = 3 * width
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(1)
    for strip in strips:
        # Every row begins with the number of its filter: none.
        rows = b"".join(part for at in range(0, len(strip), row) for part in (b"\0", strip[at : at + row]))
        _chunk(file, b"IDAT", packer.compress(rows))
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


LOG_NAME: Final = "lit.jsonl"
_WAITING: Final = 10_000_000  # bytes of pictures being written or waiting; one always may
_STRIP: Final = 64  # rows of a picture in memory at a time


class OffscreenFolder:
    """Writes `frame_NN.png`, the whole screen, once per frame; `lit.jsonl` has every flip.

    A row of `lit.jsonl` is `{"time": seconds on the monotonic clock, "frame": index}`, the frame null
    where the screen went black. Of several sitters it is a list with the frame of each, and the pictures are
    named `frame_NN_NN.png`; one is written where a sitter is in a frame that no picture has yet.

    Pictures are packed by a thread of their own, since that takes longer than a flip may; when it is busy, a
    frame's picture is taken the next time that frame is lit. Until then they lie in files without a name: in
    memory each would be as large as the screen.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[tuple[int, int]] = set()  # sitters and their frames
        self._waiting: queue.Queue[tuple[Lit, Size, BinaryIO] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, name="offscreen", daemon=True)
        self._error: CannotWrite | None = None

    def open(self) -> None:
        """Make the folder and clear what an earlier run left; raises `CannotWrite`."""
        try:
            with as_owner(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                for old in self._folder.glob("frame_*.png"):
                    old.unlink()
                # Unbuffered: one call for each flip, which whoever reads along sees at once.
                self._log = (self._folder / LOG_NAME).open("wb", buffering=0)
        except OSError as error:
            raise CannotWrite(f"{self._folder}: cannot be written ({error.strerror})") from error
        self._thread.start()

    def lit(self, frames: Lit | None, surface: pygame.Surface) -> None:
        """Note that frames were lit; raises `CannotWrite` once writing has failed."""
        if self._error:
            raise self._error
        told = frames and (frames[0] if len(frames) == 1 else list(frames))
        index = b"null" if told is None else str(told).encode()
        try:
            self._log.write(b'{"time": %.4f, "frame": %s}\n' % (time.monotonic(), index))
        except OSError as error:
            raise CannotWrite(f"{self._folder / LOG_NAME}: cannot be written ({error.strerror})") from error
        if frames is None or self._written.issuperset(enumerate(frames)):
            return
        room = max(1, _WAITING // (3 * surface.get_width() * surface.get_height()))
        if self._waiting.unfinished_tasks < room:
            self._written.update(enumerate(frames))
            self._waiting.put((frames, surface.get_size(), self._taken(surface)))

    def forget(self) -> None:
        """Take every frame's picture anew: another portrait hangs."""
        self._written.clear()

    def close(self) -> None:
        """Write what is still waiting; raises `CannotWrite` if any of it could not be written."""
        self._waiting.put(None)
        self._thread.join()
        self._log.close()
        if self._error:
            raise self._error

    def _taken(self, surface: pygame.Surface) -> BinaryIO:
        """Return a file with the screen as it is now, RGB; raises `CannotWrite`."""
        width, height = surface.get_size()
        try:
            with ExitStack() as undo:
                with as_owner(self._folder):
                    taken = undo.enter_context(tempfile.TemporaryFile(dir=self._folder))
                for top in range(0, height, _STRIP):
                    strip = surface.subsurface((0, top, width, min(_STRIP, height - top)))
                    taken.write(pygame.image.tostring(strip, "RGB"))
                taken.seek(0)
                undo.pop_all()
        except OSError as error:
            raise CannotWrite(f"{self._folder}: cannot be written ({error.strerror})") from error
        return taken

    def _write(self) -> None:
        while item := self._waiting.get():
            frames, size, taken = item
            path = self._folder / f"frame_{'_'.join(f'{frame:02d}' for frame in frames)}.png"
            part = path.with_suffix(".part")
            with taken, as_owner(self._folder):
                try:
                    if not self._error:  # else only take, so that nobody waits for room
                        with part.open("wb") as file:
                            write_png(file, iter(partial(taken.read, 3 * size[0] * _STRIP), b""), size)
                        part.replace(path)
                except OSError as error:
                    self._error = CannotWrite(f"{path}: cannot be written ({error.strerror})")
            self._waiting.task_done()


log = logging.getLogger(__name__)

FULL: Final = "%s: %d pictures, the most a film holds; what comes after is not filmed"
MOST: Final = 600  # Pillow unpacks all of them to write the file: 240 MB, which a Pi of 1 GB has
_LONGEST: Final = 480  # pixels of the picture's long side
_FASTEST: Final = 0.04  # seconds; changes in between are passed over
_LAST: Final = 1.0  # seconds for which the last picture stands
_FILM_STRIP: Final = 16


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
    image = Image.new("RGB", (size[0], size[1] + _FILM_STRIP))
    image.paste(Image.frombuffer("RGB", size, pygame.image.tostring(small, "RGB")))
    label = f"frame {' '.join(map(str, frames))}" if frames else "black"
    ImageDraw.Draw(image).text((3, size[1] + 2), label, fill="#d8d0bd")
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=85)
    return packed.getvalue()
