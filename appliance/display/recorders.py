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

from appliance.display.frame_loader import LitFrames
from appliance.display.layout import Size
from appliance.display.open_display import pygame
from appliance.errors import CannotWrite
from appliance.files import as_owner, write_atomic


def write_png(file: BinaryIO, strips: Iterable[bytes], size: Size) -> None:
    """Write an RGB picture of (width, height); `strips` are whole rows, 3 bytes per pixel; raises `OSError`.

    Source: W3C, "Portable Network Graphics (PNG) Specification (Second Edition)", 2003.
    """
    width, height = size
    row = 3 * width
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(1)
    for strip in strips:
        # Every row begins with the number of its filter: 0, none.
        rows = b"".join(part for at in range(0, len(strip), row) for part in (b"\0", strip[at : at + row]))
        _chunk(file, b"IDAT", packer.compress(rows))
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


FLIP_LOG: Final = "lit.jsonl"  # name of the log of flips in the folder
# Largest size of the pictures that wait to be written, in bytes; one may always wait (origin unknown).
_MAX_WAITING_BYTES: Final = 10_000_000
_STRIP_ROWS: Final = 64  # rows of a picture that are in memory at once (origin unknown)


class OffscreenFolder:
    """Records each frame once as `frame_NN.png`, the whole screen, and every flip in `lit.jsonl`.

    A row of `lit.jsonl` is `{"time": seconds on the monotonic clock, "frame": number}`; the frame is null
    when the screen turns black. For several sitters it is a list of their frames. The pictures are then named
    `frame_NN_NN.png`; one is written whenever a sitter has a frame that is in no picture yet.

    A thread compresses the pictures, because that takes longer than a flip may take. While it is busy, a
    frame is recorded only the next time it is shown. Waiting pictures are in unnamed files, because in memory
    each would be as large as the screen.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[tuple[int, int]] = set()  # sitters and their frames
        self._waiting: queue.Queue[tuple[LitFrames, Size, BinaryIO] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, name="offscreen", daemon=True)
        self._error: CannotWrite | None = None

    def open(self) -> None:
        """Create the folder, and delete pictures of an earlier run; raises `CannotWrite`."""
        try:
            with as_owner(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                for old in self._folder.glob("frame_*.png"):
                    old.unlink()
                # Unbuffered, so that other programs can read each flip at once.
                self._log = (self._folder / FLIP_LOG).open("wb", buffering=0)
        except OSError as error:
            raise CannotWrite(f"{self._folder}: cannot be written ({error.strerror})") from error
        self._thread.start()

    def record(self, frames: LitFrames | None, surface: pygame.Surface) -> None:
        """Record that frames are shown; raises `CannotWrite` once writing has failed."""
        if self._error:
            raise self._error
        told = frames and (frames[0] if len(frames) == 1 else list(frames))
        index = b"null" if told is None else str(told).encode()
        try:
            self._log.write(b'{"time": %.4f, "frame": %s}\n' % (time.monotonic(), index))
        except OSError as error:
            raise CannotWrite(f"{self._folder / FLIP_LOG}: cannot be written ({error.strerror})") from error
        if frames is None or self._written.issuperset(enumerate(frames)):
            return
        room = max(1, _MAX_WAITING_BYTES // (3 * surface.get_width() * surface.get_height()))
        if self._waiting.unfinished_tasks < room:
            self._written.update(enumerate(frames))
            self._waiting.put((frames, surface.get_size(), self._taken(surface)))

    def portrait_changed(self) -> None:
        """Record every frame again, because another portrait is shown."""
        self._written.clear()

    def close(self) -> None:
        """Write the waiting pictures; raises `CannotWrite` if one could not be written."""
        self._waiting.put(None)
        self._thread.join()
        self._log.close()
        if self._error:
            raise self._error

    def _taken(self, surface: pygame.Surface) -> BinaryIO:
        """Return a file with the present screen as RGB; raises `CannotWrite`."""
        width, height = surface.get_size()
        try:
            with ExitStack() as undo:
                with as_owner(self._folder):
                    taken = undo.enter_context(tempfile.TemporaryFile(dir=self._folder))
                for top in range(0, height, _STRIP_ROWS):
                    strip = surface.subsurface((0, top, width, min(_STRIP_ROWS, height - top)))
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
                    if not self._error:  # after an error pictures are only removed, so that nobody waits
                        with part.open("wb") as file:
                            write_png(file, iter(partial(taken.read, 3 * size[0] * _STRIP_ROWS), b""), size)
                        part.replace(path)
                except OSError as error:
                    self._error = CannotWrite(f"{path}: cannot be written ({error.strerror})")
            self._waiting.task_done()


log = logging.getLogger(__name__)

RECORDING_FULL: Final = "%s: %d pictures, the most a recording holds; later frames are not recorded"
# Largest number of pictures: Pillow decodes all to write the file, which takes 240 MB; a Pi of 1 GB has them.
MAX_RECORDED: Final = 600
_LONG_SIDE: Final = 480  # longest side of a recorded picture, in pixels (chosen by eye)
# Shortest time between two pictures, in seconds: 25 pictures/s; faster changes are left out.
_MIN_INTERVAL: Final = 0.04
_LAST_DURATION: Final = 1.0  # duration of the last picture, in seconds (chosen by eye)
# Height of the strip with the frame numbers, in pixels: one line of Pillow's built-in font.
_LABEL_ROWS: Final = 16


class FrameRecording:
    """Collects compressed pictures in memory, and writes the film at the end."""

    def __init__(self, path: Path) -> None:
        """Set the path, which ends in .webp or .gif."""
        self._path = path
        self._shots: list[tuple[float, bytes]] = []

    def open(self) -> None:
        """Make sure that the file can be written; raises `CannotWrite`."""
        write_atomic(self._path, b"")

    def record(self, frames: LitFrames | None, surface: pygame.Surface) -> None:
        """Record the screen; `frames` is None if it is black."""
        now = time.monotonic()
        if self._shots and now - self._shots[-1][0] < _MIN_INTERVAL:
            return
        if len(self._shots) >= MAX_RECORDED:
            if len(self._shots) == MAX_RECORDED:
                log.warning(RECORDING_FULL, self._path, MAX_RECORDED)
                self._shots.append(self._shots[-1])
            return
        self._shots.append((now, _packed(frames, surface)))

    def portrait_changed(self) -> None:
        """Do nothing: the recording continues."""

    def close(self) -> None:
        """Write the film; raises `CannotWrite`."""
        shots = self._shots[:MAX_RECORDED]
        if not shots:
            return
        moments = [moment for moment, _ in shots]
        lasting = [after - before for before, after in pairwise(moments)] + [_LAST_DURATION]
        first, *rest = (Image.open(io.BytesIO(shot)).convert("RGB") for _, shot in shots)
        durations = [round(1000 * seconds) for seconds in lasting]
        kind = self._path.suffix[1:].upper()
        packed = io.BytesIO()
        try:
            first.save(packed, kind, save_all=True, append_images=rest, duration=durations, loop=0)
        except OSError as error:  # Pillow without WebP
            raise CannotWrite(f"{self._path}: cannot be written ({error})") from error
        write_atomic(self._path, packed.getvalue())


def _packed(frames: LitFrames | None, surface: pygame.Surface) -> bytes:
    scale = min(1.0, _LONG_SIDE / max(surface.get_size()))
    size = max(1, round(surface.get_width() * scale)), max(1, round(surface.get_height() * scale))
    small = pygame.transform.scale(surface, size)  # not averaged, because the display waits for it
    image = Image.new("RGB", (size[0], size[1] + _LABEL_ROWS))
    image.paste(Image.frombuffer("RGB", size, pygame.image.tostring(small, "RGB")))
    label = f"frame {' '.join(map(str, frames))}" if frames else "black"
    ImageDraw.Draw(image).text((3, size[1] + 2), label, fill="#d8d0bd")
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=85)
    return packed.getvalue()
