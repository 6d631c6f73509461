"""The whole road: one thread sees, the other lights; between them a slot with the newest aim."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from appliance.config import Config, TrackingConfig
from appliance.display.dimmer import OpeningController
from appliance.display.layout import sitter_offsets_mm
from appliance.display.screen import Screen
from appliance.display.sdl import wait_for_display
from appliance.errors import BadPack, CannotWrite, DisplayLost, DisplayStuck
from appliance.pack import Pack, as_bad_pack
from appliance.service import status
from appliance.service.fallback import light_again, light_best, load_or_rest
from appliance.service.health import Facts
from appliance.service.journal import notify
from appliance.service.reporter import MORE_TIME, Reporter
from appliance.service.settings import Settings
from appliance.service.vision_thread import Setup, Watcher, Witness

if TYPE_CHECKING:  # numpy is imported once the portrait is lit
    from appliance.gaze.target import GazeTarget


log = logging.getLogger(__name__)

SWITCHED: Final = "%s lit in place of the portrait before"
SWITCH_REFUSED: Final = "the portrait stays: %s"
NO_MONITOR: Final = "no monitor is connected"
HELD: Final = "another program holds the display"
NOT_FILMED: Final = "%s; nothing is filmed"
ENDED: Final = "ended"

# The eyes drift back to rest between pictures, so the display looks at the clock this often.
TICK: Final = 1 / 60
# And this often while nothing can move: a new picture wakes it at once.
IDLE: Final = 0.1
# How often the library is asked which portrait hangs, in seconds.
LOOK_AGAIN: Final = 1.0
# Seconds between two tries to light a portrait whose compiled file was damaged while it was shown: each reads
# every file there is.
MEND_AGAIN: Final = 60.0
# Seconds in which the portrait goes to black when the service ends.
FADE: Final = 0.6


def run(
    config: Config,
    hanging: Callable[[], Path],
    stop: threading.Event,
    seconds: float | None = None,
    witness: Witness | None = None,
    settings: Settings | None = None,
) -> None:
    """Show the portrait that hangs and let its sitter follow the viewer, until `stop` is set.

    Parameters
    ----------
    hanging : the folder of the pack to show; asked every second, so that another one is taken up
    seconds : end by itself after this time
    witness : told of every picture seen and frame lit
    settings : of a run that reads its config again; the service's is patient and writes its status

    Raises
    ------
    BadPack, NoDisplay, DisplayLost, CannotWrite, BadAsset, BadModel, NoRuntime, ConfigError, CameraAbsent
        If no pack at all, the display or the model cannot be used; `CameraAbsent` only for a replayed folder.
        A monitor that is not connected yet, or that another program holds, is waited for; one that is lost
        ends the process. Camera faults are not raised but logged, and the camera is retried; a pack that is
        damaged is logged, and the best that can be shown is. A patient run waits for a model and for whatever
        else seeing needs as well.
    CameraStalled, DisplayStuck
        If the camera's thread or the graphics driver hangs: only the end of the process ends it.
    """
    end = time.monotonic() + seconds if seconds is not None else math.inf
    patient = settings is not None and settings.patient
    config = _in_force(config, None, patient)
    reporter = Reporter(config, settings, status.folder() if patient else None)
    opening = OpeningController(config.hours)

    def dark(cause: str) -> None:
        opening.step(time.monotonic(), time.time())  # wakes the monitor that is waited for
        asleep = opening.asleep and cause == NO_MONITOR
        reporter.tell(Facts(time.monotonic(), dark=cause, asleep=asleep, closed=not opening.open))

    if not wait_for_display(config.display.output, stop, end, lambda: dark(NO_MONITOR), lambda: dark(HELD)):
        return
    hangs = _hanging(hanging)
    with Screen(config.display, opening) as screen:
        spare = Settings.spare() if patient else None
        pack, reporter.wrong = light_best(screen, hangs[0], spare)
        reporter.portrait(pack.info.title, pack.folder)
        reporter.ready(screen.size, screen.driver)

        def setup_of(lit: Pack) -> Setup:
            apart = sitter_offsets_mm(lit.info, config.display, screen.size, screen.driver)
            return Setup(config, lit.info, apart)

        watcher = Watcher(setup_of(pack), stop, witness, patient)
        aim: GazeTarget | None = None
        mend = 0.0
        place = pack.info.main.resting

        def tell() -> None:
            newest = watcher.aims.newest(0)
            reporter.tell(_facts(watcher, screen, place, newest and newest[1]), watcher.sight.pause)

        def took_up(lit: Pack) -> Pack:
            watcher.setup = setup_of(lit)
            reporter.portrait(lit.info.title, lit.folder)
            return lit

        try:
            watcher.open()
            reporter.wrong = load_or_rest(screen, pack, stop, tell) or reporter.wrong
            look = time.monotonic() + LOOK_AGAIN
            while not stop.is_set() and time.monotonic() < end and not screen.closed():
                newest = watcher.aims.newest(_pause(aim, config.tracking, screen.due))
                aim = newest and newest[1]
                screen.tick(time.monotonic(), time.time())
                if settings and (newer := settings.newer()):
                    config = reporter.config = _in_force(newer, config, patient)
                    watcher.setup = setup_of(pack)
                if time.monotonic() >= look:
                    look = time.monotonic() + LOOK_AGAIN
                    if (now_hangs := _hanging(hanging)) != hangs:
                        hangs = now_hangs
                        another, reporter.wrong = _switch(screen, hangs[0], stop, tell)
                        if another:
                            pack = took_up(another)
                    if screen.damage and time.monotonic() >= mend:
                        another, reporter.wrong = light_again(screen, hangs[0], spare, stop, tell)
                        mend = time.monotonic() + MEND_AGAIN
                        if another:
                            pack = took_up(another)
                if stop.is_set():
                    break  # another portrait may be lit already
                place = pack.info.main.place(screen.shown[0])
                reporter.tell(_facts(watcher, screen, place, aim), watcher.sight.pause)
                if newest is None or newest[0].pack != pack.info:
                    continue  # nobody was looked for yet with this portrait
                setup, aim = newest
                from appliance.gaze.target import frames_for  # by now the watcher has loaded it

                lit = time.monotonic() + setup.config.tracking.display_latency
                frames = frames_for(aim, lit, screen.shown, setup.config.tracking, setup.pack, setup.apart)
                if frames != screen.shown and screen.show(frames):
                    reporter.flipped(screen.flipped - aim.captured if aim.viewer else None)
                    if witness:
                        witness.lit(frames, aim, time.monotonic())
            if patient:
                screen.fade(FADE)
                if config.display.film:
                    notify(MORE_TIME)  # packing it may take longer than systemd grants an end
        except BaseException as error:
            watcher.close(error)
            if isinstance(error, DisplayLost | DisplayStuck):
                dark(str(error))  # until the new start, seconds later, writes its own
            raise
        watcher.close()
    log.info(ENDED)


def _pause(aim: GazeTarget | None, tracking: TrackingConfig, due: float) -> float:
    """Return how long to wait for a new aim, seconds; `due` is when the screen wants to be looked after."""
    now = time.monotonic()
    if aim and (tracking.wander_every or now - aim.seen < tracking.hold + tracking.return_time + IDLE):
        return TICK
    return min(max(due - now, TICK), IDLE)


def _facts(watcher: Watcher, screen: Screen, place: tuple[int, int], aim: GazeTarget | None) -> Facts:
    """Say what is known; `place` is (row, column) of the frame lit of the sitter with the largest face."""
    sight = watcher.sight
    return Facts(
        now=time.monotonic(),
        lit=screen.flipped,
        due=sight.due,
        pictures=sight.pictures,
        seen=aim.seen if aim else -math.inf,
        blind=sight.blind,
        closed=not screen.open,
        visitors=sight.visitors,
        distance=aim.viewer.distance_mm / 1000 if aim and aim.viewer else None,
        frame=place[1],
        row=place[0],
        camera=sight.camera,
        asked=sight.asked,
        delay=sight.delay,
    )


def _in_force(asked: Config, before: Config | None, patient: bool) -> Config:
    """Return the config to go by.

    Parameters
    ----------
    asked : as the file and the command line have it
    before : in force so far, None at the start: but for the portrait, [display] and [hours] stay as they were
        at the start, because the screen is opened once
    patient : it is the service
    """
    if before:
        display = replace(before.display, pack=asked.display.pack)
        return replace(asked, display=display, hours=before.hours)
    display = asked.display
    if patient and display.output == "auto":
        # A service has no desktop; it waits for a graphics card as it does for a monitor.
        display = replace(display, output="kmsdrm")
    if patient and display.film and not _can_film(Path(display.film)):
        display = replace(display, film="")
    return replace(asked, display=display)


def _can_film(path: Path) -> bool:
    """Tell whether a film may be written; the log says why not: the portrait is shown all the same."""
    from appliance.display.recorders import FrameRecording

    try:
        FrameRecording(path).open()
    except CannotWrite as error:
        log.warning(NOT_FILMED, error)
        return False
    return True


def _hanging(hanging: Callable[[], Path]) -> tuple[Path, int]:
    """Return the folder of the pack that hangs, and when it was written: it may be rendered again."""
    folder = hanging()
    try:
        return folder, (folder / "pack.toml").stat().st_mtime_ns
    except (OSError, ValueError):  # a name with a NUL in it is a ValueError
        return folder, 0


def _switch(
    screen: Screen, folder: Path, stop: threading.Event, each: Callable[[], object]
) -> tuple[Pack | None, str]:
    """Light another pack at rest, without a black moment; None, and what is wrong with it, if it is bad."""
    try:
        with as_bad_pack(folder, "cannot be shown"):
            pack = Pack(folder)
            screen.switch(pack, stop, each)
    except BadPack as error:
        log.warning(SWITCH_REFUSED, error)
        return None, SWITCH_REFUSED % error
    if stop.is_set():
        return None, ""  # it ends before the new one was ready
    log.info(SWITCHED, pack.info.title)
    return pack, ""
