"""The fixed set of walks the gaze is measured on, each with whom the sitter should follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.camera.motion import Curve
from appliance.camera.walks import Person, RoomSpec, Walk

Key = tuple[float, float, float]  # seconds, millimetres to picture right, millimetres away

FACES: Final = ("astronaut.png", "grace_hopper.jpg")
# Half of what a 66 degree lens sees at a distance of 1, and a head's half width beyond.
_HALF_VIEW: Final = math.tan(math.radians(33))
_HEAD: Final = 200.0
DIM: Final = RoomSpec(light=0.5, noise=6.0, exposure=0.05, seed=3)
NOISY: Final = RoomSpec(noise=5.0, seed=6)


@dataclass(frozen=True, slots=True)
class Trial:
    """A walk and the camera that sees it: pictures per second, and seconds from exposure to picture.

    With `shared` the sitter shares her attention among all who are there.
    """

    name: str
    walk: Walk
    rate: float = 30.0
    latency: float = 0.06
    shared: bool = False


def visitor(
    who: str,
    keys: Sequence[Key],
    face: int = 0,
    mirrored: bool = False,
    down: float = 0.0,
    eyes: float = 63.0,
) -> Person:
    """Return somebody who walks through `keys`; `down` is their eyes' height below the lens, in mm."""
    times, x, z = (tuple(float(v) for v in column) for column in zip(*keys, strict=True))
    heights = tuple(down for _ in times)
    across, height, away = (Curve.through(times, values) for values in (x, heights, z))
    return Person(who, FACES[face % len(FACES)], across, height, away, mirrored, eyes)


def crossing(speed: float, distance: float, seed: int = 1) -> Walk:
    """Return a walk straight across the whole view, at a speed in m/s and a distance in m."""
    reach = distance * 1000 * _HALF_VIEW + _HEAD
    time = 2 * reach / (1000 * speed)
    side = 1 if seed % 2 else -1
    keys = [(0.5, -side * reach, distance * 1000), (0.5 + time, side * reach, distance * 1000)]
    person = visitor("visitor", keys, face=seed, mirrored=seed % 3 == 0)
    return Walk(f"crossing at {speed:g} m/s, {distance:g} m", time + 1.0, RoomSpec(seed=seed), (person,))


def standing(distance: float, right: float, seconds: float = 21.5) -> Walk:
    """Return somebody who stands still in noise, at a distance in m and `right` mm of the middle."""
    keys = [(0.0, right, distance * 1000), (seconds, right, distance * 1000)]
    return Walk(f"standing still at {distance:g} m", seconds, NOISY, (visitor("visitor", keys, face=1),))


def meeting(seed: int) -> tuple[Walk, float]:
    """Return two people who cross 1 m apart, and when they do; the first to come is to be followed."""
    rng = np.random.default_rng(seed)
    near = float(rng.uniform(1.6, 2.6)) * 1000
    distances = (near, near + 1000) if seed % 2 else (near + 1000, near)
    speeds = rng.uniform(500, 1100, 2)
    side = 1 if rng.random() < 0.5 else -1
    reaches = [distance * _HALF_VIEW * 0.8 for distance in distances]
    # Both begin 80 % of the way to the picture's edge and meet in the middle; the first stands there
    # for a second before the second comes.
    first, second = (reach / speed for reach, speed in zip(reaches, speeds, strict=True))
    moment = max(first, second + 1)
    people = []
    for i, (reach, time) in enumerate(zip(reaches, (first, second), strict=True)):
        start = side if i == 0 else -side
        begins, ends = (moment - time, start * reach), (moment + time, -start * reach)
        keys = [(*at, distances[i]) for at in (begins, (moment, 0.0), ends)]
        if i == 0 and time < moment:
            keys.insert(0, (0.0, *keys[0][1:]))
        name, down = ("first", "second")[i], float(rng.uniform(-60, 60))
        people.append(visitor(name, keys, face=seed + i, down=down))
    end = max(person.x.times[-1] for person in people)
    walk = Walk(f"two cross, {seed}", end, RoomSpec(seed=seed), tuple(people), ((0.0, "first"),))
    return walk, moment


def trials() -> list[Trial]:
    """Return the fixed set."""
    found = [
        Trial(f"cross {speed:g} m/s at {distance:g} m", crossing(speed, distance, seed))
        for seed, (speed, distance) in enumerate((s, d) for d in (1, 2, 3.5, 5) for s in (0.3, 0.6, 1.2))
    ]
    found += [
        Trial(f"still at {d:g} m", standing(d, right)) for d, right in ((1, -210), (2, 330), (3.5, -700))
    ]
    stops = [(0, -1400, 1900), (1.5, -450, 1900), (3.5, -450, 1900), (4.2, 250, 1900), (6, 250, 1900)]
    stop_and_go = visitor("visitor", [*stops, (6.8, 900, 1900), (8.5, 900, 1900), (10, -500, 1800)], 1)
    found.append(Trial("stop and go", Walk("stop and go", 11.0, RoomSpec(seed=3), (stop_and_go,))))
    found.append(Trial("two cross", meeting(5)[0]))
    found.append(Trial("queue", _queue()))
    found.append(Trial("child and adult", _family()))
    found.append(Trial("leaves and comes back", _return()))
    dim = crossing(0.6, 2, 4)
    found.append(Trial("dim, 12 pictures/s", Walk(dim.title, dim.duration, DIM, dim.people), rate=12.0))
    found.append(Trial("100 ms latency", crossing(0.6, 2, 7), latency=0.1))
    return found


def _queue() -> Walk:
    """Three in a row who move up, one behind the other; the first leaves."""
    first = visitor("first", [(0, 150, 1300), (6, 150, 1300), (8.5, 1400, 1400)])
    second = visitor("second", [(0, -250, 2100), (7, -250, 2100), (9, 120, 1350), (14, 120, 1350)], 1)
    third = visitor("third", [(0, 300, 3000), (8, 300, 3000), (10, -200, 2150), (14, -200, 2150)], 0, True)
    # The first is at the picture's edge at 7.9 s.
    turns = ((0.0, "first"), (7.9, "second"))
    return Walk("a queue", 14.0, RoomSpec(seed=2), (first, second, third), turns)


def _family() -> Walk:
    """A child comes up close while the adult stays behind."""
    adult = visitor("adult", [(0, 500, 2600), (14, 500, 2600)], 1)
    child = visitor("child", [(3, -1500, 2100), (6, -300, 1200), (14, -300, 1200)], 0, down=330, eyes=52)
    turns = ((0.0, "adult"), (6.2, "child"))
    return Walk("a child and an adult", 14.0, RoomSpec(seed=5), (adult, child), turns)


def _return() -> Walk:
    """Somebody leaves the view and comes back from the same side, after six seconds."""
    keys = [
        (0, -300, 1700),
        (2, -300, 1700),
        (4, 1500, 1700),
        (8, 1500, 1700),
        (10.5, 100, 1600),
        (13, 100, 1600),
    ]
    return Walk("leaves and comes back", 13.0, RoomSpec(seed=1), (visitor("visitor", keys),))
