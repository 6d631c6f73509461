"""Faults of display, memory and config: the app goes on, or its process begins anew by itself.

Run with `deploy/test -m faults`.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.config import WEEK
from appliance.display import monitor, open_display
from appliance.errors import CameraAbsent
from appliance.pack import Pack
from appliance.service import app, reporter, settings
from appliance.service.status import STATUS
from tests.display.test_monitor_connectors import plug
from tests.service.running import Running, SteppedService
from tests.service.test_settings import mutated

pytestmark = pytest.mark.faults

# The command itself, with a display that fails while a file is there.
FAILING_DISPLAY = """
import pathlib, sys, pygame
flip = pygame.display.flip
def flips():
    if pathlib.Path(sys.argv[-1]).exists():
        pathlib.Path(sys.argv[-1]).unlink()
        raise pygame.error("drmModePageFlip failed")
    flip()
pygame.display.flip = flips
from appliance.cli import main
sys.exit(main(sys.argv[1:-1]))
"""

# The command itself, on a card that another program holds while a file beside its `system` is there.
HELD_DISPLAY = """
import fcntl, pathlib, sys, pygame
from appliance.display import flip_check, open_display
from appliance.display.screen import PortraitScreen
from appliance.service import app
from tests.display.kernel import Kernel
folder, kernel = pathlib.Path(sys.argv[-1]), Kernel()
def ioctl(*question):
    kernel.master = not (folder / "held").exists()
    return kernel.ioctl(*question)
def flips(flip):
    def both(*part):
        kernel.master = not (folder / "held").exists()
        kernel.flip()
        flip(*part)
    return both
def enter(screen, opened=PortraitScreen.__enter__):
    opened(screen)
    screen._scanout = flip_check.ScanoutObserver(flip_check.DrmCard(0))
    return screen
fcntl.ioctl, PortraitScreen.__enter__ = ioctl, enter
pygame.display.flip, pygame.display.update = flips(pygame.display.flip), flips(pygame.display.update)
app.wait_until_display_opens = lambda _, *what: open_display.wait_for_free_card(*what, folder / "system", folder)
from appliance.cli import main
sys.exit(main(sys.argv[1:-1]))
"""

CLOSED = "\n".join(["[hours]", 'clock = "any"', *(f'{day} = "closed"' for day in WEEK), ""])


class Process:
    """The service's command in a process of its own."""

    def __init__(
        self, folder: Path, pack: Pack, program: list[str], more: list[str], config: str = ""
    ) -> None:
        self._log = folder / "log"
        self._place = folder / "run"
        self._place.mkdir()
        self.config = folder / "config.toml"
        self.config.write_text(f"[display]\nwidth = 90\nheight = 160\n{config}")
        command = ["run", "--service", "--config", str(self.config), "--camera", "gallery:still"]
        command += ["--display", f"offscreen:{folder / 'lit'}", "--pack", str(pack.folder)]
        environment = {**os.environ, "RUNTIME_DIRECTORY": str(self._place), "STATE_DIRECTORY": str(folder)}
        with self._log.open("w") as log:
            self.host = subprocess.Popen(
                [sys.executable, *program, *command, *more], env=environment, stderr=log
            )

    def status(self) -> dict[str, Any]:
        """Return the newest status, empty before the first."""
        path = self._place / STATUS
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def lines(self) -> list[str]:
        """Return what was logged, with each line's level before it."""
        return self._log.read_text().splitlines()

    def until(self, true: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{self.status()}\n{self.lines()}\n{self.host.poll()}"
            time.sleep(0.05)


@contextmanager
def process(
    folder: Path, pack: Pack, program: list[str], more: list[str], config: str = "", state: str = "following"
) -> Iterator[Process]:
    """Run the command until it is in a state; afterwards it must end well."""
    running = Process(folder, pack, program, more, config)
    try:
        running.until(lambda: running.status().get("state") == state)
        yield running
        running.host.terminate()
        assert running.host.wait(20) == 0
    finally:
        running.host.kill()
        running.host.wait()


def test_a_lost_display_is_told_once_and_restarts_the_process(pack: Pack, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    with process(tmp_path, pack, ["-c", FAILING_DISPLAY], [str(broken)]) as running:
        before = running.status()
        broken.touch()
        pack.folder.joinpath("pack.toml").touch()  # taken up again: all of it is drawn
        running.until(lambda: running.status()["uptime_s"] < before["uptime_s"])
        running.until(lambda: running.status()["state"] == "following" and running.status()["healthy"])
        assert running.status()["pid"] == before["pid"], "systemd's main process stays the same"
        (lost,) = [line for line in running.lines() if not line.startswith("INFO")]
        assert lost == "ERROR display lost: drmModePageFlip failed; starting anew"


@pytest.mark.parametrize(("config", "state"), [("", "following"), (CLOSED, "closed")])
def test_a_screen_held_by_another_program_is_told_and_waited_for(
    pack: Pack, tmp_path: Path, config: str, state: str
) -> None:
    place = tmp_path / "drm"
    plug(place / "system", "card0-HDMI-A-1", "connected", "1080x1920")
    (place / "card0").touch()
    with process(tmp_path, pack, ["-c", HELD_DISPLAY], [str(place)], config, state) as running:
        before, began = running.status(), time.monotonic()
        (place / "held").touch()
        running.until(lambda: running.status()["state"] == "dark")
        assert time.monotonic() - began < 10
        assert not running.status()["healthy"]
        assert "another program may hold the display" in running.status()["cause"]
        running.until(lambda: running.status()["cause"] == app.HELD)
        time.sleep(3)  # it goes on sdl
        assert running.status()["pid"] == before["pid"] and not running.status()["healthy"]
        (place / "held").unlink()
        running.until(lambda: running.status()["state"] == state and running.status()["healthy"])
        assert running.status()["pid"] == before["pid"], "systemd has restarted nothing"
        wrong = [line for line in running.lines() if not line.startswith("INFO")]
        assert wrong[0].startswith("ERROR display lost: no new picture has been shown for ")
        assert wrong[0].endswith(
            "another program may hold the display; `sudo mona-lisa doctor` names it; starting anew"
        )
        assert wrong[1:] == [f"WARNING {open_display.DISPLAY_HELD % (place / 'card0')}"]
        assert f"INFO {open_display.DISPLAY_FREE % (place / 'card0')}" in running.lines()


def test_no_memory_for_another_model_is_a_fault_that_heals(pack: Pack, tmp_path: Path) -> None:
    with process(tmp_path, pack, ["-m", "appliance"], []) as running:
        pid = running.host.pid
        size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (size - (20 << 20), resource.RLIM_INFINITY))
        running.config.write_text(running.config.read_text() + '[vision]\nmodel = "short"\n')
        running.host.send_signal(signal.SIGHUP)
        running.until(lambda: running.status()["state"] == "blind" or running.host.poll() is not None)
        assert running.host.poll() is None
        time.sleep(3)  # tried again
        wrong = [line for line in running.lines() if not line.startswith("INFO")]
        assert len(wrong) == 1, wrong
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        running.until(lambda: running.status()["state"] == "following" and running.status()["healthy"])
        assert running.status()["pid"] == pid


@pytest.fixture
def running(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(app, "FADE", 0.1)
    return Running(tmp_path, pack, monkeypatch)


def test_a_monitor_that_is_not_there_is_waited_for(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = tmp_path / "drm" / "card1-HDMI-A-1"
    plug.mkdir(parents=True)
    (plug / "status").write_text("disconnected\n")
    (plug / "modes").write_text("")
    monkeypatch.setattr(
        app,
        "wait_until_display_opens",
        lambda _, stop, end, each, held: monitor.wait_for_monitor(stop, end, each, plug.parent),
    )
    with running:
        running.until_state("dark")
        time.sleep(2.5)
        (line,) = running.lines.warnings()
        assert line.startswith("no display: no monitor on HDMI-A-1")
        assert running.status()["cause"] == app.NO_MONITOR and not running.status()["healthy"]
        (plug / "modes").write_text("1080x1920\n")
        (plug / "status").write_text("connected\n")
        running.until_state("following")
        assert running.portrait_is_lit() and running.status()["healthy"]
        assert len(running.lines.warnings()) == 1


@pytest.fixture
def stepped(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SteppedService]:
    with SteppedService(tmp_path, pack, monkeypatch) as service:
        service.until_state("following")
        service.lines.all.clear()
        yield service


def test_a_driver_that_says_far_too_much_is_quoted_in_one_line(stepped: SteppedService) -> None:
    def babble() -> None:
        raise CameraAbsent("unplugged\n\udce9 " + "buffer 0x7f\n" * 100_000)

    stepped.camera.on_picture = babble
    stepped.until_state("blind")
    (line,) = stepped.lines.warnings()
    assert len(line) < 600 and len(line.splitlines()) == 1 and "unplugged" in line
    stepped.camera.mend()
    stepped.until_state("following")


def test_ten_thousand_mutated_configs_leave_the_loop_following(stepped: SteppedService) -> None:
    right = b'[camera]\nrate = 30.0\nwidth = 640\n\n[tracking]\nhold = 1.5\n\n[vision]\nmodel = "full"\n'
    rng = random.Random(11)
    for number in range(10_000):
        stepped.config_file.write_bytes(mutated(right, rng))
        stepped.settings.reread.set()
        stepped.steps.app.step(stepped.clock.now)
        if number % 100 == 0:
            stepped.advance(0.1)  # a picture or two are seen with it
            assert stepped.alive(), stepped.ended
    assert stepped.portrait_is_lit()
    said = stepped.lines.messages()
    wrong = sum(line.startswith(settings.CONFIG_WRONG.partition("%")[0]) for line in said)
    assert 2_000 < wrong < 10_000
    assert not any(line.startswith(reporter.CAMERA_LOST.partition("%")[0]) for line in said)
    stepped.config_file.write_bytes(b"[camera]\ntimeout = 0.5\n")
    stepped.settings.reread.set()
    stepped.until_state("following")
    stepped.until(lambda: stepped.status()["healthy"])
