"""How somebody moves who stands still: the body sways, the head stirs, nods, and turns aside and back.

The sizes were chosen so that BlazeFace's eye points scatter as on film: see `appliance.bench.scatter`.
Nobody blinks or talks; nothing here needs it.
"""

import functools
import math
import random
from typing import Final

from appliance.camera.head import Pose

# Sway of the body from side to side: millimetres, and radians per second.
_SWAY: Final = (9.0, 1.1)
# What the head always does, turning and nodding: (degrees, radians per second).
_STIR_YAW: Final = ((1.4, 1.7), (0.8, 4.3))
_STIR_PITCH: Final = ((1.2, 1.3), (0.6, 3.7))
# A turn aside, to either side by turns: degrees, and seconds there, from one to the next, and on the way.
TURN: Final = 25.0
TURNING: Final = 0.5
_TURN_STAY: Final = 0.8
_TURN_EVERY: Final = 14.0
# Two nods: degrees, and seconds for both, and from one pair to the next.
_NOD: Final = 6.0
_NODDING: Final = 1.2
_NOD_EVERY: Final = 7.0


def sway(who: str, time: float) -> float:
    """Return how far a body sways to picture right at a time in seconds, in mm."""
    reach, rate = _SWAY
    return reach * math.sin(rate * time + _phases(who)[0])


def stirring(who: str, time: float, amount: float) -> Pose:
    """Return how a head is held at a time in seconds.

    Everybody moves alike, but not at the same time: `who` says when. `amount` scales all angles.
    """
    phases = _phases(who)
    yaw = _waves(_STIR_YAW, phases[1:3], time)
    pitch = _waves(_STIR_PITCH, phases[3:5], time)
    turn, into = divmod(time + phases[5] / math.tau * 2 * _TURN_EVERY, _TURN_EVERY)
    aside = smooth(into / TURNING) - smooth((into - TURNING - _TURN_STAY) / TURNING)
    yaw += (math.copysign(TURN, turn % 2 - 0.5) - yaw) * aside
    into = (time + phases[6] / math.tau * _NOD_EVERY) % _NOD_EVERY
    if into < _NODDING:
        pitch += _NOD * math.sin(math.tau * into / _NODDING) ** 2
    return Pose(amount * yaw, amount * pitch)


def smooth(part: float) -> float:
    """Return 0 before 0, 1 after 1, and a smooth rise between them."""
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)


def _waves(waves: tuple[tuple[float, float], ...], phases: tuple[float, ...], time: float) -> float:
    return sum(
        reach * math.sin(rate * time + phase) for (reach, rate), phase in zip(waves, phases, strict=True)
    )


@functools.cache
def _phases(who: str) -> tuple[float, ...]:
    rng = random.Random(who)
    return tuple(rng.uniform(0, math.tau) for _ in range(7))
