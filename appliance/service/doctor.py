"""`mona-lisa doctor`: what the appliance needs, checked one by one, each with what to do."""

import grp
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from appliance import assets
from appliance.camera.lens import camera_listing_advice, choose_field_of_view, is_usb_camera
from appliance.config import CameraConfig, Config, load_layers
from appliance.display import monitor as plugs
from appliance.display.monitor import card_holders
from appliance.display.opening_hours import clock_is_set
from appliance.errors import ApplianceError, NoRuntime
from appliance.library import current_folder, library_folder, picture_on_card_news
from appliance.pack import Pack
from appliance.service.health import read_machine
from appliance.service.status import UNIT, ask_systemd

USER: Final = "mona-lisa"
_MEGABYTE: Final = 1 << 20
_JOURNALS: Final = ("var/log/journal", "run/log/journal")
_LIST_CAMERAS: Final = (
    "import json; from picamera2 import Picamera2; "
    "print(json.dumps([{k: str(c.get(k)) for k in ('Model', 'Id')} for c in Picamera2.global_camera_info()]))"
)


class Grade(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it; nothing if it is well."""

    grade: Grade
    found: str
    todo: str = ""


def ok(found: str) -> Finding:
    """Return that all is well."""
    return Finding(Grade.OK, found)


def warn(found: str, todo: str) -> Finding:
    """Return that it works but not as it should."""
    return Finding(Grade.WARN, found, todo)


def fail(found: str, todo: str) -> Finding:
    """Return that it does not work."""
    return Finding(Grade.FAIL, found, todo)


def examine(root: Path = Path("/"), config_file: Path | None = None) -> Iterator[tuple[str, Finding]]:
    """Yield the name of every check and what it found; `root` is where /sys, /proc and /dev lie."""
    config = Config()
    try:
        layered = load_layers(config_file)
        config = layered.config
        files = ", ".join(layer.name for layer in layered.layers)
        yield "config", ok(files or "none: the defaults are in force")
    except ApplianceError as error:
        yield "config", fail(str(error), "mend the line, then `mona-lisa config check`")
    kms = config.display.output in ("auto", "kmsdrm")
    camera = config.camera.source == "picamera"
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("groups", groups),
        ("devices", lambda: devices(root, camera, kms)),
        (
            "camera",
            lambda: cameras(config.camera) if camera else ok(f"{config.camera.source}: no hardware needed"),
        ),
        ("connectors", lambda: connectors(root) if kms else ok(f"{config.display.output}: none needed")),
        ("display", lambda: display(root) if kms else ok(f"{config.display.output}: no card needed")),
        ("SDL", lambda: sdl(kms)),
        ("models", lambda: models(config.vision.runtime)),
        ("portrait", lambda: portrait(config)),
        ("clock", clock),
        ("disk", lambda: disk(root)),
        ("memory", lambda: memory(root)),
        ("temperature", lambda: temperature(root)),
        ("power", lambda: power(root)),
        ("journal", lambda: journal(root)),
        ("watchdog", watchdog),
        ("service", service),
    ]
    for name, check in checks:
        try:
            yield name, check()
        except (ApplianceError, OSError, ValueError) as error:
            yield name, fail(str(error), "send `mona-lisa logs` to support")


def groups() -> Finding:
    """Check that the service's user may open camera and display."""
    try:
        pwd.getpwnam(USER)
        name = USER
    except KeyError:
        name = pwd.getpwuid(os.getuid()).pw_name
    there = {group.gr_name: group for group in grp.getgrall()}
    missing = [g for g in ("video", "render") if g not in there or name not in there[g].gr_mem]
    if not missing or name == "root":
        return ok(f"{name} is in video and render")
    return fail(
        f"{name} is not in {', '.join(missing)}", f"sudo usermod -aG {','.join(missing)} {name}; then restart"
    )


def devices(root: Path, camera: bool, kms: bool) -> Finding:
    """Check that the device files are there and open to this user."""
    wanted = []
    if kms:
        wanted += [("dri/card*", "the kernel's KMS driver: dtoverlay=vc4-kms-v3d in config.txt")]
    if camera:
        wanted += [("media*", "camera_auto_detect=1 in config.txt, and both ends of the camera's cable")]
        wanted += [("dma_heap/*", "a Raspberry Pi OS kernel")]
    for pattern, todo in wanted:
        found = sorted((root / "dev").glob(pattern))
        if not found:
            return fail(f"no /dev/{pattern}", f"check {todo}")
        if not any(os.access(path, os.R_OK | os.W_OK) for path in found):
            names = ", ".join(path.name for path in found)
            return warn(f"{names}: closed to this user", f"run it as {USER}: sudo -u {USER} mona-lisa doctor")
    return ok(", ".join(f"/dev/{pattern}" for pattern, _ in wanted) or "none needed")


def cameras(config: CameraConfig) -> Finding:
    """List the cameras in a process of its own, since a camera's driver may hang; check the lens's angle."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LIST_CAMERAS], capture_output=True, text=True, timeout=30
        )
    except subprocess.TimeoutExpired:
        return fail("listing the cameras takes more than 30 s", "restart the Pi; then check cable and power")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no more is known"])[-1]
        return fail(f"picamera2: {last}", camera_listing_advice(last))
    listed = json.loads(done.stdout.splitlines()[-1])
    found = [camera["Model"] for camera in listed if not is_usb_camera(camera)]
    if listed and not found:
        return fail(
            f"{listed[0]['Model']}: a USB camera, which cannot be used here",
            "connect a Raspberry Pi camera to the CSI socket, with the power off",
        )
    if not found:
        return fail(
            "no camera is listed", "switch off, check both ends of its cable; rpicam-hello --list-cameras"
        )
    angle, doubt = choose_field_of_view(found[0], config.field_of_view)
    said = f"{found[0]}, {angle:g} degrees wide"
    if doubt:
        return warn(
            f"{said}: {doubt}", "camera.field_of_view: the lens's angle, or 0 for the camera's own lens"
        )
    return ok("; ".join([said, *(f"{other} is not used" for other in found[1:])]))


def connectors(root: Path) -> Finding:
    """Check that a monitor is connected."""
    found = plugs.list_connectors(root / "sys/class/drm")
    connected = [plug.name for plug in found if plug.connected]
    if any(plug.connected and plug.modes for plug in found):
        return ok(f"monitor on {', '.join(connected)}")
    if connected:
        todo = "switch the monitor off and on, try another cable or HDMI socket; else another monitor"
        return fail(f"the monitor on {', '.join(connected)} offers no picture size", todo)
    if found:
        todo = "switch the monitor on, check its cable and its input; or vc4.force_hotplug=1 in cmdline.txt"
        return fail(f"no monitor on {', '.join(plug.name for plug in found)}", todo)
    return fail("no connector in /sys/class/drm", "check dtoverlay=vc4-kms-v3d in config.txt")


def display(root: Path) -> Finding:
    """Check that no other program than the service holds the display."""
    found = card_holders(root)
    named = ", ".join(f"{each.name} (process {each.pid}{each.unit and ', ' + each.unit})" for each in found)
    others = [each for each in found if each.unit != UNIT]
    todo = "end that program and disable what starts it; the portrait then returns by itself"
    if any(each.master for each in others):
        return fail(f"another program holds it: {named}", todo)
    if os.getuid() != 0:
        return ok("which program holds it is told to root alone: sudo mona-lisa doctor")
    if any(each.master is None for each in others):
        return warn(f"it is opened by {named}", f"if the screen does not show the portrait, {todo}")
    return ok(f"held by {named}" if found else "held by no program")


def sdl(kms: bool) -> Finding:
    """Check that SDL can light a screen without a desktop."""
    try:
        from appliance.display.open_display import pygame, video_drivers  # loads SDL
    except ImportError as error:
        return fail(f"pygame cannot be loaded ({error})", "sudo apt-get install python3-pygame")
    drivers = video_drivers()
    if kms and drivers and "KMSDRM" not in drivers:
        return fail(f"SDL has no KMSDRM, only {', '.join(drivers)}", "sudo apt-get install python3-pygame")
    return ok(f"SDL {'.'.join(map(str, pygame.get_sdl_version()))}, {', '.join(drivers)}")


def models(runtime: str) -> Finding:
    """Check the models' hashes, and that their runtime, as in `vision.runtime`, can be imported."""
    from appliance.vision.runtime import find_interpreter

    wanted = assets.load_assets(manifests=(assets.MODEL_MANIFEST,))
    faults = [fault for asset in wanted if (fault := assets.asset_fault(asset))]
    if faults:
        return fail(faults[0], "mona-lisa assets fetch")
    try:
        module = find_interpreter(runtime).__module__.partition(".")[0]
    except NoRuntime as error:
        return fail(str(error), "mend config.toml, or run deploy/provision again")
    return ok(f"{len(wanted)} files right, run by {module}")


def portrait(config: Config) -> Finding:
    """Check every image of the portrait that hangs."""
    try:
        pack = Pack(Path(config.display.pack) if config.display.pack else current_folder())
        pack.check()
    except ApplianceError as error:
        return fail(str(error), "mona-lisa portrait install sconosciuta")
    if news := picture_on_card_news():
        return warn(f"{pack.info.title} hangs; {news}", "see mona-lisa.txt on the boot partition")
    return ok(f"{pack.info.title}, {pack.info.main.count} frames, {pack.folder}")


def clock() -> Finding:
    """Check that the clock is set: the journal's times and the opening hours go by it."""
    now = time.strftime("%Y-%m-%d %H:%M %Z")
    if clock_is_set():
        return ok(f"{now}, synchronised")
    return warn(f"{now}, not synchronised", "give it a network with NTP, or a clock with a battery (RTC)")


def disk(root: Path) -> Finding:
    """Check room and health of the disk the portraits lie on."""
    errors = [
        int(path.read_text("ascii").strip() or 0) for path in (root / "sys/fs/ext4").glob("*/errors_count")
    ]
    if any(errors):
        return fail(f"{sum(errors)} file system errors", "save /etc/mona-lisa, then replace the card")
    free = shutil.disk_usage(library_folder()).free // _MEGABYTE
    if free < 20:
        return fail(f"{free} MB free", "make room: sudo journalctl --vacuum-size=50M; sudo apt-get clean")
    if free < 200:
        return warn(f"{free} MB free", "make room: sudo journalctl --vacuum-size=50M; sudo apt-get clean")
    return ok(f"{free:,} MB free")


def memory(root: Path) -> Finding:
    """Check free memory, and the contiguous part of it that the camera needs."""
    rows = (root / "proc/meminfo").read_text("ascii").splitlines()
    known = {row.split(":")[0]: int(row.split()[1]) // 1024 for row in rows if row.endswith("kB")}
    free, contiguous = known.get("MemAvailable", 0), known.get("CmaTotal", 0)
    said = f"{free:,} MB available, {contiguous} MB contiguous (CMA)"
    if free < 100:
        return warn(said, "end other programs; the service alone needs about 150 MB")
    if contiguous and contiguous < 64:
        return warn(said, "dtoverlay=vc4-kms-v3d,cma-128 in config.txt; the camera needs 64 MB at least")
    return ok(said)


def temperature(root: Path) -> Finding:
    """Check that the processor is neither hot nor slowed down."""
    machine = read_machine(root / "sys")
    if machine.temperature is None:
        return ok("no sensor")
    throttled = {True: ", throttled", False: "", None: ", throttling is not told"}[machine.throttled]
    said = f"{machine.temperature:.0f} degrees C{throttled}"
    hot = machine.temperature >= 80 or machine.throttled
    return warn(said, "give the case air or a heat sink") if hot else ok(said)


def power(root: Path) -> Finding:
    """Check that the power supply is strong enough."""
    low = read_machine(root / "sys").under_voltage
    if low:
        return fail("under-voltage", "use the official power supply and a short, thick cable")
    return ok("no under-voltage" if low is False else "no sensor")


def journal(root: Path) -> Finding:
    """Check that the log outlives a power cut."""
    on_disk, in_memory = (any((root / place).glob("*/system.journal")) for place in _JOURNALS)
    if on_disk and not in_memory:  # what lies on the disk may be an earlier system's
        return ok("persistent")
    todo = "install systemd/journald.conf.d/60-mona-lisa.conf; sudo systemctl restart systemd-journald"
    return warn("volatile: it is lost with every power cut", todo)


def watchdog() -> Finding:
    """Check that the hardware's watchdog is armed, which restarts a Pi that hangs altogether."""
    try:
        done = subprocess.run(
            ["systemctl", "show", "--value", "--property=RuntimeWatchdogUSec"],
            capture_output=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return warn("no systemd", "use Raspberry Pi OS")
    armed = done.stdout.strip()
    if armed in ("", "0", "infinity"):
        return warn("not armed", "RuntimeWatchdogSec=1m in /etc/systemd/system.conf, then restart")
    return ok(f"armed, {armed}")


def service() -> Finding:
    """Check that the service is enabled and runs."""
    known = ask_systemd()
    if known is None:
        return warn("mona-lisa.service is not installed", "see systemd/README.md")
    if known["ActiveState"] != "active":
        return fail(f"{known['ActiveState']} ({known['Result']})", "sudo systemctl start mona-lisa")
    return ok(f"active, {known['NRestarts']} restarts")
