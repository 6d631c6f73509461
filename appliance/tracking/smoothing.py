"""Calm without lag: the One-Euro filter, and hysteresis on the frame index."""

import math
from dataclasses import dataclass
from typing import Final

_SPEED_CUTOFF: Final = 1.0


@dataclass(frozen=True, slots=True)
class OneEuro:
    """The state of a One-Euro filter: the smoothed value and its speed per second."""

    value: float
    speed: float = 0.0


def one_euro(value: float, dt: float, state: OneEuro, min_cutoff: float, beta: float) -> OneEuro:
    """Advance a One-Euro filter by one sample.

    Parameters
    ----------
    value : angle in degrees
    dt : seconds since the previous sample, > 0; the camera's rate varies, so never a constant
    state : the filter so far
    min_cutoff : cut-off frequency at rest, Hz
    beta : how much the cut-off rises with speed, Hz per degree/s

    Returns
    -------
    The new state; `.value` is the smoothed angle in degrees.

    Raises
    ------
    ValueError
        If `dt` is not positive.

    Source: Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012.
    """
    if not dt > 0:
        raise ValueError(f"dt = {dt}; expected a positive number of seconds")
    speed = state.speed + _weight(_SPEED_CUTOFF, dt) * ((value - state.value) / dt - state.speed)
    cutoff = min_cutoff + beta * abs(speed)
    return OneEuro(state.value + _weight(cutoff, dt) * (value - state.value), speed)


def settle(position: float, index: int, hysteresis: float, count: int) -> int:
    """Return the frame for a position, keeping the present one until the middle is clearly passed.

    Parameters
    ----------
    position : where to look, in frames (0 to count - 1; beyond is clamped)
    index : the frame shown now
    hysteresis : how far past the middle between two frames the position must go, in frames
    count : number of frames
    """
    position = min(max(position, 0.0), count - 1.0)
    if abs(position - index) <= 0.5 + hysteresis:
        return index
    return math.floor(position + 0.5)


def _weight(cutoff: float, dt: float) -> float:
    return 1 / (1 + 1 / (2 * math.pi * cutoff * dt))
