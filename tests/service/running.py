"""The real service, in real time or on a fake clock, for a test that does it harm and looks what becomes of it."""

import json
import logging
import math
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
from appliance.clock import CLOCK, Clock
from appliance.config import Config, DisplayConfig
from appliance.display.opening_hours import OpeningController
from appliance.display.screen import PortraitScreen
from appliance.errors import CameraEnded
from appliance.gallery.camera import GalleryCamera
from appliance.pack import Pack
from appliance.service import app, camera_creation, reporter, status
from appliance.service.app import App
from appliance.service.health import HealthInputs
from appliance.service.settings import Settings
from appliance.service.status import STATUS
from appliance.service.vision_thread import Observer
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

    def __init__(self, clock: Clock = CLOCK) -> None:
        super().__init__("still", 320, 180, 60, clock=clock)
        self.clock = clock
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


class FakeClock(Clock):
    """Time of the test's own: it passes only while somebody sleeps, and then the app goes on meanwhile."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ahead = 1_790_000_000.0  # of the wall clock
        self.meanwhile: Callable[[float], float] = lambda now: math.inf

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.ahead

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        pause = self.meanwhile(self.now)
        while self.now < end:
            self.now = min(end, self.now + pause)
            pause = self.meanwhile(self.now)


class _AppEnded(BaseException):
    """Goes through whatever the camera and the vision thread catch."""


class Stepped:
    """The real app, vision thread, screen and camera in one thread and on a fake clock: nobody waits."""

    def __init__(
        self,
        config: Config,
        hanging: Callable[[], Path],
        settings: Settings | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.clock, self.stop = FakeClock(), threading.Event()
        self.ended: BaseException | None = None
        self.events: list[reporter.Event] = []  # but for what is known at every step
        supervised = settings is not None and settings.supervised
        self._config = app._in_force(config, None, supervised)
        self._reporter = reporter.Reporter(config, status.folder() if supervised else None, self.clock)
        self._hanging, self._settings, self._observer = hanging, settings, observer
        self._rests_until = 0.0

    def __enter__(self) -> Self:
        opening = OpeningController(self._config.hours)
        self.screen = PortraitScreen(self._config.display, opening, self.clock)
        self.screen.__enter__()
        try:
            self.app = App(
                self._config, self._hanging, self.screen, self._take, self.stop, self._settings, self._observer,
                self.clock,
            )  # fmt: skip
            self.app.load()
        except BaseException as error:
            self.screen.__exit__(type(error), error, None)
            raise
        self.clock.meanwhile = self._step_app
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.screen.__exit__(kind, error, trace)

    def _take(self, event: reporter.Event) -> None:
        if not isinstance(event, HealthInputs):
            self.events.append(event)
        self._reporter.take(event)

    def _step_app(self, now: float) -> float:
        if self.stop.is_set():
            raise _AppEnded
        try:
            self.app.step(now)
        except Exception as error:
            self.ended = error
            self.stop.set()
            raise _AppEnded from error
        return self.app.pause(now)

    def advance(self, seconds: float) -> None:
        """Let the service go on for some seconds, or until it ends; `ended` is what ended it."""
        end = self.clock.now + seconds
        try:
            while self.clock.now < end and not self.stop.is_set():
                if self.clock.now >= self._rests_until:
                    self._rests_until = self.clock.now + self.app.vision.step()
                self.clock.sleep(min(self._rests_until, end) - self.clock.now)
        except (_AppEnded, CameraEnded):
            self.stop.set()
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            self.ended = error
            self.stop.set()

    def until(self, true: Callable[[], object], seconds: float = 90.0) -> None:
        """Go on until a condition holds."""
        end = self.clock.now + seconds
        while not true():
            assert self.clock.now < end and not self.stop.is_set(), self.ended
            self.advance(0.02)


class Service:
    """A service's files, its log and its camera."""

    def __init__(self, folder: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.camera = FaultyCamera()
        self.lines = Lines()
        self.config_file = folder / "config.toml"
        self.config_file.write_text("[camera]\ntimeout = 0.5\n")
        self.settings = Settings(self.config_file, pack=pack.folder, supervised=True)
        self.pack = pack
        self._place = folder / "run"
        self._place.mkdir()
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(self._place))
        monkeypatch.setenv("STATE_DIRECTORY", str(folder / "state"))
        monkeypatch.setattr(camera_creation, "create_camera", lambda *_: self.camera)
        self._display = DisplayConfig(
            output=f"offscreen:{folder / 'lit'}", width=SIZE[0], height=SIZE[1], shift=0, width_mm=300.0
        )
        read = self.settings._read
        monkeypatch.setattr(
            self.settings, "_read", lambda strict=False: replace(read(strict), display=self._display)
        )

    def status(self) -> dict[str, Any]:
        """Return the newest status, empty before the first."""
        try:
            found: dict[str, Any] = json.loads((self._place / STATUS).read_text())
        except (OSError, ValueError):
            return {}
        return found

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


class Running(Service):
    """The service's app on a thread, in real time."""

    def __init__(self, folder: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, pack, monkeypatch)
        self.ended: BaseException | None = None
        self._stop = threading.Event()
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


class SteppedService(Service):
    """The service on a fake clock: a test gives it the time to take in a fault, and nobody waits."""

    def __init__(self, folder: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, pack, monkeypatch)
        self.steps = Stepped(self.settings.start(), self.settings.hanging, self.settings)
        self.clock = self.steps.clock
        self.camera = FaultyCamera(self.clock)

    def __enter__(self) -> Self:
        logging.getLogger("appliance").addHandler(self.lines)
        self.steps.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.steps.__exit__(kind, error, trace)
        logging.getLogger("appliance").removeHandler(self.lines)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.steps.advance(seconds)

    def until(self, true: Callable[[], object], seconds: float = 90.0) -> None:
        """Let time pass until a condition holds."""
        self.steps.until(true, seconds)

    def until_state(self, *states: str) -> None:
        """Let time pass until the status names one of these states."""
        self.until(lambda: self.status().get("state") in states)

    def alive(self) -> bool:
        """Tell whether it goes on."""
        return not self.steps.stop.is_set()

    @property
    def ended(self) -> BaseException | None:
        """What ended it."""
        return self.steps.ended
