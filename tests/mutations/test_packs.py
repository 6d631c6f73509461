import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.assets import home_folder

pytestmark = pytest.mark.mutations

BATCH = 250  # in one process, whose memory is then looked at
MOST_MB = 300.0


def light(what: str, count: int, seed: int, folder: Path) -> Counter[str]:
    """Light so many mutations; return how each was met."""
    met: Counter[str] = Counter()
    for first in range(0, count, BATCH):
        place = folder / str(first)
        place.mkdir()
        arguments = [what, str(seed), str(first), str(min(BATCH, count - first)), str(place)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.mutations.portraits", *arguments],
            capture_output=True, text=True, cwd=home_folder(),
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stderr[-3000:]}\nnumbers from {first}, seed {seed}"
        assert not done.stderr, "nothing but the log"
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert found["peak_mb"] < MOST_MB, found
        met.update(found["met"])
        print(f"from {first}: {found['peak_mb']} MB, {found['slowest_s']} s")  # noqa: T201
    return met


def test_whatever_is_wrong_with_a_pack_a_whole_portrait_is_lit(
    count: Callable[[int], int], seed: int, tmp_path: Path
) -> None:
    met = light("packs", count(6000), seed, tmp_path)
    assert met.total() == count(6000)
    assert any("another" in how for how in met) and any("another" not in how for how in met)
