"""`mona-lisa aim`: the geometry of its lines, its verdict and text, and how it ends."""

import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.assets import home_folder
from appliance.bench.gaze_walks import FACES, to_yuv
from appliance.camera.base import YuvPicture
from appliance.camera.lens import Lens
from appliance.camera.sampling import Pixels
from appliance.cli import main
from appliance.config import CameraConfig, Config, GazeConfig
from appliance.display.calibration_overlay import Mark
from appliance.gallery.body_motion import MonotoneCurve
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import RoomSpec, ScriptedPerson, WalkScript
from appliance.pack import Pack
from appliance.service import camera_aiming as module
from appliance.service.calibration import CHILD, SEEN_THROUGH, TALL, eye_heights_in_view
from appliance.service.camera_aiming import LONGEST, Sight, TiltMeter, aim, eye_line, measured_tilt, verdict
from tests.conftest import in_camera, small_info
from tests.service.running import FakeClock

SITTERS = 1550.0
STRAIGHT = GazeConfig()
lenses = st.builds(Lens, st.just(640), st.sampled_from((360, 480)), st.floats(20, 120), st.floats(-0.2, 0.2))
places = st.builds(
    GazeConfig,
    camera_right=st.floats(-500, 500),
    camera_up=st.floats(-800, 800),
    camera_forward=st.floats(-100, 100),
    camera_pitch=st.floats(-35, 35),
    mirrored=st.booleans(),
)


def distance_to_line(point: tuple[float, float], line: Sequence[tuple[float, float]]) -> float:
    """The distance of a point from the nearest piece of a line, in pixels."""
    nearest = math.inf
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        dx, dy = x1 - x0, y1 - y0
        along = ((point[0] - x0) * dx + (point[1] - y0) * dy) / max(dx * dx + dy * dy, 1e-9)
        along = min(max(along, 0.0), 1.0)
        nearest = min(nearest, math.dist(point, (x0 + along * dx, y0 + along * dy)))
    return nearest


@given(
    lenses, places, st.floats(-3000, 3000), st.floats(-800, 900), st.sampled_from((1000.0, 1500.0, 2000.0))
)
def test_eyes_at_a_lines_height_and_distance_lie_on_it(
    lens: Lens, place: GazeConfig, right: float, rise: float, distance: float
) -> None:
    x, y, z = in_camera((right, rise, distance), place)
    assume(z > 0 and 1 + 3 * lens.distortion * (x * x + y * y) / (z * z) > 0.05)
    seen = lens.project(x, y, z)
    assume(0 <= seen[0] <= lens.width and 0 <= seen[1] <= lens.height)
    middle, points = eye_line(lens, place, rise, distance)
    # The pieces of a bent line are straight: they leave it by up to two pixels, two lines' thickness.
    assert distance_to_line(seen, points) < 2
    assert middle == pytest.approx(lens.project(0, y, z)[1])


@given(lenses, places, st.floats(-3000, 3000))
def test_a_line_out_of_the_picture_is_told_above_or_below(lens: Lens, place: GazeConfig, rise: float) -> None:
    middle, points = eye_line(lens, place, rise, 1000.0)
    assert points or middle in (-math.inf, math.inf)
    assert all(map(math.isfinite, np.ravel(points)))
    elevation = math.degrees(math.atan2(rise - place.camera_up, 1000.0 - place.camera_forward))
    assume(abs(elevation - place.camera_pitch) > 0.1)
    assert (middle < lens.height / 2) == (elevation > place.camera_pitch)


@given(places, st.floats(-1000, 1000), st.floats(500, 5000), st.floats(-800, 800))
def test_a_face_of_known_height_measures_the_tilt(
    place: GazeConfig, right: float, ahead: float, rise: float
) -> None:
    _, y, z = in_camera((right, rise, ahead), place)
    assume(z > 0)
    assert measured_tilt(y, z, rise - place.camera_up) == pytest.approx(place.camera_pitch)


@given(st.floats(30, 110), st.floats(-800, 800), st.integers(-30, 30))
def test_the_tilt_advised_brings_both_into_view(fov: float, up: float, pitch: int) -> None:
    gaze, lens = GazeConfig(camera_up=up, camera_pitch=float(pitch)), Lens(640, 360, fov)
    said, colour = verdict(eye_heights_in_view(lens, gaze, SITTERS))
    assert len(said) <= 40, "one line of the screen"
    if said == "No tilt fits: use a wide lens":
        return
    start = 1000 * float(said.split()[-2])
    if not said.startswith("Fits"):
        _, way, degrees, *_ = said.split()
        gaze = replace(gaze, camera_pitch=pitch + int(degrees) * {"up": 1, "down": -1}[way])
        assert colour == "orange"
    view = eye_heights_in_view(lens, gaze, SITTERS)
    for distance in (start, 5000.0):
        lowest, highest = view.eyes_in_view(distance)
        assert lowest <= CHILD + 1 and highest >= TALL - 1


def gallery(
    eyes: float = 1600.0, place: GazeConfig = STRAIGHT, clock: FakeClock | None = None
) -> GalleryCamera:
    """A camera that sees one visitor, who stands 1.8 m away a little to the side."""
    at = in_camera((150, eyes - SITTERS, 1800), place)
    x, y, z = (MonotoneCurve.through((0.0, 3000.0), (value, value)) for value in at)
    walk = WalkScript("one", 3000.0, RoomSpec(), (ScriptedPerson("visitor", FACES[0], x, y, z),))
    if clock is None:
        return GalleryCamera(walk, rate=10.0, pace=False)
    return GalleryCamera(walk, rate=10.0, clock=clock)


class Session:
    """What was shown and said, and an end after some pictures."""

    def __init__(self, pictures: int, clock: FakeClock | None = None, passes: float = 0.0) -> None:
        self.left, self.clock, self.passes = pictures, clock, passes
        self.said: list[str] = []
        self.shown: list[tuple[Pixels, Sequence[Mark], Sequence[tuple[str, str]], bool]] = []

    def show(
        self, pixels: Pixels, marks: Sequence[Mark], lines: Sequence[tuple[str, str]], flipped: bool
    ) -> None:
        self.shown.append((pixels, marks, lines, flipped))
        if self.clock:
            self.clock.now += self.passes

    def ended(self) -> bool:
        self.left -= 1
        return self.left < 0


def config(place: GazeConfig = STRAIGHT) -> Config:
    return Config(camera=CameraConfig(source="gallery"), gaze=place)


@pytest.mark.parametrize("eyes", [1150.0, 1600.0, 1850.0], ids=["child", "adult", "tall"])
def test_a_visitor_gets_a_box_and_the_distance(eyes: float) -> None:
    session = Session(12)
    aim(gallery(eyes), config(), small_info(), session.show, session.said.append, session.ended)
    pixels, marks, lines, flipped = session.shown[-1]
    assert pixels.shape == (360, 640, 3) and flipped
    (face,) = (mark for mark in marks if mark.side == "face")
    assert face.label in ("1.7 m", "1.8 m", "1.9 m")
    x, y = np.mean(face.points[:4], axis=0)
    seen = Lens(640, 360, 66).project(*in_camera((150, eyes - SITTERS, 1800), GazeConfig()))
    assert math.dist((x, y), seen) < 25
    names = [mark.label for mark in marks if mark.side != "face"]
    assert names == ["child 1 m out", "tall 1 m", "child 2 m", "tall 2 m"]
    assert lines[-1] == ("Fits: both in view from 1.5 m", "lime")
    assert all(len(line) <= 40 for line, _ in lines), "no line of the screen is wrapped"


def test_a_visitor_who_has_left_has_no_box() -> None:
    camera, aiming = gallery(), TiltMeter(config(), small_info(), SITTERS, None)
    empty = GalleryCamera("empty", rate=10.0, pace=False)
    with camera, empty:
        for _ in range(10):
            picture = camera.newest()
            there = aiming.see(picture, 66.0)
        for i in range(1, 8):
            left = aiming.see(replace(empty.newest(), captured=picture.captured + i / 10), 66.0)
    assert len(there.faces) == 1 and not left.faces


def test_the_lines_follow_a_camera_that_is_tilted() -> None:
    tilted = GazeConfig(camera_pitch=-8.0)
    aiming = TiltMeter(config(), small_info(), SITTERS, 1600.0)
    for place, told in ((GazeConfig(), "Tilt 0 degrees"), (tilted, "Tilt -8 degrees")):
        with gallery(1600.0, place) as camera:
            for _ in range(25):
                sight = aiming.see(camera.newest(), camera.horizontal_fov)
        # The eyes in one picture are wrong by up to a degree (test_height_and_tilt_are_measured).
        degrees = float(sight.lines[-2][0].split()[1])
        assert degrees == pytest.approx(float(told.split()[1]), abs=1.5)
        assert sight.lines[-2][0].endswith("(by your face)")
        assert sight.faces[0][1] == pytest.approx(1600, abs=60)
    assert sight.lines[-1][0].startswith("Tilt up")


def test_pictures_in_yuv_are_shown_like_those_in_rgb() -> None:
    one, two = (TiltMeter(config(), small_info(), SITTERS, None) for _ in "12")
    with gallery() as camera:
        for _ in range(5):
            picture = camera.newest()
            yuv = YuvPicture(*to_yuv(picture.pixels), picture.captured, picture.number)
            rgb_sight, yuv_sight = one.see(picture, 66.0), two.see(yuv, 66.0)
    assert rgb_sight.lines == yuv_sight.lines
    assert rgb_sight.faces[0] == pytest.approx(yuv_sight.faces[0], abs=60)
    assert np.abs(yuv.to_rgb().astype(int) - picture.pixels).mean() < 6


def test_a_line_of_text_comes_only_when_something_changes() -> None:
    clock = FakeClock()
    session = Session(80)
    aim(gallery(clock=clock), config(), small_info(), None, session.said.append, session.ended, clock=clock)
    begins = [SEEN_THROUGH % "gallery, 66 degrees wide", module.BEGINS_TEXT % 10, module.TILT_GIVEN % 0]
    assert session.said[:3] == begins
    (line,) = session.said[3:]
    assert line.startswith("Faces: 1.") and " m away with eyes 1." in line
    assert line.endswith(
        "Highest eyes 1.87 at 1 m, 2.23 at 2 m; Lowest eyes 1.30 at 1 m, 0.94 at 2 m; View 1.3 m wide at 1 m, "
        "2.6 m at 2 m; Tilt 0 degrees (settings); Fits: both in view from 1.5 m"
    )


def test_faces_that_never_rest_are_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = (Sight((), (("Fits", "lime"),), ((away, 1600.0),)) for away in (1500.0, 2000.0))
    sights = itertools.cycle((near, far))
    monkeypatch.setattr(TiltMeter, "see", lambda *_: next(sights))
    clock = FakeClock()
    session = Session(120)  # 12 s
    aim(gallery(clock=clock), config(), small_info(), None, session.said.append, session.ended, clock=clock)
    assert len(session.said[3:]) == 2


def test_it_ends_by_itself_after_ten_minutes() -> None:
    clock = FakeClock()
    session = Session(1000, clock, 60.0)
    aim(
        gallery(clock=clock),
        config(),
        small_info(),
        session.show,
        session.said.append,
        session.ended,
        clock=clock,
    )
    assert session.said[-1] == module.ENDED % 10
    assert LONGEST <= clock.now - 1000.0 < LONGEST + 65
    assert session.left > 900


def running(pack: Pack, folder: Path, *words: str) -> subprocess.Popen[str]:
    """`aim --text` as a process of its own, once it has said its first line."""
    file = folder / "aim.toml"
    file.write_text(f'[display]\npack = "{pack.folder}"\n[camera]\nwidth = 320\nheight = 180\n')
    command = [sys.executable, "-m", "appliance", "aim", "--text", "--camera", "gallery:still"]
    process = subprocess.Popen(
        [*command, "--config", str(file), *words], stdout=subprocess.PIPE, text=True, cwd=home_folder()
    )
    assert (
        process.stdout and process.stdout.readline() == f"{SEEN_THROUGH % 'gallery:still, 66 degrees wide'}\n"
    )
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_well(pack: Pack, tmp_path: Path, number: signal.Signals) -> None:
    process = running(pack, tmp_path)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_it_ends_when_the_sessions_process_is_killed(pack: Pack, tmp_path: Path) -> None:
    session = subprocess.Popen(["sleep", "1000"])
    process = running(pack, tmp_path, f"--session={session.pid}")
    assert process.poll() is None
    session.kill()
    session.wait()
    process.communicate(timeout=30)
    assert process.returncode == 0
    late = running(pack, tmp_path, f"--session={session.pid}")
    late.communicate(timeout=30)
    assert late.returncode == 0, "the session was gone before"


def test_it_ends_when_nobody_reads_its_output_any_more(pack: Pack, tmp_path: Path) -> None:
    process = running(pack, tmp_path)
    assert process.stdout
    process.stdout.close()
    assert process.wait(30) in (0, 1)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--camera=replay:/nowhere", "--text"], 1, "/nowhere: cannot be read as a folder"),
        (["--camera=gallery", "--display=kmsdrm"], 1, "to aim without a screen: mona-lisa aim --text"),
        (["--camera=gallery", "--display=offscreen:/x"], 2, module.NO_FILES % "offscreen:/x"),
    ],
    ids=["no camera", "no display", "a folder"],
)
def test_it_says_why_it_cannot_begin(
    words: list[str],
    code: int,
    told: str,
    pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "")
    (tmp_path / "aim.toml").write_text(f'[display]\npack = "{pack.folder}"\n')
    assert main(["aim", *words, "--config", str(tmp_path / "aim.toml")]) == code
    error = capsys.readouterr().err
    assert told in error and error.startswith("mona-lisa: ") and error.count("\n") == 1


def test_a_wrong_height_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["aim", "--eyes", "162"])
    assert "'162'; expected a height from 0.3 to 4 m, like 1.62 or 162 cm" in capsys.readouterr().err


def service_is(state: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `systemctl` say a state of the service."""
    systemctl = folder / "systemctl"
    systemctl.write_text(f"#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState={state}\\n'\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_beside_a_service_that_failed_anybody_may_aim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service_is("failed", tmp_path, monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["aim", "--text", "--camera", f"replay:{tmp_path}/nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_in_the_services_place_a_folder_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service_is("active", tmp_path, monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.chdir(tmp_path)
    started: list[str] = []

    def replaced(_: str, words: Sequence[str]) -> None:
        started.extend(words)
        raise SystemExit

    monkeypatch.setattr(os, "execvp", replaced)
    with pytest.raises(SystemExit):
        main(["aim", "--text", "--camera", "replay:shots"])
    assert f"--camera=replay:{tmp_path}/shots" in started


def test_beside_the_service_only_root_may_aim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service_is("active", tmp_path, monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["aim", "--text", "--camera", "gallery"]) == 1
    assert capsys.readouterr().err == f"mona-lisa: {module.SERVICE_RUNS}\n"
