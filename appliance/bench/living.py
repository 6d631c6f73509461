"""Scenes with living people, and with posters, statues, crowds and bad light; lengths in millimetres."""

import math
from dataclasses import replace
from typing import Final

from appliance.bench.walks import Key, Trial, visitor
from appliance.camera.walks import Person, RoomSpec, Walk

# From the middle of an exposure to the picture, in seconds.
_LATENCY: Final = 0.05
_RATES: Final = (30.0, 15.0, 10.0)
# How far the eyes of somebody standing, of somebody sitting and of a child are below the lens.
_STANDING: Final = -50.0
_SEATED: Final = 340.0
_CHILD: Final = 480.0
_BRIGHT: Final = RoomSpec(exposure=0.012)
_DIM: Final = RoomSpec(light=0.35, noise=7.0, exposure=0.045)
_DARK: Final = RoomSpec(light=0.15, noise=6.0, exposure=0.06)
_BACK_LIGHT: Final = RoomSpec(noise=5.0, exposure=0.012, seed=5, back_light=1.0)
# Later than the end of every scene, in seconds.
_LATE: Final = 60.0


def living_trials() -> list[Trial]:
    """Return the fixed set. Alone, each scene says whom to look at when; shared, it is anybody in view."""
    found = []
    for rate in _RATES:
        found.append(_alone(f"walks 1.2 m/s at 1.5 m, {rate:g}/s", 5.7, [_pacing()], rate))
    for face, z in enumerate((1000.0, 2000.0, 3000.0, 5000.0)):
        found.append(_alone(f"stands at {z / 1000:g} m", 9, [_coming(z, 0.18 * z, face)]))
    for name, room in (("dim", _DIM), ("dark", _DARK), ("back light", _BACK_LIGHT)):
        found.append(_alone(f"stands at 2 m, {name}", 9, [_coming(2000, 300)], room=room))
    for rate in _RATES:
        first = f"then a visitor, {rate:g}/s"
        found.append(_alone(f"poster, {first}", 11, [_poster(), _coming(2200, 400, begins=5)], rate))
        found.append(_alone(f"statue, {first}", 11, [_statue(), _coming(2500, -300, begins=5)], rate))
        found.append(_guarded(f"seated guard, {first}", rate))
    turning = replace(_coming(2000, 450), turned_away=((5.0, 8.5), (11.0, 13.0)))
    found.append(_alone("turns away and comes back", 15, [turning]))
    found.append(_alone("passers in front", 11, [_coming(2500, 100), *_passers()]))
    found.append(_alone("child", 9, [_coming(2000, 300, eyes=52, down=_CHILD)]))
    equals = [_living("first", [(0, -420, 1700), (_LATE, -420, 1700)])]
    equals.append(_living("second", [(0, 420, 1750), (_LATE, 420, 1750)], 1))
    found.append(_shared("two equals", 25, equals, 15.0))
    found.append(_shared("four", 20, [_standing_in_row(number) for number in range(4)]))
    found.append(_shared("crowd walks past", 13, [_walking_past(number) for number in range(8)]))
    return found


def _alone(
    name: str, seconds: float, people: list[Person], rate: float = 30.0, room: RoomSpec = _BRIGHT
) -> Trial:
    walk = Walk(name, seconds, room, tuple(people), ((0.0, "visitor"),))
    return Trial(name, walk, rate, _LATENCY)


def _shared(name: str, seconds: float, people: list[Person], rate: float = 30.0) -> Trial:
    return Trial(name, Walk(name, seconds, _BRIGHT, tuple(people)), rate, _LATENCY, shared=True)


def _living(
    who: str, keys: list[Key], face: int = 0, down: float = _STANDING, eyes: float = 63.0, life: float = 1.0
) -> Person:
    return replace(visitor(who, keys, face, down=down, eyes=eyes), life=life)


def _coming(
    z: float, x: float, face: int = 0, begins: float = 0.5, eyes: float = 63.0, down: float = _STANDING
) -> Person:
    """Return a visitor who walks in at 1 m/s from the nearer side, then stands."""
    edge = math.copysign(0.75 * z + 300, x)
    arrived = begins + abs(edge - x) / 1000
    return _living("visitor", [(begins, edge, z), (arrived, x, z), (_LATE, x, z)], face, down, eyes)


def _pacing() -> Person:
    """Return a visitor who crosses at 1.2 m/s, stops within 0.2 s, stands for 1 s, and walks back."""
    x = [-930.0, 810.0, 930.0, 930.0, -810.0, -930.0, -930.0]
    times = (0.3, 1.75, 1.95, 2.95, 4.4, 4.6, 5.7)
    return _living("visitor", [(time, right, 1500.0) for time, right in zip(times, x, strict=True)])


def _poster() -> Person:
    keys = [(0.0, -1500.0, 6300.0), (_LATE, -1500.0, 6300.0)]
    return replace(visitor("poster", keys, 1, down=-150.0, eyes=150.0), kind="poster")


def _statue() -> Person:
    keys = [(0.0, 1100.0, 3800.0), (_LATE, 1100.0, 3800.0)]
    return replace(visitor("statue", keys, 1, down=-150.0, eyes=70.0), kind="statue")


def _guarded(name: str, rate: float) -> Trial:
    """A guard sits there alone; once a visitor stands, the visitor is to be looked at."""
    guard = _living("guard", [(0, 1400, 3600), (_LATE, 1400, 3600)], 1, _SEATED)
    comes = _coming(3200, -600, begins=8)
    follow = ((0.0, "guard"), (comes.x.times[1], "visitor"))
    return Trial(name, Walk(name, 16, _BRIGHT, (guard, comes), follow), rate, _LATENCY)


def _passers() -> list[Person]:
    """Two walk past close to the lens, their backs turned."""
    ways = ([(4.0, -1100.0, 1200.0), (6.0, 1100.0, 1200.0)], [(8.0, 1100.0, 1300.0), (9.7, -1100.0, 1300.0)])
    return [
        replace(_living(f"passer {number}", way, 1), turned_away=((0.0, _LATE),))
        for number, way in enumerate(ways, 1)
    ]


def _standing_in_row(number: int) -> Person:
    z = (1900.0, 2800.0, 1700.0, 2600.0)[number]
    x = (-0.55, -0.18, 0.18, 0.55)[number] * z
    return _living(f"person {number + 1}", [(0, x, z), (_LATE, x, z)], number, -20.0 - 30 * number)


def _walking_past(number: int) -> Person:
    """They come from both sides in turn, one every 1.3 s, and walk through at 1 m/s."""
    z = (2400.0, 1800.0, 3000.0, 2100.0, 2700.0, 1700.0, 3300.0, 2200.0)[number]
    begins, edge = 0.2 + 1.3 * number, (-0.75 if number % 2 == 0 else 0.75) * z
    keys = [(begins, edge, z), (begins + 1.5 * z / 1000, -edge, z)]
    return _living(f"person {number + 1}", keys, number, 50.0 - 40 * number)
