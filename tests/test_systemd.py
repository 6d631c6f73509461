import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
UNIT = CHECKOUT / "systemd" / "mona-lisa.service"


def test_every_file_that_a_unit_names_is_in_the_release() -> None:
    units = sorted((CHECKOUT / "systemd").rglob("*.service"))
    named = [
        name
        for unit in units
        for name in re.findall(r"/opt/mona-lisa/current/(\S+)", unit.read_text("utf-8"))
    ]
    assert [name for name in named if not name.startswith("venv/") and not (CHECKOUT / name).exists()] == []
    assert "appliance/service/reboot_or_pause.py" in named


def can_score() -> bool:
    """Whether there is a systemd-analyze that scores a unit which is not installed (systemd 250)."""
    found = shutil.which("systemd-analyze")
    return found is not None and (
        "--offline" in subprocess.run([found, "--help"], capture_output=True, text=True).stdout
    )


@pytest.mark.skipif(not can_score(), reason="there is no systemd-analyze with --offline")
def test_systemd_scores_the_services_sandbox_under_one_point() -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=9", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
