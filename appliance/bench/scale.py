"""How cost and memory grow with the faces in view, the picture, the sitters and the frames of a grid."""

import math
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from appliance.assets import home_folder
from appliance.bench.display import run_child
from appliance.bench.gaze_methods import LENS, settings
from appliance.bench.gaze_walks import NOISY, visitor
from appliance.bench.portrait_rendering import write_sitters
from appliance.camera.base import Picture
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import ScriptedPerson, WalkScript
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import GazeTarget, frames_for
from appliance.pack import Pack, PackInfo, write_pack
from appliance.vision.runtime import TfliteModel

# Required: the largest exponent of any cost or memory. Sizes count as pixels.
EXPONENT: Final = 1.1
# Faces in view, widths of a picture of 16:9, sitters across and down, and rows of frames.
FACES: Final = (1, 3, 10, 20, 30)
WIDTHS: Final = (320, 640, 960, 1280, 1920)
SITTERS: Final = ((1, 1), (3, 1), (3, 2), (4, 3))
ROWS: Final = (1, 3, 5, 9)
# Pictures of a walk; the viewer is found within the first ones, which do not count.
_PICTURES: Final = 60
_FOUND: Final = 15
# How often everything is timed; the least time counts, because a busy machine only adds to it.
_ROUNDS: Final = 5
# Size of a head, as a fraction of the bundled portrait's: that of twelve sitters, whatever their number.
_HEAD: Final = 0.35
_SCREEN: Final = "1080x1920"
# Rows of the group: eyes below the lens, and distance, in mm. Ten people stand in each.
_GROUP: Final = ((300.0, 2600.0), (-100.0, 3200.0), (-550.0, 3800.0))
_IN_ROW: Final = 10

Row = dict[str, float]


def bench_scale(
    say: Callable[[str], object],
    faces: Sequence[int] = FACES,
    widths: Sequence[int] = WIDTHS,
    sitters: Sequence[tuple[int, int]] = SITTERS,
    rows: Sequence[int] = ROWS,
    pictures: int = _PICTURES,
    screen: str = _SCREEN,
) -> dict[str, Any]:
    """Measure over four ranges; the other three are as in the bundled portrait before one visitor.

    Parameters
    ----------
    say : receives a line before each step
    faces, widths, sitters, rows : the ranges; `sitters` are (across, down), `rows` those of the grid
    pictures : how many of each walk are seen, more than `_FOUND`
    screen : WIDTHxHEIGHT of the display

    Returns
    -------
    For each range its rows, by what was varied, and the exponents fitted to each column: `see_ms` is CPU time
    per picture, `own_ms` without the model, `allocated_kb` the most that was allocated meanwhile;
    `frames_for_us` is the choice of the frames, `show_ms` CPU time of a change of all sitters, each frame
    being read first, `resident_mb` all of the display's process, `disk_mb` the compiled portrait.
    `required`: that all exponents hold, and that no picture is searched more than once.

    Raises
    ------
    BadPack, BadAsset, BadModel, NoRuntime
        If the checkout was not set up.
    """
    portrait = Pack(home_folder() / "frames" / "sconosciuta")
    measure = partial(_following, pack=portrait.info, pictures=pictures)
    found: dict[str, dict[int, Row]] = {"faces": {}, "pixels": {}, "sitters": {}, "frames": {}}
    for count in faces:
        say(f"scale: {count} faces")
        found["faces"][count] = measure(_group(count))
    for width in widths:
        height = width * 9 // 16
        say(f"scale: pictures of {width}x{height}")
        found["pixels"][width * height] = measure(_group(1), width=width, height=height)
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ):
        for across, down in sitters:
            say(f"scale: {across * down} sitters")
            pack = write_sitters(portrait, Path(folder) / f"{across}x{down}", across, down, _HEAD)
            found["sitters"][across * down] = _showing(pack, Path(folder), screen)
        for number in rows:
            pack = _with_rows(portrait, Path(folder) / f"rows{number}", number)
            say(f"scale: {pack.info.main.count} frames")
            found["frames"][pack.info.main.count] = _showing(pack, Path(folder), screen)
    searches = max(row.pop("searches") for name in ("faces", "pixels") for row in found[name].values())
    exponents = {name: exponents_of(table) for name, table in found.items()}
    largest = max(value for columns in exponents.values() for value in columns.values())
    return {
        **{name: {str(size): row for size, row in table.items()} for name, table in found.items()},
        "exponents": exponents,
        "required": {
            "largest exponent": {"at_most": EXPONENT, "found": largest, "met": largest <= EXPONENT},
            "searches of a picture": {"at_most": 1, "found": searches, "met": searches <= 1},
        },
    }


def exponents_of(table: dict[int, Row]) -> Row:
    """Return for each column the exponent e of the power law size ** e that fits it best in logarithms."""
    sizes = np.log(list(table))
    columns = next(iter(table.values()))
    return {
        name: round(float(np.polyfit(sizes, np.log([row[name] for row in table.values()]), 1)[0]), 3)
        for name in columns
    }


def _group(count: int) -> WalkScript:
    """Return a group of people who stand in rows, as for a photograph, the first in front."""
    people: list[ScriptedPerson] = []
    for number in range(count):
        down, away = _GROUP[number // _IN_ROW]
        # Those beside the middle come first.
        place = number % _IN_ROW
        right = (place // 2 + 0.5) * (1 if place % 2 else -1) * away / 8
        keys = [(moment, right, away) for moment in (0.0, _PICTURES / 30)]
        people.append(visitor(f"{number}", keys, face=number, mirrored=number % 3 == 0, down=down))
    return WalkScript(f"{count} people", _PICTURES / 30, NOISY, tuple(people))


class _Searches:
    """Counts the model's runs, and adds up the CPU time of this thread that they take, in seconds."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0
        self._run = TfliteModel.run

    def run(self, model: TfliteModel) -> None:
        began = time.thread_time()
        self._run(model)
        self.seconds += time.thread_time() - began
        self.count += 1


def _following(walk: WalkScript, pack: PackInfo, pictures: int, width: int = 640, height: int = 360) -> Row:
    """Measure how a walk is followed, on a new thread, whose kept memory counts as well."""
    with GalleryCamera(walk, width, height, pace=False) as camera:
        seen: list[Picture] = [camera.newest() for _ in range(pictures)]
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_follow, seen, pack).result()


def _follow(seen: Sequence[Picture], pack: PackInfo) -> Row:
    searches = _Searches()
    times: list[list[tuple[float, float]]] = []
    most = 0

    def see(controller: GazeController, picture: Picture) -> tuple[float, float]:
        """Return the CPU time of a picture in seconds, with and without the model's."""
        nonlocal most
        count, model, began = searches.count, searches.seconds, time.thread_time()
        controller.see(picture, LENS.horizontal_fov, pack)
        took = time.thread_time() - began
        most = max(most, searches.count - count)
        return took, took - (searches.seconds - model)

    with patch.object(TfliteModel, "run", lambda model: searches.run(model)):
        controller = GazeController(settings())
        tracemalloc.start()
        for picture in seen:
            controller.see(picture, LENS.horizontal_fov, pack)
        allocated = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        for _ in range(_ROUNDS):
            controller = GazeController(settings())
            # Copied just before, as cameras do.
            times.append([see(controller, deepcopy(picture)) for picture in seen])
    whole, own = np.min(times, axis=0)[_FOUND:].mean(axis=0) * 1000
    return {
        "see_ms": round(float(whole), 3),
        "own_ms": round(float(own), 3),
        "allocated_kb": round(allocated / 1024, 1),
        "searches": most,
    }


def _showing(pack: Pack, folder: Path, screen: str) -> Row:
    """Measure the choice of frames, and a display in a process of its own."""
    cache = folder / "cache" / pack.folder.name
    os.environ["CACHE_DIRECTORY"] = str(cache)
    # The first process compiles the portrait, which takes memory that the second one does not need.
    _, held = (run_child("hold", pack.folder, f"offscreen:{folder}/lit", screen, n) for n in (1, _ROUNDS))
    disk = sum(path.stat().st_size for path in cache.glob("*.lit"))
    return {
        "frames_for_us": round(_choosing(pack.info) * 1e6, 1),
        "show_ms": held["show_ms"],
        "resident_mb": held["resident_mb"],
        "disk_mb": round(disk / 1e6, 2),
    }


def _choosing(info: PackInfo) -> float:
    """Return the least CPU time in seconds of choosing frames for a viewer on their way across."""
    tracking, shown = settings().tracking, [grid.rest for grid in info.sitters]
    apart = [(100.0 * number, 0.0) for number in range(len(info.sitters))]
    times = []
    for step in range(200):
        angle = 20 * math.sin(step / 10)
        target = GazeTarget(None, angle, 0.0, 0.0, pitch=0.0, ahead_mm=2000.0, identity=1)
        began = time.thread_time()
        frames_for(target, 0.0, shown, tracking, info, apart)
        times.append(time.thread_time() - began)
    return min(times)


def _with_rows(pack: Pack, folder: Path, count: int) -> Pack:
    """Write a pack with `count` of the rows of a pack of one sitter, around the level one."""
    grid = pack.info.main
    first = min(max(grid.resting[0] - count // 2, 0), len(grid.pitches) - count)
    kept = slice(first, first + count)
    fewer = replace(
        grid,
        pitches=grid.pitches[kept],
        steps=grid.steps[kept],
        resting=(grid.resting[0] - first, grid.resting[1]),
    )
    numbers = [
        grid.number(row, column) for row in range(first, first + count) for column in grid.columns(row)
    ]
    write_pack(folder, replace(pack.info, sitters=(fewer,)), pack.base(), map(pack.patch, numbers))
    return Pack(folder)
