"""The display: how soon it is lit and follows, what a change costs, what it takes at rest."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image

from appliance.assets import home
from appliance.bench.processes import measure
from appliance.bench.scenes import ASTRONAUT, scene
from appliance.bench.sitters import write_sitters
from appliance.errors import ApplianceError
from appliance.pack import Pack

# Required, at most.
FIRST_LIT: Final = 400.0  # ms
FOLLOWING: Final = 1500.0  # ms
RESTING: Final = 2.0  # percent of a core
CHANGE: Final = 1.2  # times a bare blit, or as many as sitters move
MEMORY: Final = {"1080x1920": 130.0, "2160x3840": 250.0}  # MB
# Sitters across and down, and how large their heads are as a share of the bundled portrait's.
_THREE: Final = (3, 1, 0.6)
_TWELVE: Final = (4, 3, 0.35)

_IMPORTS: Final = "import appliance.cli, appliance.commands, appliance.service.loop"
# The camera is off: its library is not there, whatever machine this is.
_NO_CAMERA: Final = (
    "import sys; sys.modules['picamera2'] = None;from appliance.cli import main; sys.exit(main(sys.argv[1:]))"
)
_CHILD: Final = "appliance.bench.display_child"


def bench_display(
    say: Callable[[str], None], output: str | None = None, rounds: int = 40, starts: int = 7
) -> dict[str, Any]:
    """Measure the display with the bundled portrait, and with pictures of three and twelve such sitters.

    Parameters
    ----------
    say : receives a line before each step
    output : where a change of frame is timed: "window" or "kmsdrm"; offscreen by default

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
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CACHE_DIRECTORY"] = f"{folder}/cache"
        pack, room = home() / "frames" / "sconosciuta", Path(folder) / "room"
        _room(room)
        say(f"display: {starts} starts")
        start = _starts(pack, room, Path(folder), starts)
        say("display: at rest, 36 s")
        rest = _rest(pack, Path(folder))
        say("display: changes")
        wide = "1080x1920"
        where = output or f"offscreen:{folder}/lit"
        change = _child("change", pack, where, wide, rounds)
        change["ratio"] = round(change["show_ms"] / change["bare_blit_ms"], 3)
        change["ratio_with_flip"] = round(change["show_ms"] / change["bare_blit_flip_ms"], 3)
        if output:
            say("display: the same with textures")
            change["textures_ms"] = _child("textures", pack, where, wide, rounds)["textures_ms"]
        say("display: changes of three sitters")
        three = write_sitters(Pack(pack), Path(folder) / "three", *_THREE).folder
        together = _child("together", three, f"offscreen:{folder}/three-lit", wide, rounds)
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
        measure([*_road(pack, f"replay:{room}", lit), "--seconds", "5"])
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


def _rest(pack: Path, folder: Path) -> float:
    """Return percent of a core at rest: a long run's CPU time less a short one's, the least of two each."""
    road = _road(pack, "picamera", folder / "lit")[2:]
    short, long = (
        min(measure(["-c", _NO_CAMERA, *road, "--seconds", str(s)]).cpu_s for _ in range(2)) for s in (4, 14)
    )
    return round(100 * (long - short) / 10, 2)


def _memory(pack: Path, room: Path, folder: Path, size: str) -> dict[str, float]:
    lit = folder / "lit"
    width, height = size.split("x")
    config = folder / "config.toml"
    config.write_text(f"[display]\nwidth = {width}\nheight = {height}\n")
    road = [*_road(pack, f"replay:{room}", lit), "--config", str(config), "--seconds", "3"]
    shutil.rmtree(os.environ["CACHE_DIRECTORY"], ignore_errors=True)
    compiling = measure(road).peak_mb
    display = _child("hold", pack, f"offscreen:{lit}", size, 0)["resident_mb"]
    card = sum(path.stat().st_size for path in Path(os.environ["CACHE_DIRECTORY"]).glob("*.lit"))
    return {
        "display_mb": display,
        "disk_mb": round(card / 1e6, 1),
        "run_peak_mb": measure(road).peak_mb,
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
    """Make a folder of pictures of somebody who stands aside."""
    folder.mkdir()
    picture = Image.fromarray(scene(ASTRONAUT, (640, 360), 0.2, (0.25, 0.5)))
    for number in range(150):
        picture.save(folder / f"{number:03d}.png", compress_level=1)


def _took(arguments: list[str]) -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, *arguments], check=True)
    return time.monotonic() - start


def _child(what: str, pack: Path, output: str, size: str, rounds: int) -> dict[str, Any]:
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
