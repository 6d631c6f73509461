"""The whole road: one thread sees, the other lights; between them a slot with the newest aim."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from appliance.camera.base import Camera, Picture
from appliance.camera.sources import camera_named
from appliance.config import Config
from appliance.display.screen import Screen
from appliance.errors import BadPack, CameraAbsent, CameraBusy, CameraEnded, CameraStalled
from appliance.gaze import Aim, Follower, frame_for
from appliance.pack import Pack, PackInfo
from appliance.service.slot import Slot
from appliance.vision.blazeface import Face, FaceDetector

log = logging.getLogger(__name__)

LIT: Final = "%s lit at rest on %dx%d"
SWITCHED: Final = "%s lit in place of the portrait before"
SWITCH_REFUSED: Final = "the portrait stays: %s"
SEEING: Final = "seeing through %s"
CAMERA_LOST: Final = "camera lost (%s); the sitter rests, retrying in %.0f s"
CAMERA_BACK: Final = "camera back"
ENDED: Final = "ended"

# The eyes drift back to rest between pictures, so the display looks at the clock this often.
TICK: Final = 1 / 60
# How often the library is asked which portrait hangs, in seconds.
LOOK_AGAIN: Final = 1.0
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 60.0
_PATIENCE: Final = 0.5


class Witness(Protocol):
    """Watches the road without touching it; called on its threads, so it must be quick."""

    def saw(self, picture: Picture, faces: Sequence[Face], aim: Aim, camera: Camera) -> None:
        """A picture was searched for faces."""

    def lit(self, frame: int, aim: Aim | None, moment: float) -> None:
        """A frame was flipped to at `moment`, monotonic seconds."""


class Watcher:
    """The half of the road that sees: camera, vision and tracking, on a thread of its own."""

    def __init__(
        self, config: Config, pack: PackInfo, stop: threading.Event, witness: Witness | None = None
    ) -> None:
        self.aims: Slot[Aim] = Slot()
        self.pack = pack
        self._config = config
        self._stop = stop
        self._witness = witness
        self._failure: BaseException | None = None
        # A daemon: a camera driver that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def open(self) -> None:
        """Begin to see."""
        self._thread.start()

    def close(self) -> None:
        """Stop seeing; raises what ended the thread, if anything did."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join(_PATIENCE)
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            self._see_always()
        except BaseException as error:  # noqa: BLE001  (handed to the main thread, which raises it)
            self._failure = error
        finally:
            self._stop.set()

    def _see_always(self) -> None:
        vision = self._config.vision
        detector = FaceDetector(vision.model, vision.threshold)
        follower = Follower(self._config)
        camera = camera_named(self._config.camera.source, self._config.camera)
        source = self._config.camera.source
        lost, pause, seeing = "", _FIRST_PAUSE, False
        while not self._stop.is_set():
            try:
                with camera:
                    while not self._stop.is_set():
                        picture = camera.newest()
                        if not seeing:
                            log.info(CAMERA_BACK if lost else SEEING % source)
                            lost, pause, seeing = "", _FIRST_PAUSE, True
                        faces = detector.detect(picture)
                        aim = follower.see(picture, faces, camera.horizontal_fov, self.pack)
                        self.aims.put(aim)
                        if self._witness:
                            self._witness.saw(picture, faces, aim, camera)
            except (CameraAbsent, CameraBusy, CameraStalled) as error:
                if source.startswith("replay:"):
                    raise  # a folder is not plugged in later
                if str(error) != lost:
                    log.warning(CAMERA_LOST, error, pause)
                lost, seeing = str(error), False
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except CameraEnded:
                return


def run(
    config: Config,
    hanging: Callable[[], Path],
    stop: threading.Event,
    seconds: float | None = None,
    witness: Witness | None = None,
) -> None:
    """Show the portrait that hangs and let its sitter follow the viewer, until `stop` is set.

    Parameters
    ----------
    hanging : the folder of the pack to show; asked every second, so that another one is taken up
    seconds : end by itself after this time
    witness : told of every picture seen and frame lit

    Raises
    ------
    BadPack, NoDisplay, CannotWrite, BadAsset, BadModel, NoRuntime, ConfigError, CameraAbsent
        If the first pack, the display or the model cannot be used. Camera faults are not raised
        but logged, and the camera is retried; a later pack that is damaged is logged, and the one
        before it stays.
    """
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    hangs = _hanging(hanging)
    pack = Pack(hangs[0])
    watcher = Watcher(config, pack.info, stop, witness)
    with Screen(config.display.output, (config.display.width, config.display.height)) as screen:
        screen.light(pack)
        log.info(LIT, pack.info.title, *screen.size)
        shown = pack.info.resting
        try:
            screen.load(pack, stop)
            watcher.open()
            look = time.monotonic() + LOOK_AGAIN
            while not stop.is_set() and time.monotonic() < end and not screen.closed():
                aim = watcher.aims.newest(TICK)
                if time.monotonic() >= look:
                    look = time.monotonic() + LOOK_AGAIN
                    if (now_hangs := _hanging(hanging)) != hangs:
                        hangs = now_hangs
                        if another := _switch(screen, hangs[0], stop):
                            pack, shown = another, another.info.resting
                            watcher.pack = pack.info
                frame = frame_for(aim, time.monotonic(), shown, config.tracking, pack.info)
                if frame != shown:
                    screen.show(frame)
                    shown = frame
                    if witness:
                        witness.lit(frame, aim, time.monotonic())
        finally:
            watcher.close()
    log.info(ENDED)


def _hanging(hanging: Callable[[], Path]) -> tuple[Path, int]:
    """Return the folder of the pack that hangs, and when it was written: it may be rendered again."""
    folder = hanging()
    try:
        return folder, (folder / "pack.toml").stat().st_mtime_ns
    except OSError:
        return folder, 0


def _switch(screen: Screen, folder: Path, stop: threading.Event) -> Pack | None:
    """Light another pack at rest, without a black moment; None, and a line in the log, if it is bad."""
    try:
        pack = Pack(folder)
        screen.switch(pack, stop)
    except BadPack as error:
        log.warning(SWITCH_REFUSED, error)
        return None
    log.info(SWITCHED, pack.info.title)
    return pack
