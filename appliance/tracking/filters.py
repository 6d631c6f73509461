"""Smooth a direction without lag: a filter that tells standing from walking, prediction, and hysteresis."""

import math
from dataclasses import dataclass, replace
from typing import Final

# Cut-off of the low-pass on speed, Hz: noise is averaged over three pictures at 30 pictures/s (bench gaze).
_SPEED_CUTOFF: Final = 3.0
# Speed across the line of sight below which a person stands, in mm/s (films: standing heads reach 110).
_STANDING_SPEED: Final = 120.0
_WALKING_SPEED: Final = 260.0  # speed above which a person walks, in mm/s: slow visitors walk at 300 mm/s
# Time over which that speed is measured, in seconds: noise of 3 mm in a sample then adds 30 mm/s.
_PACE_TIME: Final = 0.21
# Standard deviation of a bend (sample 1 - 2 * sample 2 + sample 3), as a multiple of a sample's: sqrt(6).
_BEND_PER_NOISE: Final = 6**0.5
# Weight of the newest bend in the estimated noise: a mean over ten samples (origin unknown).
_NOISE_WEIGHT: Final = 0.1
# Largest bend that counts as noise, in mm: a person who starts to walk bends more (origin unknown).
_MAX_BEND: Final = 20.0
# Speed that noise of 1 mm appears to have within `_PACE_TIME` in one of a hundred samples, per second.
_NOISE_PACE: Final = 2.6 * 2**0.5 / _PACE_TIME
# Deviation from the expected direction that is a sudden step, in mm across the line of sight: a third of a
# face's width, which is more than a standing person's head moves between two pictures.
_SUDDEN_STEP: Final = 45.0
# A walker changes speed: a step may be larger by this fraction of the distance walked (origin unknown).
_SPEED_CHANGE: Final = 0.3
# Speed up to which the second sample of a new viewer is believed, in mm/s (origin unknown).
_RUNNING_SPEED: Final = 3000.0


@dataclass(frozen=True, slots=True)
class UnconfirmedStep:
    """A sample that was a sudden step, to be confirmed by the next one.

    `value` and `off`, its deviation from the expected value, are in degrees; `at` is in seconds.
    """

    value: float
    off: float
    at: float


@dataclass(frozen=True, slots=True)
class AngleFilter:
    """The state of the filter of an angle: degrees, degrees per second, seconds.

    `value` is the smoothed angle at the moment `at`; `speed` is for prediction, 0 below walking speed. `raw`
    is the newest sample accepted, `slow` the low-passed speed, `recent` the last samples as (moment, angle),
    `noise` their standard deviation in mm. `doubted` is the sudden step that the next sample must confirm, if
    any. `known` is whether there were two samples.
    """

    value: float
    at: float
    speed: float = 0.0
    raw: float = 0.0
    slow: float = 0.0
    recent: tuple[tuple[float, float], ...] = ()
    noise: float = 0.0
    doubted: UnconfirmedStep | None = None
    known: bool = False


def start_filter(value: float, moment: float) -> AngleFilter:
    """Return the filter's state after its first sample: degrees, seconds."""
    return AngleFilter(value, moment, raw=value, recent=((moment, value),))


def advance_filter(
    value: float, moment: float, distance_mm: float, state: AngleFilter, cutoff: float
) -> AngleFilter:
    """Advance the filter by one sample.

    While the viewer stands, the angle is low-passed and not extrapolated, so that the eyes are calm. While
    they walk it is the sample itself, with its speed. In between both are mixed by the speed. A sudden step
    changes nothing until the next sample lies on the same side of the expected value; a step in the direction
    of a smaller one before it is not sudden.

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
    mm = math.radians(1) * distance_mm
    low, high = sorted((state.value, state.value + state.speed * dt))
    off = value - min(max(value, low), high)  # stopping or slowing down is not a sudden step
    before, since, known = state.raw, dt, state.recent
    allowed = _SUDDEN_STEP + _SPEED_CHANGE * abs(state.speed) * dt * mm
    sets_off = len(known) > 1 and off * (known[-1][1] - known[-2][1]) * mm > abs(off) * _SUDDEN_STEP / 2
    if abs(off) * mm > (allowed if state.known else _RUNNING_SPEED * dt) and not sets_off:
        doubted = state.doubted
        if doubted is None or moment <= doubted.at or off * doubted.off <= 0:
            return replace(state, doubted=UnconfirmedStep(value, off, moment))
        before, since = doubted.value, moment - doubted.at
        known = (*known, (doubted.at, doubted.value))
    fast = (value - before) / since
    slow = state.slow + _low_pass_weight(_SPEED_CUTOFF, since) * (fast - state.slow)
    lately = tuple(pair for pair in known if moment - pair[0] < _PACE_TIME) or known[-1:]
    recent = (*lately, (moment, value))
    pace = abs(value - recent[0][1]) / max(moment - recent[0][0], dt) * mm
    bent = abs(value - 2 * state.raw + known[-2][1]) * mm if len(known) > 1 else 0.0
    noise = state.noise + _NOISE_WEIGHT * (min(bent / _BEND_PER_NOISE, _MAX_BEND) - state.noise)
    stands = max(_STANDING_SPEED, _NOISE_PACE * noise)  # in the dark, noise alone looks like motion
    walks = min(max((pace - stands) / (_WALKING_SPEED - _STANDING_SPEED), 0.0), 1.0)
    # The smaller of the two speeds, or 0 if their signs differ: a stop counts at once, and noise never.
    speed = 0.0 if fast * slow <= 0 else math.copysign(min(abs(fast), abs(slow)), fast) * walks
    calm = _low_pass_weight(cutoff, dt)
    follows = calm + (1 - calm) * walks
    return AngleFilter(
        state.value + follows * (value - state.value), moment, speed, value, slow, recent, noise, known=True
    )


def prediction_time(age: float, reach: float) -> float:
    """Return the seconds of motion to predict `age` seconds after a sample: `age` at first, at most `reach`.

    Motion is assumed to continue, but not for ever; a `reach` of 0 predicts nothing.
    """
    return reach * math.tanh(max(age, 0.0) / reach) if reach > 0 else 0.0


def ease_in_out(part: float) -> float:
    """Return the fraction of a movement that is done after `part` of its time; it starts and ends at rest."""
    t = min(max(part, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def apply_hysteresis(position: float, index: int, hysteresis: float, count: int) -> int:
    """Return the frame nearest to a position; keep the present frame near the middle between two.

    Parameters
    ----------
    position : where to look, in frames; clamped to 0 and count - 1
    index : the frame shown now
    hysteresis : how far past the middle the position must be for another frame, in frames
    count : number of frames
    """
    position = min(max(position, 0.0), count - 1.0)
    if abs(position - index) <= 0.5 + hysteresis:
        return index
    return math.floor(position + 0.5)


def _low_pass_weight(cutoff: float, dt: float) -> float:
    """Return the fraction of a step that a low-pass of `cutoff` Hz follows within `dt` seconds."""
    if not dt > 0:
        raise ValueError(f"dt = {dt}; expected a positive number of seconds")
    return -math.expm1(-2 * math.pi * cutoff * dt)
