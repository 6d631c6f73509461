"""Many pictures at full speed: `deploy/test -m soak`; MONA_LISA_SOAK=20000 is a shorter one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.assets import home_folder
from tests.service.soak import WARM

PICTURES = int(os.environ.get("MONA_LISA_SOAK", "200000"))


@pytest.mark.soak
def test_nothing_grows_however_many_pictures_come(tmp_path: Path) -> None:
    assert PICTURES > WARM
    done = subprocess.run(
        [sys.executable, "-m", "tests.service.soak", str(PICTURES), str(tmp_path / "log")],
        capture_output=True, text=True, cwd=home_folder(),
    )  # fmt: skip
    log = (tmp_path / "log").read_text()
    assert done.returncode == 0, log
    result = json.loads(done.stdout)
    assert result["pictures"] >= PICTURES
    assert result["followed"] > PICTURES / 10, "people came"
    assert result["pictures"] - result["followed"] > PICTURES / 10, "and went"
    assert result["end"]["rss_kb"] - result["warm"]["rss_kb"] < 2048, result
    assert result["end"]["descriptors"] <= result["warm"]["descriptors"] + 1, "one may be open for a moment"
    assert result["end"]["threads"] <= result["warm"]["threads"]
    assert result["log_bytes"] < 10_000 * max(result["simulated_hours"], 1)
    assert "WARNING" not in log and "ERROR" not in log
