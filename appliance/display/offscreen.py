"""A folder instead of a screen: every frame that was lit as a picture, and when."""

import queue
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from appliance.display.frames import Lit
from appliance.display.layout import Size
from appliance.display.png import write_png
from appliance.display.sdl import pygame
from appliance.errors import CannotWrite
from appliance.rights import as_owner

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
