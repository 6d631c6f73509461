"""The vision thread: camera, detection and tracking; the newest gaze target is handed to the app."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from appliance.config import OPENING, Config
from appliance.errors import ApplianceError, CameraAbsent, CameraBusy, CameraEnded, CameraStalled
from appliance.pack import PackInfo

if TYPE_CHECKING:  # numpy and the model's runtime are imported once the portrait is lit
    from appliance.camera.base import Camera, Picture
    from appliance.gaze.controller import GazeController
    from appliance.gaze.target import GazeTarget
    from appliance.service.camera_feed import Soundness
    from appliance.tracking.search_regions import Detectors
    from appliance.vision.blazeface import Face


T = TypeVar("T")


class Slot(Generic[T]):
    """Holds the newest value put into it; earlier ones are forgotten."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._value: T | None = None
        self._fresh = False

    def put(self, value: T) -> None:
        """Replace the value and wake the reader."""
        with self._changed:
            self._value = value
            self._fresh = True
            self._changed.notify_all()

    def newest(self, timeout: float) -> T | None:
        """Wait up to `timeout` seconds for a new value; return the newest, None before the first."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh, timeout)
            self._fresh = False
            return self._value


log = logging.getLogger(__name__)

ALSO_FAILED: Final = "the camera's thread failed as well: %s"
UNFORESEEN: Final = "%s: %s (%s:%s)"

_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 60.0
_PATIENCE: Final = 0.5
_LONGEST: Final = 400  # characters of a cause
# What a mistake in this program raises: another try would meet it again. A new start may not.
_MISTAKES: Final = (AttributeError, NameError, TypeError)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a picture is understood by: the config and the portrait that hangs, exchanged together.

    `apart` is where the portrait's sitters are, as for `frames_for`.
    """

    config: Config
    pack: PackInfo
    apart: tuple[tuple[float, float], ...] = ()


class Witness(Protocol):
    """Watches the road without touching it; called on its threads, so it must be quick."""

    def saw(self, picture: Picture, faces: Sequence[Face], aim: GazeTarget, camera: Camera) -> None:
        """A picture was searched for faces."""

    def lit(self, frames: tuple[int, ...], aim: GazeTarget | None, moment: float) -> None:
        """A frame of each sitter was flipped to at `moment`, monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How seeing goes.

    `blind` says why nothing is seen, empty while pictures come or are still awaited; the camera is
    opened again after `pause` seconds, or never closed if 0. `pictures` came since the start, with
    `visitors` in view. The thread comes by again until `due`, monotonic seconds. `camera` is what is
    seen through, with its angle; `asked` pictures per second are expected of it, 0 while it is not
    open, and the newest came `delay` seconds after its exposure.
    """

    due: float
    blind: str = ""
    pause: float = 0.0
    pictures: int = 0
    visitors: int = 0
    camera: str = ""
    asked: float = 0.0
    delay: float = 0.0


class Watcher:
    """Sees until it is stopped, whatever becomes of the camera."""

    def __init__(
        self,
        setup: Setup,
        stop: threading.Event,
        witness: Witness | None = None,
        patient: bool = False,
    ) -> None:
        """Prepare to see.

        Parameters
        ----------
        setup : in force; `Watcher.setup` may be replaced at any time, and holds from the next picture on
        stop : set to end, and set by the watcher when it has ended
        patient : wait for whatever is missing or fails, not only for a camera
        """
        self.aims: Slot[tuple[Setup, GazeTarget]] = Slot()  # each with the setup that it was found by
        self.setup = setup
        self.sight = Sight(time.monotonic() + setup.config.camera.timeout + OPENING)
        self._stop = stop
        self._witness = witness
        self._patient = patient
        self._sound: Soundness | None = None  # kept over a new start: a frozen camera may stay frozen
        self._detectors: Detectors | None = None  # kept, because memory given back does not shrink a process
        self._failure: BaseException | None = None
        # A daemon: a camera driver that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def open(self) -> None:
        """Begin to see."""
        self._thread.start()

    def close(self, error: BaseException | None = None) -> None:
        """Stop seeing. A camera's driver that hangs is left behind.

        Raises what ended the thread. If the caller ends because of an `error`, it is logged instead.
        """
        self._stop.set()
        if self._thread.ident:
            self._thread.join(_PATIENCE)
        if self._failure and error:
            log.error(ALSO_FAILED, _cause(self._failure))
        elif self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            self._see_always()
        except BaseException as error:  # noqa: BLE001  (handed to the main thread, which raises it)
            self._failure = error
        finally:
            self._stop.set()

    def _see_always(self) -> None:
        pause = _FIRST_PAUSE / 2
        while not self._stop.is_set():
            before = self.sight.pictures
            try:
                self._see()
            except CameraEnded:
                return
            except Exception as error:
                if not self._waits_for(error):
                    raise
                if not isinstance(error, CameraAbsent | CameraBusy | CameraStalled):
                    self._detectors = None  # what failed may be a model
                pause = _FIRST_PAUSE if self.sight.pictures > before else min(2 * pause, _LONGEST_PAUSE)
                self._rest(_cause(error), pause)

    def _waits_for(self, error: Exception) -> bool:
        """Tell whether what failed may be there later; a folder of pictures is not plugged in."""
        if isinstance(error, _MISTAKES):
            return False
        if self.setup.config.camera.source.startswith("replay:"):
            return self._patient
        return self._patient or isinstance(error, CameraAbsent | CameraBusy | CameraStalled)

    def _rest(self, cause: str, pause: float) -> None:
        due = time.monotonic() + pause
        self.sight = replace(self.sight, blind=cause, pause=pause, visitors=0, due=due, asked=0.0)
        self._stop.wait(pause)

    def _see(self) -> None:
        """Open the camera and see, until it fails or the config changes what it needs."""
        from appliance.service.camera_feed import black, create_camera, describe_camera, frozen, look

        config = self.setup.config
        self.sight = replace(self.sight, asked=0.0)
        self._expect(config, OPENING)
        follower = self._follower(config)
        first = True
        with create_camera(config.camera.source, config.camera) as camera:
            while not self._stop.is_set():
                setup = self.setup  # read once for each picture: the other thread replaces it
                if setup.config is not config:
                    if setup.config.camera != config.camera or setup.config.vision != config.vision:
                        return
                    config = setup.config
                    follower = self._follower(config)
                self._expect(config, OPENING if first else 0.0)
                picture = camera.newest()
                came = time.monotonic()
                first = False
                self._sound = look(picture, self._sound, came)
                stuck = CameraStalled(frozen(self._sound))
                if str(stuck) and self._waits_for(stuck):
                    raise stuck
                lit = time.monotonic() + config.tracking.display_latency
                aim = follower.see(picture, camera.horizontal_fov, setup.pack, lit, setup.apart)
                self.aims.put((setup, aim))
                camera.set_rate(follower.rate)
                self.sight = Sight(
                    self.sight.due,
                    black(self._sound),
                    pictures=self.sight.pictures + 1,
                    visitors=aim.visitors,
                    camera=describe_camera(config.camera.source, camera),
                    asked=follower.rate,
                    delay=came - picture.captured,
                )
                if self._witness:
                    self._witness.saw(picture, follower.faces, aim, camera)

    def _follower(self, config: Config) -> GazeController:
        """Return a controller that sees with the models that are loaded, or with new ones in their place."""
        from appliance.gaze.controller import GazeController
        from appliance.tracking.search_regions import Detectors

        if self._detectors is None or self._detectors.vision != config.vision:
            self._detectors = None  # before the new ones, so that there are never two sets
            self._detectors = Detectors(config.vision)
        return GazeController(config, self._detectors)

    def _expect(self, config: Config, more: float = 0.0) -> None:
        self.sight = replace(self.sight, due=time.monotonic() + config.camera.timeout + more)


def _cause(error: BaseException) -> str:
    """Say in one line, and not a long one, what failed: a driver may say anything."""
    said = " ".join(str(error).split())
    said = said if len(said) <= _LONGEST else said[:_LONGEST] + "..."
    if isinstance(error, ApplianceError):
        return said
    said = said or "no more is known"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return UNFORESEEN % (type(error).__name__, said, Path(place.filename).name, place.lineno)
