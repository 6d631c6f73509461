"""Power cuts: the process is killed at random moments while it compiles and switches portraits."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.library import hang_portrait
from appliance.pack import FrameGrid, write_pack
from tests.conftest import small_info

SIZE, FRAMES = (270, 480), 33
BOX, OTHER_BOX = (60, 90, 200, 250), (100, 300, 190, 470)
KILLS = 25

RUN = "import sys; sys.modules['picamera2'] = None; from appliance.cli import main; sys.exit(main(sys.argv[1:]))"


def large_pack(folder: Path, level: int, sitters: int) -> None:
    """A pack of one grey, whose compiling takes long enough to be hit; with two sitters they have rows."""
    base = Image.new("RGB", SIZE, (level, level, level))
    boxes = (BOX, OTHER_BOX)[:sitters]
    rows = (0.0, -5.0)[:sitters]
    angles = tuple(2.0 * (i - FRAMES // 2) for i in range(FRAMES))
    grids = tuple(
        FrameGrid(box, (box[0], box[1]), angles, rows, (1, 2)[: len(rows)], (0, FRAMES // 2)) for box in boxes
    )
    patches = []
    for grid in grids:
        for number in range(grid.count):
            patch = base.crop(grid.box)
            if number != grid.rest:
                patch.paste((level, 255 - number, level), (0, 2 * number, 90, 2 * number + 4))
            patches.append(patch)
    write_pack(folder, small_info(size=SIZE, title=f"grey {level}", sitters=grids), base, patches)


def started(state: Path, out: Path, seconds: float) -> "subprocess.Popen[str]":
    config = state / "config.toml"
    config.write_text("[display]\nwidth = 540\nheight = 960\n")
    options = ["run", "--camera", "picamera", "--config", str(config), "--seconds", str(seconds)]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *options, "--display", f"offscreen:{out}"],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("sitters", [1, 2])
def test_after_any_power_cut_a_whole_portrait_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sitters: int
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    levels = {"one": 60, "two": 120, "three": 180, "four": 240}
    for name, level in levels.items():
        large_pack(state / name, level, sitters)
    hang_portrait("one")
    chance = random.Random(7)
    names = list(levels)
    before = time.monotonic()
    hit = []
    for number in range(KILLS):
        out = tmp_path / "lit"
        process = started(state, out, 60)
        assert process.stderr is not None
        process.stderr.readline()  # it is lit
        hang_portrait(
            names[number % len(names)]
        )  # it switches within a second, and compiles: only a few are kept
        if number % 2:
            time.sleep(chance.uniform(0.0, 1.6))
        else:  # a fast machine compiles in a tenth of that time, so every other cut waits for it to begin
            until = time.monotonic() + 3
            while not list((tmp_path / "cache").glob(".*.part")) and time.monotonic() < until:
                time.sleep(0.002)
        process.kill()
        process.wait()
        process.stderr.close()
        hit += [path.name for path in (tmp_path / "cache").glob(".*.part")]
        check = started(state, tmp_path / "after", 0.0)
        _, said = check.communicate(timeout=60)
        assert check.returncode == 0 and "damaged" not in said, said
        (row,) = (tmp_path / "after" / "lit.jsonl").read_text().splitlines()[:1]
        assert json.loads(row)["frame"] in (FRAMES // 2, [FRAMES // 2] * 2)
        (picture,) = (tmp_path / "after").glob("*.png")
        shown = np.asarray(Image.open(picture))
        assert shown.shape == (960, 540, 3)
        assert set(np.unique(shown)) == {levels[names[number % len(names)]]}, "all of one portrait"
    assert hit, f"no kill met a half-written file in {time.monotonic() - before:.0f} s"
    sizes = [path.stat().st_size for path in (tmp_path / "cache").iterdir()]
    assert sum(sizes) < 4 * max(sizes), "few are kept, and nothing half-written"
