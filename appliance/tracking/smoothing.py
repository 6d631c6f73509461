"""Calm without lag: the One-Euro filter, a prediction that knows when to stop, and hysteresis."""

import math
from dataclasses import dataclass
from typing import Final

_SPEED_CUTOFF: Final = 1.0
_TREND_CUTOFF: Final = 3.0


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

    Source: Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012; the weights are those of the
    continuous low-pass, so that two steps of dt / 2 do what one of dt does.
    """
    speed = state.speed + _weight(_SPEED_CUTOFF, dt) * ((value - state.value) / dt - state.speed)
    cutoff = min_cutoff + beta * abs(speed)
    return OneEuro(state.value + _weight(cutoff, dt) * (value - state.value), speed)


@dataclass(frozen=True, slots=True)
class Trend:
    """How fast a value changes: `speed` per second is what may be counted on from here."""

    value: float
    slow: float | None = None
    speed: float = 0.0


def trend(value: float, dt: float, state: Trend) -> Trend:
    """Advance the trend by one sample, `dt` > 0 seconds after the previous one; raises `ValueError`.

    The speed is the lesser of the last step's and its low-pass, and none where they disagree about
    the direction: who stops is believed at once, noise is not.
    """
    weight = _weight(_TREND_CUTOFF, dt)
    fast = (value - state.value) / dt
    slow = fast if state.slow is None else state.slow + weight * (fast - state.slow)
    speed = 0.0 if fast * slow <= 0 else math.copysign(min(abs(fast), abs(slow)), fast)
    return Trend(value, slow, speed)


def lead(age: float, reach: float) -> float:
    """Return the seconds of motion to add after `age` seconds: `age` at first, `reach` in the end.

    What was seen a moment ago goes on, but not for ever; a `reach` of 0 predicts nothing.
    """
    return reach * math.tanh(max(age, 0.0) / reach) if reach > 0 else 0.0


def caught_up(state: OneEuro, value: float, speed: float, min_cutoff: float, beta: float) -> float:
    """Return a filter's value without its lag behind a motion at `speed`: that is its time constant.

    It never goes beyond `value`, the newest sample.
    """
    lag = speed / (2 * math.pi * (min_cutoff + beta * abs(state.speed)))
    low, high = sorted((state.value, value))
    return min(max(state.value + lag, low), high)


def ease(part: float) -> float:
    """Return how far a movement is, 0 to 1, after `part` of its time; it begins and ends at rest."""
    t = min(max(part, 0.0), 1.0)
    return t * t * (3 - 2 * t)


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
    """Return the share of a step that a low-pass of `cutoff` Hz follows within `dt` seconds."""
    if not dt > 0:
        raise ValueError(f"dt = {dt}; expected a positive number of seconds")
    return -math.expm1(-2 * math.pi * cutoff * dt)
