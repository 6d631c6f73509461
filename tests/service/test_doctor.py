import grp
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.config import CameraConfig, Config, DisplayConfig
from appliance.display import open_display
from appliance.display import opening_hours as system_clock
from appliance.pack import Pack
from appliance.service import doctor
from appliance.service.doctor import Grade, examine
from appliance.service.health import Machine, read_machine
from tests.display.test_monitor_holders import NEW_KERNEL, clients, process


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_every_check_says_what_to_do_unless_it_is_well(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": "MemAvailable: 900000 kB\nCmaTotal: 65536 kB\n"})
    config = tmp_path / "config.toml"
    config.write_text('[camera]\nsource = "gallery"\n')
    found = dict(examine(tmp_path, config))
    assert set(found) >= {
        "config", "groups", "devices", "camera", "connectors", "display", "SDL", "models", "portrait", "clock",
        "disk", "memory", "temperature", "power", "journal", "watchdog", "service",
    }  # fmt: skip
    for name, finding in found.items():
        assert (finding.grade is Grade.OK) == (finding.todo == ""), name
    assert found["config"].grade is Grade.OK
    assert found["camera"].found == "gallery: no hardware needed"
    assert found["devices"].found == "no /dev/dri/card*", "a display is missing here, and no camera is needed"


def test_a_wrong_config_fails_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": ""})
    (tmp_path / "config.toml").write_text("[camera]\nwidht = 640\n")
    found = dict(examine(tmp_path, tmp_path / "config.toml"))
    assert found["config"].grade is Grade.FAIL
    assert "config.toml:2: camera.widht" in found["config"].found


def test_a_model_runtime_that_is_missing_fails_with_its_name(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from appliance.service.doctor import examine;"
        "sys.modules['tflite_runtime'] = None;"  # as if it were not installed
        f"print(dict(examine(Path({str(tmp_path)!r}), Path({str(tmp_path / 'config.toml')!r})))['models'].found)"
    )
    (tmp_path / "config.toml").write_text('[vision]\nruntime = "tflite"\n[camera]\nsource = "gallery"\n')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        'vision.runtime = "tflite": tflite-runtime cannot be imported; install it, or set "auto"'
    )


def test_an_unreadable_file_fails_its_check_and_no_other(tmp_path: Path) -> None:
    found = dict(examine(tmp_path, write(tmp_path, {"c.toml": '[camera]\nsource = "gallery"\n'}) / "c.toml"))
    assert found["memory"].grade is Grade.FAIL and "meminfo" in found["memory"].found
    assert "service" in found


@pytest.mark.parametrize(
    ("states", "grade", "words"),
    [
        ({"card1-HDMI-A-1": "connected\n", "card1-HDMI-A-2": "disconnected\n"}, Grade.OK, "monitor on HDMI-A-1"),
        ({"card0-HDMI-A-1": "disconnected\n", "card0-Writeback-1": "connected\n"}, Grade.FAIL, "no monitor on HDMI-A-1"),
        ({}, Grade.FAIL, "no connector"),
    ],
)  # fmt: skip
def test_a_monitor_is_found_by_its_connectors(
    tmp_path: Path, states: dict[str, str], grade: Grade, words: str
) -> None:
    write(tmp_path, {f"sys/class/drm/{name}/status": state for name, state in states.items()})
    write(tmp_path, {f"sys/class/drm/{name}/modes": "1920x1080\n" for name in states})
    finding = doctor.connectors(tmp_path)
    assert finding.grade is grade and words in finding.found


def test_a_monitor_that_offers_no_picture_size_is_no_monitor(tmp_path: Path) -> None:
    plug = "sys/class/drm/card1-HDMI-A-1"
    finding = doctor.connectors(write(tmp_path, {f"{plug}/status": "connected\n", f"{plug}/modes": ""}))
    assert finding.grade is Grade.FAIL
    assert finding.found == "the monitor on HDMI-A-1 offers no picture size"


WIDE = {"Model": "imx708_wide", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"}
WEBCAM = {"Model": "HD Pro Webcam", "Id": "/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1.3:1.0-046d:0825"}


@pytest.mark.parametrize(
    ("listed", "angle", "grade", "words"),
    [
        ([WIDE], 0, Grade.OK, "imx708_wide, 102 degrees wide"),
        ([WIDE], 66, Grade.WARN, "imx708_wide, 66 degrees wide: its own lens has 102 degrees"),
        ([WIDE | {"Model": "imx477"}], 0, Grade.WARN, "imx477, 66 degrees wide: a guess"),
        ([WIDE | {"Model": "imx477"}], 40, Grade.OK, "imx477, 40 degrees wide"),
        ([WEBCAM], 0, Grade.FAIL, "HD Pro Webcam: a USB camera, which cannot be used here"),
        ([WEBCAM, WIDE], 0, Grade.OK, "imx708_wide, 102 degrees wide"),
        ([], 0, Grade.FAIL, "no camera is listed"),
    ],
)
def test_the_camera_its_lens_and_its_angle_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: list[dict[str, str]],
    angle: float,
    grade: Grade,
    words: str,
) -> None:
    # Stands in for picamera2 in the process that lists the cameras.
    lister = f"class Picamera2:\n    @staticmethod\n    def global_camera_info(): return {listed!r}\n"
    write(tmp_path, {"picamera2.py": lister})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = doctor.cameras(CameraConfig(field_of_view=angle))
    assert finding.grade is grade and finding.found.startswith(words)
    assert (finding.todo == "") == (grade is Grade.OK)


@pytest.fixture(params=[0, 1000], ids=["root", "a user"])
def user(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(os, "getuid", lambda: request.param)
    return int(request.param)


def test_the_program_that_holds_the_screen_is_named(tmp_path: Path, user: int) -> None:
    process(tmp_path, 412, "kmscube", "kiosk.service", "/dev/dri/card0")
    process(tmp_path, 367, "mona-lisa", "mona-lisa.service", "/dev/dri/card0")
    if user == 0:  # else debugfs cannot be read
        clients(tmp_path, NEW_KERNEL)
    finding = doctor.display(tmp_path)
    if user == 0:
        named = "kmscube (process 412, kiosk.service), mona-lisa (process 367, mona-lisa.service)"
        assert (finding.grade, finding.found) == (Grade.FAIL, f"another program holds it: {named}")
        assert "the portrait then returns by itself" in finding.todo
    else:
        assert finding == doctor.ok("which program holds it is told to root alone: sudo mona-lisa doctor")


def test_a_screen_that_the_service_holds_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert doctor.display(tmp_path).found == "held by no program"
    process(tmp_path, 412, "mona-lisa", "mona-lisa.service", "/dev/dri/card0")
    assert doctor.display(tmp_path).grade is Grade.OK
    clients(tmp_path, NEW_KERNEL)
    assert doctor.display(tmp_path) == doctor.ok("held by mona-lisa (process 412, mona-lisa.service)")


def test_without_debugfs_who_opened_the_screen_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    process(tmp_path, 412, "kmscube", "kiosk.service", "/dev/dri/card0")
    finding = doctor.display(tmp_path)
    assert finding.grade is Grade.WARN
    assert finding.found == "it is opened by kmscube (process 412, kiosk.service)"


@pytest.mark.parametrize(
    ("free", "cma", "grade"), [(900, 256, Grade.OK), (60, 256, Grade.WARN), (900, 16, Grade.WARN)]
)
def test_little_free_memory_or_cma_is_told(tmp_path: Path, free: int, cma: int, grade: Grade) -> None:
    write(tmp_path, {"proc/meminfo": f"MemAvailable: {free * 1024} kB\nCmaTotal: {cma * 1024} kB\n"})
    assert doctor.memory(tmp_path).grade is grade


def test_a_card_with_file_system_errors_is_to_be_replaced(tmp_path: Path) -> None:
    write(tmp_path, {"sys/fs/ext4/mmcblk0p2/errors_count": "3\n"})
    finding = doctor.disk(tmp_path)
    assert finding.grade is Grade.FAIL and "replace the card" in finding.todo


def test_the_journal_is_persistent_only_if_it_lies_on_the_disk(tmp_path: Path) -> None:
    assert doctor.journal(tmp_path).grade is Grade.WARN
    write(tmp_path, {"var/log/journal/0123/system.journal": ""})
    assert doctor.journal(tmp_path).grade is Grade.OK
    write(tmp_path, {"run/log/journal/0123/system.journal": ""})
    assert doctor.journal(tmp_path).grade is Grade.WARN, "what lies on the disk is old"


PI = {
    "class/thermal/thermal_zone0/temp": "61500\n",
    "class/hwmon/hwmon0/name": "cpu_thermal\n",
    "class/hwmon/hwmon1/name": "rpi_volt\n",
    "class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    "devices/platform/soc/soc:firmware/get_throttled": "0\n",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Machine(61.5, False, False)),
        ({"class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"}, Machine(61.5, True, False)),
        ({"devices/platform/soc/soc:firmware/get_throttled": "50005\n"}, Machine(61.5, True, True)),
        ({"devices/platform/soc/soc:firmware/get_throttled": "80000\n"}, Machine(61.5, False, True)),
        ({"class/thermal/thermal_zone0/temp": "none\n"}, Machine(None, False, False)),
    ],
)
def test_the_machines_troubles_are_read_from_sys(
    tmp_path: Path, changes: dict[str, str], expected: Machine
) -> None:
    assert read_machine(write(tmp_path, PI | changes)) == expected
    assert read_machine(tmp_path / "elsewhere") == Machine(None, None, None)


@pytest.mark.parametrize("bus", ["soc", "soc@107c000000"])
def test_throttling_is_seen_on_a_pi_3_4_and_5(tmp_path: Path, bus: str) -> None:
    files = {"sys/class/thermal/thermal_zone0/temp": "61500\n"}
    files[f"sys/devices/platform/{bus}/{bus}:firmware/get_throttled"] = "80008\n"
    assert doctor.temperature(write(tmp_path, files)).found == "62 degrees C, throttled"


def test_a_machine_silent_about_throttling_is_not_called_fine(tmp_path: Path) -> None:
    write(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "61000\n"})
    assert doctor.temperature(tmp_path).found == "61 degrees C, throttling is not told"


REINSTALL = "apt-get install --reinstall python3-picamera2 python3-libcamera"


@pytest.mark.parametrize(
    ("module", "found", "todo"),
    [
        ("import libcamera", "No module named 'libcamera'", REINSTALL),
        ("raise ImportError('_libcamera.so: undefined symbol: _ZN9libcamera4_logE')", "undefined symbol", REINSTALL),
        ("raise ModuleNotFoundError(\"No module named 'picamera2'\")", "'picamera2'", "apt-get install python3-picamera2"),
        ("raise RuntimeError('failed to acquire')", "failed to acquire", "restart the Pi"),
    ],
)  # fmt: skip
def test_a_broken_libcamera_is_not_called_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, found: str, todo: str
) -> None:
    (tmp_path / "picamera2.py").write_text(module + "\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = doctor.cameras(CameraConfig())
    assert finding.grade is Grade.FAIL
    assert found in finding.found and todo in finding.todo
    assert ("--reinstall" in finding.todo) == (todo is REINSTALL)


def test_heat_and_a_weak_power_supply_are_named(tmp_path: Path) -> None:
    hot = {f"sys/{name}": text for name, text in PI.items()} | {
        "sys/class/thermal/thermal_zone0/temp": "83000"
    }
    write(tmp_path, hot | {"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1"})
    assert doctor.temperature(tmp_path).found == "83 degrees C"
    assert doctor.temperature(tmp_path).grade is Grade.WARN
    assert doctor.power(tmp_path).grade is Grade.FAIL


@pytest.mark.parametrize(("battery", "grade"), [(True, Grade.OK), (False, Grade.WARN)])
def test_a_clock_with_a_battery_is_no_reason_to_buy_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, battery: bool, grade: Grade
) -> None:
    monkeypatch.setattr(system_clock, "TIMESYNC_FLAG", tmp_path / "synchronized")
    monkeypatch.setattr(system_clock, "_kernel_synchronised", lambda: False)  # no network
    monkeypatch.setattr(system_clock, "BATTERY_CLOCK", tmp_path)
    if battery:
        write(tmp_path, {"hctosys": "1\n", "since_epoch": f"{time.time():.0f}\n"})
    found = doctor.clock()
    assert found.grade is grade
    assert ("RTC" in found.todo) != battery


def test_a_portrait_with_one_damaged_frame_fails(pack: Pack) -> None:
    config = Config(display=DisplayConfig(pack=str(pack.folder)))
    assert doctor.portrait(config) == doctor.ok(f"Test Sitter, 9 frames, {pack.folder}")
    patch = pack.folder / "patch_07.png"
    patch.write_bytes(patch.read_bytes()[:-200])
    finding = doctor.portrait(config)
    assert finding.grade is Grade.FAIL
    assert finding.found.startswith(f"{patch}: damaged")
    assert finding.todo == "mona-lisa portrait install sconosciuta"


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a program `systemctl` print some lines in place of systemd's own."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def says(*lines: str) -> None:
        text = "\n".join(lines)
        (tmp_path / "bin" / "systemctl").write_text(f"#!/bin/sh\nprintf '%s\\n' '{text}'\n")
        (tmp_path / "bin" / "systemctl").chmod(0o755)

    return says


@pytest.mark.parametrize(
    ("state", "result", "loaded", "expected"),
    [
        ("active", "success", "loaded", doctor.ok("active, 3 restarts")),
        ("failed", "exit-code", "loaded", doctor.fail("failed (exit-code)", "sudo systemctl start mona-lisa")),
        ("inactive", "success", "not-found", doctor.warn("mona-lisa.service is not installed", "see systemd/README.md")),
    ],
)  # fmt: skip
def test_a_service_that_does_not_run_is_told(
    systemctl: Callable[..., None], state: str, result: str, loaded: str, expected: doctor.Finding
) -> None:
    systemctl(f"ActiveState={state}", f"Result={result}", "NRestarts=3", f"LoadState={loaded}")
    assert doctor.service() == expected


@pytest.mark.parametrize(("time", "grade"), [("1min", Grade.OK), ("0", Grade.WARN), ("infinity", Grade.WARN)])
def test_a_hardware_watchdog_that_is_not_armed_is_told(
    systemctl: Callable[..., None], time: str, grade: Grade
) -> None:
    systemctl(time)
    assert doctor.watchdog().grade is grade


def test_a_machine_without_systemd_is_told(systemctl: Callable[..., None]) -> None:
    assert doctor.watchdog() == doctor.warn("no systemd", "use Raspberry Pi OS")
    assert doctor.service().found == "mona-lisa.service is not installed"


@pytest.mark.parametrize(
    ("megabytes", "grade"), [(19, Grade.FAIL), (20, Grade.WARN), (199, Grade.WARN), (200, Grade.OK)]
)
def test_a_disk_that_is_nearly_full_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int, grade: Grade
) -> None:
    usage = SimpleNamespace(free=megabytes << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    finding = doctor.disk(tmp_path)
    assert (finding.grade, finding.found) == (grade, f"{megabytes} MB free")


@pytest.mark.parametrize(
    ("there", "found", "todo"),
    [
        (("dri/card1", "media0", "dma_heap/linux,cma"), "/dev/dri/card*, /dev/media*, /dev/dma_heap/*", ""),
        (("media0", "dma_heap/linux,cma"), "no /dev/dri/card*", "vc4-kms-v3d"),
        (("dri/card1", "dma_heap/linux,cma"), "no /dev/media*", "camera_auto_detect=1"),
        (("dri/card1", "media0"), "no /dev/dma_heap/*", "Raspberry Pi OS kernel"),
    ],
)
def test_a_missing_device_is_named_with_what_brings_it(
    tmp_path: Path, there: tuple[str, ...], found: str, todo: str
) -> None:
    root = write(tmp_path, {f"dev/{name}": "" for name in there})
    finding = doctor.devices(root, camera=True, kms=True)
    assert finding.found == found and todo in finding.todo
    assert (finding.grade is Grade.OK) == (todo == "")


def test_a_device_closed_to_this_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    finding = doctor.devices(write(tmp_path, {"dev/dri/card1": ""}), camera=False, kms=True)
    assert finding == doctor.warn(
        "card1: closed to this user", "run it as mona-lisa: sudo -u mona-lisa mona-lisa doctor"
    )


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"video": ["mona-lisa"], "render": ["mona-lisa"]}, "mona-lisa is in video and render"),
        ({"video": ["mona-lisa"], "render": ["pi"]}, "mona-lisa is not in render"),
        ({"video": ["pi"]}, "mona-lisa is not in video, render"),
    ],
)
def test_groups_that_the_services_user_lacks_are_named(
    monkeypatch: pytest.MonkeyPatch, members: dict[str, list[str]], found: str
) -> None:
    monkeypatch.setattr(pwd, "getpwnam", lambda name: name)
    monkeypatch.setattr(
        grp,
        "getgrall",
        lambda: [grp.struct_group((name, "x", 44, users)) for name, users in members.items()],
    )
    finding = doctor.groups()
    assert finding.found == found
    assert (finding.grade is Grade.OK) == ("is in" in found)


def test_cameras_that_take_long_to_list_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(command: list[str], timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hangs)
    finding = doctor.cameras(CameraConfig())
    assert finding.grade is Grade.FAIL and "takes more than 30 s" in finding.found


@pytest.mark.parametrize(("kms", "grade"), [(True, Grade.FAIL), (False, Grade.OK)])
def test_an_sdl_without_kmsdrm_is_told(monkeypatch: pytest.MonkeyPatch, kms: bool, grade: Grade) -> None:
    monkeypatch.setattr(open_display, "video_drivers", lambda: ["x11", "dummy"])
    finding = doctor.sdl(kms)
    assert finding.grade is grade and "x11, dummy" in finding.found
