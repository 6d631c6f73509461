"""Calibration on the gallery's technician, in virtual time, with answers given at scripted moments."""

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.bench.walks import visitor
from appliance.camera.gallery import GalleryCamera
from appliance.camera.walks import RoomSpec, Walk
from appliance.config import Config, GazeConfig, load_config
from appliance.errors import CannotWrite, ConfigError, NotCalibrated
from appliance.gaze.geometry import angle_to
from appliance.pack import Pack
from appliance.service.calibration import Place, calibrate, check_writable, fitted, write_gaze
from tests.conftest import small_info

FRONT, LEFT, RIGHT = Place(150, 0, 2000), Place(1100, 0, 2000), Place(-900, 0, 2000)
KEYS = [
    (0, 150, 2000), (2.5, 150, 2000), (3.5, 1100, 2000), (6, 1100, 2000), (7.5, -900, 2000), (12, -900, 2000),
]  # fmt: skip


def at(rate: float, seconds: float) -> "list[str | None]":
    """Enter at the given seconds of pictures seen while waiting for it."""
    return [*([None] * int(rate * seconds)), ""]


def run(answers: "list[str | None]") -> tuple[GazeConfig, list[str], list[str]]:
    walk = Walk("marks", 12.0, RoomSpec(), (visitor("technician", KEYS),))
    camera = GalleryCamera(walk, rate=10.0, pace=False)
    said: list[str] = []
    lines: list[str] = []
    left = iter(answers)
    gaze = calibrate(
        camera,
        Config(),
        small_info(),
        lambda: next(left, "q"),
        said.append,
        lambda line, _: lines.append(line),
    )
    return gaze, said, lines


def test_three_marks_give_offset_mirror_and_limits() -> None:
    gaze, said, lines = run([*at(10, 0.5), *at(10, 3), *at(10, 3)])
    assert gaze.camera_right == pytest.approx(150, abs=15)
    assert not gaze.mirrored
    expected = [angle_to(p.x_mm, p.y_mm, p.z_mm, GazeConfig(camera_right=150)) for p in (LEFT, RIGHT)]
    assert [gaze.limit_left, gaze.limit_right] == pytest.approx(expected, abs=1)
    assert said[1].startswith("front: ") and said[1].endswith("m ahead of the camera")
    assert len(said) == 6
    assert "m away, frame" in lines[-1] and lines[-1].startswith("angle")


def test_giving_up_or_the_end_of_input_writes_nothing() -> None:
    for answers in ([None, "q"], []):
        with pytest.raises(NotCalibrated, match="given up; nothing was written"):
            run(answers)


def test_a_mirrored_camera_is_noticed() -> None:
    gaze = fitted(GazeConfig(), Place(-150, 0, 2000), Place(-1100, 0, 2000), Place(900, 0, 2000))
    straight = fitted(GazeConfig(), FRONT, LEFT, RIGHT)
    assert gaze.mirrored and not straight.mirrored
    assert (gaze.camera_right, gaze.limit_left, gaze.limit_right) == (
        straight.camera_right, straight.limit_left, straight.limit_right,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("front", "left", "right"),
    [(FRONT, FRONT, FRONT), (Place(1400, 0, 2000), LEFT, RIGHT), (FRONT, LEFT, LEFT)],
)
def test_marks_that_make_no_sense_are_refused(front: Place, left: Place, right: Place) -> None:
    with pytest.raises(NotCalibrated, match="the marks were seen at"):
        fitted(GazeConfig(), front, left, right)


WALK = """
title = "marks"
duration = 60.0
[[person]]
who = "technician"
photograph = "grace_hopper.jpg"
keys = [
  {time = 0, x_mm = 150, z_mm = 2000}, {time = 7, x_mm = 150, z_mm = 2000},
  {time = 8.5, x_mm = 1100, z_mm = 2000}, {time = 16, x_mm = 1100, z_mm = 2000},
  {time = 19, x_mm = -900, z_mm = 2000}, {time = 60, x_mm = -900, z_mm = 2000},
]
"""


def started(folder: Path, pack: Pack, walk: str) -> "subprocess.Popen[str]":
    """The command itself, on a screen that is a folder."""
    (folder / "config.toml").write_text(f'[display]\npack = "{pack.folder}"\nwidth = 180\nheight = 320\n')
    command = [sys.executable, "-m", "appliance", "calibrate", "--config", folder / "config.toml"]
    command += ["--camera", f"gallery:{walk}", "--display", f"offscreen:{folder / 'lit'}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_command_given_up_writes_nothing_and_says_so(tmp_path: Path, pack: Pack) -> None:
    with started(tmp_path, pack, "demo") as command:
        said, _ = command.communicate("q\n", timeout=60)
    assert command.returncode == 1
    assert "Stand straight in front" in said
    assert [path.name for path in tmp_path.glob("config*")] == ["config.toml"]


def test_the_command_without_an_input_gives_up_in_one_line(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "config.toml").write_text(f'[display]\npack = "{pack.folder}"\nwidth = 180\nheight = 320\n')
    command = f"exec {sys.executable} -m appliance calibrate --config {tmp_path}/config.toml --camera gallery"
    lit = f"--display offscreen:{tmp_path}/lit"
    ended = subprocess.run(
        ["sh", "-c", f"{command} {lit} <&-"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1 and ended.stderr == "mona-lisa: given up; nothing was written\n"


@pytest.mark.slow
def test_the_command_asks_for_three_marks_and_writes_the_config(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "marks.toml").write_text(WALK)
    before = ""
    with started(tmp_path, pack, str(tmp_path / "marks.toml")) as command:
        assert command.stdin and command.stdout
        before = (tmp_path / "config.toml").read_text()
        began = math.inf
        for line in command.stdout:
            for text, moment in (
                ("in front of", 0.5),
                ("left mark", 9.5),
                ("right mark", 20.0),
                ("nobody", 0.0),
            ):
                if text in line:
                    began = min(began, time.monotonic())
                    time.sleep(max(0.0, began + moment - time.monotonic()))
                    command.stdin.write("\n")
                    command.stdin.flush()
    assert command.returncode == 0
    gaze = load_config(tmp_path / "config.toml").gaze
    assert gaze.camera_right == pytest.approx(150, abs=20) and not gaze.mirrored
    assert (gaze.limit_left, gaze.limit_right) == (
        pytest.approx(-25.4, abs=1.5),
        pytest.approx(27.7, abs=1.5),
    )
    assert (tmp_path / "config.toml.old").read_text() == before
    assert len(list((tmp_path / "lit").glob("frame_*.png"))) > 2


GAZE = GazeConfig(camera_right=12.5, mirrored=True, limit_left=-31.0, limit_right=28.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# mine\n[camera]\nrate = 20.0\n",
        "[gaze]\ngain = 1.5 # keep\ncamera_right = 3.0\n\n[camera]\nrate = 20.0\n",
    ],
)
def test_the_config_gets_the_four_keys_and_keeps_everything_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    write_gaze(path, GAZE)
    new, before = load_config(path), path.with_name("config.toml.old")
    assert (new.gaze.camera_right, new.gaze.mirrored) == (12.5, True)
    assert (new.gaze.limit_left, new.gaze.limit_right) == (-31.0, 28.5)
    assert before.read_text() == text
    for line in text.splitlines():
        assert line in path.read_text() or line.startswith("camera_right")
    write_gaze(path, GAZE)
    assert load_config(path) == new


def test_without_a_config_one_is_made_and_there_is_no_old_one(tmp_path: Path) -> None:
    write_gaze(tmp_path / "config.toml", GAZE)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_a_wrong_config_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[gaze]\ngian = 1\n")
    with pytest.raises(ConfigError, match=r"gaze\.gian"):
        write_gaze(path, GAZE)
    assert path.read_text() == "[gaze]\ngian = 1\n"


def test_what_could_not_be_written_is_said_before_anybody_stands_at_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    check_writable(path)
    check_writable(tmp_path / "not" / "yet" / "config.toml")
    path.write_text("gaze.gain = 1.5\n")
    with pytest.raises(ConfigError, match=r"config\.toml: gaze stands there without a section \[gaze\]"):
        check_writable(path)
    with pytest.raises(CannotWrite, match=r"config\.toml cannot be written; calibrate with sudo"):
        check_writable(path / "below-a-file.toml")
