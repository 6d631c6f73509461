"""Calibration on the gallery's technician, in virtual time, with answers given at scripted moments."""

import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.bench.gaze_walks import FACES
from appliance.cli import main
from appliance.config import CALIBRATION_FILE, CameraConfig, Config, GazeConfig, load_config, parse_config
from appliance.errors import CannotWrite, ConfigError, NotCalibrated
from appliance.files import check_writable
from appliance.gallery.body_motion import MonotoneCurve
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import RoomSpec, ScriptedPerson, WalkScript
from appliance.gaze.geometry import gaze_angle_to
from appliance.pack import Pack
from appliance.service import calibration
from appliance.service.calibration import (
    SITTERS_EYES,
    UNSTEADY,
    Place,
    calibrate,
    fit_camera_tilt,
    fit_gaze_settings,
    lost_at_next_boot,
    parse_height,
    tells_pitch,
    write_calibration,
)
from tests.conftest import in_camera, small_info

FRONT, LEFT, RIGHT = Place(150, 0, 2000), Place(1100, 0, 2000), Place(-900, 0, 2000)
LEVEL = GazeConfig(camera_right=150)
# Where the technician stands: mm to the right of the sitter's eyes and ahead of them.
MARKS = [(0, 2000), (-950, 2000), (1050, 2000)]
SITTERS = 1550


def enter(seconds: float, typed: str = "") -> "list[str | None]":
    """A line typed after so many seconds of pictures seen while waiting for it."""
    return [*([None] * int(10 * seconds)), typed]


def run(
    answers: "Iterable[str | None]",
    place: GazeConfig = LEVEL,
    eyes: float = SITTERS,
    marks: Sequence[tuple[float, float]] = MARKS,
    before: GazeConfig | None = None,
    said: list[str] | None = None,
) -> tuple[GazeConfig, list[str], list[str]]:
    """What is measured by a camera at a place: the settings, what was said, and the live lines.

    The technician, whose eyes are so many mm above the floor, stays 6 s at each mark.
    """
    times = [7.5 * i + stay for i in range(len(marks)) for stay in (0, 6)]
    seen = [in_camera((right, eyes - SITTERS, ahead), place) for right, ahead in marks for _ in range(2)]
    x, y, z = (MonotoneCurve.through(tuple(times), values) for values in zip(*seen, strict=True))
    person = ScriptedPerson("technician", FACES[0], x, y, z)
    camera = GalleryCamera(WalkScript("marks", times[-1], RoomSpec(), (person,)), rate=10.0, pace=False)
    said = [] if said is None else said
    lines: list[str] = []
    left = iter(answers)
    gaze = calibrate(
        camera,
        Config(camera=CameraConfig(source="gallery"), gaze=before or GazeConfig()),
        small_info(),
        lambda: next(left, "q"),
        said.append,
        lambda line, _: lines.append(line),
    )
    return gaze, said, lines


def test_calibrating_begins_with_the_lens_and_its_angle() -> None:
    said: list[str] = []
    with pytest.raises(NotCalibrated):
        run(["q"], said=said)
    assert said[0] == "Seen through gallery, 66 degrees wide."


def test_three_marks_give_offset_mirror_and_limits() -> None:
    before = GazeConfig(camera_up=-12.25, camera_pitch=0.75)
    gaze, said, lines = run(["", *enter(1), *enter(6), *enter(6)], before=before)
    assert gaze.camera_right == pytest.approx(150, abs=15)
    assert not gaze.mirrored
    assert (gaze.camera_up, gaze.camera_pitch) == (-12.25, 0.75)
    expected = [gaze_angle_to(p.x_mm, p.y_mm, p.z_mm, LEVEL) for p in (LEFT, RIGHT)]
    assert [gaze.limit_left, gaze.limit_right] == pytest.approx(expected, abs=1)
    assert "camera_up stays -12.25 mm and camera_pitch 0.75 degrees" in said[1]
    assert said[3].startswith("front: ") and said[3].endswith("m ahead of the camera")
    assert len(said) == 8
    assert lines[0] == ""  # else it would overwrite the height while that is typed
    assert "m away, frame" in lines[-1] and lines[-1].startswith("angle")


@pytest.mark.parametrize(
    ("up", "pitch", "eyes"),
    [(500, -17, 1780), (-400, 8, 1550), (0, 0, 1650)],
    ids=["above", "below", "level"],
)
def test_height_and_tilt_are_measured(up: float, pitch: float, eyes: float) -> None:
    place = replace(LEVEL, camera_up=up, camera_pitch=pitch)
    answers = [f"{eyes / 10:g} cm", "1,55", *enter(1), *enter(6), *enter(6), *enter(6)]
    gaze, said, _ = run(answers, place, eyes, [*MARKS, (0, 1000)])
    # An eye point moves by up to 1 % of the face from one distance to the next, that is about a degree.
    assert gaze.camera_pitch == pytest.approx(pitch, abs=1.5)
    assert gaze.camera_up == pytest.approx(up, abs=40)
    assert gaze.camera_right == pytest.approx(150, abs=15)
    expected = [math.degrees(math.atan2(right, ahead)) for right, ahead in MARKS[1:]]
    assert [gaze.limit_left, gaze.limit_right] == pytest.approx(expected, abs=1)
    assert "Eyes in view, by their height above the floor: at 1 m " in "\n".join(said)


def test_a_wrong_height_is_told_and_asked_for_again() -> None:
    said: list[str] = []
    with pytest.raises(NotCalibrated, match="given up; nothing was written"):
        run(["1.7", "155", "q"], said=said)
    wrong = "'155'; expected a height from 0.3 to 4 m, like 1.62 or 162 cm"
    assert said[2:] == [SITTERS_EYES, wrong, SITTERS_EYES]


def test_without_the_sitters_height_three_marks_are_enough() -> None:
    gaze, said, _ = run(["1.7", "", *enter(1), *enter(6), *enter(6)])
    assert (gaze.camera_up, gaze.camera_pitch) == (0, 0)
    assert said[-1].startswith("right: ")


def test_marks_at_one_distance_leave_the_tilt_and_say_so() -> None:
    place = replace(LEVEL, camera_up=300, camera_pitch=-8)
    answers = ["1.55", "1.55", *enter(1), *enter(6), *enter(6), *enter(6)]
    gaze, said, _ = run(answers, place, marks=[*MARKS, (0, 1900)], before=GazeConfig(camera_pitch=-8.25))
    assert gaze.camera_pitch == -8.25
    assert gaze.camera_up == pytest.approx(300, abs=40)
    told = next(line for line in said if "too alike" in line)
    assert told.endswith("camera_pitch stays -8.25 degrees, only camera_up is measured")


@pytest.mark.parametrize("text", ["1.62", "1,62", " 1.62 m", "162 cm", "162cm"])
def test_a_height_may_be_typed_in_metres_or_centimetres(text: str) -> None:
    assert parse_height(text) == pytest.approx(1620)


@pytest.mark.parametrize(
    "text", ["162", "1.6.2", "-1.6", "0", "5'4\"", "1.62 mm", "nan", "tall", "1.62 cm", "9" * 400]
)
def test_another_height_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a height from 0\.3 to 4 m, like 1\.62") as error:
        parse_height(text)
    assert "\n" not in str(error.value)


CAMERAS = st.builds(
    GazeConfig,
    camera_right=st.floats(-500, 500),
    camera_forward=st.floats(-200, 200),
    camera_up=st.floats(-1500, 1500),
    camera_pitch=st.floats(-45, 45),
    mirrored=st.booleans(),
)
STANDS = st.lists(st.tuples(st.floats(-1000, 1000), st.floats(800, 4000)), min_size=3, max_size=6)


@given(CAMERAS, st.floats(-700, 700), STANDS)
def test_height_and_tilt_of_any_camera_are_found(
    place: GazeConfig, above: float, stands: list[tuple[float, float]]
) -> None:
    places = [Place(*in_camera((right, above, ahead), place)) for right, ahead in stands]
    assume(min(each.z_mm for each in places) > 200)
    known = place if not tells_pitch(places) else replace(place, camera_pitch=0.0)
    found = fit_camera_tilt(known, above, places)
    assert found.camera_pitch == pytest.approx(place.camera_pitch, abs=0.06)  # rounded to 0.1
    assert found.camera_up == pytest.approx(place.camera_up, abs=6)  # 0.05 degrees at up to 5 m
    assert replace(found, camera_up=place.camera_up, camera_pitch=place.camera_pitch) == place


def test_an_impossible_height_or_tilt_is_refused() -> None:
    places = [Place(0, -9000, 2000), Place(0, -3000, 1000)]
    with pytest.raises(
        NotCalibrated, match=r"camera_pitch = .* degrees; expected -3000 to 3000 mm and -60 to"
    ):
        fit_camera_tilt(GazeConfig(), 0, places)


def test_giving_up_or_the_end_of_input_writes_nothing() -> None:
    for answers in ([None, "q"], []):
        with pytest.raises(NotCalibrated, match="given up; nothing was written"):
            run(answers)


def test_a_mirrored_camera_is_noticed() -> None:
    gaze = fit_gaze_settings(GazeConfig(), Place(-150, 0, 2000), Place(-1100, 0, 2000), Place(900, 0, 2000))
    straight = fit_gaze_settings(GazeConfig(), FRONT, LEFT, RIGHT)
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
        fit_gaze_settings(GazeConfig(), front, left, right)


WALK = """
title = "marks"
duration = 60.0
[[person]]
who = "technician"
photograph = "grace_hopper.jpg"
keys = [
  {time = 0, x_mm = 150, z_mm = 2000}, {time = 7, x_mm = 150, z_mm = 2000},
  {time = 8.5, x_mm = 1100, z_mm = 2000}, {time = 16, x_mm = 1100, z_mm = 2000},
  {time = 19, x_mm = -900, z_mm = 2000}, {time = 24, x_mm = -900, z_mm = 2000},
  {time = 26.5, x_mm = 150, z_mm = 1000}, {time = 60, x_mm = 150, z_mm = 1000},
]
"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the system's settings."""
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(folder))
    return folder


def started(folder: Path, pack: Pack, walk: str) -> "subprocess.Popen[str]":
    """The command itself, on a screen that is a folder."""
    (folder / "config.toml").write_text(f'[display]\npack = "{pack.folder}"\nwidth = 180\nheight = 320\n')
    command = [sys.executable, "-m", "appliance", "calibrate"]
    command += ["--camera", f"gallery:{walk}", "--display", f"offscreen:{folder / 'lit'}"]
    environment = {**os.environ, "CONFIGURATION_DIRECTORY": str(folder)}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def test_the_command_given_up_writes_nothing_and_says_so(tmp_path: Path, pack: Pack) -> None:
    with started(tmp_path, pack, "demo") as command:
        said, _ = command.communicate("q\n", timeout=60)
    assert command.returncode == 1
    assert "How high above the floor are your eyes" in said
    assert [path.name for path in tmp_path.glob("*.toml*")] == ["config.toml"]


def test_the_command_without_an_input_gives_up_in_one_line(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "config.toml").write_text(f'[display]\npack = "{pack.folder}"\nwidth = 180\nheight = 320\n')
    command = f"exec {sys.executable} -m appliance calibrate --config {tmp_path}/config.toml --camera gallery"
    lit = f"--display offscreen:{tmp_path}/lit"
    ended = subprocess.run(
        ["sh", "-c", f"{command} {lit} <&-"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1 and ended.stderr == "mona-lisa: given up; nothing was written\n"


@pytest.mark.parametrize(
    ("endless", "fault"),
    [
        ("cat /dev/zero", r"\d+ bytes typed without Enter; .*"),
        ("yes tall", "10 answers, none of them a height; .*"),
    ],
)
def test_calibrate_ends_in_one_line_when_its_input_does_not(
    tmp_path: Path, pack: Pack, endless: str, fault: str
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[display]\npack = "{pack.folder}"\nwidth = 180\nheight = 320\n')
    command = f"{endless} | {sys.executable} -m appliance calibrate --camera gallery:empty"
    ended = subprocess.run(
        ["sh", "-c", f"{command} --config {config} --display offscreen:{tmp_path / 'lit'}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert re.fullmatch(rf"mona-lisa: {fault}nothing was written\n", ended.stderr)


def test_calibrate_gives_up_where_nobody_is_ever_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_TRIES", 2)  # 10 s of pictures each
    answers: Iterable[str | None] = chain([""], repeat(""))
    said: list[str] = []
    with pytest.raises(NotCalibrated, match="front: nobody was seen standing still in 2 tries"):
        run(answers, marks=[(20_000, 500)] * 3, said=said)
    assert said[3:] == [UNSTEADY] * 2


def test_a_long_answer_is_shown_cut() -> None:
    with pytest.raises(ValueError, match=r"^'x{40}'; expected a height"):
        parse_height("x" * 5000)


@pytest.mark.slow
def test_the_command_asks_for_heights_and_marks_and_writes_them(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "marks.toml").write_text(WALK)
    before = ""
    with started(tmp_path, pack, str(tmp_path / "marks.toml")) as command:
        assert command.stdin and command.stdout
        before = (tmp_path / "config.toml").read_text()
        began = math.inf
        for line in command.stdout:
            for text, moment, typed in (
                ("your eyes", 0.0, "1.55"),
                ("sitter's eyes", 0.0, "1,55 m"),
                ("in front of", 0.5, ""),
                ("left mark", 9.5, ""),
                ("right mark", 20.0, ""),
                ("middle again", 27.5, ""),
                ("nobody", 0.0, ""),
            ):
                if text in line:
                    began = min(began, time.monotonic())
                    time.sleep(max(0.0, began + moment - time.monotonic()))
                    command.stdin.write(f"{typed}\n")
                    command.stdin.flush()
    assert command.returncode == 0
    gaze = load_config(tmp_path / CALIBRATION_FILE).gaze
    assert gaze.camera_right == pytest.approx(150, abs=20) and not gaze.mirrored
    assert gaze.camera_pitch == pytest.approx(0, abs=1.5) and gaze.camera_up == pytest.approx(0, abs=40)
    assert (gaze.limit_left, gaze.limit_right) == pytest.approx((-25.4, 27.7), abs=1.5)
    assert (tmp_path / "config.toml").read_text() == before
    assert len(list((tmp_path / "lit").glob("frame_*.png"))) > 2


GAZE = GazeConfig(
    camera_right=12.5, camera_up=-350.5, camera_pitch=8.0, mirrored=True, limit_left=-31.0, limit_right=28.5
)


def test_calibrate_writes_only_its_own_file(system: Path) -> None:
    text = "[gaze]\ngain = 1.5 # keep\ncamera_right = 3.0\n[camera]\nrate = 20.0\n"
    (system / "config.toml").write_text(text)
    write_calibration(system / CALIBRATION_FILE, GAZE)
    assert (system / "config.toml").read_text() == text
    assert sorted(path.name for path in system.iterdir()) == [CALIBRATION_FILE, "config.toml"]
    config = load_config()
    assert config.gaze == replace(GAZE, gain=1.5)
    assert config.camera.rate == 20.0


def test_reset_brings_back_what_a_person_set(system: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (system / "config.toml").write_text("[gaze]\ncamera_up = -100\n")
    write_calibration(system / CALIBRATION_FILE, GAZE)
    assert main(["calibrate", "--reset"]) == 0
    assert not (system / CALIBRATION_FILE).exists()
    assert load_config().gaze == GazeConfig(camera_up=-100.0)
    told = capsys.readouterr().out.splitlines()
    kept = system / f"{CALIBRATION_FILE}.old"
    assert told[0] == f"{system / CALIBRATION_FILE}: removed, and kept as {kept}"
    assert "camera_right" in kept.read_text()
    assert f"gaze.camera_up = -100.0 ({system / 'config.toml'}:2)" in told
    assert "gaze.camera_right = 0.0 (default)" in told
    assert main(["calibrate", "--reset"]) == 0
    assert capsys.readouterr().out.startswith(f"{system / CALIBRATION_FILE}: not there\n")


def test_reset_removes_a_damaged_calibration(system: Path) -> None:
    (system / CALIBRATION_FILE).write_bytes(b"\xff[gaze")
    with pytest.raises(ConfigError):
        load_config()
    assert main(["calibrate", "--reset"]) == 0
    assert load_config().gaze == GazeConfig()


def test_reset_with_a_file_of_ones_own_is_refused(system: Path, tmp_path: Path) -> None:
    write_calibration(system / CALIBRATION_FILE, GAZE)
    assert main(["calibrate", "--reset", "--config", str(tmp_path / "mine.toml")]) == 2
    assert (system / CALIBRATION_FILE).exists()


def test_a_power_cut_leaves_the_old_calibration_or_the_new(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every system call that writing makes is the last one once."""
    layer = system / CALIBRATION_FILE
    write_calibration(layer, GAZE)
    seen = set()
    for name in ("fsync", "fchmod", "replace", "open"):
        write_calibration(layer, GAZE)
        with monkeypatch.context() as cut:
            cut.setattr(os, name, _power_cut)
            with pytest.raises(CannotWrite):
                write_calibration(layer, replace(GAZE, camera_right=99.0))
        seen.add(load_config().gaze.camera_right)
    assert seen == {GAZE.camera_right}
    write_calibration(layer, replace(GAZE, camera_right=99.0))
    assert load_config().gaze.camera_right == 99.0
    assert [path.name for path in system.iterdir()] == [CALIBRATION_FILE]


def _power_cut(*_: object, **__: object) -> None:
    raise OSError("cut")


def test_an_unwritable_config_is_told_before_the_first_mark(tmp_path: Path) -> None:
    path = tmp_path / CALIBRATION_FILE
    check_writable(path)
    check_writable(tmp_path / "not" / "yet" / CALIBRATION_FILE)
    path.write_text("")
    with pytest.raises(CannotWrite, match=rf"cannot be written \(.*{CALIBRATION_FILE} is no folder\)"):
        check_writable(path / "below-a-file.toml")


@pytest.mark.parametrize("own_file", [False, True])
def test_calibrate_writes_its_layer_and_never_a_file_of_ones_own(
    system: Path,
    tmp_path: Path,
    pack: Pack,
    own_file: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Measuring takes a minute of pictures; test_the_command_asks_for_heights_and_marks_and_writes_them does it in full.
    monkeypatch.setattr(calibration, "calibrate", lambda *_: GAZE)
    own = tmp_path / "own.toml" if own_file else system / "config.toml"
    text = f'[display]\npack = "{pack.folder}"\nwidth = 180\nheight = 320\n'
    own.write_text(text)
    command = ["calibrate", "--camera", "gallery:empty", "--display", f"offscreen:{tmp_path / 'lit'}"]
    assert main(command + ["--config", str(own)] * own_file) == 0
    assert own.read_text() == text
    told = capsys.readouterr().out
    assert told.startswith(f"{calibration.AIM_FIRST}\n")
    assert parse_config(told[told.index("[gaze]") :], "told").gaze == GAZE
    assert (system / CALIBRATION_FILE).exists() != own_file
    if not own_file:
        assert load_config().gaze == GAZE


@pytest.mark.parametrize(
    ("words", "folder", "lost"),
    [
        ("overlayroot=tmpfs:recurse=0 quiet", "/etc/mona-lisa", True),
        ("quiet boot=overlay", "/etc/mona-lisa", True),
        ("overlayroot=tmpfs:recurse=0", "/srv/etc/mona-lisa", False),  # on a data partition
        ("quiet", "/etc/mona-lisa", False),  # an overlay of another kind, as in a container
    ],
)
def test_what_a_read_only_root_forgets_is_known(tmp_path: Path, words: str, folder: str, lost: bool) -> None:
    (tmp_path / "cmdline").write_text(f"{words}\n")
    mounts = "overlay / overlay rw 0 0\n/dev/sda1 /srv ext4 rw 0 0\ntmpfs /srv/etcetera tmpfs rw 0 0\n"
    (tmp_path / "mounts").write_text(mounts)
    assert lost_at_next_boot(Path(folder), tmp_path) == lost
    assert not lost_at_next_boot(Path(folder), tmp_path / "nothing")
