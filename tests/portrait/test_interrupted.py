"""Ctrl-C while rendering leaves the old portrait or the new one."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.assets import home_folder, photograph_path
from appliance.pack import Pack

ALL = ["astronaut", "astronaut-eyes.png", "astronaut-sheet.png"]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def drawn(folder: Path) -> bool:
    return any(folder.glob(".astronaut.new-*/patch_00.png"))


MOMENTS: dict[str, Callable[[Path, str], bool]] = {
    "looking": lambda folder, said: "looking for the sitter" in said,
    "drawing": lambda folder, said: drawn(folder),
    "renamed": lambda folder, said: (folder / "astronaut").exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.slow
def test_ctrl_c_leaves_all_or_nothing(tmp_path: Path, moment: str) -> None:
    said, folder = tmp_path / "said", tmp_path / "packs"
    folder.mkdir()
    command = [sys.executable, "-m", "appliance", "portrait", "render", str(photograph_path("astronaut.png"))]
    command += ["--out", str(folder / "astronaut"), "--frames", "3", "--size", "180x320"]
    with said.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=home_folder())
        while not MOMENTS[moment](folder, said.read_text()) and process.poll() is None:
            pass
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert "Traceback" not in said.read_text()
    if files(folder):
        assert files(folder) == ALL
        Pack(folder / "astronaut").check()
    else:
        assert moment != "renamed"
    if code:  # else it was done already
        assert code == 130
        assert said.read_text().endswith("mona-lisa: interrupted\n")
    else:
        assert files(folder) == ALL
