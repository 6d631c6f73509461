"""The commands: each a few lines that call the packages.

Packages are imported in the commands that need them, because `run` must light the screen at once. A command
returns its exit code; an `ApplianceError` it raises is told by the caller.
"""

import argparse
import json
import logging
import os
import pwd
import select
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from appliance import assets, config
from appliance.errors import (
    ApplianceError,
    CameraBusy,
    ConfigError,
    DisplayLost,
    NotCalibrated,
    ServiceRuns,
)
from appliance.files import check_writable
from appliance.library import current_folder, picture_on_card_news
from appliance.schema import Pattern, toml_value
from appliance.terminal import print_step, printable_line

if TYPE_CHECKING:
    from appliance.service.settings import Flag

STARTING_ANEW: Final = "%s; starting anew"


log = logging.getLogger(__name__)

_ENDING = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def run(arguments: argparse.Namespace) -> int:
    """Show the portrait and follow the viewer."""
    from appliance.pack import Pack
    from appliance.service.app import run as run_loop
    from appliance.service.settings import Flag, Settings

    for option, value, rule in (
        ("--camera", arguments.camera, config.CAMERAS),
        ("--display", arguments.display, config.DISPLAYS),
        ("--film", str(arguments.film or ""), config.FILMS),
    ):
        if value:
            _check(option, value, rule)
    if arguments.pack and not arguments.service:
        Pack(arguments.pack)  # who names a portrait wants no other in its place
    settings = Settings(
        arguments.config,
        arguments.camera or "",
        arguments.display or "",
        str(arguments.film or ""),
        arguments.pack,
        arguments.service,
    )
    stop, ending = threading.Event(), Flag()
    for number in _ENDING:
        signal.signal(number, lambda *_: _end(stop, ending))
    if (
        settings.supervised or not sys.stdin.isatty()
    ):  # else the terminal is gone, and nobody could end it any more
        signal.signal(signal.SIGHUP, lambda *_: settings.reread.set())
    try:
        asked = settings.start()
        if not settings.supervised:
            _check_before_light(asked)
        run_loop(asked, settings.hanging, stop, arguments.seconds, settings=settings)
    except ApplianceError as error:
        if not settings.supervised:
            raise
        if isinstance(error, DisplayLost) and ending.is_set():
            _leave(0)  # a monitor switched off while it fades
        if isinstance(error, DisplayLost):
            log.error(STARTING_ANEW, error)
            logging.shutdown()
            os.execv(sys.executable, sys.orig_argv)  # SDL opens a display once in a process
        log.error("%s", error)
        _leave(error.exit_code)
    if settings.supervised:
        _leave(0)
    return 0


def _check_before_light(asked: config.Config) -> None:
    """Refuse what would fail once the portrait is lit: an unknown walk, or what the running service holds.

    Raises
    ------
    ConfigError, CameraAbsent
        If the simulated camera is not there.
    NoDisplay
        If there is neither a desktop nor a graphics card.
    ServiceRuns
        If the service holds the camera or the screen that is asked for.
    """
    from appliance.display.open_display import resolve_output
    from appliance.service.camera_creation import check_simulated
    from appliance.service.status import UNIT, ask_systemd

    check_simulated(asked.camera.source)
    held = [*["the camera"] * (asked.camera.source == "picamera")]
    held += ["the screen"] * (resolve_output(asked.display.output.partition(":")[0]) == "kmsdrm")
    systemd = ask_systemd() if held else None
    if systemd and systemd["ActiveState"] in ("active", "activating", "reloading"):
        raise ServiceRuns(
            f"{UNIT} runs and holds {' and '.join(held)}; sudo systemctl stop mona-lisa ends it for now, "
            "or try --camera gallery --display offscreen:FOLDER"
        )


def _end(stop: threading.Event, asked: "Flag") -> None:
    """Ask for the end once: a second signal could find the lock taken that the first one's handler holds."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    asked.set()
    stop.set()


def _leave(code: int) -> NoReturn:
    """End at once: Python would wait for threads that a driver never lets go."""
    logging.shutdown()
    os._exit(code)


def status(arguments: argparse.Namespace) -> int:
    """Tell how the service is."""
    from appliance.service.settings import read_in_force
    from appliance.service.status import condition, folder

    found = condition(folder())
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print(printable_line(found.line))
        known = found.status or {}
        if known.get("portrait"):
            parts = (known["portrait"], known.get("artist"), known.get("pack"))
            print(printable_line(f"portrait: {', '.join(str(part) for part in parts if part)}"))
        for line in known.get("overridden", ()):
            print(printable_line(line))
        if in_force := read_in_force(folder()):
            try:
                for line in config.not_yet_in_force(config.load_layers(), in_force):
                    print(printable_line(line))
            except ConfigError as error:
                print(printable_line(f"config wrong, it will not count: {error}"))
        if news := picture_on_card_news():
            print(printable_line(f"portrait on the card: {news}"))
    return 0 if found.healthy else 1


def doctor(arguments: argparse.Namespace) -> int:
    """Check everything the appliance needs."""
    from appliance.service.doctor import Grade, examine

    failed = False
    for name, finding in examine(config_file=arguments.config):
        print(f"{finding.grade:5} {name}: {printable_line(finding.found)}", flush=True)
        if finding.todo:
            print(f"      -> {printable_line(finding.todo)}")
        failed |= finding.grade is Grade.FAIL
    return 1 if failed else 0


def logs(arguments: argparse.Namespace) -> int:
    """Pack logs and settings for support."""
    from appliance.service.support_archive import check_log_readable, write_bundle

    check_log_readable()
    people = [user.pw_name for user in pwd.getpwall() if 1000 <= user.pw_uid < 60000]
    sizes = write_bundle(arguments.out, [socket.gethostname(), *people])
    empty = [name for name, size in sizes.items() if not size]
    told = f"{arguments.out}: {len(sizes) - len(empty)} files, no pictures, no addresses"
    if empty:
        told += f" (nothing was found for {', '.join(empty)})"
    print(printable_line(f"{told}; look into it before you send it"))
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
            print(f"mona-lisa: {printable_line(error)}", file=sys.stderr)
            failed = error.exit_code
    if arguments.json:
        print(json.dumps(found, indent=2))
        return failed
    for image in found:
        print(f"{printable_line(image['image'])}: {len(image['faces'])} face(s)")
        for number, face in enumerate(image["faces"], 1):
            eyes = f"eyes {face['right_eye']} {face['left_eye']}"
            print(f"  {number}: score {face['score']:.3f}, box {face['box']}, {eyes}")
    return failed


def track(arguments: argparse.Namespace) -> int:
    """Follow the viewer through a folder of pictures."""
    from appliance.pack import Pack
    from appliance.service.offline import LATENCIES, track_folder, track_refreshes

    latencies = arguments.camera_latency, arguments.vision_latency
    if arguments.refresh is None and latencies != (None, None):
        raise ConfigError("--camera-latency and --vision-latency go with --refresh HZ")
    settings = config.load_config(arguments.config)
    pack = Pack(_pack_folder(settings)).info
    if arguments.refresh is None:
        rows = track_folder(arguments.folder, arguments.fps, settings, pack)
    else:
        camera, vision = (
            given if given is not None else usual for given, usual in zip(latencies, LATENCIES, strict=True)
        )
        rows = track_refreshes(
            arguments.folder, arguments.fps, settings, pack, arguments.refresh, (camera, vision)
        )
    for row in rows:
        if arguments.json:
            print(json.dumps(row), flush=True)
        else:
            what = row.get("picture", f"{row['time']:.3f} s")
            look = f"angle {row['angle']}, pitch {row['pitch']}, frame {row['frame']}, row {row['row']}"
            print(f"{printable_line(what)}: {look}")
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Fetch models and photographs."""
    assets.fetch_assets(_wanted(arguments), arguments.source, print_step)
    what = "models" if arguments.models else "models and photographs"
    print_step(f"{what} are in {assets.home_folder()}")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check models and photographs."""
    wanted = _wanted(arguments)
    faults = [fault for asset in wanted if (fault := assets.asset_fault(asset))]
    for fault in faults:
        print(f"mona-lisa: {printable_line(fault)}", file=sys.stderr)
    if not faults:
        print(printable_line(f"{len(wanted)} files right in {assets.home_folder()}"))
    return 1 if faults else 0


def _wanted(arguments: argparse.Namespace) -> list[assets.Asset]:
    manifests = (assets.MODEL_MANIFEST,) if arguments.models else assets.MANIFESTS
    return assets.load_assets(manifests=manifests)


def config_check(arguments: argparse.Namespace) -> int:
    """Check one file, or all the system's layers; name every value that does not count, or not yet."""
    from appliance.service.settings import read_in_force
    from appliance.service.status import folder

    layered = config.load_layers(arguments.file)
    if arguments.quiet:
        return 0
    for layer in layered.layers:
        print(f"{printable_line(layer.name)}: right")
    if not layered.layers:
        print(printable_line(f"nothing in {config.config_folder()}: the defaults are in force"))
    for line in layered.overridden():
        print(printable_line(line))
    if not arguments.file and (in_force := read_in_force(folder())):
        for line in config.not_yet_in_force(layered, in_force):
            print(printable_line(line))
    return 0


def config_show(arguments: argparse.Namespace) -> int:
    """Print every setting that the files ask for, and where it comes from."""
    print(config.show_config(config.load_layers(arguments.file)), end="")
    return 0


def config_print(_: argparse.Namespace) -> int:
    """Print a config.toml to begin with."""
    print(config.print_config(), end="")
    return 0


def calibrate(arguments: argparse.Namespace) -> int:
    """Fit camera and portrait together."""
    from appliance.display.calibration_overlay import STOP_THE_SERVICE, calibration_overlay
    from appliance.pack import Pack
    from appliance.service import calibration
    from appliance.service.camera_creation import create_camera

    layer = config.config_folder() / config.CALIBRATION_FILE
    if arguments.reset:
        return _reset_calibration(layer, arguments.config)
    settings = _settings_of(arguments)
    if not arguments.config:
        check_writable(layer)
    camera = create_camera(settings.camera.source, settings.camera)
    pack = Pack(_pack_folder(settings))
    on_terminal = sys.stdout.isatty()
    typed, told = b"", ""

    def answer() -> str | None:
        nonlocal typed
        while b"\n" not in typed:
            if len(typed) > calibration.LONGEST_ANSWER:
                raise NotCalibrated(calibration.ENDLESS % len(typed))
            if not select.select([sys.stdin], [], [], 0)[0]:
                return None
            if not (more := os.read(sys.stdin.fileno(), 4096)):
                return "q"
            typed += more
        line, _, typed = typed.partition(b"\n")
        return line.decode("utf-8", "replace")

    def say(line: str) -> None:
        nonlocal told
        told = line = printable_line(line)
        print(f"\r{line}\x1b[K" if on_terminal else line, flush=True)

    say(calibration.AIM_FIRST)
    with calibration_overlay(settings.display, pack, say) as show:

        def live(line: str, frames: tuple[int, ...]) -> None:
            if on_terminal and line:
                print(f"\r{line}\x1b[K", end="", flush=True)
            show(frames, f"{told}\n{line}")

        try:
            gaze = calibration.calibrate(camera, settings, pack.info, answer, say, live)
        except CameraBusy as error:
            raise CameraBusy(f"{error} ({STOP_THE_SERVICE})") from error
    found = calibration.calibration_toml(gaze)
    if arguments.config:
        say(f"measured; nothing is written: put these lines into {arguments.config}")
    else:
        calibration.write_calibration(layer, gaze)
        say(f"{layer}: written")
    print(found, end="")
    if not arguments.config and calibration.lost_at_next_boot(layer.parent):
        print(printable_line(calibration.LOST % layer))
    return 0


def aim(arguments: argparse.Namespace) -> int:
    """Show what the camera sees, while somebody aims it."""
    from appliance.display.calibration_overlay import AimScreen
    from appliance.errors import NoDisplay
    from appliance.pack import Pack
    from appliance.service import camera_aiming as aiming
    from appliance.service.camera_creation import create_camera

    settings = _settings_of(arguments)
    if settings.display.output.startswith("offscreen:") and not arguments.text:
        raise ConfigError(aiming.NO_FILES % settings.display.output)
    if not arguments.session:
        aiming.take_over([sys.executable, str(Path(sys.argv[0]).absolute()), *_aim_words(arguments)])
    ended = aiming.SessionEnd(arguments.session)
    for number in _ENDING:
        signal.signal(number, lambda *_: ended.ask())
    camera = create_camera(settings.camera.source, settings.camera)
    pack = Pack(_pack_folder(settings)).info

    def say(line: str) -> None:
        print(printable_line(line), flush=True)

    with ExitStack() as stack:
        show = None
        if not arguments.text:
            try:
                show = stack.enter_context(AimScreen(settings.display, ended.ask)).show_camera
            except NoDisplay as error:
                raise NoDisplay(aiming.NO_SCREEN % error) from error
        sitter = arguments.sitter_eyes or aiming.SITTERS_EYES
        aiming.aim(camera, settings, pack, show, say, ended, sitter, arguments.eyes)
    return 0


def _aim_words(arguments: argparse.Namespace) -> list[str]:
    """Return the words of the command line again, for another working folder."""
    kind, _, place = (arguments.camera or "").partition(":")
    camera = f"replay:{Path(place).absolute()}" if kind == "replay" else arguments.camera
    given = vars(arguments) | {"config": arguments.config and arguments.config.absolute(), "camera": camera}
    heights = {"eyes": "eyes", "sitter_eyes": "sitter-eyes"}
    words = ["aim", *(["--text"] if arguments.text else [])]
    words += [f"--{name}={given[name]}" for name in ("config", "camera", "display") if given[name]]
    return words + [f"--{word}={given[name] / 1000:g}" for name, word in heights.items() if given[name]]


def _settings_of(arguments: argparse.Namespace) -> config.Config:
    """Return the settings with the camera and the display that were named; raises `ConfigError`."""
    settings = config.load_config(arguments.config)
    source = arguments.camera or settings.camera.source
    _check("--camera", source, config.CAMERAS)
    output = arguments.display or settings.display.output
    _check("--display", output, config.DISPLAYS)
    return replace(
        settings,
        camera=replace(settings.camera, source=source),
        display=replace(settings.display, output=output),
    )


def _reset_calibration(layer: Path, file: Path | None) -> int:
    from appliance.service.calibration import MEASURED, kept_calibration, reset_calibration

    if file:
        raise ConfigError("--reset goes without --config: it removes this machine's calibration")
    done = f"removed, and kept as {kept_calibration(layer)}" if reset_calibration(layer) else "not there"
    print(printable_line(f"{layer}: {done}"))
    layered = config.load_layers()
    for key in MEASURED:
        value = toml_value(getattr(layered.config.gaze, key))
        print(printable_line(f"gaze.{key} = {value} ({layered.origin(('gaze', key))})"))
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """Measure against a baseline."""
    from appliance.bench.report import bench as measure
    from appliance.bench.report import lines

    if arguments.display:
        _check("--display", arguments.display, config.DISPLAYS)
    if arguments.pictures:
        if arguments.what != "portrait":
            raise ConfigError(f"--pictures goes with bench portrait, not with bench {arguments.what}")
        from appliance.bench.portrait_rendering import bench_pictures, table

        check_writable(arguments.out)
        judged = bench_pictures(arguments.pictures, arguments.out, print_step)
        print(json.dumps(judged, indent=2) if arguments.json else "\n".join(table(judged)))
        return 0
    results = measure(arguments.what, print_step, arguments.display)
    print(json.dumps(results, indent=2) if arguments.json else "\n".join(lines(results)))
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Film the loop on the simulated gallery."""
    from appliance.bench.demo import demo as film
    from appliance.cli.portrait_commands import render_bundled

    render_bundled()
    film(arguments.out, arguments.display, arguments.seconds, print_step)
    return 0


def _check(option: str, value: str, rule: Pattern) -> None:
    if not rule.accepts(value):
        raise ConfigError(f"{option} {value}; expected {rule}")


def _pack_folder(settings: config.Config) -> Path:
    return Path(settings.display.pack) if settings.display.pack else current_folder()
