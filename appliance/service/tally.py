"""What is counted while it runs: for the status, and for the line in the log every hour."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from appliance.service.machine import Machine

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
