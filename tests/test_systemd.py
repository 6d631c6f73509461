import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parent.parent / "systemd" / "mona-lisa.service"


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
