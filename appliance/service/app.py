"""The service: the main thread lights what the vision thread's newest gaze target asks for, step by step."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance.clock import CLOCK, Clock
from appliance.config import Config, keep_until_restart
from appliance.display.layout import sitter_offsets_mm
from appliance.display.open_display import wait_until_display_opens
from appliance.display.opening_hours import OpeningController
from appliance.display.screen import PortraitScreen
from appliance.errors import BadPack, CannotWrite, DisplayLost, DisplayStuck
from appliance.pack import Pack, as_bad_pack
from appliance.service import reporter, status
from appliance.service.fallback import light_best, load_or_rest, reload_after_damage
from appliance.service.health import HealthInputs
from appliance.service.journal import notify
from appliance.service.settings import Settings
from appliance.service.vision_thread import ConfigAndPack, Observer, VisionThread

log = logging.getLogger(__name__)

NO_MONITOR: Final = "no monitor is connected"
HELD: Final = "another program holds the display"
NOT_FILMED: Final = "%s; nothing is filmed"
ENDED: Final = "ended"

# Seconds between two steps while the eyes may move, which they do between pictures: a refresh of the screen.
TICK: Final = 1 / 60
# The longest time between two steps while nothing can move, in seconds. A new picture wakes the main thread,
# but signals that ask for the end or for another config, and a window's events, wait for a step (guess).
IDLE: Final = 0.1
LOOK_AGAIN: Final = 1.0  # seconds between two looks at which portrait hangs (guess)
# Seconds between two tries to light a portrait whose compiled file was damaged while it was shown: each reads
# every file there is (guess).
MEND_AGAIN: Final = 60.0
FADE: Final = 0.6  # seconds in which the portrait goes to black when the service ends (chosen by eye)


class App:
    """The main thread's work, step by step; its whole state is here, and its clock is passed in.

    `config` is in force, `pack` is lit, and `fault` says what is wrong with the portrait that should hang, if
    anything is. `vision` sees on a thread of its own, or where a test steps it.
    """

    def __init__(
        self,
        config: Config,
        hanging: Callable[[], Path],
        screen: PortraitScreen,
        report: Callable[[reporter.Event], None],
        stop: threading.Event,
        settings: Settings | None = None,
        observer: Observer | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        """Light the portrait that hangs at rest, or the best that can be shown.

        The `screen` is open. `report` is called with each event; the rest is as for `run`. Raises `BadPack`
        if nothing can be shown.
        """
        self.config = config
        self._hanging, self._screen, self._report, self._stop = hanging, screen, report, stop
        self._settings, self._observer, self._clock = settings, observer, clock
        self._supervised = settings is not None and settings.supervised
        self._spare = Settings.spare() if self._supervised else None
        self._hangs = _folder_and_age(hanging)
        self.pack, self.fault = light_best(screen, self._hangs[0], self._spare)
        self._place = self.pack.info.main.resting  # row and column of the frame lit of the largest face
        self._look, self._mend = clock.monotonic() + LOOK_AGAIN, -math.inf
        self.vision = VisionThread(self._setup(), stop, observer, self._supervised, clock)
        report(reporter.PortraitLit(self.pack))
        report(reporter.Ready(screen.size, screen.driver, settings.source if settings else "the defaults"))

    def load(self) -> None:
        """Read the frames of the portrait that is lit, so that its eyes can move."""
        self.fault = load_or_rest(self._screen, self.pack, self._stop, self._tell) or self.fault

    def pause(self, now: float) -> float:
        """Return for how many seconds to wait for a new gaze target before the next step."""
        tracking, target = self.config.tracking, self.vision.latest.value.target
        if target and (
            tracking.wander_every or now - target.seen < tracking.hold + tracking.return_time + IDLE
        ):
            return TICK
        due = min(self._screen.due, self._look)
        return min(max(due - now, TICK), IDLE)

    def step(self, now: float) -> None:
        """Do what is due at a moment of the monotonic clock, and light the frames for the newest gaze target.

        Raises `DisplayLost`, `DisplayStuck` and `CameraStalled`, as `run` says.
        """
        self._screen.tick(now, self._clock.wall())
        self._take_config()
        if now >= self._look:
            self._look = now + LOOK_AGAIN
            self._look_what_hangs()
        if self._stop.is_set():
            return  # another portrait may be lit already
        self._place = self.pack.info.main.place(self._screen.shown[0])
        self._tell()
        self._show()

    def fade(self) -> None:
        """Let a service's picture go to black, for the end."""
        if self._supervised:
            self._screen.fade(FADE)
            if self.config.display.film:
                notify(reporter.MORE_TIME)  # packing it may take longer than systemd grants an end

    def _take_config(self) -> None:
        if self._settings and (newer := self._settings.newer()):
            self.config = _in_force(newer, self.config, self._supervised)
            self.vision.setup = self._setup()
            self._report(self.config)

    def _look_what_hangs(self) -> None:
        """Light another portrait if another one hangs, and this one anew if its compiled file is damaged."""
        if (hangs := _folder_and_age(self._hanging)) != self._hangs:
            self._hangs = hangs
            self._switch(hangs[0])
        if self._screen.damage and self._clock.monotonic() >= self._mend:
            folder = self._hangs[0]
            pack, self.fault = reload_after_damage(self._screen, folder, self._spare, self._stop, self._tell)
            self._mend = self._clock.monotonic() + MEND_AGAIN
            if pack:
                self._take_up(pack, switched=False)

    def _switch(self, folder: Path) -> None:
        """Light another pack at rest, without a black moment; if it is bad, the portrait stays."""
        try:
            with as_bad_pack(folder, "cannot be shown"):
                pack = Pack(folder)
                self._screen.switch(pack, self._stop, self._tell)
        except BadPack as error:
            self.fault = reporter.SWITCH_REFUSED % error
            self._report(reporter.SwitchRefused(str(error)))
            return
        self.fault = ""
        if not self._stop.is_set():  # else it ends before the new one was ready
            self._take_up(pack, switched=True)

    def _take_up(self, pack: Pack, switched: bool) -> None:
        self.pack = pack
        self.vision.setup = self._setup()
        self._report(reporter.PortraitLit(pack, switched))

    def _setup(self) -> ConfigAndPack:
        info, screen = self.pack.info, self._screen
        apart = sitter_offsets_mm(info, self.config.display, screen.size, screen.driver)
        return ConfigAndPack(self.config, info, apart)

    def _tell(self) -> None:
        """Report what is known: the display's part, added to the vision thread's."""
        inputs = replace(
            self.vision.latest.value.health,
            now=self._clock.monotonic(),
            lit=self._screen.flipped,
            closed=not self._screen.open,
            fault=_faults(self._settings, self.fault),
            overridden=self._settings.overridden if self._settings else (),
            row=self._place[0],
            frame=self._place[1],
        )
        self._report(inputs)

    def _show(self) -> None:
        """Light the frames for the moment at which their light will leave the screen, if these are others."""
        known, screen = self.vision.latest.value, self._screen
        setup, target = known.setup, known.target
        if target is None or setup.pack != self.pack.info:
            return  # nobody was looked for yet with this portrait
        from appliance.gaze.target_to_frames import frames_for  # by now the vision thread has loaded it

        lit = self._clock.monotonic() + setup.config.tracking.display_latency
        frames = frames_for(target, lit, screen.shown, setup.config.tracking, setup.pack, setup.apart)
        if frames != screen.shown and screen.show(frames):
            self._report(reporter.Flipped(screen.flipped - target.captured if target.viewer else None))
            if self._observer:
                self._observer.lit(frames, target, self._clock.monotonic())


def run(
    config: Config,
    hanging: Callable[[], Path],
    stop: threading.Event,
    seconds: float | None = None,
    observer: Observer | None = None,
    settings: Settings | None = None,
) -> None:
    """Show the portrait that hangs and let its sitter follow the viewer, until `stop` is set.

    Parameters
    ----------
    hanging : the folder of the pack to show; asked every second, so that another one is taken up
    seconds : end by itself after this time
    observer : told of every picture seen and frame lit
    settings : of a run that reads its config again; a supervised one is the service's and writes its status

    Raises
    ------
    BadPack, NoDisplay, DisplayLost, CannotWrite, BadAsset, BadModel, NoRuntime, ConfigError, CameraAbsent
        If no portrait, display or model can be used at all; `CameraAbsent` only for a replayed folder.
        A monitor that is not there yet, or that another program holds, is waited for. A camera that fails is
        opened again, and so is all that seeing needs in a supervised run. For a damaged portrait the best
        that can be shown is.
    CameraStalled, DisplayStuck
        If the camera's driver or the graphics driver hangs: only the end of the process ends it.
    """
    end = time.monotonic() + seconds if seconds is not None else math.inf
    supervised = settings is not None and settings.supervised
    config = _in_force(config, None, supervised)
    tell = reporter.Reporter(config, status.folder() if supervised else None).take
    opening = OpeningController(config.hours)

    def tell_no_display(cause: str, fault: str = "") -> None:
        inputs = _inputs_without_display(opening, cause, _faults(settings, fault))
        tell(replace(inputs, overridden=settings.overridden) if settings else inputs)

    if not wait_until_display_opens(
        config.display.output, stop, end, lambda: tell_no_display(NO_MONITOR), lambda: tell_no_display(HELD)
    ):
        return
    with PortraitScreen(config.display, opening) as screen:
        app = App(config, hanging, screen, tell, stop, settings, observer)
        vision = app.vision
        try:
            vision.open()
            app.load()
            while not stop.is_set() and time.monotonic() < end and not screen.window_closed():
                vision.latest.newest(app.pause(time.monotonic()))
                app.step(time.monotonic())
            app.fade()
        except BaseException as error:
            vision.close(error)
            if isinstance(error, DisplayLost | DisplayStuck):
                tell_no_display(str(error), app.fault)  # until the new start, seconds later, writes its own
            raise
        vision.close()
    log.info(ENDED)


def _inputs_without_display(opening: OpeningController, cause: str, fault: str) -> HealthInputs:
    """Wake the monitor that is waited for, and say what is known."""
    now = time.monotonic()
    opening.step(now, time.time())
    asleep = opening.asleep and cause == NO_MONITOR
    return HealthInputs(now, dark=cause, asleep=asleep, closed=not opening.open, fault=fault)


def _faults(settings: Settings | None, portrait: str) -> str:
    """Join what is wrong with the config and with the portrait; empty if nothing is."""
    return "; ".join(filter(None, (settings.fault if settings else "", portrait)))


def _in_force(asked: Config, before: Config | None, supervised: bool) -> Config:
    """Return the config that is used, from the one that the files and the command line ask for.

    `before` is None at the start. Later the keys that need a restart stay as they were, because the screen is
    opened once.
    """
    if before:
        return keep_until_restart(before, asked)
    display = asked.display
    if supervised and display.output == "auto":
        # A service has no desktop; it waits for a graphics card as it does for a monitor.
        display = replace(display, output="kmsdrm")
    if supervised and display.film and not _can_film(Path(display.film)):
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


def _folder_and_age(hanging: Callable[[], Path]) -> tuple[Path, int]:
    """Return the folder of the pack that hangs, and when it was written: it may be rendered again."""
    folder = hanging()
    try:
        return folder, (folder / "pack.toml").stat().st_mtime_ns
    except (OSError, ValueError):  # a name with a NUL in it is a ValueError
        return folder, 0
