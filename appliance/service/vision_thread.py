"""The vision thread: camera, detection and tracking; the newest gaze target is handed to the app."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from appliance.clock import CLOCK, Clock
from appliance.config import OPENING, Config
from appliance.errors import ApplianceError, CameraAbsent, CameraBusy, CameraEnded, CameraStalled
from appliance.pack import PackInfo
from appliance.service.health import HealthInputs

if TYPE_CHECKING:  # numpy and the model's runtime are imported once the portrait is lit
    from appliance.camera.base import Camera, Picture
    from appliance.gaze.pictures_to_target import GazeController
    from appliance.gaze.target_to_frames import GazeTarget
    from appliance.service.camera_creation import FrameChecks
    from appliance.tracking.search_regions import Detectors
    from appliance.vision.blazeface import Face


T = TypeVar("T")


class LatestValue(Generic[T]):
    """The newest `value` that was put; earlier ones are forgotten."""

    def __init__(self, value: T) -> None:
        """Begin with a value that nobody is woken for."""
        self.value = value
        self._changed = threading.Condition()
        self._fresh = False

    def put(self, value: T) -> None:
        """Replace the value and wake the reader."""
        with self._changed:
            self.value = value
            self._fresh = True
            self._changed.notify_all()

    def newest(self, timeout: float) -> T:
        """Wait up to `timeout` seconds for a value that was not returned yet; return the newest."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh, timeout)
            self._fresh = False
            return self.value


log = logging.getLogger(__name__)

ALSO_FAILED: Final = "the camera's thread failed as well: %s"
UNFORESEEN: Final = "%s: %s (%s:%s)"

# Seconds until a camera that failed is opened again; doubled at each further failure (guess).
_FIRST_PAUSE: Final = 2.0
# The longest such pause, in seconds: a camera that is plugged in is used within a minute (guess).
_LONGEST_PAUSE: Final = 60.0
# Seconds for which the end waits for the thread: far longer than one picture takes (guess).
_JOIN_TIMEOUT: Final = 0.5
# Characters of an error's text that are logged, because a driver's may be of any length (guess).
_LONGEST_CAUSE: Final = 400
# Errors that a mistake in this program raises: another try would meet it again, a new start may not.
_MISTAKES: Final = (AttributeError, NameError, TypeError)


@dataclass(frozen=True, slots=True)
class ConfigAndPack:
    """The config and the portrait that hangs, with which pictures are read; both change together.

    `apart` is where the portrait's sitters are, as for `frames_for`.
    """

    config: Config
    pack: PackInfo
    apart: tuple[tuple[float, float], ...] = ()


class Observer(Protocol):
    """Is told what the service sees and lights; called on its threads, so it must be quick."""

    def saw(self, picture: Picture, faces: Sequence[Face], target: GazeTarget, camera: Camera) -> None:
        """A picture was searched for faces."""

    def lit(self, frames: tuple[int, ...], target: GazeTarget | None, moment: float) -> None:
        """A frame of each sitter was flipped to at `moment`, monotonic seconds."""


@dataclass(frozen=True, slots=True)
class VisionStatus:
    """The state of the vision thread: its part of the `health`, and where the sitters should look.

    `target` is found by the newest picture, None before the first one, and `setup` is what that picture was
    understood by.
    """

    health: HealthInputs
    setup: ConfigAndPack
    target: GazeTarget | None = None


class VisionThread:
    """Sees until it is stopped, whatever becomes of the camera; `latest` is what it knows."""

    def __init__(
        self,
        setup: ConfigAndPack,
        stop: threading.Event,
        observer: Observer | None = None,
        supervised: bool = False,
        clock: Clock = CLOCK,
    ) -> None:
        """Prepare to see with a `setup`; one that replaces it at any time holds from the next picture on.

        `stop` is set to end, and set by the thread when it has ended. A `supervised` thread waits for
        whatever is missing or fails, not only for a camera.
        """
        self.setup = setup
        now = clock.monotonic()
        health = HealthInputs(now, due=now + setup.config.camera.timeout + OPENING)
        self.latest = LatestValue(VisionStatus(health, setup))
        self._stop, self._observer, self._supervised, self._clock = stop, observer, supervised, clock
        self._camera: Camera
        self._controller: GazeController | None = None
        self._config: Config | None = None  # of the controller and the open camera; None while it is closed
        self._session = ExitStack()  # closes the camera
        self._pause = _FIRST_PAUSE / 2
        self._checks: FrameChecks | None = None  # kept over a new start: a frozen camera may stay frozen
        self._detectors: Detectors | None = None  # kept, because memory given back does not shrink a process
        self._failure: BaseException | None = None
        # A daemon, because a camera driver that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="vision", daemon=True)

    def open(self) -> None:
        """Begin to see."""
        self._thread.start()

    def close(self, error: BaseException | None = None) -> None:
        """Stop seeing. A camera's driver that hangs is left behind.

        Raises what ended the thread. If the caller ends because of an `error`, it is logged instead.
        """
        self._stop.set()
        if self._thread.ident:
            self._thread.join(_JOIN_TIMEOUT)
        if self._failure and error:
            log.error(ALSO_FAILED, _cause(self._failure))
        elif self._failure:
            raise self._failure

    def step(self) -> float:
        """See one picture; return for how many seconds to rest before the next step, after a fault.

        Raises `CameraEnded` after the last picture of a recording, and whatever is not expected to mend
        itself, see `_waits_for`.
        """
        try:
            with self._session:  # closes the camera if anything fails
                self._see()
                self._session = self._session.pop_all()
        except CameraEnded:
            raise
        except Exception as error:
            if not self._waits_for(error):
                raise
            return self._rest(error)
        self._pause = _FIRST_PAUSE / 2
        return 0.0

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._stop.wait(self.step())
            self._session.close()
        except CameraEnded:
            pass
        except BaseException as error:  # noqa: BLE001  (handed to the main thread, which raises it)
            if not isinstance(error, Exception) or not self._waits_for(error):
                self._failure = error
        finally:
            self._stop.set()

    def _waits_for(self, error: Exception) -> bool:
        """Tell whether what failed may be there later; a folder of pictures is not plugged in."""
        if isinstance(error, _MISTAKES):
            return False
        if self.setup.config.camera.source.startswith("replay:"):
            return self._supervised
        return self._supervised or isinstance(error, CameraAbsent | CameraBusy | CameraStalled)

    def _rest(self, error: Exception) -> float:
        """Report a fault; return the seconds until the camera is opened again."""
        if not isinstance(error, CameraAbsent | CameraBusy | CameraStalled):
            self._detectors = None  # what failed may be a model
        self._config = self._controller = None
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        now, known = self._clock.monotonic(), self.latest.value
        blind = replace(known.health, blind=_cause(error), pause=self._pause, visitors=0, asked=0.0)
        self.latest.put(replace(known, health=replace(blind, due=now + self._pause)))
        return self._pause

    def _see(self) -> None:
        """Take one picture and find the gaze target, with the camera and models of the setup."""
        from appliance.service.camera_creation import (
            black_cause,
            check_picture,
            describe_camera,
            frozen_fault,
        )

        setup = self.setup  # read once for each picture, because the main thread replaces it
        config = setup.config
        if config is not self._config:
            self._prepare(config)
        controller = self._controller
        assert controller
        picture = self._camera.newest()
        came = self._clock.monotonic()
        self._checks = check_picture(picture, self._checks, came)
        stuck = CameraStalled(frozen_fault(self._checks))
        if str(stuck) and self._waits_for(stuck):
            raise stuck
        lit = self._clock.monotonic() + config.tracking.display_latency
        target = controller.see(picture, self._camera.horizontal_fov, setup.pack, lit, setup.apart)
        self._camera.set_rate(controller.rate)
        now = self._clock.monotonic()
        health = HealthInputs(
            now,
            due=now + config.camera.timeout,
            blind=black_cause(self._checks),
            pictures=self.latest.value.health.pictures + 1,
            seen=target.seen,
            visitors=target.visitors,
            distance=target.viewer.distance_mm / 1000 if target.viewer else None,
            camera=describe_camera(config.camera.source, self._camera),
            asked=controller.rate,
            delay=came - picture.captured,
        )
        self.latest.put(VisionStatus(health, setup, target))
        if self._observer:
            self._observer.saw(picture, controller.faces, target, self._camera)

    def _prepare(self, config: Config) -> None:
        """Go by another config, or begin; opens the camera where it is closed or another one is asked for."""
        from appliance.service.camera_creation import create_camera

        before, self._controller = self._config, None  # so that its models can be given back
        reopens = before is None or (before.camera, before.vision) != (config.camera, config.vision)
        if reopens:
            self._config = None
            self._session.close()
            self._await_first_picture(config)
        self._controller = self._controller_for(config)
        if reopens:
            camera = create_camera(config.camera.source, config.camera, self._clock)
            self._camera = self._session.enter_context(camera)
            self._await_first_picture(config)
        self._config = config

    def _await_first_picture(self, config: Config) -> None:
        due, known = self._clock.monotonic() + config.camera.timeout + OPENING, self.latest.value
        self.latest.put(replace(known, health=replace(known.health, due=due, asked=0.0)))

    def _controller_for(self, config: Config) -> GazeController:
        """Return a controller that sees with the models that are loaded, or with new ones in their place."""
        from appliance.gaze.pictures_to_target import GazeController
        from appliance.tracking.search_regions import Detectors

        if self._detectors is None or self._detectors.vision != config.vision:
            self._detectors = None  # before the new ones, so that there are never two sets
            self._detectors = Detectors(config.vision)
        return GazeController(config, self._detectors)


def _cause(error: BaseException) -> str:
    """Return the cause of a failure as one short line, because a driver's text may be of any length."""
    said = " ".join(str(error).split())
    said = said if len(said) <= _LONGEST_CAUSE else said[:_LONGEST_CAUSE] + "..."
    if isinstance(error, ApplianceError):
        return said
    said = said or "no more is known"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return UNFORESEEN % (type(error).__name__, said, Path(place.filename).name, place.lineno)
