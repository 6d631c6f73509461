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

from appliance.grid import FrameGrid
from appliance.library import use
from appliance.pack import write_pack
from tests.conftest import small_info

SIZE, BOX, FRAMES = (270, 480), (60, 90, 200, 250), 33
KILLS = 50

RUN = "import sys; sys.modules['picamera2'] = None; from appliance.cli import main; sys.exit(main(sys.argv[1:]))"


def large_pack(folder: Path, level: int) -> None:
    """A pack of one grey, whose compiling takes long enough to be hit."""
    base = Image.new("RGB", SIZE, (level, level, level))
    patches = [base.crop(BOX) for _ in range(FRAMES)]
    for frame, patch in enumerate(patches):
        patch.paste((level, 255 - 5 * frame, level), (0, 4 * frame, 140, 4 * frame + 4))
    patches[FRAMES // 2] = base.crop(BOX)
    angles = tuple(2.0 * (i - FRAMES // 2) for i in range(FRAMES))
    info = small_info(
        size=SIZE,
        title=f"grey {level}",
        sitters=(FrameGrid.one_row(BOX, angles, FRAMES // 2),),
    )
    write_pack(folder, info, base, patches)


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
def test_whenever_the_power_is_cut_the_next_start_shows_a_whole_portrait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    levels = {"one": 60, "two": 120, "three": 180, "four": 240}
    for name, level in levels.items():
        large_pack(state / name, level)
    use("one")
    chance = random.Random(7)
    names = list(levels)
    before = time.monotonic()
    hit = []
    for number in range(KILLS):
        out = tmp_path / "lit"
        process = started(state, out, 60)
        assert process.stderr is not None
        process.stderr.readline()  # it is lit
        use(names[number % len(names)])  # it switches within a second, and compiles: only a few are kept
        time.sleep(chance.uniform(0.0, 1.6))
        process.kill()
        process.wait()
        process.stderr.close()
        hit += [path.name for path in (tmp_path / "cache").glob(".*.part")]
        check = started(state, tmp_path / "after", 0.0)
        _, said = check.communicate(timeout=60)
        assert check.returncode == 0 and "damaged" not in said, said
        (row,) = (tmp_path / "after" / "lit.jsonl").read_text().splitlines()[:1]
        assert json.loads(row)["frame"] == FRAMES // 2
        shown = np.asarray(Image.open(tmp_path / "after" / f"frame_{FRAMES // 2}.png"))
        assert shown.shape == (960, 540, 3)
        assert set(np.unique(shown)) == {levels[names[number % len(names)]]}, "all of one portrait"
    assert hit, f"no kill met a half-written file in {time.monotonic() - before:.0f} s"
    sizes = [path.stat().st_size for path in (tmp_path / "cache").iterdir()]
    assert sum(sizes) < 4 * max(sizes), "few are kept, and nothing half-written"
