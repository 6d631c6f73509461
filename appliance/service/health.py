"""Health: the state out of what is known, and whether the watchdog is pinged."""

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

SYSTEM: Final = Path("/sys")

# The firmware's device is named after its bus: soc/soc:firmware on a Pi 4, and on a Pi 5 up to Linux 6.6;
# soc@107c000000/soc@107c000000:firmware on a Pi 5 since then (boot logs in raspberrypi/linux, issues 5743 and
# 6621).
_FIRMWARE: Final = "devices/platform/soc*/*:firmware/get_throttled"
# Bits of the firmware's answer: under-voltage now and throttled now; 16 above, since it was last read.
_UNDER_VOLTAGE: Final = 1 << 0 | 1 << 16
_THROTTLED: Final = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 17 | 1 << 18 | 1 << 19


@dataclass(frozen=True, slots=True)
class Machine:
    """Temperature in degrees Celsius; each None where the machine does not tell."""

    temperature: float | None
    under_voltage: bool | None
    throttled: bool | None


def read_machine(system: Path = SYSTEM) -> Machine:
    """Read the sensors; never fails."""
    millidegrees = _number(system / "class/thermal/thermal_zone0/temp")
    throttled = _firmware(system)
    firmware = None if throttled is None else _number(throttled, 16)
    # The kernel's own watch on the power supply; it clears the firmware's bits every two seconds.
    alarms = [
        _number(sensor.parent / "in0_lcrit_alarm")
        for sensor in sorted(system.glob("class/hwmon/hwmon*/name"))
        if _text(sensor) == "rpi_volt"
    ]
    voltage: bool | None = any(alarms) if alarms else None
    if firmware is not None:
        voltage = bool(voltage) or bool(firmware & _UNDER_VOLTAGE)
    return Machine(
        None if millidegrees is None else millidegrees / 1000,
        voltage,
        None if firmware is None else bool(firmware & _THROTTLED),
    )


@cache
def _firmware(system: Path) -> Path | None:
    """Find the firmware's answer once: its driver is part of the kernel, so that it does not come later."""
    return next(iter(sorted(system.glob(_FIRMWARE))), None)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(_text(path), base)
    except ValueError:
        return None


RARE: Final = "less than a third of the %.3g pictures/s wanted come; %s"
LATE: Final = "pictures come more than %.3g s late; %s"
WEAK: Final = "the power supply is too weak"
HOT: Final = "the processor is too hot and slowed down"
BUSY: Final = "other programs may take the processor's time"

SPAN: Final = 10.0  # seconds over which pictures are counted, and for which each must be late
# Pictures, as a fraction of those asked for, below which they are too rare, and from which on they no longer
# are: in the dark a camera gives half of them.
_RARE: Final = 1 / 3
_ENOUGH: Final = 0.4
# Pictures per second of which no more than that fraction is needed: a third of 30 still follows a walker (a
# mean error of 2.2 degrees at 10 pictures/s: bench gaze), and a sensor may not give what is asked for.
_PLENTY: Final = 30.0
# Seconds from exposure to arrival from which on a picture is late; at low rates as many intervals between
# pictures, because an exposure may last for two of them.
_LATE: Final = 1.0
_INTERVALS: Final = 3.0
_HOT: Final = 80.0  # degrees Celsius at which a Raspberry Pi begins to slow down


class Slowness:
    """Is told many times a second how pictures come.

    `cause` says how slowly they come and what is the likely cause, empty if they come well; `since` is
    the moment from which on that was known, inf if they come well.
    """

    def __init__(self, longest: float) -> None:
        """Prepare; a time between two calls beyond `longest` seconds counts as that."""
        self.cause, self.since = "", math.inf
        self._longest = longest
        self._now: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._passed = self._expected = self._late = 0.0
        # Seconds passed, pictures taken and pictures expected.
        self._samples: deque[tuple[float, int, float]] = deque()

    def take(self, now: float, pictures: int, asked: float, delay: float, machine: Machine) -> None:
        """Update with the count and the delay of pictures at the moment `now`, monotonic seconds.

        Parameters
        ----------
        pictures : taken in all
        asked : pictures per second asked of the camera; 0 while none is open
        delay : seconds from the newest picture's exposure to its arrival
        """
        passed = 0.0 if self._now is None else min(now - self._now, self._longest)
        self._now = now
        if asked == 0:
            self._begin()
            return
        wanted, limit = min(asked, _PLENTY), max(_LATE, _INTERVALS / asked)
        self._passed += passed
        self._expected += passed * wanted
        self._late = self._late + passed if delay > limit else 0.0
        if self._samples and self._passed - self._samples[-1][0] < 1:
            return
        self._samples.append((self._passed, pictures, self._expected))
        while len(self._samples) > 1 and self._passed - self._samples[1][0] >= SPAN:
            self._samples.popleft()
        began, before, expected = self._samples[0]
        if self._passed - began >= SPAN:
            share = (pictures - before) / (self._expected - expected)
            likely = _likely_cause(machine)
            self._judge(share, RARE % (wanted, likely), LATE % (limit, likely), now)

    def _judge(self, share: float, rare: str, late: str, now: float) -> None:
        """Find the cause, `rare` or `late`, by the share of the pictures expected; the first one stays."""
        is_rare = share < (_ENOUGH if self.cause else _RARE)
        if not is_rare and self._late < SPAN:
            self.cause, self.since = "", math.inf
        elif not self.cause:
            self.cause, self.since = (rare if is_rare else late), now


def _likely_cause(machine: Machine) -> str:
    if machine.under_voltage:
        return WEAK
    hot = machine.temperature is not None and machine.temperature >= _HOT
    return HOT if machine.throttled or hot else BUSY


# Longer than any step that is slow but right: opening a camera, loading a model, taking up a portrait.
PATIENCE: Final = 20.0
# Seconds for which pictures may come slowly before that is a fault: a portrait taken up costs less.
SLOW_FOR: Final = 60.0


class State(StrEnum):
    """The portrait's condition as visitors meet it."""

    STARTING = "starting"  # the portrait is lit or about to be, the camera not open yet
    FOLLOWING = "following"  # the sitter looks at somebody
    ALONE = "alone"  # nobody is in view, the sitter rests
    BLIND = "blind"  # no camera, the sitter rests
    SLOW = "slow"  # so few or so late pictures that the eyes lag behind
    DARK = "dark"  # no display
    CLOSED = "closed"  # black outside opening hours


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """The state at the moment `now`; times are seconds on the monotonic clock.

    `lit` is when a flip last completed, `seen` when the viewer was last seen: -inf for never. `due` is the
    latest time at which the vision thread should have reported. `blind` says why nothing is seen; a camera
    that is lost is left alone for `pause` seconds. `dark` says why there is no display: no fault of one that
    is `asleep`, sent to standby after hours. `fault` says what is wrong with the config or the portrait, and
    `overridden` has a line for each setting that a higher layer of the config overrides. `visitors` are in
    view, the one followed at `distance` metres. `camera` is the camera with its angle of view; `asked`
    pictures per second are expected of it, 0 while it is not open, and the newest came `delay` seconds after
    its exposure. `frame` and `row` are the column and the row of the frame lit of the sitter with the largest
    face. `slow` says how slowly pictures come, since the moment `slow_since`.
    """

    now: float
    lit: float = -math.inf
    due: float = math.inf
    pictures: int = 0
    seen: float = -math.inf
    blind: str = ""
    pause: float = 0.0
    dark: str = ""
    asleep: bool = False
    closed: bool = False
    fault: str = ""
    overridden: tuple[str, ...] = ()
    visitors: int = 0
    distance: float | None = None
    frame: int = 0
    row: int = 0
    camera: str = ""
    asked: float = 0.0
    delay: float = 0.0
    slow: str = ""
    slow_since: float = math.inf


def state_of(inputs: HealthInputs, hold: float) -> State:
    """Return the state; somebody seen within the last `hold` seconds is still followed."""
    if inputs.dark and not inputs.asleep:
        return State.DARK
    if inputs.closed:
        return State.CLOSED
    if inputs.blind:
        return State.BLIND
    if not inputs.pictures:
        return State.STARTING
    if inputs.slow:
        return State.SLOW
    return State.FOLLOWING if inputs.now - inputs.seen <= hold else State.ALONE


def healthy(inputs: HealthInputs) -> bool:
    """Tell whether nothing is wrong that a technician should mend; opening hours make no difference."""
    dead = inputs.dark and not inputs.asleep
    slow = inputs.now - inputs.slow_since > SLOW_FOR
    return not (dead or inputs.blind or inputs.fault or slow)


def cause(inputs: HealthInputs) -> str:
    """Return what keeps the sitter from following, empty if nothing does."""
    return ("" if inputs.asleep else inputs.dark) or inputs.blind or inputs.slow


def hung(inputs: HealthInputs) -> bool:
    """Tell whether the vision thread is in a call that does not return.

    Nothing in the process can end such a thread; only the process's own end does.
    """
    return inputs.now - inputs.due > PATIENCE


def should_ping_watchdog(inputs: HealthInputs) -> bool:
    """Tell whether to ping systemd's watchdog, which otherwise restarts the service.

    True if the vision thread reports in time, with pictures or the reason why there are none, and flips
    complete or the display is known to be away.
    """
    return not hung(inputs) and (bool(inputs.dark) or inputs.now - inputs.lit <= PATIENCE)


def sentence(inputs: HealthInputs, state: State, rate: float) -> str:
    """Return the state as one line for a person; `rate` in pictures/s."""
    seeing = f"{rate:.1f} pictures/s, frame {inputs.frame}, row {inputs.row}"
    trouble = cause(inputs)
    return {
        State.FOLLOWING: f"following {_followed(inputs)}, {seeing}",
        State.ALONE: f"alone, {seeing}",
        State.BLIND: f"blind ({inputs.blind}); the sitter rests",
        State.DARK: f"dark ({inputs.dark}); waiting for a display",
        State.SLOW: f"slow ({inputs.slow}); the eyes lag behind",
        State.CLOSED: "closed, the screen is black" + (f"; but {trouble}" if trouble else ""),
        State.STARTING: "starting" + ", the portrait is lit" * (inputs.lit > -math.inf),
    }[state]


def _followed(inputs: HealthInputs) -> str:
    far = f" at {inputs.distance:.1f} m" if inputs.distance is not None else ""
    count = max(inputs.visitors, 1)
    return f"1 of {count} visitor{'s' * (count > 1)}{far}"
