"""The real app, running beside a test that does it harm and looks at what becomes of it."""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pygame
import pytest

from appliance.camera.base import RgbPicture
from appliance.config import DisplayConfig
from appliance.gallery.camera import GalleryCamera
from appliance.pack import Pack
from appliance.service import app, camera_feed
from appliance.service.settings import Settings
from appliance.service.status import STATUS
from tests.conftest import SIZE


def nothing() -> None:
    """No fault."""


def unchanged(picture: RgbPicture) -> RgbPicture:
    """No fault."""
    return picture


class FaultyCamera(GalleryCamera):
    """The simulated gallery with a visitor who stands still, and with faults to order.

    `on_open`, `on_picture` and `on_close` are called where a driver would fail, `picture` changes
    what is delivered.
    """

    def __init__(self) -> None:
        super().__init__("still", 320, 180, 60)
        self.on_open: Callable[[], object] = nothing
        self.on_picture: Callable[[], object] = nothing
        self.on_close: Callable[[], object] = nothing
        self.picture: Callable[[RgbPicture], RgbPicture] = unchanged

    def __enter__(self) -> Self:
        self.on_open()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.on_close()
        super().__exit__(kind, error, trace)

    def newest(self) -> RgbPicture:
        self.on_picture()
        return self.picture(super().newest())

    def mend(self) -> None:
        """End every fault."""
        self.on_open = self.on_picture = self.on_close = nothing
        self.picture = unchanged


class Lines(logging.Handler):
    """Keeps what the appliance logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.all: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record)

    def warnings(self) -> list[str]:
        return [line.getMessage() for line in self.all if line.levelno >= logging.WARNING]

    def messages(self) -> list[str]:
        return [line.getMessage() for line in self.all]


class Running:
    """The service's app on a thread, with a status, a log and a camera of its own."""

    def __init__(self, folder: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.camera = FaultyCamera()
        self.lines = Lines()
        self.config_file = folder / "config.toml"
        self.config_file.write_text("[camera]\ntimeout = 0.5\n")
        self.settings = Settings(self.config_file, pack=pack.folder, patient=True)
        self.pack = pack
        self.ended: BaseException | None = None
        self._place = folder / "run"
        self._place.mkdir()
        self._stop = threading.Event()
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(self._place))
        monkeypatch.setattr(camera_feed, "camera_named", lambda *_: self.camera)
        self._display = DisplayConfig(
            output=f"offscreen:{folder / 'lit'}", width=SIZE[0], height=SIZE[1], shift=0, width_mm=300.0
        )
        read = self.settings._read
        monkeypatch.setattr(self.settings, "_read", lambda: replace(read(), display=self._display))
        self._thread = threading.Thread(target=self._run, name="loop")

    def _run(self) -> None:
        try:
            app.run(self.settings.start(), self.settings.hanging, self._stop, settings=self.settings)
        except BaseException as error:  # noqa: BLE001  (the test looks at it)
            self.ended = error

    def __enter__(self) -> Self:
        logging.getLogger("appliance").addHandler(self.lines)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        logging.getLogger("appliance").removeHandler(self.lines)
        assert not self._thread.is_alive()

    def status(self) -> dict[str, Any]:
        """Return the newest status, empty before the first."""
        try:
            found: dict[str, Any] = json.loads((self._place / STATUS).read_text())
        except (OSError, ValueError):
            return {}
        return found

    def until(self, true: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait for a condition of the running app."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{self.status()}\n{self.lines.messages()}\n{self.ended!r}"
            time.sleep(0.01)

    def until_state(self, *states: str) -> None:
        """Wait until the status names one of these states."""
        self.until(lambda: self.status().get("state") in states)

    def alive(self) -> bool:
        """Tell whether the app runs."""
        return self._thread.is_alive()

    def portrait_is_lit(self) -> bool:
        """Tell whether the surface shows the portrait, each sitter in one of its frames, pixel by pixel."""
        surface = pygame.display.get_surface()
        assert surface is not None
        lit = np.frombuffer(pygame.image.tostring(surface, "RGB"), np.uint8).reshape(SIZE[1], SIZE[0], 3)
        expected = np.asarray(self.base).copy()
        for grid, patches in zip(self.pack.info.sitters, self.patches, strict=True):
            x0, y0, x1, y1 = grid.box
            for patch in patches:
                own = patch[..., 3:] > 0
                if np.array_equal(lit[y0:y1, x0:x1] * own, patch[..., :3] * own):
                    expected[y0:y1, x0:x1] = np.where(own, patch[..., :3], expected[y0:y1, x0:x1])
                    break
        return np.array_equal(lit, expected)

    @property
    def base(self) -> Any:
        """The portrait, read once: faults take its files away."""
        if not hasattr(self, "_base"):
            self._base = self.pack.base()
            self.patches = [
                [np.asarray(self.pack.patch(i, sitter).convert("RGBA")) for i in range(grid.count)]
                for sitter, grid in enumerate(self.pack.info.sitters)
            ]
        return self._base
