"""What the commands do: each a few lines over the rooms.

Rooms are imported by the commands that enter them: `run` must light the screen at once. A command
returns its exit code; an `ApplianceError` it raises is told by the caller.
"""

import argparse
import hashlib
import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance import assets, config
from appliance.errors import ApplianceError, BadImage, ConfigError
from appliance.library import current, installed
from appliance.library import use as hang


def run(arguments: argparse.Namespace) -> int:
    """Show the portrait and follow the viewer."""
    from appliance.service.loop import run as run_loop

    settings = config.load_config(arguments.config)
    if arguments.camera:
        _check("--camera", arguments.camera, config.CAMERAS)
        settings = replace(settings, camera=replace(settings.camera, source=arguments.camera))
    if arguments.display:
        _check("--display", arguments.display, config.DISPLAYS)
        settings = replace(settings, display=replace(settings.display, output=arguments.display))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    fixed = arguments.pack or settings.display.pack
    run_loop(settings, (lambda: Path(fixed)) if fixed else current, stop, arguments.seconds)
    return 0


def detect(arguments: argparse.Namespace) -> int:
    """Find faces in images."""
    from appliance.service.offline import describe_faces
    from appliance.vision.blazeface import FaceDetector

    detector = FaceDetector(arguments.model)
    found, failed = [], 0
    for path in arguments.image:
        try:
            found.append(describe_faces(path, detector, arguments.sampling == "mediapipe"))
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


def track(arguments: argparse.Namespace) -> int:
    """Follow the viewer through a folder of pictures."""
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


def render(arguments: argparse.Namespace) -> int:
    """Turn a picture into a pack."""
    from appliance.portrait.render import render as render_pack
    from appliance.portrait.render_from import render_from

    try:
        sha256 = hashlib.sha256(arguments.image.read_bytes()).hexdigest()
    except OSError as error:
        raise BadImage(f"{arguments.image}: {error.strerror}") from error
    known = next((p for p in assets.load_portraits() if p.sha256 == sha256), None)
    common: dict[str, Any] = {
        "frames": arguments.frames,
        "size": arguments.size,
        "say": _say,
        "choose": arguments.face,
        "title": arguments.title or (known.title if known else None),
        "artist": arguments.artist or (known.artist if known else "unknown"),
        "licence": arguments.licence or (known.licence if known else "unknown"),
    }
    if arguments.frames_from:
        blend = {
            "place": arguments.place,
            "steepness": arguments.j,
            "extent": arguments.k,
            "detail": arguments.detail,
        }
        render_from(arguments.image, arguments.frames_from, arguments.out, **common, **blend)
    else:
        render_pack(arguments.image, arguments.out, **common, yaw=arguments.yaw, eyes=arguments.eyes)
    return 0


def install(arguments: argparse.Namespace) -> int:
    """Render a portrait and hang it."""
    from appliance.portrait.install import install as install_portrait

    display = config.load_config(arguments.config).display
    pack = install_portrait(arguments.what, (display.width, display.height), _say, arguments.face)
    print(f"{pack.info.title} hangs")
    return 0


def list_portraits(arguments: argparse.Namespace) -> int:
    """List the portraits installed, and those known by name."""
    hanging = current()
    packs = installed()
    for pack in packs:
        mark = "*" if pack.folder == hanging else " "
        width, height = pack.info.size
        print(f"{mark} {pack.folder.name}: {pack.info.title}, {pack.info.artist}, {width}x{height}")
    there = {pack.folder.name for pack in packs}
    for portrait in assets.load_portraits():
        if portrait.name not in there:
            print(f"  {portrait.name}: {portrait.title}, {portrait.artist}, not installed")
    return 0


def use(arguments: argparse.Namespace) -> int:
    """Hang an installed portrait."""
    print(f"{hang(arguments.name).info.title} hangs")
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure a pack."""
    from appliance.portrait.evaluate import evaluate as measure

    results = measure(arguments.pack)
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        print("\n".join(f"{name:32} {value}" for name, value in results.items()))
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Fetch models and photographs."""
    assets.fetch(assets.load_assets(), arguments.source, _say)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check models and photographs."""
    wanted = assets.load_assets()
    faults = [fault for asset in wanted if (fault := assets.fault(asset))]
    for fault in faults:
        print(f"mona-lisa: {fault}", file=sys.stderr)
    if not faults:
        print(f"{len(wanted)} files right")
    return 1 if faults else 0


def config_check(arguments: argparse.Namespace) -> int:
    """Check a config file."""
    config.load_config(arguments.file)
    used = arguments.file or (config.SYSTEM_CONFIG if config.SYSTEM_CONFIG.exists() else None)
    print(f"{used}: right" if used else f"no {config.SYSTEM_CONFIG}: the defaults are in force")
    return 0


def config_show(arguments: argparse.Namespace) -> int:
    """Print the config in force."""
    print(config.dump_config(config.load_config(arguments.file)), end="")
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """Measure against a baseline."""
    from appliance.bench.report import bench as measure
    from appliance.bench.report import lines

    results = measure(arguments.what, _say)
    print(json.dumps(results, indent=2) if arguments.json else "\n".join(lines(results)))
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Film the loop on the simulated gallery."""
    from appliance.bench.demo import demo as film

    film(arguments.out, arguments.display, arguments.seconds, _say)
    return 0


def _check(option: str, value: str, rule: config.Pattern) -> None:
    if not rule.accepts(value):
        raise ConfigError(f"{option} {value}; expected {rule}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _pack_folder(settings: config.Config) -> Path:
    return Path(settings.display.pack) if settings.display.pack else current()
