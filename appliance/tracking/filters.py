"""Steady eyes without lag: a filter that knows standing from walking, prediction, and hysteresis."""

import math
from dataclasses import dataclass, replace
from typing import Final

# Cut-off of the low-pass on speed, Hz: noise is averaged over three pictures at 30 pictures/s (bench gaze).
_SPEED_CUTOFF: Final = 3.0
# Below the first speed a person stands, above the second they walk, in mm/s across the line of sight.
# People who stand on the films move their heads at up to 110 mm/s; slow visitors walk at 300 mm/s.
_STANDS: Final = 120.0
_WALKS: Final = 260.0
# The pace that tells standing from walking is taken over this many seconds: noise of 3 mm in a sample then
# makes 30 mm/s of it.
_PACE_TIME: Final = 0.21
# Standard deviation of three samples' bend (one minus two, plus the third), in multiples of one sample's.
_BENT: Final = 6**0.5
# Weight of the newest bend in the noise: an average over ten samples.
_NOISE_WEIGHT: Final = 0.1
# Largest bend that counts as noise, mm: a walker who sets off bends more.
_NOISE_MOST: Final = 20.0
# Pace that noise of 1 mm makes within `_PACE_TIME` once in a hundred samples, per second.
_NOISE_PACE: Final = 2.6 * 2**0.5 / _PACE_TIME
# A sample this far from where it was expected is a sudden step, in mm across the line of sight: a third
# of a face's width, more than a head moves between two pictures while a person stands.
_STEP: Final = 45.0
# The step may be larger by this share of the way walked since the last sample: walkers change their speed.
_CHANGES: Final = 0.3
# A new viewer may run: mm/s.
_RUNS: Final = 3000.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """A sample that was a sudden step: degrees, how far off it was from what was expected, seconds."""

    value: float
    off: float
    at: float


@dataclass(frozen=True, slots=True)
class Gaze:
    """The state of the filter of a direction: degrees, degrees per second, seconds.

    `value` is the smoothed direction at the moment `at`; `speed` is used for prediction: 0
    below walking speed. `raw` is the newest sample believed, `slow` the low-passed speed of samples,
    `recent` the last samples (moment, direction), `noise` their standard deviation in mm. `doubted` is the
    sudden step that the next sample must confirm, if any; `known`: there were two samples.
    """

    value: float
    at: float
    speed: float = 0.0
    raw: float = 0.0
    slow: float = 0.0
    recent: tuple[tuple[float, float], ...] = ()
    noise: float = 0.0
    doubted: Doubt | None = None
    known: bool = False


def first_gaze(value: float, moment: float) -> Gaze:
    """Return the filter's state after its first sample: degrees, seconds."""
    return Gaze(value, moment, raw=value, recent=((moment, value),))


def advance_gaze(value: float, moment: float, distance_mm: float, state: Gaze, cutoff: float) -> Gaze:
    """Advance the filter by one sample.

    While the viewer stands, the direction is low-passed and not extrapolated, so that it is calm. While
    they walk it is the sample itself, and its speed is returned. In between both are mixed by the speed. A
    sudden step changes nothing until the next sample is on the same side of what was expected; one that
    goes on in the direction of a smaller step before it is no longer sudden.

    Parameters
    ----------
    value : direction in degrees
    moment : of the sample in seconds; one that is not later than the last changes nothing
    distance_mm : of the viewer, so that speeds are those of a person
    state : the filter so far
    cutoff : of the low-pass while the viewer stands, Hz
    """
    dt = moment - state.at
    if dt <= 0:
        return state
    millimetres = math.radians(1) * distance_mm
    low, high = sorted((state.value, state.value + state.speed * dt))
    off = value - min(max(value, low), high)  # a viewer who stops or slows down makes no sudden step
    before, since, known = state.raw, dt, state.recent
    allowed = _STEP + _CHANGES * abs(state.speed) * dt * millimetres
    sets_off = len(known) > 1 and off * (known[-1][1] - known[-2][1]) * millimetres > abs(off) * _STEP / 2
    if abs(off) * millimetres > (allowed if state.known else _RUNS * dt) and not sets_off:
        doubted = state.doubted
        if doubted is None or moment <= doubted.at or off * doubted.off <= 0:
            return replace(state, doubted=Doubt(value, off, moment))
        before, since = doubted.value, moment - doubted.at
        known = (*known, (doubted.at, doubted.value))
    fast = (value - before) / since
    slow = state.slow + _weight(_SPEED_CUTOFF, since) * (fast - state.slow)
    lately = tuple(pair for pair in known if moment - pair[0] < _PACE_TIME) or known[-1:]
    recent = (*lately, (moment, value))
    pace = abs(value - recent[0][1]) / max(moment - recent[0][0], dt) * millimetres
    bent = abs(value - 2 * state.raw + known[-2][1]) * millimetres if len(known) > 1 else 0.0
    noise = state.noise + _NOISE_WEIGHT * (min(bent / _BENT, _NOISE_MOST) - state.noise)
    stands = max(_STANDS, _NOISE_PACE * noise)  # in the dark noise alone looks like a pace
    walks = min(max((pace - stands) / (_WALKS - _STANDS), 0.0), 1.0)
    # The lesser of both speeds, and none where they disagree about the direction: a stop is believed at
    # once, noise is not.
    speed = 0.0 if fast * slow <= 0 else math.copysign(min(abs(fast), abs(slow)), fast) * walks
    calm = _weight(cutoff, dt)
    follows = calm + (1 - calm) * walks
    return Gaze(
        state.value + follows * (value - state.value), moment, speed, value, slow, recent, noise, known=True
    )


def lead(age: float, reach: float) -> float:
    """Return the seconds of motion to add after `age` seconds: `age` at first, `reach` in the end.

    What was seen a moment ago goes on, but not for ever; a `reach` of 0 predicts nothing.
    """
    return reach * math.tanh(max(age, 0.0) / reach) if reach > 0 else 0.0


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
