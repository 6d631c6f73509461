"""The walks of the simulated gallery: scripts of who is where, and everybody's true position at any time."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from appliance.camera.lens import Lens
from appliance.errors import ConfigError
from appliance.gallery.body_motion import (
    FACING_CAMERA,
    TURN_DEGREES,
    TURN_SECONDS,
    HeadPose,
    MonotoneCurve,
    body_sway,
    head_turn_at,
    smooth_rise,
)
from appliance.gallery.figures import figure_names
from appliance.schema import (
    ANY_TABLE,
    TABLES,
    CheckedTable,
    OneOf,
    Predicate,
    Range,
    YesNo,
    parse_config_text,
    read_config_text,
    toml_value,
)

FigureKind = Literal["person", "statue", "poster"]
# Length of a step, with which the head rises and falls once, in mm (chosen by eye).
_STEP_LENGTH: Final = 550.0
_BUNDLED: Final = Path(__file__).parent / "walks"


@dataclass(frozen=True, slots=True)
class VisitorState:
    """The true position and pose of a person at a moment.

    `x_mm`, `y_mm`, `z_mm` is the middle between the eyes in the camera's frame: x to picture right, y down, z
    away from the lens. The velocities are along the same axes, and only those of the walk: sway and nodding
    are not included. `pose` is that of the head, which also moves the eyes. `facing` is False while the
    person turns their back to the camera.
    """

    who: str
    x_mm: float
    y_mm: float
    z_mm: float
    vx_mm_s: float
    vy_mm_s: float
    vz_mm_s: float
    eye_distance_mm: float
    pose: HeadPose = FACING_CAMERA
    facing: bool = True


@dataclass(frozen=True, slots=True)
class ScriptedPerson:
    """A person's path through the room; they are visible from the first key to the last.

    Parameters
    ----------
    who : a name that is unique in the walk
    photograph : a file of frames/ that `figures.toml` knows
    x, y, z : the eye midpoint over time, millimetres in the camera's frame
    mirrored : whether the photograph is mirrored
    eye_distance_mm : between the pupils
    gait_mm : how far the head rises and falls while walking
    life : how much the body sways and the head moves: 1 as on films, 0 not at all
    turned_away : when the person turns their back to the camera, as (from, to) in seconds
    kind : "person", "statue" (of stone) or "poster" (a framed photograph on a wall)
    """

    who: str
    photograph: str
    x: MonotoneCurve
    y: MonotoneCurve
    z: MonotoneCurve
    mirrored: bool = False
    eye_distance_mm: float = 63.0
    gait_mm: float = 8.0
    life: float = 0.0
    turned_away: tuple[tuple[float, float], ...] = ()
    kind: FigureKind = "person"

    def state_at(self, time: float) -> VisitorState | None:
        """Return where the person is, `time` seconds into the walk; None when away."""
        if not self.x.times[0] <= time <= self.x.times[-1]:
            return None
        (x, vx), (y, vy), (z, vz) = self.x.value_at(time), self.y.value_at(time), self.z.value_at(time)
        # The phase depends on the distance walked, so the head of a standing person does not bob.
        phase, turn = 2 * math.pi * (x + 0.4 * z) / _STEP_LENGTH, 2 * math.pi * (vx + 0.4 * vz) / _STEP_LENGTH
        y += self.gait_mm * math.sin(phase)
        vy += self.gait_mm * math.cos(phase) * turn
        pose = self._pose(time)
        right, down = pose.eyes()
        x += self.eye_distance_mm * right + (self.life and self.life * body_sway(self._seed, time))
        y += self.eye_distance_mm * down
        facing = not any(begins <= time < ends for begins, ends in self.turned_away)
        return VisitorState(self.who, x, y, z, vx, vy, vz, self.eye_distance_mm, pose, facing)

    @property
    def _seed(self) -> str:
        """The seed of this person's own motion, so that people do not move in step."""
        return f"{self.who} {self.x.values[-1]:g} {self.z.values[-1]:g}"

    def _pose(self, time: float) -> HeadPose:
        pose = head_turn_at(self._seed, time, self.life) if self.life else FACING_CAMERA
        # The head turns before the body does.
        part = max(
            (
                smooth_rise(min(time - begins, ends - time) / TURN_SECONDS + 1)
                for begins, ends in self.turned_away
            ),
            default=0.0,
        )
        return (
            HeadPose(pose.yaw + part * (TURN_DEGREES - pose.yaw), pose.pitch * (1 - part)) if part else pose
        )


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """The properties of the room.

    Parameters
    ----------
    light : brightness, 1 is a well-lit gallery
    noise : standard deviation of a pixel's noise, in grey levels of 255
    exposure : exposure time in seconds; people who move meanwhile are blurred
    seed : of the room's appearance and of the noise
    back_light : from 0, no window, to 1, a wide window of the greatest brightness, in front of which people
        are dark
    """

    light: float = 1.0
    noise: float = 3.0
    exposure: float = 0.0
    seed: int = 4
    back_light: float = 0.0


@dataclass(frozen=True, slots=True)
class WalkScript:
    """A script: a room and the people in it; it starts again after `duration` seconds.

    `follow` is whom the sitter should look at from which time on, (seconds, who) with rising times; before
    the first entry it is the nearest person.
    """

    title: str
    duration: float
    room: RoomSpec = field(default_factory=RoomSpec)
    people: tuple[ScriptedPerson, ...] = ()
    follow: tuple[tuple[float, str], ...] = ()

    def people_at(self, time: float) -> list[VisitorState]:
        """Return everybody present `time` seconds after the walk first began, in the script's order."""
        into = time % self.duration
        return [visitor for person in self.people if (visitor := person.state_at(into))]

    def followed_at(self, time: float, lens: Lens) -> VisitorState | None:
        """Return whom the sitter should look at; None while the camera does not see their eyes."""
        into = time % self.duration
        asked = next((who for begins, who in reversed(self.follow) if begins <= into), None)
        alive = [person for person in self.people if person.kind == "person" and asked in (None, person.who)]
        there = [v for person in alive if (v := person.state_at(into))]
        seen = [v for v in there if 0 <= lens.project(v.x_mm, v.y_mm, v.z_mm)[0] < lens.width]
        return min(seen, key=lambda visitor: visitor.z_mm, default=None)


def bundled_walks() -> list[str]:
    """List the names of the walks that come with the appliance."""
    return sorted(path.stem for path in _BUNDLED.glob("*.toml"))


def load_walk(name: str | Path) -> WalkScript:
    """Read a walk: one of `bundled_walks`, or the path of a TOML file.

    Raises
    ------
    ConfigError
        If there is no such walk, or it is wrong; the message has file, person, key, value and what was
        expected.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _BUNDLED / f"{name}.toml"
        if str(name) not in bundled_walks():
            known = ", ".join(bundled_walks())
            raise ConfigError(f"no walk {str(name)!r}; expected one of {known}, or a .toml file")
    return parse_walk(read_config_text(path), str(path))


def parse_walk(text: str, name: str) -> WalkScript:
    """Read a walk from text; `name` is what errors call it. Raises `ConfigError`."""
    tree = parse_config_text(text, name)
    top = _WalkTable(tree, name, "", ("title", "duration", "room", "person", "follow"))
    title = top.text("title")
    duration = top.number("duration", 0.1, 3600, "seconds")
    room = _room(
        _WalkTable(top.table("room"), name, "room.", ("light", "noise", "exposure", "seed", "back_light"))
    )
    people: list[ScriptedPerson] = []
    for number, row in enumerate(top.tables("person"), 1):
        person = _person(row, name, number, duration)
        if any(person.who == other.who for other in people):
            raise ConfigError(
                f"{name}: person {number}: who = {toml_value(person.who)}; expected a name of its own"
            )
        people.append(person)
    follow: list[tuple[float, str]] = []
    for number, row in enumerate(top.tables("follow"), 1):
        turn = _WalkTable(row, name, f"follow {number}: ", ("time", "who"))
        begins, who = turn.number("time", 0, duration, "seconds (the walk's duration)"), turn.text("who")
        if who not in (known := [person.who for person in people]):
            raise turn.wrong("who", f"one of {', '.join(known)}")
        if follow and begins <= follow[-1][0]:
            raise turn.wrong("time", f"more than {follow[-1][0]:g}, the one before")
        follow.append((begins, who))
    return WalkScript(title, duration, room, tuple(people), tuple(follow))


class _WalkTable:
    """A table of a walk file; errors put `where` before a key's name."""

    def __init__(self, values: dict[str, Any], file: str, where: str, keys: tuple[str, ...]) -> None:
        self.file, self.where, self.keys = file, where, keys
        self._checked = CheckedTable(values, lambda _: f"{file}: {where}", ConfigError)
        self._checked.check_keys(keys)

    def wrong(self, key: str, expected: str) -> Exception:
        return self._checked.refusal(key, f"expected {expected}")

    def number(self, key: str, low: float, high: float, unit: str, default: float | None = None) -> float:
        return self._checked.get(key, float, Range(low, high, unit), default)

    def whole(self, key: str, default: int) -> int:
        return self._checked.get(key, int, Predicate(lambda v: v >= 0, "a whole number from 0"), default)

    def flag(self, key: str) -> bool:
        return self._checked.get(key, bool, YesNo(), False)

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        return self._checked.get(key, str, OneOf(options), options[0])

    def text(self, key: str) -> str:
        return self._checked.get(key, str, Predicate(_is_said, "text"))

    def table(self, key: str) -> dict[str, Any]:
        return self._checked.get(key, dict, ANY_TABLE, {})

    def tables(self, key: str) -> list[dict[str, Any]]:
        return self._checked.get(key, list, TABLES, [])


def _is_said(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()


def _room(table: _WalkTable) -> RoomSpec:
    return RoomSpec(
        table.number("light", 0.05, 2, "", 1.0),
        table.number("noise", 0, 40, "grey levels", 3.0),
        table.number("exposure", 0, 0.2, "seconds", 0.0),
        table.whole("seed", 4),
        table.number("back_light", 0, 1, "", 0.0),
    )


def _person(row: dict[str, Any], file: str, number: int, duration: float) -> ScriptedPerson:
    known = (
        "who",
        "photograph",
        "kind",
        "mirrored",
        "eye_distance_mm",
        "gait_mm",
        "life",
        "turned_away",
        "keys",
    )
    table = _WalkTable(row, file, f"person {number}: ", known)
    who = table.text("who")
    table = _WalkTable(row, file, f"person {number} ({who}): ", known)
    rows = table.tables("keys")
    if len(rows) < 2:
        raise table.wrong("keys", "at least two {time, x_mm, z_mm}")
    photograph = table.text("photograph")
    if photograph not in (names := figure_names()):
        raise table.wrong("photograph", f"one of {', '.join(names)}")
    times: list[float] = []
    places: list[tuple[float, float, float]] = []
    for k, each in enumerate(rows, 1):
        key = _WalkTable(each, file, f"{table.where}key {k}: ", ("time", "x_mm", "y_mm", "z_mm"))
        time = key.number("time", 0, duration, "seconds (the walk's duration)")
        if times and time <= times[-1]:
            raise key.wrong("time", f"more than {times[-1]:g}, the key before")
        times.append(time)
        places.append(
            (
                key.number("x_mm", -20000, 20000, "mm"),
                key.number("y_mm", -1000, 1500, "mm", 0.0),
                key.number("z_mm", 200, 20000, "mm"),
            )
        )
    x, y, z = (MonotoneCurve.through(tuple(times), values) for values in zip(*places, strict=True))
    kind = cast(FigureKind, table.choice("kind", get_args(FigureKind)))
    life, turned_away = table.number("life", 0, 1, "", 0.0), _turned_away(table, duration)
    if kind != "person" and (life or turned_away):
        raise table.wrong("kind", "person, because life and turned_away are a living person's")
    return ScriptedPerson(
        who,
        photograph,
        x,
        y,
        z,
        table.flag("mirrored"),
        table.number("eye_distance_mm", 30, 400 if kind == "poster" else 90, "mm", 63.0),
        table.number("gait_mm", 0, 100, "mm", 8.0),
        life,
        turned_away,
        kind,
    )


def _turned_away(table: _WalkTable, duration: float) -> tuple[tuple[float, float], ...]:
    found: list[tuple[float, float]] = []
    for number, row in enumerate(table.tables("turned_away"), 1):
        each = _WalkTable(row, table.file, f"{table.where}turned_away {number}: ", ("from", "to"))
        for key in each.keys:
            each.number(key, 0, duration, "seconds (the walk's duration)")
        times = [time for span in found for time in span]
        for key in each.keys:
            if times and row[key] <= times[-1]:
                raise each.wrong(key, f"more than {times[-1]:g}, the one before")
            times.append(float(row[key]))
        found.append((times[-2], times[-1]))
    return tuple(found)
