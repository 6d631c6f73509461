import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from appliance.assets import home_folder, photograph_path
from appliance.cli import main
from appliance.pack import Pack, write_pack
from appliance.service import status
from tests.conftest import base_image, small_info, small_patches
from tests.service.test_app import portrait_at

AUDIT = """
import sys
def watch(event, arguments):
    if event.startswith("socket."):
        print("SOCKET", event, arguments, flush=True)
    elif event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1]):
        print("WRITE", arguments[0], flush=True)
sys.addaudithook(watch)
from appliance.cli import main
sys.exit(main(sys.argv[1:]))
"""


def failing(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert error.startswith("mona-lisa: ")
    assert error.count("\n") == 1, "one clear line"
    return code, error


def offscreen(folder: Path) -> list[str]:
    return ["--display", f"offscreen:{folder}"]


# A line of the log, red, on a cleared screen; the rest reads from right to left.
HOSTILE = "\x1b[2J\x1b[31m\r2026-11-28 ended\nWARNING all is well\x9b1m\u202ereverse\u2028\u2066"


def assert_plain(text: str, lines: int = 1) -> None:
    assert text.count("\n") == lines and text.endswith("\n")
    assert all(line.isprintable() and len(line) <= 1100 for line in text.splitlines())
    assert "all is well" in text, "it was told"


def test_a_hostile_file_name_is_told_in_one_plain_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = tmp_path / f"{HOSTILE}\udcff.jpg"
    for command in (["detect"], ["config", "check"], ["portrait", "install"], ["run", "--film"]):
        main([*command, str(name)])
        assert_plain(capsys.readouterr().err)
    name.write_bytes(photograph_path("astronaut.png").read_bytes())
    assert main(["detect", str(name)]) == 0
    assert_plain(capsys.readouterr().out, lines=2)
    assert main(["detect", "--json", str(name)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["image"] == str(name)


def test_a_hostile_key_or_a_long_refusal_fits_on_a_screen(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    key = json.dumps(HOSTILE)
    for text in (
        f"[gaze]\n{key} = 1",
        f"{key} = 1",
        f"[{key}]",
        f"[gaze]\ngain = {json.dumps(HOSTILE * 700)}",
    ):
        config.write_text(text)
        code, error = failing(capsys, "config", "check", config)
        assert code == 2
        assert_plain(error)


def test_a_wrong_word_is_quoted_without_its_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["portrait", HOSTILE], ["demo", "--seconds", HOSTILE], ["status", HOSTILE * 700]):
        with pytest.raises(SystemExit):
            main(arguments)
        assert_plain("".join(capsys.readouterr().err.splitlines(keepends=True)[-1:]))


def test_a_hostile_title_is_told_in_plain_text(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    info = small_info(title=HOSTILE, artist=HOSTILE)
    write_pack(tmp_path / "duchess", info, base_image(), small_patches())
    assert main(["portrait", "use", "duchess"]) == 0
    assert_plain(capsys.readouterr().out)
    assert main(["portrait", "list"]) == 0
    assert_plain(capsys.readouterr().out.splitlines(keepends=True)[0])
    main(["doctor"])
    (line,) = [line for line in capsys.readouterr().out.splitlines(keepends=True) if "portrait: " in line]
    assert_plain(line)


def test_a_hostile_status_is_one_plain_line_and_whole_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(status, "ask_systemd", lambda: None)
    fault = HOSTILE * 700
    known = {"monotonic": time.monotonic(), "sentence": "alone", "healthy": False, "fault": fault}
    (tmp_path / "status.json").write_text(json.dumps(known))
    assert main(["status"]) == 1
    assert_plain(capsys.readouterr().out)
    assert main(["status", "--json"]) == 1
    told = capsys.readouterr().out
    assert json.loads(told)["status"]["fault"] == fault
    assert all(line.isprintable() for line in told.splitlines())


def test_status_says_which_portrait_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(status, "ask_systemd", lambda: None)
    known = {"monotonic": time.monotonic(), "sentence": "alone", "healthy": True, "fault": ""}
    shown = {"portrait": "My Duchess", "artist": "A. Kauffmann", "pack": "/var/lib/mona-lisa/my-duchess"}
    (tmp_path / "status.json").write_text(json.dumps(known | shown))
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert told == "alone\nportrait: My Duchess, A. Kauffmann, /var/lib/mona-lisa/my-duchess\n"


@pytest.mark.parametrize(
    ("camera", "told"),
    [
        ("gallery:nowhere", "mona-lisa: no walk 'nowhere'; expected one of "),
        ("replay:/nowhere", "mona-lisa: /nowhere: cannot be read as a folder"),
    ],
)
def test_a_camera_that_is_not_there_is_refused_before_the_light(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pack: Pack, camera: str, told: str
) -> None:
    lit = tmp_path / "lit"
    _, error = failing(capsys, "run", "--camera", camera, "--pack", pack.folder, *offscreen(lit))
    assert error.startswith(told)
    assert not lit.exists()


def test_run_beside_the_running_service_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Pack
) -> None:
    known = "LoadState=loaded\\nActiveState=active\\n"
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\nprintf '{known}'\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    code, error = failing(capsys, "run", "--pack", pack.folder, "--display", "kmsdrm")
    told = "mona-lisa.service runs and holds the camera and the screen; sudo systemctl stop mona-lisa ends it"
    assert (code, error.startswith(f"mona-lisa: {told}")) == (1, True)
    code, error = failing(capsys, "run", "--pack", pack.folder, "--display", "kmsdrm", "--camera", "gallery")
    assert "runs and holds the screen; " in error


def test_a_name_in_utf8_is_told_in_letters_where_the_locale_is_c(tmp_path: Path) -> None:
    for mode in ("0", "1"):
        environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": mode}
        done = subprocess.run(
            [sys.executable, "-m", "appliance", "detect", "Gräfin 王.jpg"],
            env=environment,
            capture_output=True,
        )
        assert done.stderr.decode() == "mona-lisa: Gräfin 王.jpg: no such file\n"


@pytest.mark.parametrize("model", ["short", "full"])
def test_detect_finds_the_astronaut(capsys: pytest.CaptureFixture[str], model: str) -> None:
    assert main(["detect", str(photograph_path("astronaut.png")), "--json", "--model", model]) == 0
    (image,) = json.loads(capsys.readouterr().out)
    assert (image["width"], image["height"]) == (512, 512)
    (face,) = image["faces"]
    assert set(face) == {"score", "box", "right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"}
    assert (face["right_eye"][0] + face["left_eye"][0]) / 2 == pytest.approx(225, abs=2)
    assert face["right_eye"][0] < face["left_eye"][0]


def test_detect_names_the_broken_image_and_keeps_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(photograph_path("astronaut.png").read_bytes()[:5000])
    assert main(["detect", str(broken), str(photograph_path("grace_hopper.jpg")), "--json"]) == 1
    out, err = capsys.readouterr()
    assert [Path(image["image"]).name for image in json.loads(out)] == ["grace_hopper.jpg"]
    assert re.fullmatch(r"mona-lisa: .*broken.png: not a whole, readable image \(.*\)\n", err)


def test_track_prints_a_row_per_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pack: Pack
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[display]\npack = "{pack.folder}"\n')
    (tmp_path / "room").mkdir()
    for i in range(12):
        portrait_at(tmp_path / "room" / f"{i:02d}.png", 20)
    for i in range(96, 100):
        Image.new("RGB", (640, 360)).save(tmp_path / "room" / f"{i}.png")
    assert main(["track", str(tmp_path / "room"), "--json", "--fps", "10", "--config", str(config)]) == 0
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [row["picture"] for row in rows] == [f"{i:02d}.png" for i in (*range(12), *range(96, 100))]
    assert [row["time"] for row in rows] == pytest.approx([i / 10 for i in range(16)])
    viewer = {"x", "y", "head_x", "head_y", "eye_distance", "distance_mm", "confidence"}
    assert set(rows[0]["viewer"]) == viewer
    assert rows[5]["angle"] > 5 and rows[5]["frame"] > pack.info.main.rest
    assert rows[-1]["viewer"] is None


def test_an_empty_folder_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "empty").mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'[display]\npack = "{pack.folder}"\n')
    code, error = failing(capsys, "track", tmp_path / "empty", "--config", config)
    assert code == 1 and str(tmp_path / "empty") in error


def test_a_wrong_config_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[camera]\nrate = 400\n")
    code, error = failing(capsys, "config", "check", config)
    assert code == 2
    assert error == f"mona-lisa: {config}:2: camera.rate = 400; expected a number, 1 to 120 pictures/s\n"
    assert main(["run", "--config", str(config)]) == 2


def test_config_show_prints_what_is_in_force(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[gaze]\ncamera_right = 120\n")
    assert main(["config", "show", str(config)]) == 0
    assert "camera_right = 120.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--seconds", "-1"],
        ["portrait", "render", "x.png"],
        ["portrait", "install", "x.png", "--face", "both"],
        [
            "fomm",
            "animate",
            "--source",
            "x",
            "--driving",
            "y",
            "--checkpoint",
            "z",
            "--out",
            "o",
            "--face",
            "all",
        ],
        ["track", "d", "--fps", "nan"],
    ],
)
def test_bad_usage_is_exit_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_missing_pack_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, error = failing(capsys, "run", "--pack", tmp_path / "none", *offscreen(tmp_path / "lit"))
    assert code == 1 and "no pack there; make one with `mona-lisa portrait render`" in error


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        ["run"], ["detect"], ["track"], ["portrait", "render"], ["portrait", "install"], ["portrait", "list"],
        ["portrait", "use"], ["portrait", "evaluate"], ["assets", "fetch"], ["assets", "verify"],
        ["config", "check"], ["config", "show"], ["bench"], ["demo"], ["status"], ["doctor"], ["logs"],
        ["calibrate"], ["aim"],
    ]  # fmt: skip
    for command in commands:
        with pytest.raises(SystemExit) as caught:
            main([*command, "--help"])
        assert caught.value.code == 0
        told = capsys.readouterr().out
        assert f"example: mona-lisa {' '.join(command)}" in " ".join(told.split())
        assert not re.search(r"\bDIR\b", told), "errors say FOLDER, and the help must use the same word"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["lit at rest", "seeing through"])
def test_a_signal_ends_the_run_before_systemd_would_kill_it(
    pack: Pack, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    command = [sys.executable, "-m", "appliance", "run", "--camera", "gallery", "--pack", str(pack.folder)]
    ours, terminal = os.openpty()
    with subprocess.Popen(
        [*command, *offscreen(tmp_path)], stdin=terminal, stderr=subprocess.PIPE, text=True, cwd=home_folder()
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if moment in line:
                break
        asked = time.monotonic()
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait() == 0
        assert time.monotonic() - asked < 5.0  # the unit's TimeoutStopSec; 2 s asked of a quiet machine
    os.close(ours)
    os.close(terminal)
    assert rest.endswith("INFO ended\n")
    assert "Traceback" not in rest


def test_sighup_without_a_terminal_reads_the_config_again(pack: Pack, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.touch()
    command = [sys.executable, "-m", "appliance", "run", "--camera", "gallery:empty", "--config", str(config)]
    with subprocess.Popen(
        [*command, "--pack", str(pack.folder), *offscreen(tmp_path / "lit")],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home_folder(),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "seeing through" in line:
                process.send_signal(signal.SIGHUP)
            if "config read again" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read().endswith("INFO ended\n")


def test_no_picture_is_stored_and_no_socket_is_opened(pack: Pack, tmp_path: Path) -> None:
    command = [sys.executable, "-c", AUDIT, "run", "--camera", "gallery:cross", "--pack", str(pack.folder)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, *offscreen(tmp_path / "lit"), "--seconds", "4"],
        capture_output=True, text=True, cwd=home_folder(), env=environment, check=True,
    )  # fmt: skip
    assert "SOCKET" not in done.stdout
    written = {line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("WRITE")}
    assert f"{tmp_path / 'lit' / 'lit.jsonl'}" in written, "the watch works"
    named = {
        name for name in written if not name.isdecimal()
    }  # numbers are files of our own, opened atomically
    assert all(name.startswith(str(tmp_path / "lit")) for name in named)
    frames = {f"frame_{i:02d}.png" for i in range(pack.info.main.count)}
    assert {path.name for path in (tmp_path / "lit").iterdir()} <= frames | {"lit.jsonl"}


@pytest.mark.parametrize("cut_off", [True, False])
def test_ctrl_c_while_a_compiled_module_loads_is_an_interruption(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cut_off: bool
) -> None:
    def load(_: object) -> int:
        raise ImportError("initialization failed") from (KeyboardInterrupt() if cut_off else None)

    monkeypatch.setattr("appliance.cli.commands.status", load)
    if cut_off:
        assert main(["status"]) == 130
        assert capsys.readouterr().err == "\nmona-lisa: interrupted\n"
    else:
        with pytest.raises(ImportError):
            main(["status"])


def test_a_missing_package_is_one_line_also_in_doctor() -> None:
    program = (
        "import sys; sys.modules['pygame'] = None\n"  # as Python marks what is not there
        "from appliance.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    run, doctor = (
        subprocess.run(
            [sys.executable, "-c", program, word], capture_output=True, text=True, cwd=home_folder()
        )
        for word in ("run", "doctor")
    )
    assert run.returncode == 1 and run.stderr.startswith("mona-lisa: ") and run.stderr.count("\n") == 1
    assert "pygame" in run.stderr and run.stderr.endswith(
        "deploy/setup installs it, on a Pi deploy/provision\n"
    )
    assert doctor.returncode == 1 and not doctor.stderr
    assert "fail  SDL: pygame cannot be loaded (" in doctor.stdout
    assert "-> sudo apt-get install python3-pygame" in doctor.stdout


CLOSED = ["0", "1", "2", "0 1 2"]


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("service", [True, False])
def test_it_runs_with_standard_streams_closed(pack: Pack, tmp_path: Path, closed: str, service: bool) -> None:
    command = [sys.executable, "-m", "appliance", "run", "--camera", "gallery:empty", "--seconds", "1"]
    command += [*offscreen(tmp_path / "lit"), "--pack", str(pack.folder), *["--service"] * service]
    closing = " ".join(f"{number}>&-" for number in closed.split())
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {closing}', "bash", *command],
        env={**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)}, cwd=home_folder(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lit" / "frame_04.png").exists() and "Traceback" not in done.stderr


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    program = (
        "import os, sys; from appliance.cli import main; main(['config', 'show'])\n"
        "file = open(sys.argv[1], 'w'); os.write(2, b'a driver speaks')"
    )
    subprocess.run(
        ["bash", "-c", 'exec "$@" >&- 2>&-', "bash", sys.executable, "-c", program, tmp_path / "file"],
        cwd=home_folder(), check=True,
    )  # fmt: skip
    assert (tmp_path / "file").read_bytes() == b""


def test_a_monitor_switched_off_at_the_end_restarts_nothing(pack: Pack, tmp_path: Path) -> None:
    program = (
        "import sys, pygame; from appliance.display.screen import PortraitScreen; from appliance.cli import main\n"
        "def lost(): raise pygame.error('drmModePageFlip failed')\n"
        "fade = PortraitScreen.fade\n"
        "def fades(screen, seconds): pygame.display.flip = lost; fade(screen, seconds)\n"
        "PortraitScreen.fade = fades; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "run", "--service", "--camera", "gallery:empty"]
    with subprocess.Popen(
        [*command, "--pack", pack.folder, *offscreen(tmp_path / "lit")],
        stderr=subprocess.PIPE, text=True, cwd=home_folder(), env={**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "seeing through" in line:
                break
        process.terminate()
        process.terminate()
        try:
            assert process.wait(5.0) == 0
        finally:
            process.kill()
        assert "starting anew" not in process.stderr.read()


def test_a_portrait_may_lie_in_a_folder_of_any_name(pack: Pack, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    pack.folder.rename(odd)
    where = ["--pack", str(odd), *offscreen(tmp_path / "lit")]
    assert main(["run", "--camera", "gallery:empty", "--seconds", "1", *where]) == 0


@pytest.mark.parametrize("size", ["63x1920", "1080", "7681x64", "7680x4320"])
def test_a_forbidden_pack_size_is_refused_before_drawing(
    size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["portrait", "render", "none.png", "--size", size])
    assert f"argument --size: {size}; expected " in capsys.readouterr().err


def test_a_portrait_is_rendered_then_measured_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pack"
    options = ["--frames", "3", "--size", "270x480", "--rows", "1", "--title", "A Visitor"]
    code = main(["portrait", "render", str(photograph_path("astronaut.png")), "--out", str(out), *options])
    verdict = capsys.readouterr().out.splitlines()
    assert (Pack(out).info.title, Pack(out).info.main.count) == ("A Visitor", 3)
    assert main(["portrait", "evaluate", str(out)]) == code
    figures = capsys.readouterr().out.splitlines()
    assert "neutral_exact                    True" in figures
    assert figures[: len(verdict)] == verdict and verdict[0].startswith("verdict: ")


def test_head_frames_of_all_faces_at_once_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(photograph_path("astronaut.png"))
    options = ["--frames-from", str(tmp_path), "--face", "all", "--out", str(tmp_path / "pack")]
    assert main(["portrait", "render", picture, *options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--face all: head frames made elsewhere show one sitter" in said
