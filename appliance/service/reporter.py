"""Reports the state to systemd, the log and the status: each change once, and a summary every hour."""

import logging
import math
import os
import platform
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from appliance import __version__
from appliance.clock import CLOCK, Clock
from appliance.config import Config
from appliance.display.open_display import pygame
from appliance.errors import CameraStalled
from appliance.pack import Pack
from appliance.service import health, status
from appliance.service.health import (
    HealthInputs,
    Machine,
    Slowness,
    State,
    cause,
    hung,
    read_machine,
    sentence,
    state_of,
)
from appliance.service.journal import FIELDS, notify

HOURLY: Final = "last hour: %d visitors followed for %.0f s, %.1f pictures/s, picture to flip %s, %s"


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
        return Counts(*(new - old for new, old in zip(astuple(self), astuple(before), strict=True)))


def p95(values: Iterable[float]) -> float | None:
    """Return the 95th percentile by nearest rank: the least value that 95 % do not exceed.

    Of up to 19 values that is the largest; None without any.
    """
    ordered = sorted(values)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else None


class Rate:
    """Pictures per second over the last ten seconds or so."""

    def __init__(self, span: float = 10.0) -> None:
        self._span = span
        self._samples: deque[tuple[float, int]] = deque()

    def at(self, now: float, pictures: int) -> float:
        """Add the total at the moment `now`; return the rate."""
        self._samples.append((now, pictures))
        while len(self._samples) > 2 and now - self._samples[0][0] > self._span:
            self._samples.popleft()
        began, before = self._samples[0]
        return (pictures - before) / (now - began) if now > began else 0.0


def hourly(counts: Counts, seconds: float, delays: Iterable[float], machine: Machine) -> tuple[object, ...]:
    """Return the arguments of `HOURLY` for what was counted in `seconds`."""
    late = p95(delays)
    delay = "never" if late is None else f"{1000 * late:.0f} ms (p95)"
    return counts.visitors, counts.followed, counts.pictures / seconds, delay, describe(machine)


def describe(machine: Machine) -> str:
    """Return the temperature, under-voltage and throttling as text."""
    parts = []
    if machine.temperature is not None:
        parts.append(f"{machine.temperature:.0f} degrees C")
    for name, found in (("under-voltage", machine.under_voltage), ("throttling", machine.throttled)):
        if found is not None:
            parts.append(name.upper() if found else f"no {name}")
    return ", ".join(parts) or "no sensors"


log = logging.getLogger(__name__)

SWITCHED: Final = "%s lit in place of the portrait before"
SWITCH_REFUSED: Final = "the portrait stays: %s"
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

# Seconds between two messages to systemd, and two statuses, while nothing changes: the unit allows 30.
SECOND: Final = 1.0
HOUR: Final = 3600.0  # seconds between two summaries in the log
# Seconds between two steps of the app from which on the whole process stood still, because it was suspended:
# that is no fault of the vision thread (guess).
STANDSTILL: Final = 5.0
_DELAYS: Final = 1000  # flips whose delay is remembered (guess)
# Asked of systemd while a display is waited for or a film packed: a minute, in microseconds.
MORE_TIME: Final = "EXTEND_TIMEOUT_USEC=60000000"


class Ready(NamedTuple):
    """The first picture is lit, by SDL's `driver`: the service is up."""

    size: tuple[int, int]
    driver: str
    config_files: str


class PortraitLit(NamedTuple):
    """A portrait is on the screen; `switched` if it was hung while another one was shown."""

    pack: Pack
    switched: bool = False


class SwitchRefused(NamedTuple):
    """The portrait that should hang cannot be shown: the one before stays."""

    cause: str


class Flipped(NamedTuple):
    """Other frames were lit, `delay` seconds after the exposure that led to it; None if none did."""

    delay: float | None


# What the app tells: what happens, the config that is in force from now on, and at every step what is known.
Event = Ready | PortraitLit | SwitchRefused | Flipped | Config | HealthInputs


class Reporter:
    """Turns events into the log, systemd's messages and the status; each change of state is logged once."""

    def __init__(self, config: Config, place: Path | None = None, clock: Clock = CLOCK) -> None:
        """Prepare to report; the status is written into the folder `place`, or nowhere."""
        self.counts = Counts()
        self._config, self._place, self._clock = config, place, clock
        self._began = self._since = self._next = clock.monotonic()
        self._hour = self._began + HOUR
        self._before = Counts()
        # Seconds from the exposure to the flip: of the newest flips, and of those of this hour.
        self._delays, self._hours_delays = deque[float](maxlen=_DELAYS), deque[float](maxlen=_DELAYS)
        self._rate, self._per_second = Rate(), 0.0
        self._machine = self._worst = Machine(None, None, None)
        self._state, self._last = State.STARTING, HealthInputs(self._began)
        self._slowness = Slowness(STANDSTILL)
        self._unwritten: int | None = None
        self._awake = -math.inf
        FIELDS.known["MONA_LISA_STATE"], FIELDS.known["MONA_LISA_CAUSE"] = self._state, ""
        self._about = {
            "version": __version__,
            "portrait": "",
            "artist": "",
            "pack": "",
            "display": "",
            "config": "",
        }

    def take(self, event: Event) -> None:
        """Handle an event.

        Raises `CameraStalled` if the vision thread hangs: only the end of the process ends it.
        """
        match event:
            case HealthInputs():
                self._take_inputs(event)
            case Flipped(delay):
                self.counts = replace(self.counts, flips=self.counts.flips + 1)
                if delay is not None:
                    self._delays.append(delay)
                    self._hours_delays.append(delay)
            case Ready():
                self._announce(event)
            case PortraitLit(pack, switched):
                self._about.update(portrait=pack.info.title, artist=pack.info.artist, pack=str(pack.folder))
                FIELDS.known["MONA_LISA_PORTRAIT"] = pack.info.title
                if switched:
                    log.info(SWITCHED, pack.info.title)
            case SwitchRefused(why):
                log.warning(SWITCH_REFUSED, why)
            case Config():
                self._config = event

    def _announce(self, ready: Ready) -> None:
        camera, model = self._config.camera.source, self._config.vision.model
        display = f"{self._config.display.output}, {ready.driver}"
        size, config_file = ready.size, ready.config_files
        self._about.update(display=f"{size[0]}x{size[1]} ({display})", config=config_file)
        log.info(LIT, self._about["portrait"], *size, display, camera, model, config_file, _versions())
        notify("READY=1")

    def _take_inputs(self, inputs: HealthInputs) -> None:
        inputs = self._judged(inputs)
        if hung(inputs):
            raise CameraStalled(HUNG % (inputs.now - inputs.due + self._config.camera.timeout))
        state, before = state_of(inputs, self._config.tracking.hold), self._last
        self._count(inputs, state)
        told = "blind", "camera", "slow", "dark"
        news = [name for name in told if getattr(inputs, name) != getattr(before, name)]
        if news or state is not self._state:
            FIELDS.known["MONA_LISA_STATE"], FIELDS.known["MONA_LISA_CAUSE"] = state, cause(inputs)
            for name in news:
                _log_change(name, inputs)
            self._enter(state, inputs.now)
        elif inputs.now < self._next:
            return
        self._next = inputs.now + SECOND
        self._speak(inputs, state)

    def _judged(self, inputs: HealthInputs) -> HealthInputs:
        """Add how slowly pictures come; leave out what is no fault."""
        if inputs.now - self._last.now > STANDSTILL:
            self._awake = inputs.now
        if inputs.closed and not inputs.pause and inputs.blind != self._last.blind:
            inputs = replace(inputs, blind="")  # the camera is open, and after hours a room is dark
        self._slowness.take(inputs.now, inputs.pictures, inputs.asked, inputs.delay, self._machine)
        slow, since = self._slowness.cause, self._slowness.since
        return replace(inputs, due=max(inputs.due, self._awake), slow=slow, slow_since=since)

    def _count(self, inputs: HealthInputs, state: State) -> None:
        following = state is State.FOLLOWING
        before, last = self.counts, self._last
        self.counts = replace(
            before,
            pictures=inputs.pictures,
            visitors=before.visitors + (following and self._state is not State.FOLLOWING),
            followed=before.followed + following * (inputs.now - last.now),
            camera_faults=before.camera_faults + (bool(inputs.blind) and not last.blind),
        )
        self._last = inputs

    def _enter(self, state: State, now: float) -> None:
        """Go over to a state, or stay in it; the display logs what is dark or closed, and why."""
        before, self._state = self._state, state
        if state is before:
            return
        self._since = now
        if state is State.FOLLOWING:
            log.info(FOLLOWING)
        elif state is State.ALONE and before is State.FOLLOWING:
            log.info(ALONE)

    def _speak(self, inputs: HealthInputs, state: State) -> None:
        """Once a second, and on a change: systemd and the status; the log once an hour."""
        self._machine = read_machine()
        self._worst = _worse(self._worst, self._machine)
        self._per_second = self._rate.at(inputs.now, inputs.pictures)
        line = sentence(inputs, state, self._per_second)
        fields = [f"STATUS={line}"]
        if health.should_ping_watchdog(inputs):
            fields.append("WATCHDOG=1")
        if inputs.dark:
            fields.append(MORE_TIME)
        notify(*fields)
        if self._place:
            self._write(self._place, self._figures(inputs, state, line))
        if inputs.now >= self._hour:
            counted = self.counts.since(self._before)
            seconds = inputs.now - self._hour + HOUR
            log.info(HOURLY, *hourly(counted, seconds, self._hours_delays, self._worst))
            self._hour, self._before, self._worst = inputs.now + HOUR, self.counts, self._machine
            self._hours_delays.clear()

    def _figures(self, inputs: HealthInputs, state: State, line: str) -> dict[str, Any]:
        delay = p95(self._delays)
        return {
            **self._about,
            "healthy": health.healthy(inputs),
            "state": state,
            "sentence": line,
            "cause": cause(inputs),
            "fault": inputs.fault,
            "overridden": list(inputs.overridden),
            "since_s": round(inputs.now - self._since, 1),
            "uptime_s": round(inputs.now - self._began, 1),
            "written": round(self._clock.wall(), 1),
            "monotonic": round(inputs.now, 1),
            "pid": os.getpid(),
            "camera": self._config.camera.source,
            "seen_through": inputs.camera,
            "frame": inputs.frame,
            "row": inputs.row,
            "visitors": inputs.visitors,
            "distance_m": None if inputs.distance is None else round(inputs.distance, 2),
            "pictures_per_second": round(self._per_second, 1),
            "picture_to_flip_p95_s": None if delay is None else round(delay, 4),
            "counts": {**asdict(self.counts), "followed": round(self.counts.followed, 1)},
            "machine": asdict(self._machine),
        }

    def _write(self, place: Path, figures: dict[str, Any]) -> None:
        try:
            status.write_status(place, figures)
        except OSError as error:
            if error.errno != self._unwritten:  # whichever of the files it meets first
                log.warning(STATUS_UNWRITTEN, error)
            self._unwritten = error.errno
        else:
            self._unwritten = None


def _log_change(name: str, inputs: HealthInputs) -> None:
    """Log the change of an input."""
    match name:
        case "blind" if inputs.blind:
            log.warning(CAMERA_LOST, inputs.blind, RETRYING % inputs.pause if inputs.pause else WATCHING)
        case "blind":
            log.info(CAMERA_BACK)
        case "camera":
            log.info(SEEING, inputs.camera)
        case "slow" if inputs.slow:
            log.warning(SLOW, inputs.slow)
        case "slow":
            log.info(FAST_AGAIN)


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
