"""The machine's own troubles, as the kernel tells them under /sys: heat, throttling, a weak power supply."""

from dataclasses import dataclass
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
