"""A folder instead of a screen: every frame that was lit as a picture, and when."""

import io
import json
import queue
import threading
import time
from pathlib import Path
from typing import Final

import pygame
from PIL import Image

from appliance.errors import CannotWrite
from appliance.files import write_atomic

LOG_NAME: Final = "lit.jsonl"
_WAITING: Final = 3  # pictures of 6 MB


class OffscreenFolder:
    """Writes `frame_NN.png`, the whole screen, once per frame; `lit.jsonl` has every flip.

    A row of `lit.jsonl` is `{"time": seconds on the monotonic clock, "frame": index}`. Pictures are
    written by a thread of their own, since packing one takes longer than a flip may; when it is
    busy, a frame's picture is taken the next time that frame is lit.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[int] = set()
        self._waiting: queue.Queue[tuple[int, Image.Image] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._write, name="offscreen", daemon=True)
        self._error: CannotWrite | None = None

    def open(self) -> None:
        """Make the folder and clear what an earlier run left; raises `CannotWrite`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for old in self._folder.glob("frame_*.png"):
                old.unlink()
            self._log = (self._folder / LOG_NAME).open("w", encoding="utf-8")
        except OSError as error:
            raise CannotWrite(f"{self._folder}: cannot be written ({error.strerror})") from error
        self._thread.start()

    def lit(self, frame: int, surface: pygame.Surface) -> None:
        """Note that a frame was lit; raises `CannotWrite` once writing has failed."""
        if self._error:
            raise self._error
        try:
            self._log.write(json.dumps({"time": round(time.monotonic(), 4), "frame": frame}) + "\n")
            self._log.flush()
        except OSError as error:
            raise CannotWrite(f"{self._folder / LOG_NAME}: cannot be written ({error.strerror})") from error
        if frame not in self._written and not self._waiting.full():
            self._written.add(frame)
            pixels = pygame.image.tostring(surface, "RGB")
            self._waiting.put((frame, Image.frombuffer("RGB", surface.get_size(), pixels)))

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

    def _write(self) -> None:
        while item := self._waiting.get():
            if self._error:
                continue  # keep taking, so that nobody waits for room
            frame, image = item
            packed = io.BytesIO()
            image.save(packed, "PNG", compress_level=1)
            try:
                write_atomic(self._folder / f"frame_{frame:02d}.png", packed.getvalue())
            except CannotWrite as error:
                self._error = error
