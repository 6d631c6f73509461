"""Calibration on the gallery's technician, in virtual time, with answers given at scripted moments."""

import math
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
from appliance.config import CameraConfig, Config, GazeConfig, load_config
from appliance.errors import CannotWrite, ConfigError, NotCalibrated
from appliance.gallery.body_motion import MonotoneCurve
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import RoomSpec, ScriptedPerson, Walk
from appliance.gaze.geometry import gaze_angle_to
from appliance.pack import Pack
from appliance.service import calibration
from appliance.service.calibration import (
    SITTERS_EYES,
    UNSTEADY,
    Place,
    calibrate,
    check_writable,
    fitted,
    fitted_upright,
    parse_height,
    tells_pitch,
    write_gaze,
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
    camera = GalleryCamera(Walk("marks", times[-1], RoomSpec(), (person,)), rate=10.0, pace=False)
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
    found = fitted_upright(known, above, places)
    assert found.camera_pitch == pytest.approx(place.camera_pitch, abs=0.06)  # rounded to 0.1
    assert found.camera_up == pytest.approx(place.camera_up, abs=6)  # 0.05 degrees at up to 5 m
    assert replace(found, camera_up=place.camera_up, camera_pitch=place.camera_pitch) == place


def test_an_impossible_height_or_tilt_is_refused() -> None:
    places = [Place(0, -9000, 2000), Place(0, -3000, 1000)]
    with pytest.raises(
        NotCalibrated, match=r"camera_pitch = .* degrees; expected -3000 to 3000 mm and -60 to"
    ):
        fitted_upright(GazeConfig(), 0, places)


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
  {time = 19, x_mm = -900, z_mm = 2000}, {time = 24, x_mm = -900, z_mm = 2000},
  {time = 26.5, x_mm = 150, z_mm = 1000}, {time = 60, x_mm = 150, z_mm = 1000},
]
"""


def started(folder: Path, pack: Pack, walk: str) -> "subprocess.Popen[str]":
    """The command itself, on a screen that is a folder."""
    (folder / "config.toml").write_text(f'[display]\npack = "{pack.folder}"\nwidth = 180\nheight = 320\n')
    command = [sys.executable, "-m", "appliance", "calibrate", "--config", f"{folder}/config.toml"]
    command += ["--camera", f"gallery:{walk}", "--display", f"offscreen:{folder / 'lit'}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_command_given_up_writes_nothing_and_says_so(tmp_path: Path, pack: Pack) -> None:
    with started(tmp_path, pack, "demo") as command:
        said, _ = command.communicate("q\n", timeout=60)
    assert command.returncode == 1
    assert "How high above the floor are your eyes" in said
    assert [path.name for path in tmp_path.glob("config*")] == ["config.toml"]


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
    gaze = load_config(tmp_path / "config.toml").gaze
    assert gaze.camera_right == pytest.approx(150, abs=20) and not gaze.mirrored
    assert gaze.camera_pitch == pytest.approx(0, abs=1.5) and gaze.camera_up == pytest.approx(0, abs=40)
    assert (gaze.limit_left, gaze.limit_right) == pytest.approx((-25.4, 27.7), abs=1.5)
    assert (tmp_path / "config.toml.old").read_text() == before
    assert len(list((tmp_path / "lit").glob("frame_*.png"))) > 2


GAZE = GazeConfig(
    camera_right=12.5, camera_up=-350.5, camera_pitch=8.0, mirrored=True, limit_left=-31.0, limit_right=28.5
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# mine\n[camera]\nrate = 20.0\n",
        "[gaze]\ngain = 1.5 # keep\ncamera_right = 3.0 # and this\n\n[camera]\nrate = 20.0\n",
    ],
)
def test_the_config_gets_the_six_keys_and_keeps_everything_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    write_gaze(path, GAZE)
    new, before = load_config(path), path.with_name("config.toml.old")
    assert (new.gaze.camera_right, new.gaze.mirrored) == (12.5, True)
    assert (new.gaze.camera_up, new.gaze.camera_pitch) == (-350.5, 8.0)
    assert (new.gaze.limit_left, new.gaze.limit_right) == (-31.0, 28.5)
    assert before.read_text() == text
    for line in text.splitlines():
        assert line.replace("3.0 #", "12.5 #") in path.read_text()
    write_gaze(path, GAZE)
    assert load_config(path) == new


def test_calibrate_accepts_comments_with_any_line_end(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = (
        "# a\u0085[gaze]\u2028x = 1\r\n[ \"gaze\" ] # b\u2029c\r\n'camera_up' = 3.0 # d\u0085e\r\n"
        "gain = 1.5\r\n[display]\r\npack = '''\r\n[gaze]camera_pitch = 3'''\r\n"
    )
    path.write_bytes(text.encode())
    check_writable(path)
    write_gaze(path, GAZE)
    expected = text.replace("'camera_up' = 3.0", "camera_up = -350.5").replace(
        "c\r\n",
        "c\r\nlimit_right = 28.5\r\nlimit_left = -31.0\r\nmirrored = true\r\n"
        "camera_pitch = 8.0\r\ncamera_right = 12.5\r\n",
    )
    assert path.read_bytes().decode() == expected
    assert load_config(path).gaze.camera_pitch == 8.0


def test_without_a_config_one_is_made_and_there_is_no_old_one(tmp_path: Path) -> None:
    write_gaze(tmp_path / "config.toml", GAZE)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_a_wrong_config_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[gaze]\ngian = 1\n")
    with pytest.raises(ConfigError, match=r"gaze\.gian"):
        write_gaze(path, GAZE)
    assert path.read_text() == "[gaze]\ngian = 1\n"


def test_an_unwritable_config_is_told_before_the_first_mark(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    check_writable(path)
    check_writable(tmp_path / "not" / "yet" / "config.toml")
    path.write_text("gaze.gain = 1.5\n")
    with pytest.raises(ConfigError, match=r"config\.toml: gaze stands there without a section \[gaze\]"):
        check_writable(path)
    with pytest.raises(CannotWrite, match=r"config\.toml cannot be written; calibrate with sudo"):
        check_writable(path / "below-a-file.toml")
