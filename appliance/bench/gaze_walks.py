"""The fixed walks and scenes the gaze is measured on: lone viewers, living people, statues, crowds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from appliance.assets import photograph_path
from appliance.camera.sampling import Pixels
from appliance.gallery.body_motion import MonotoneCurve
from appliance.gallery.walks import RoomSpec, ScriptedPerson, WalkScript
from appliance.images import read_image

_WALL: Final = (110, 104, 96)


@dataclass(frozen=True, slots=True)
class Sitting:
    """The face's place in a photograph, in its pixels: the middle and width of BlazeFace's box."""

    file: str
    x: float
    y: float
    width: float


ASTRONAUT: Final = Sitting("astronaut.png", 225, 128, 94)
HOPPER: Final = Sitting("grace_hopper.jpg", 267, 244, 199)


def scene(sitting: Sitting, size: tuple[int, int], share: float, at: tuple[float, float]) -> Pixels:
    """Return a picture of a plain wall with one face on it, RGB uint8.

    Parameters
    ----------
    size : (width, height) of the picture in pixels
    share : width of the face's box, as a share of the picture's width
    at : where the middle of the face is, as shares of the picture's width and height
    """
    photograph = read_image(photograph_path(sitting.file))
    scale = share * size[0] / sitting.width
    small = photograph.resize(
        (round(photograph.width * scale), round(photograph.height * scale)), Image.Resampling.LANCZOS
    )
    picture = Image.new("RGB", size, _WALL)
    picture.paste(
        small, (round(at[0] * size[0] - sitting.x * scale), round(at[1] * size[1] - sitting.y * scale))
    )
    return np.array(picture)


def to_yuv(rgb: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Return the Y, U and V planes of an RGB picture with even sides: BT.601, full range, 4:2:0."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / 1.772 + 128, (red - y) / 1.402 + 128
    height, width = y.shape
    planes = [y]
    planes += [plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for plane in (u, v)]
    first, second, third = (np.clip(plane + 0.5, 0, 255).astype(np.uint8) for plane in planes)
    return first, second, third


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
    walk: WalkScript
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
) -> ScriptedPerson:
    """Return a person who walks through the places `keys`. Their eyes are `down` mm below the lens."""
    times, x, z = (tuple(float(v) for v in column) for column in zip(*keys, strict=True))
    heights = tuple(down for _ in times)
    across, height, away = (MonotoneCurve.through(times, values) for values in (x, heights, z))
    return ScriptedPerson(who, FACES[face % len(FACES)], across, height, away, mirrored, eyes)


def crossing(speed: float, distance: float, seed: int = 1) -> WalkScript:
    """Return a walk straight across the whole view, at a speed in m/s and a distance in m."""
    reach = distance * 1000 * _HALF_VIEW + _HEAD
    time = 2 * reach / (1000 * speed)
    side = 1 if seed % 2 else -1
    keys = [(0.5, -side * reach, distance * 1000), (0.5 + time, side * reach, distance * 1000)]
    person = visitor("visitor", keys, face=seed, mirrored=seed % 3 == 0)
    return WalkScript(
        f"crossing at {speed:g} m/s, {distance:g} m", time + 1.0, RoomSpec(seed=seed), (person,)
    )


def standing(distance: float, right: float, seconds: float = 21.5) -> WalkScript:
    """Return a walk in noise: one person stands still, at a distance in m and `right` mm to picture right."""
    keys = [(0.0, right, distance * 1000), (seconds, right, distance * 1000)]
    return WalkScript(
        f"standing still at {distance:g} m", seconds, NOISY, (visitor("visitor", keys, face=1),)
    )


def meeting(seed: int) -> tuple[WalkScript, float]:
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
    walk = WalkScript(f"two cross, {seed}", end, RoomSpec(seed=seed), tuple(people), ((0.0, "first"),))
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
    found.append(Trial("stop and go", WalkScript("stop and go", 11.0, RoomSpec(seed=3), (stop_and_go,))))
    found.append(Trial("two cross", meeting(5)[0]))
    found.append(Trial("queue", _queue()))
    found.append(Trial("child and adult", _family()))
    found.append(Trial("leaves and comes back", _return()))
    dim = crossing(0.6, 2, 4)
    found.append(Trial("dim, 12 pictures/s", WalkScript(dim.title, dim.duration, DIM, dim.people), rate=12.0))
    found.append(Trial("100 ms latency", crossing(0.6, 2, 7), latency=0.1))
    return found


def _queue() -> WalkScript:
    """Three in a row who move up, one behind the other; the first leaves."""
    first = visitor("first", [(0, 150, 1300), (6, 150, 1300), (8.5, 1400, 1400)])
    second = visitor("second", [(0, -250, 2100), (7, -250, 2100), (9, 120, 1350), (14, 120, 1350)], 1)
    third = visitor("third", [(0, 300, 3000), (8, 300, 3000), (10, -200, 2150), (14, -200, 2150)], 0, True)
    # The first is at the picture's edge at 7.9 s.
    turns = ((0.0, "first"), (7.9, "second"))
    return WalkScript("a queue", 14.0, RoomSpec(seed=2), (first, second, third), turns)


def _family() -> WalkScript:
    """A child comes up close while the adult stays behind."""
    adult = visitor("adult", [(0, 500, 2600), (14, 500, 2600)], 1)
    child = visitor("child", [(3, -1500, 2100), (6, -300, 1200), (14, -300, 1200)], 0, down=330, eyes=52)
    turns = ((0.0, "adult"), (6.2, "child"))
    return WalkScript("a child and an adult", 14.0, RoomSpec(seed=5), (adult, child), turns)


def _return() -> WalkScript:
    """Somebody leaves the view and comes back from the same side, after six seconds."""
    keys = [
        (0, -300, 1700),
        (2, -300, 1700),
        (4, 1500, 1700),
        (8, 1500, 1700),
        (10.5, 100, 1600),
        (13, 100, 1600),
    ]
    return WalkScript("leaves and comes back", 13.0, RoomSpec(seed=1), (visitor("visitor", keys),))


# From the middle of an exposure to the picture, in seconds.
_LATENCY: Final = 0.05
_RATES: Final = (30.0, 15.0, 10.0)
# Distance below the lens of the eyes of somebody standing, of somebody sitting and of a child.
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
    name: str, seconds: float, people: list[ScriptedPerson], rate: float = 30.0, room: RoomSpec = _BRIGHT
) -> Trial:
    walk = WalkScript(name, seconds, room, tuple(people), ((0.0, "visitor"),))
    return Trial(name, walk, rate, _LATENCY)


def _shared(name: str, seconds: float, people: list[ScriptedPerson], rate: float = 30.0) -> Trial:
    return Trial(name, WalkScript(name, seconds, _BRIGHT, tuple(people)), rate, _LATENCY, shared=True)


def _living(
    who: str, keys: list[Key], face: int = 0, down: float = _STANDING, eyes: float = 63.0, life: float = 1.0
) -> ScriptedPerson:
    return replace(visitor(who, keys, face, down=down, eyes=eyes), life=life)


def _coming(
    z: float, x: float, face: int = 0, begins: float = 0.5, eyes: float = 63.0, down: float = _STANDING
) -> ScriptedPerson:
    """Return one visitor. They walk in at 1 m/s from the nearer side and then stand still."""
    edge = math.copysign(0.75 * z + 300, x)
    arrived = begins + abs(edge - x) / 1000
    return _living("visitor", [(begins, edge, z), (arrived, x, z), (_LATE, x, z)], face, down, eyes)


def _pacing() -> ScriptedPerson:
    """Return one visitor. They cross at 1.2 m/s, stop within 0.2 s, stand for 1 s and walk back."""
    x = [-930.0, 810.0, 930.0, 930.0, -810.0, -930.0, -930.0]
    times = (0.3, 1.75, 1.95, 2.95, 4.4, 4.6, 5.7)
    return _living("visitor", [(time, right, 1500.0) for time, right in zip(times, x, strict=True)])


def _poster() -> ScriptedPerson:
    keys = [(0.0, -1500.0, 6300.0), (_LATE, -1500.0, 6300.0)]
    return replace(visitor("poster", keys, 1, down=-150.0, eyes=150.0), kind="poster")


def _statue() -> ScriptedPerson:
    keys = [(0.0, 1100.0, 3800.0), (_LATE, 1100.0, 3800.0)]
    return replace(visitor("statue", keys, 1, down=-150.0, eyes=70.0), kind="statue")


def _guarded(name: str, rate: float) -> Trial:
    """A guard sits there alone; once a visitor stands, the visitor is to be looked at."""
    guard = _living("guard", [(0, 1400, 3600), (_LATE, 1400, 3600)], 1, _SEATED)
    comes = _coming(3200, -600, begins=8)
    follow = ((0.0, "guard"), (comes.x.times[1], "visitor"))
    return Trial(name, WalkScript(name, 16, _BRIGHT, (guard, comes), follow), rate, _LATENCY)


def _passers() -> list[ScriptedPerson]:
    """Two walk past close to the lens, their backs turned."""
    ways = ([(4.0, -1100.0, 1200.0), (6.0, 1100.0, 1200.0)], [(8.0, 1100.0, 1300.0), (9.7, -1100.0, 1300.0)])
    return [
        replace(_living(f"passer {number}", way, 1), turned_away=((0.0, _LATE),))
        for number, way in enumerate(ways, 1)
    ]


def _standing_in_row(number: int) -> ScriptedPerson:
    z = (1900.0, 2800.0, 1700.0, 2600.0)[number]
    x = (-0.55, -0.18, 0.18, 0.55)[number] * z
    return _living(f"person {number + 1}", [(0, x, z), (_LATE, x, z)], number, -20.0 - 30 * number)


def _walking_past(number: int) -> ScriptedPerson:
    """They come from both sides in turn, one every 1.3 s, and walk through at 1 m/s."""
    z = (2400.0, 1800.0, 3000.0, 2100.0, 2700.0, 1700.0, 3300.0, 2200.0)[number]
    begins, edge = 0.2 + 1.3 * number, (-0.75 if number % 2 == 0 else 0.75) * z
    keys = [(begins, edge, z), (begins + 1.5 * z / 1000, -edge, z)]
    return _living(f"person {number + 1}", keys, number, 50.0 - 40 * number)
