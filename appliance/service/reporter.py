"""Tells systemd, the log and the status how things are: each change of state once; counts for the hour."""

import logging
import math
import os
import platform
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from appliance import __version__
from appliance.config import Config
from appliance.display.sdl import pygame
from appliance.errors import CameraStalled
from appliance.service import status
from appliance.service.health import (
    Facts,
    Machine,
    Slowness,
    State,
    cause,
    healthy,
    hung,
    may_feed,
    read_machine,
    sentence,
    state_of,
)
from appliance.service.journal import FIELDS, notify
from appliance.service.settings import Settings

HOURLY: Final = "last hour: %d visitors followed for %.0f s, %.1f pictures/s, picture to flip %s, %s"

_DELAYS: Final = 1000  # flips remembered for their delay


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the start; `followed` is in seconds."""

    pictures: int = 0
    flips: int = 0
    visitors: int = 0
    followed: float = 0.0
    camera_faults: int = 0

    def since(self, before: "Counts") -> "Counts":
        """Return what was added."""
        return Counts(
            self.pictures - before.pictures,
            self.flips - before.flips,
            self.visitors - before.visitors,
            self.followed - before.followed,
            self.camera_faults - before.camera_faults,
        )


class Delays:
    """How long it took from a picture's exposure to the flip it led to, seconds; the newest thousand."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=_DELAYS)

    def add(self, delay: float) -> None:
        """Remember one."""
        self._newest.append(delay)

    def p95(self) -> float | None:
        """Return the 95th percentile, None without any."""
        ordered = sorted(self._newest)
        return ordered[int(0.95 * (len(ordered) - 1))] if ordered else None


class Rate:
    """Pictures per second over the last ten seconds or so."""

    def __init__(self, span: float = 10.0) -> None:
        self._span = span
        self._samples: deque[tuple[float, int]] = deque()

    def at(self, now: float, pictures: int) -> float:
        """Take in the total at the moment `now`; return the rate."""
        self._samples.append((now, pictures))
        while len(self._samples) > 2 and now - self._samples[0][0] > self._span:
            self._samples.popleft()
        began, before = self._samples[0]
        return (pictures - before) / (now - began) if now > began else 0.0


def hourly(counts: Counts, seconds: float, p95: float | None, machine: Machine) -> tuple[object, ...]:
    """Return the arguments of `HOURLY` for what was counted in `seconds`."""
    delay = "never" if p95 is None else f"{1000 * p95:.0f} ms (p95)"
    return counts.visitors, counts.followed, counts.pictures / seconds, delay, describe(machine)


def describe(machine: Machine) -> str:
    """Return the machine's troubles in words."""
    parts = []
    if machine.temperature is not None:
        parts.append(f"{machine.temperature:.0f} degrees C")
    for name, found in (("under-voltage", machine.under_voltage), ("throttling", machine.throttled)):
        if found is not None:
            parts.append(name.upper() if found else f"no {name}")
    return ", ".join(parts) or "no sensors"


log = logging.getLogger(__name__)

LIT: Final = "%s lit at rest on %dx%d (%s); camera %s, model %s, config %s; %s"
SEEING: Final = "seeing through %s"
FOLLOWING: Final = "following: somebody came"
ALONE: Final = "alone: nobody in view, the sitter rests"
CAMERA_LOST: Final = "camera lost (%s); the sitter rests, %s"
RETRYING: Final = "retrying in %.0f s"
WATCHING: Final = "watching on"
CAMERA_BACK: Final = "camera back"
SLOW: Final = "slow: %s; the eyes lag behind"
FAST_AGAIN: Final = "pictures come as they should again"
STATUS_UNWRITTEN: Final = "the status cannot be written (%s); going on without it"
HUNG: Final = (
    "the camera's driver does not answer (for %.0f s): the process ends to be started again; if this "
    "comes back, check the camera's cable and the power supply"
)

SECOND: Final = 1.0
HOUR: Final = 3600.0
# Longer between two calls, and the whole process stood still: no fault of the camera's thread.
STANDSTILL: Final = 5.0
# Asked of systemd while a display is waited for, in microseconds.
MORE_TIME: Final = "EXTEND_TIMEOUT_USEC=60000000"


class Reporter:
    """Is told what is known many times a second; speaks on changes, every second and every hour.

    `wrong` is what is wrong with the portrait that should hang, empty if nothing is.
    """

    def __init__(self, config: Config, settings: Settings | None = None, place: Path | None = None) -> None:
        """Prepare to report; the status is written into the folder `place`, or nowhere."""
        self.config = config
        self.wrong = ""
        self.counts = Counts()
        self._settings, self._place = settings, place
        self._began = self._since = self._next = time.monotonic()
        self._hour = self._began + HOUR
        self._before = Counts()
        self._delays, self._hours_delays = Delays(), Delays()
        self._rate, self._per_second = Rate(), 0.0
        self._machine = self._worst = Machine(None, None, None)
        self._state, self._blind, self._dark, self._last = State.STARTING, "", "", self._began
        self._slow = self._camera = ""
        self._slowness = Slowness(STANDSTILL)
        self._unwritten: int | None = None
        self._awake = -math.inf
        FIELDS.known["MONA_LISA_STATE"], FIELDS.known["MONA_LISA_CAUSE"] = self._state, ""
        self._about = {"version": __version__, "portrait": "", "pack": "", "display": "", "config": ""}

    def portrait(self, title: str, folder: Path) -> None:
        """Note which portrait hangs."""
        self._about.update(portrait=title, pack=str(folder))
        FIELDS.known["MONA_LISA_PORTRAIT"] = title

    def ready(self, size: tuple[int, int], driver: str) -> None:
        """The first picture is lit, by SDL's `driver`: the service is up."""
        camera, model = self.config.camera.source, self.config.vision.model
        display = f"{self.config.display.output}, {driver}"
        config_file = self._settings.source if self._settings else "the defaults"
        self._about.update(display=f"{size[0]}x{size[1]} ({display})", config=config_file)
        log.info(LIT, self._about["portrait"], *size, display, camera, model, config_file, _versions())
        notify("READY=1")

    def flipped(self, delay: float | None) -> None:
        """A frame was lit, `delay` seconds after the exposure that led to it, if one did."""
        self.counts = replace(self.counts, flips=self.counts.flips + 1)
        if delay is not None:
            self._delays.add(delay)
            self._hours_delays.add(delay)

    def tell(self, facts: Facts, pause: float = 0.0) -> None:
        """Take in what is known now; `pause` is how long a lost camera is left alone, seconds.

        Raises
        ------
        CameraStalled
            If the camera's thread hangs: only the end of the process ends it.
        """
        if facts.now - self._last > STANDSTILL:
            self._awake = facts.now
        facts = replace(facts, due=max(facts.due, self._awake))
        if facts.closed and not pause and facts.blind != self._blind:
            facts = replace(facts, blind="")  # the camera is open, and after hours a room is dark
        self._slowness.take(facts.now, facts.pictures, facts.asked, facts.delay, self._machine)
        facts = replace(facts, slow=self._slowness.cause, slow_since=self._slowness.since)
        if hung(facts):
            raise CameraStalled(HUNG % (facts.now - facts.due + self.config.camera.timeout))
        state = state_of(facts, self.config.tracking.hold)
        self._count(facts, state)
        known = facts.blind, facts.dark, facts.slow, facts.camera
        changed = state is not self._state or known != (self._blind, self._dark, self._slow, self._camera)
        if changed:
            self._log_change(facts, state, pause)
            if state is not self._state:
                self._since = facts.now
            self._state, (self._blind, self._dark, self._slow, self._camera) = state, known
        if changed or facts.now >= self._next:
            self._next = facts.now + SECOND
            self._speak(facts, state)

    def _count(self, facts: Facts, state: State) -> None:
        following = state is State.FOLLOWING
        before = self.counts
        self.counts = replace(
            before,
            pictures=facts.pictures,
            visitors=before.visitors + (following and self._state is not State.FOLLOWING),
            followed=before.followed + following * (facts.now - self._last),
            camera_faults=before.camera_faults + (bool(facts.blind) and not self._blind),
        )
        self._last = facts.now

    def _log_change(self, facts: Facts, state: State, pause: float) -> None:
        # What is dark or closed is told by the display, which knows more of it.
        FIELDS.known["MONA_LISA_STATE"] = state
        FIELDS.known["MONA_LISA_CAUSE"] = cause(facts)
        if facts.blind != self._blind:
            if facts.blind:
                log.warning(CAMERA_LOST, facts.blind, RETRYING % pause if pause else WATCHING)
            else:
                log.info(CAMERA_BACK)
        if facts.camera != self._camera:
            log.info(SEEING, facts.camera)
        if facts.slow != self._slow:
            if facts.slow:
                log.warning(SLOW, facts.slow)
            else:
                log.info(FAST_AGAIN)
        if state is State.FOLLOWING and state is not self._state:
            log.info(FOLLOWING)
        if state is State.ALONE and self._state is State.FOLLOWING:
            log.info(ALONE)

    def _speak(self, facts: Facts, state: State) -> None:
        """Once a second, and on a change: systemd and the status; the log once an hour."""
        self._machine = read_machine()
        self._worst = _worse(self._worst, self._machine)
        self._per_second = self._rate.at(facts.now, facts.pictures)
        line = sentence(facts, state, self._per_second)
        fields = [f"STATUS={line}"]
        if may_feed(facts):
            fields.append("WATCHDOG=1")
        if facts.dark:
            fields.append(MORE_TIME)
        notify(*fields)
        self._write(facts, state, line)
        if facts.now >= self._hour:
            counted = self.counts.since(self._before)
            seconds = facts.now - self._hour + HOUR
            log.info(HOURLY, *hourly(counted, seconds, self._hours_delays.p95(), self._worst))
            self._hour, self._before, self._worst = facts.now + HOUR, self.counts, self._machine
            self._hours_delays = Delays()

    def _write(self, facts: Facts, state: State, line: str) -> None:
        if self._place is None:
            return
        faults = (self._settings.fault if self._settings else "", self.wrong)
        fault = "; ".join(filter(None, faults))
        p95 = self._delays.p95()
        figures: dict[str, Any] = {
            **self._about,
            "healthy": healthy(facts) and not fault,
            "state": state,
            "sentence": line,
            "cause": cause(facts),
            "fault": fault,
            "overridden": list(self._settings.overridden if self._settings else ()),
            "since_s": round(facts.now - self._since, 1),
            "uptime_s": round(facts.now - self._began, 1),
            "written": round(time.time(), 1),
            "monotonic": round(facts.now, 1),
            "pid": os.getpid(),
            "camera": self.config.camera.source,
            "seen_through": facts.camera,
            "frame": facts.frame,
            "row": facts.row,
            "visitors": facts.visitors,
            "distance_m": None if facts.distance is None else round(facts.distance, 2),
            "pictures_per_second": round(self._per_second, 1),
            "picture_to_flip_p95_s": None if p95 is None else round(p95, 4),
            "counts": {**asdict(self.counts), "followed": round(self.counts.followed, 1)},
            "machine": asdict(self._machine),
        }
        try:
            status.write_status(self._place, figures)
        except OSError as error:
            if error.errno != self._unwritten:  # whichever of the files it meets first
                log.warning(STATUS_UNWRITTEN, error)
            self._unwritten = error.errno
        else:
            self._unwritten = None


def _worse(one: Machine, other: Machine) -> Machine:
    """Return the hotter of two readings, with the troubles of both."""
    hotter = max((t for t in (one.temperature, other.temperature) if t is not None), default=None)
    voltage, throttled = (
        None if a is None and b is None else bool(a or b)
        for a, b in ((one.under_voltage, other.under_voltage), (one.throttled, other.throttled))
    )
    return Machine(hotter, voltage, throttled)


def _versions() -> str:
    import importlib.metadata  # slow to load: not before the first light

    runtimes = []
    for name in ("tflite-runtime", "ai-edge-litert", "picamera2"):
        try:
            runtimes.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    sdl = ".".join(map(str, pygame.get_sdl_version()))
    parts = [f"mona-lisa {__version__}", f"Python {platform.python_version()}", f"SDL {sdl}", *runtimes]
    return ", ".join(parts)
