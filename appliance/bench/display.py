"""The display: how soon it is lit and follows, what a change costs, what it takes at rest.

Prints JSON. Arguments: `change PACK OUTPUT WIDTHxHEIGHT ROUNDS` times a change of frame against bare pygame;
`together` one of several sitters at once; `textures` a change with every frame as a texture of a renderer;
`hold` shows every frame, ROUNDS times.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from PIL import Image

from appliance.assets import home_folder
from appliance.bench.gaze_walks import ASTRONAUT, scene
from appliance.bench.memory import run_and_measure
from appliance.bench.portrait_rendering import beside_rest, serpentine_order, write_sitters
from appliance.config import DisplayConfig
from appliance.display.fitted_patches import fit_base, fit_patches
from appliance.display.frame_loader import LitFrames
from appliance.display.layout import Size, layout_for
from appliance.display.open_display import parse_output, pygame, resolve_output
from appliance.display.screen import PortraitScreen
from appliance.errors import ApplianceError
from appliance.pack import Box, Pack

# Calls of `PortraitScreen.tick` between two changes: as many as while a gaze crosses its range in a second.
_TICKS: Final = 3


def change(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Time `PortraitScreen.show` against a bare blit, and a bare blit and flip, of the same rectangle.

    The gaze goes from frame to frame near rest, with time between them, as after a visitor. `sweep_ms` is a
    change on the way through the whole grid, whose frames are read shortly before; `jump_ms` is one to a
    frame far away, which is read from the disk's cache unless it was lit lately.
    """
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        surface = pygame.display.get_surface()
        box, bare = _bare(pack, config, screen, 0)
        grid = pack.info.main
        order, sweep = beside_rest(grid), serpentine_order(grid)

        def bare_flip(frame: int) -> None:
            pygame.display.update(surface.blit(bare[frame], box[:2]))

        _all_written(screen, config, order)
        times = _rounds(
            {
                "show": lambda frame: screen.show((frame,)),
                "bare_blit": lambda frame: surface.blit(bare[frame], box[:2]),
                "bare_blit_flip": bare_flip,
            },
            order,
            rounds,
            lambda frame: _go(screen, (frame,)),
        )
        _all_written(screen, config, sweep)
        times |= _rounds({"sweep": lambda frame: screen.show((frame,))}, sweep, 1, lambda _: _tick(screen))
        far = random.Random(1).sample(sweep, len(sweep))
        times |= _rounds({"jump": lambda frame: screen.show((frame,))}, far, 1)
        return {"driver": screen.driver, "size": screen.size, "patch": bare[0].get_size(), **times}


def together(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Time a change that moves one, two and all sitters against as many bare blits of their rectangles."""
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        surface = pygame.display.get_surface()
        sitters, rest = range(len(pack.info.sitters)), screen.shown
        boxes, bare = zip(*(_bare(pack, config, screen, sitter) for sitter in sitters), strict=True)
        order = beside_rest(pack.info.main)

        def moved_to(frame: int, moved: int) -> LitFrames:
            return (frame,) * moved + rest[moved:]

        def show(frame: int, moved: int) -> None:
            screen.show(moved_to(frame, moved))

        def go(frame: int, moved: int) -> None:
            _go(screen, moved_to(frame, moved))

        def blit(frame: int, moved: int) -> None:
            for sitter in range(moved):
                surface.blit(bare[sitter][frame], boxes[sitter][:2])

        _all_written(screen, config, order)
        found: dict[str, dict[str, float]] = {}
        for moved in (1, 2, len(sitters)):
            cases: dict[str, Callable[[int], object]] = {
                "show": partial(show, moved=moved),
                "bare_blits": partial(blit, moved=moved),
            }
            times = _rounds(cases, order, rounds, partial(go, moved=moved))
            found[f"{moved}"] = times | {"ratio": round(times["show_ms"] / times["bare_blits_ms"], 3)}
        return {"patches": [bare[sitter][0].get_size() for sitter in sitters], "sitters": found}


def textures(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Time a change when every frame was uploaded once as a texture: all of the screen is drawn anew."""
    from pygame._sdl2.video import Renderer, Texture, Window

    bare = resolve_output(parse_output(config.output)[0]) == "kmsdrm"
    os.environ["SDL_RENDER_VSYNC"] = "0"
    if bare:
        os.environ["SDL_VIDEODRIVER"] = "kmsdrm"
    pygame.display.init()
    size: Size = pygame.display.get_desktop_sizes()[0] if bare else (config.width, config.height)
    driver = pygame.display.get_driver()
    layout = layout_for(config, size)
    box, images = fit_patches(pack, layout)
    pictures = [pygame.image.frombuffer(image.tobytes(), image.size, "RGB") for image in images]
    base = fit_base(pack, layout)
    window = Window("textures", size, fullscreen=bare)
    renderer = Renderer(window, vsync=False)
    whole = Texture.from_surface(renderer, pygame.image.frombuffer(base.tobytes(), base.size, "RGB"))
    patches = [Texture.from_surface(renderer, picture) for picture in pictures]
    area = pygame.Rect(box[0], box[1], box[2] - box[0], box[3] - box[1])

    def draw(frame: int) -> None:
        renderer.blit(whole)
        renderer.blit(patches[frame], area)
        renderer.present()

    order = list(range(pack.info.main.count))
    return {"driver": driver, "size": size, **_rounds({"textures": draw}, order, rounds)}


def hold(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Show every frame, `rounds` times; say how much memory that took, and CPU time of a change of frame."""
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        counts = [grid.count for grid in pack.info.sitters]
        times = []
        for _ in range(rounds):
            began = time.thread_time()
            for number in range(max(counts)):
                screen.show(tuple(number % count for count in counts))
            times.append((time.thread_time() - began) / max(counts))
        status = Path("/proc/self/status").read_text()
        now = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return {
            "size": screen.size,
            "resident_mb": round(int(now) / 1024, 1),
            "show_ms": round(min(times) * 1000, 4),
        }


def _bare(
    pack: Pack, config: DisplayConfig, screen: PortraitScreen, sitter: int
) -> tuple[Box, list[pygame.Surface]]:
    """Return a sitter's box on the screen and its patches as surfaces, without a colour key."""
    box, images = fit_patches(pack, layout_for(config, screen.size), sitter)
    found = []
    for image in images:
        loaded = pygame.image.frombuffer(image.convert("RGB").tobytes(), image.size, "RGB")
        found.append(loaded.convert(pygame.display.get_surface()))
    return box, found


def _go(screen: PortraitScreen, frames: LitFrames) -> None:
    """Show frames, and let the screen do what it does between two changes."""
    screen.show(frames)
    _tick(screen)


def _tick(screen: PortraitScreen) -> None:
    for _ in range(_TICKS):
        screen.tick(time.monotonic(), time.time())


def _all_written(screen: PortraitScreen, config: DisplayConfig, order: list[int]) -> None:
    """Wait until an offscreen display has every frame's picture: packing them is no part of a change."""
    kind, folder = parse_output(config.output)
    while kind == "offscreen" and len(list(Path(folder).glob("frame_*.png"))) < len(order):
        for frame in order:
            screen.show(tuple(frame for _ in screen.shown))
            time.sleep(0.01)


def _rounds(
    cases: dict[str, Callable[[int], object]],
    order: list[int],
    rounds: int,
    after: Callable[[int], object] = bool,
) -> dict[str, float]:
    """Return the median of each case's ms per change, over rounds in which every case shows every frame.

    `after` is called with the frame, not timed, so that all cases find the processor's cache alike.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    shuffle = random.Random(0)
    for number in range(-1, rounds):
        for name in shuffle.sample(list(cases), len(cases)):
            for frame in order:
                start = time.perf_counter()
                cases[name](frame)
                if number >= 0:
                    times[name].append(1000 * (time.perf_counter() - start))
                after(frame)
    return {f"{name}_ms": round(statistics.median(values), 4) for name, values in times.items()}


if __name__ == "__main__":
    what, folder, output, wide, rounds_text = sys.argv[1:]
    width, _, height = wide.partition("x")
    result = {"change": change, "together": together, "textures": textures, "hold": hold}[what](
        Pack(Path(folder)),
        DisplayConfig(output=output, width=int(width), height=int(height)),
        int(rounds_text),
    )
    print(json.dumps(result))


# Required, at most.
FIRST_LIT: Final = 400.0  # ms
FOLLOWING: Final = 1500.0  # ms
RESTING: Final = 1.0  # percent of a core
CHANGE: Final = 1.2  # times a bare blit, or as many as sitters move
MEMORY: Final = {"1080x1920": 130.0, "2160x3840": 250.0}  # MB
# Sitters across and down, and how large their heads are as a share of the bundled portrait's.
_THREE: Final = (3, 1, 0.6)
_TWELVE: Final = (4, 3, 0.35)

_IMPORTS: Final = "import appliance.cli, appliance.cli.commands, appliance.service.app"
# The camera is off: its library is not there, whatever machine this is.
_NO_CAMERA: Final = (
    "import sys; sys.modules['picamera2'] = None;from appliance.cli import main; sys.exit(main(sys.argv[1:]))"
)
_CHILD: Final = "appliance.bench.display"
# Seconds that the shorter run at rest lasts: its start is done by then.
_SHORT_S: Final = 4


def bench_display(
    say: Callable[[str], None],
    output: str | None = None,
    rounds: int = 40,
    starts: int = 7,
    pack: Path | None = None,
    rest_s: int = 10,
) -> dict[str, Any]:
    """Measure the display with a portrait, and with pictures of three and twelve such sitters.

    Parameters
    ----------
    say : receives a line before each step
    output : where a change of frame is timed: "window" or "kmsdrm"; offscreen by default
    rounds : how often each change is timed
    starts : how often a start is timed
    pack : the portrait's folder, the bundled portrait by default
    rest_s : how many seconds at rest are measured

    Returns
    -------
    `start`: ms from the process's start to the first light and to the first frame that follows, of
    which `interpreter` and `imports`; `rest`: percent of a core; `change`: ms, and the ratio to a
    bare blit of the same rectangle; `together`: changes that move several of three sitters, ms and the ratio
    to as many bare blits; `memory`: by sitters and screen, MB of the display alone, of the compiled file on
    the disk, and the peak of all of `run` with a replayed camera; `required`: what is asked and whether
    it holds.

    Raises
    ------
    BadPack, BadAsset
        If the checkout was not set up.
    NoDisplay
        If `output` is not there.
    """
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ):
        os.environ["CACHE_DIRECTORY"] = f"{folder}/cache"
        pack, room = pack or home_folder() / "frames" / "sconosciuta", Path(folder) / "room"
        _room(room)
        say(f"display: {starts} starts")
        start = _starts(pack, room, Path(folder), starts)
        say(f"display: at rest, {4 * _SHORT_S + 2 * rest_s} s")
        rest = _rest(pack, Path(folder), rest_s)
        say("display: changes")
        wide = "1080x1920"
        where = output or f"offscreen:{folder}/lit"
        change = run_child("change", pack, where, wide, rounds)
        change["ratio"] = round(change["show_ms"] / change["bare_blit_ms"], 3)
        change["ratio_with_flip"] = round(change["show_ms"] / change["bare_blit_flip_ms"], 3)
        if output:
            say("display: the same with textures")
            change["textures_ms"] = run_child("textures", pack, where, wide, rounds)["textures_ms"]
        say("display: changes of three sitters")
        three = write_sitters(Pack(pack), Path(folder) / "three", *_THREE).folder
        together = run_child("together", three, f"offscreen:{folder}/three-lit", wide, rounds)
        twelve = write_sitters(Pack(pack), Path(folder) / "twelve", *_TWELVE).folder
        memory: dict[str, Any] = {}
        for name, portrait in (("1 sitter", pack), ("3 sitters", three), ("12 sitters", twelve)):
            memory[name] = {}
            for size in MEMORY:
                say(f"display: memory with {name} at {size}")
                memory[name][size] = _memory(portrait, room, Path(folder), size)
    return {
        "start": start,
        "rest_percent": rest,
        "change": change,
        "together": together,
        "memory": memory,
        "required": {
            "first lit, ms": _required(FIRST_LIT, start["first_lit_ms"]["median"]),
            "following, ms": _required(FOLLOWING, start["following_ms"]["median"]),
            "resting, percent": _required(RESTING, rest),
            "change / bare blit": _required(CHANGE, change["ratio"]),
            **{
                f"change of {moved} sitters / bare blits": _required(CHANGE, row["ratio"])
                for moved, row in together["sitters"].items()
            },
            **{
                f"memory of run at {size}, MB": _required(limit, memory["1 sitter"][size]["run_peak_mb"])
                for size, limit in MEMORY.items()
            },
        },
    }


def _starts(pack: Path, room: Path, folder: Path, count: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {}
    for number in range(-1, count):  # the first one compiles the portrait and warms the disk's cache
        interpreter = _took(["-c", "pass"])
        imports = _took(["-c", _IMPORTS]) - interpreter
        lit = folder / "lit"
        began = time.monotonic()
        run_and_measure([*_road(pack, f"replay:{room}", lit), "--seconds", "5"])
        rows = [json.loads(row) for row in (lit / "lit.jsonl").read_text().splitlines()]
        followed = [row["time"] for row in rows if row["frame"] != rows[0]["frame"]]
        if number < 0:
            continue
        if not followed:
            raise ApplianceError("the sitter did not follow within 5 s; is the machine overloaded?")
        row = {
            "interpreter_ms": interpreter,
            "imports_ms": imports,
            "first_lit_ms": rows[0]["time"] - began,
            "following_ms": followed[0] - began,
        }
        for name, value in row.items():
            times.setdefault(name, []).append(1000 * value)
    return {
        name: {"median": round(statistics.median(values), 1), "least": round(min(values), 1)}
        for name, values in times.items()
    }


def _rest(pack: Path, folder: Path, seconds: int) -> float:
    """Return percent of a core at rest: a long run's CPU time less a short one's, the least of two each."""
    road = _road(pack, "picamera", folder / "lit")[2:]
    short, long = (
        min(run_and_measure(["-c", _NO_CAMERA, *road, "--seconds", str(s)]).cpu_s for _ in range(2))
        for s in (_SHORT_S, _SHORT_S + seconds)
    )
    return round(100 * (long - short) / seconds, 2)


def _memory(pack: Path, room: Path, folder: Path, size: str) -> dict[str, float]:
    lit = folder / "lit"
    width, height = size.split("x")
    config = folder / "config.toml"
    config.write_text(f"[display]\nwidth = {width}\nheight = {height}\n")
    road = [*_road(pack, f"replay:{room}", lit), "--config", str(config), "--seconds", "3"]
    shutil.rmtree(os.environ["CACHE_DIRECTORY"], ignore_errors=True)
    compiling = run_and_measure(road).peak_mb
    display = run_child("hold", pack, f"offscreen:{lit}", size, 1)["resident_mb"]
    card = sum(path.stat().st_size for path in Path(os.environ["CACHE_DIRECTORY"]).glob("*.lit"))
    return {
        "display_mb": display,
        "disk_mb": round(card / 1e6, 1),
        "run_peak_mb": run_and_measure(road).peak_mb,
        "run_compiling_peak_mb": compiling,
    }


def _road(pack: Path, camera: str, lit: Path) -> list[str]:
    return [
        "-m",
        "appliance",
        "run",
        "--camera",
        camera,
        "--display",
        f"offscreen:{lit}",
        "--pack",
        str(pack),
    ]


def _room(folder: Path) -> None:
    """Make a folder of pictures in which a person stands to one side."""
    folder.mkdir()
    picture = Image.fromarray(scene(ASTRONAUT, (640, 360), 0.2, (0.25, 0.5)))
    for number in range(150):
        picture.save(folder / f"{number:03d}.png", compress_level=1)


def _took(arguments: list[str]) -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, *arguments], check=True)
    return time.monotonic() - start


def run_child(what: str, pack: Path, output: str, size: str, rounds: int) -> dict[str, Any]:
    """Run one of this module's measurements, see its head, in a process of its own; return what it found."""
    done = subprocess.run(
        [sys.executable, "-m", _CHILD, what, str(pack), output, size, str(rounds)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ApplianceError((done.stderr.splitlines() or [f"{_CHILD} {what} said nothing"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _required(limit: float, found: float) -> dict[str, float | bool]:
    return {"at_most": limit, "found": found, "met": found <= limit}
