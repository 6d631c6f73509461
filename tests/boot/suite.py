"""The whole appliance in a machine: what is on its screen from power-on, and what its log says.

Up to the first power cut the tests are acts of one machine's life, in their order.
"""

import math
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from appliance.config import GazeConfig
from appliance.gallery.camera import GalleryCamera
from appliance.gaze.geometry import elevation_of_point, fractional_index, gaze_angle_to
from appliance.pack import FrameGrid, Pack
from tests.boot.conftest import packs
from tests.boot.image import OTHER_PORTRAIT, PORTRAIT, SIZE, Disk
from tests.boot.look import BLACK, NO_SIGNAL, UNKNOWN, Eye, Frame, Shown, Sight, Watch
from tests.boot.machine import Machine
from tests.boot.places import CACHE, say
from tests.boot.strip import film_strip

HERE: Final = Path(__file__).resolve().parent
# An emulated processor that is shared with others may need many times what it needs alone.
BOOT: Final = 900.0
WHILE: Final = 600.0
# Seconds for which a gaze is held at least; a frame that is passed on the way does not count.
STEADY: Final = 3.0
LYING: Final = SIZE[1], SIZE[0]
# Frames by which a gaze may miss: where the eyes of an emulated second are and where they were drawn
# differ by a detector's pixel or two, and a frame is 1.8 degrees.
NEXT: Final = 1
# Longer than the visitor is ever away, and out of mind.
ALONE: Final = 20.0
# Seconds in which a display that was taken is to be told, and for which it is held at least.
TOLD: Final = 10.0
HELD: Final = 30
UNPLUGGED: Final = "/run/virtual-camera-unplugged"
CONFIG: Final = "/etc/mona-lisa/config.toml"
# Where the visitor stands, in seconds into visitor.toml. The camera looks the visitor in the face, so that
# its left is where the sitter looks to picture right.
STANDS: Final = {"at the camera's left": 6.0, "in the middle": 19.0, "at the camera's right": 32.0}


def at_rest(shown: Shown) -> bool:
    return isinstance(shown, Frame) and shown.resting


def is_portrait_at_rest(shown: Shown) -> bool:
    return isinstance(shown, Frame) and shown.resting and shown.portrait == PORTRAIT


def whole(shown: Shown) -> bool:
    return isinstance(shown, Frame)


def following(shown: Shown) -> bool:
    return whole(shown) and not at_rest(shown)


def until_lit(watch: Watch) -> Sight:
    """Wait for the first portrait, and make sure that nothing but black was there before."""
    sight = watch.until(whole, BOOT)
    before = [each.shown for each in watch.sights if each.moment < sight.moment]
    assert set(before) <= {NO_SIGNAL, BLACK}, before
    return sight


def await_log(machine: Machine, words: str) -> None:
    """Wait until the service has said something since power-on."""
    log = "journalctl -u mona-lisa -b --no-pager -o cat"
    machine.run(f"until {log} | grep -qF {shlex.quote(words)}; do sleep 1; done", BOOT)


@pytest.fixture(scope="module")
def life() -> Iterator[ExitStack]:
    """Machines that outlive a test, switched off at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def disk(provisioned: Disk, folder: Path) -> Disk:
    return provisioned.copy(folder / "first.qcow2")


@pytest.fixture(scope="module")
def machine(disk: Disk, folder: Path) -> Iterator[Machine]:
    with Machine(disk, folder / "first", SIZE) as machine:
        yield machine
        if machine.on:  # an act went wrong
            machine.keep_journal()


@pytest.fixture(scope="module")
def acts() -> dict[float, str]:
    """What went on from a moment on, in seconds since power-on: captions of the film strip."""
    return {}


@pytest.fixture(scope="module")
def watch(machine: Machine, eye: Eye, provisioned: Disk, acts: dict[float, str]) -> Iterator[Watch]:
    with Watch(machine, eye) as watch:
        yield watch
    film(watch, acts, Pack(packs(provisioned)[PORTRAIT]).info.main.box)


def test_from_power_on_only_black_and_the_resting_sitter_show(watch: Watch, acts: dict[float, str]) -> None:
    sight = until_lit(watch)
    assert is_portrait_at_rest(sight.shown)
    acts[watch.sights[0].moment] = "power on"
    acts[watch.sights[1].moment] = "the system starts"
    acts[sight.moment] = "the service starts"


@pytest.mark.parametrize("place", STANDS)
def test_the_sitter_looks_at_the_visitor(
    watch: Watch, provisioned: Disk, acts: dict[float, str], place: str
) -> None:
    grid = Pack(packs(provisioned)[PORTRAIT]).info.main

    def looks_there(shown: Shown) -> bool:
        return isinstance(shown, Frame) and looks_towards(shown.index, place, grid)

    sight = watch.until(looks_there, WHILE, since=watch.machine.uptime, held=STEADY)
    acts[sight.moment] = f"visitor {place}"


def test_the_service_says_over_the_console_how_it_is(machine: Machine) -> None:
    machine.await_console(BOOT)
    machine.run("until mona-lisa status | grep -q following; do sleep 1; done", WHILE)
    status = machine.run("systemctl status mona-lisa --no-pager").text
    assert "active (running)" in status
    assert re.search(r'Status: "(following|alone)[^"\n]* pictures/s', status), status
    log = machine.run("journalctl -u mona-lisa -b --no-pager -o cat").text
    assert re.search(r"La Sconosciuta lit at rest on 360x640 \(kmsdrm, KMSDRM\).* picamera2 \d", log), log
    assert "seeing through picamera" in log
    assert "following: somebody came" in log
    assert not re.search("Traceback|ERROR|FATAL", log), log
    process = machine.run("systemctl show -P MainPID mona-lisa").text.strip()
    assert machine.run(f"grep -q libcamera.so /proc/{process}/maps").code == 0


def test_no_cursor_lies_over_the_portrait(machine: Machine) -> None:
    # A cursor has a plane of its own, which a picture of the screen does not hold.
    state = machine.run("cat /sys/kernel/debug/dri/0/state").text
    assert dict(re.findall(r"plane\[\d+\]: (\S+)\s+crtc=(\S+)", state)) == {
        "plane-0": "crtc-0",
        "plane-1": "(null)",
    }


def test_without_its_camera_the_sitter_rests(machine: Machine, watch: Watch, acts: dict[float, str]) -> None:
    watch.until(following, WHILE, since=machine.uptime)
    machine.run(f"touch {UNPLUGGED}")
    await_log(machine, "camera lost")
    acts[watch.until(at_rest, WHILE, since=machine.uptime, held=ALONE).moment] = "camera taken away"
    assert machine.run("systemctl is-active mona-lisa").text.strip() == "active"
    machine.run(f"rm {UNPLUGGED}")
    await_log(machine, "camera back")
    acts[watch.until(following, WHILE, since=machine.uptime).moment] = "camera back"
    assert machine.run("systemctl show -P NRestarts mona-lisa").text.strip() == "0"


def test_in_all_that_time_nothing_but_whole_frames_was_shown(watch: Watch) -> None:
    sights = list(watch.sights)
    first = next(i for i, sight in enumerate(sights) if whole(sight.shown))
    assert all(whole(sight.shown) for sight in sights[first:])
    pauses = [after - before for before, after in pairwise(watch.looks)]
    say(f"{len(watch.looks)} looks in {watch.looks[-1]:.0f} s, the longest pause {max(pauses):.1f} s")
    assert median(pauses) < 1.1 and max(pauses) < 5


def test_the_portrait_returns_after_another_program_took_over(
    machine: Machine, watch: Watch, acts: dict[float, str]
) -> None:
    watch.until(following, WHILE, since=machine.uptime)
    process = machine.run("systemctl show -P MainPID mona-lisa").text.strip()
    begun = machine.uptime
    machine.run(f"systemd-run --quiet --unit=take-display /opt/take-display {process}")
    acts[watch.until(lambda shown: shown == UNKNOWN, WHILE, since=begun).moment] = "display taken"
    await_log(machine, "another program may hold the display; `sudo mona-lisa doctor` names it")
    status = machine.run("mona-lisa status")
    assert status.code == 1 and status.text.startswith("dark ("), status.text
    taken, told = (
        said_at(machine, unit, words)
        for unit, words in (("take-display", "taken"), ("mona-lisa", "display lost"))
    )
    say(f"told {told - taken:.1f} s after it was taken")
    assert told - taken < TOLD
    doctor = machine.run("mona-lisa doctor", WHILE).text
    assert re.search(r"fail +display: .*python3 \(process \d+, take-display.service\)", doctor), doctor
    await_log(machine, "no display: another program holds /dev/dri/card0")
    machine.run(f"sleep {HELD}")  # it goes on waiting
    assert machine.run("mona-lisa status").text.startswith("dark (another program holds the display)")
    let_go = machine.uptime
    machine.run("systemctl stop take-display")
    acts[watch.until(at_rest, WHILE, since=let_go).moment] = "and let go"
    watch.until(following, WHILE, since=let_go)
    assert machine.run("systemctl show -P NRestarts mona-lisa").text.strip() == "0"
    assert machine.run("mona-lisa status").code == 0


def test_after_a_cut_while_following_the_portrait_is_back(
    machine: Machine, watch: Watch, disk: Disk, folder: Path, eye: Eye, life: ExitStack
) -> None:
    watch.until(following, WHILE, since=machine.uptime)
    machine.cut()
    again = life.enter_context(Machine(disk, folder / "after-a-cut", SIZE))
    seen = life.enter_context(Watch(again, eye))
    assert is_portrait_at_rest(until_lit(seen).shown)
    # Turned for the next boot, on a screen that lies on its side; then cut while the service takes up
    # another portrait: the link on the disk aims at that one, the screen still shows this one.
    again.await_console(BOOT)
    again.run(f"sed -i 's/^height = .*/&\\nrotation = 90/' {CONFIG} && sync")
    used = again.run(f"cd /; runuser -u mona-lisa -- mona-lisa portrait use {OTHER_PORTRAIT}", BOOT)
    again.cut()
    assert used.code == 0, used.text
    shown = [sight.shown for sight in seen.sights if whole(sight.shown)]
    assert all(isinstance(each, Frame) and each.portrait == PORTRAIT for each in shown), shown


@pytest.fixture(scope="module")
def dark(disk: Disk, folder: Path, life: ExitStack) -> Machine:
    """A machine whose monitor lies on its side and is not connected yet."""
    return life.enter_context(Machine(disk, folder / "dark", LYING, "video=Virtual-1:d"))


@pytest.fixture(scope="module")
def watch_in_the_dark(dark: Machine, provisioned: Disk, life: ExitStack) -> Watch:
    return life.enter_context(Watch(dark, Eye(packs(provisioned), LYING, 90)))


def test_booted_without_a_monitor_the_service_waits_for_one(dark: Machine, watch_in_the_dark: Watch) -> None:
    dark.await_console(BOOT)
    await_log(dark, "no display: no monitor on Virtual-1")
    assert dark.run("systemctl show -P ActiveState mona-lisa").text.strip() == "activating"
    assert {sight.shown for sight in watch_in_the_dark.sights} <= {NO_SIGNAL, BLACK}


def test_after_a_cut_while_switching_a_late_monitor_shows_one(
    dark: Machine, watch_in_the_dark: Watch
) -> None:
    dark.run("echo on >/sys/class/drm/card0-Virtual-1/status")
    assert at_rest(until_lit(watch_in_the_dark).shown)
    await_log(dark, "display connected: Virtual-1")
    assert dark.run("systemctl show -P NRestarts mona-lisa").text.strip() == "0"


def said_at(machine: Machine, unit: str, words: str) -> float:
    """Return when a unit first said something, in seconds since the kernel started."""
    log = machine.run(f"journalctl -u {unit} -b --no-pager -o short-monotonic").text
    (moment,) = re.findall(rf"^\[ *([\d.]+)\] .*{re.escape(words)}", log, re.MULTILINE)[:1]
    return float(moment)


def looks_towards(number: int, place: str, grid: FrameGrid) -> bool:
    """Tell whether a frame looks at the visitor within a column and a row, by geometry alone."""
    with GalleryCamera(HERE / "visitor.toml", 64, 36, 1.0, pace=False) as camera:
        (visitor,) = camera.truth_at(STANDS[place])
    point = visitor.x_mm, visitor.y_mm, visitor.z_mm
    wanted = math.floor(fractional_index(gaze_angle_to(*point, GazeConfig()), grid.angles) + 0.5)
    up = elevation_of_point(*point, GazeConfig())
    level = min(range(len(grid.pitches)), key=lambda row: abs(grid.pitches[row] - up))
    row, column = grid.place(number)
    return abs(column - wanted) <= NEXT and abs(row - level) <= NEXT


def film(watch: Watch, acts: dict[float, str], box: tuple[int, int, int, int]) -> None:
    """Leave the first life's film strip: whatever was shown for a few seconds."""
    sights = list(watch.sights)
    ends = [*(sight.moment for sight in sights[1:]), math.inf]
    lasting = [sight for sight, end in zip(sights, ends, strict=True) if end - sight.moment >= STEADY]
    captions = {
        min((each.moment for each in lasting if each.moment >= moment), default=moment): act
        for moment, act in acts.items()
    }
    captioned = [(sight, captions.get(sight.moment, "")) for sight in lasting]
    # Of the rectangle that changes from frame to frame, the face is the square below the hair.
    x0, y0, x1, y1 = box
    face = x0, y0 + (y1 - y0) // 10, x1, y0 + (y1 - y0) // 10 + x1 - x0
    film_strip(captioned, face, CACHE / "strip.png")
    # In short, for README.
    film_strip([each for each in captioned if each[1]], face, CACHE / "strip.webp")
