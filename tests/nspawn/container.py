"""A Debian that boots systemd in a container, with the release and the units installed as on the Pi."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

CHECKOUT: Final = Path(__file__).parent.parent.parent
RELEASE: Final = "opt/mona-lisa/releases/test"
UNIT: Final = "mona-lisa.service"
DROP_IN: Final = "etc/systemd/system/mona-lisa.service.d/90-test.conf"
CONFIG: Final = "etc/mona-lisa/config.toml"
PROGRAM: Final = "/opt/mona-lisa/current/venv/bin/mona-lisa"
# The one thing that a drop-in may choose: there is no camera and no display in a container.
EYES: Final = f"""[Service]
ExecStart=
ExecStart={PROGRAM} run --service %s --display offscreen:/dev/shm/lit
"""
SMALL: Final = "[display]\nwidth = 270\nheight = 480\n"
# Nothing is waited for longer than this; long, since the machine may be slow and busy with other things.
LONG: Final = 240.0
# Every container gets control groups of its own: two in the same would end each other's services.
# systemd-nspawn wants to manage /run/systemd, which may be no tmpfs where this runs.
_BOOT: Final = """
for tree in $(awk '$3 == "cgroup2" || $4 ~ /name=systemd/ { print $2 }' /proc/mounts); do
    mkdir -p "$tree/mona-lisa-$$" && echo $$ > "$tree/mona-lisa-$$/cgroup.procs"
done
mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd
exec systemd-nspawn --quiet --register=no --keep-unit --console=pipe --boot "$@"
"""


def install(root: Path) -> None:
    """Put the checkout's program, models, portrait and units into a root, as provisioning does."""
    release = root / RELEASE
    for name in ("appliance", "deploy", "models", "frames", "systemd"):
        shutil.rmtree(release / name, ignore_errors=True)
        skip = shutil.ignore_patterns("__pycache__", "*-sheet.png", "*-eyes.png")
        shutil.copytree(CHECKOUT / name, release / name, ignore=skip)
    for unit in (release / "systemd").iterdir():
        if unit.name.endswith((".service", ".service.d", ".device.d", ".target")):
            _copy(unit, root / "etc/systemd/system" / unit.name)
    _copy(release / "systemd/sysusers.d", root / "etc/sysusers.d")
    _copy(release / "systemd/tmpfiles.d", root / "etc/tmpfiles.d")
    for folder in ("journald.conf.d", "system.conf.d"):
        _copy(release / "systemd" / folder, root / "etc/systemd" / folder)
    _copy(release / "systemd/udev/rules.d", root / "etc/udev/rules.d")
    _copy(CHECKOUT / "frames/sconosciuta", root / "var/lib/mona-lisa/sconosciuta")
    for name in (DROP_IN, CONFIG):  # a container mounts its own over them
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for command in (
        ["systemd-sysusers", f"--root={root}"],
        ["systemd-tmpfiles", f"--root={root}", "--create", "mona-lisa.conf"],
        ["chroot", str(root), "chown", "-R", "mona-lisa:", "/var/lib/mona-lisa"],
        ["systemctl", f"--root={root}", "enable", "-q", UNIT],
    ):
        subprocess.run(command, check=True)


def _copy(source: Path, to: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, to, dirs_exist_ok=True)
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, to)


class Booted:
    """A root that boots systemd in a container on entering; `options` are systemd-nspawn's."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._leader = 0

    def _start(self) -> None:
        self._console = os.memfd_create("console")
        self._host = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", _BOOT, "boot", *self._options],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=self._console,
        )

    def __enter__(self) -> Self:
        self._start()
        try:
            self.until(self._leader_runs, LONG)
            self.until(
                lambda: self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded"),
                LONG,
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._host.poll() is None:
            subprocess.run(["kill", "-KILL", str(self._leader or self._host.pid)], check=False)
            self._host.wait(LONG)
        self._clear_up()

    def run_to_the_end(self, seconds: float) -> None:
        """Boot it, and wait until it switches itself off."""
        self._start()
        assert self._host.wait(seconds) == 0, os.pread(self._console, 4000, 0).decode()
        self._clear_up()

    def _clear_up(self) -> None:
        os.close(self._console)
        for group in Path("/sys/fs/cgroup").glob(f"**/mona-lisa-{self._host.pid}"):
            subprocess.run(["find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], check=False)

    def _leader_runs(self) -> bool:
        """Find the container's init: nspawn's child, once that has become systemd."""
        assert self._host.poll() is None, os.pread(self._console, 4000, 0).decode()
        found = subprocess.run(
            ["pgrep", "-x", "systemd", "-P", str(self._host.pid)], capture_output=True, text=True
        ).stdout.split()
        if found:
            self._leader = int(found[0])
        return bool(found)

    def run(self, command: str, seconds: float = LONG) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside, as root."""
        inside = ["nsenter", "--target", str(self._leader), "--all", "bash", "-c", command]
        clean = {"PATH": "/usr/bin:/usr/sbin", "LANG": "C.UTF-8"}
        return subprocess.run(inside, capture_output=True, text=True, env=clean, timeout=seconds)

    def sh(self, command: str, seconds: float = LONG, ok: tuple[int, ...] = (0,)) -> str:
        """Run a shell command inside, which must succeed; return what it prints."""
        done = self.run(command, seconds)
        assert done.returncode in ok, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def show(self, what: str, unit: str = UNIT) -> str:
        """Return a property of a unit."""
        return self.sh(f"systemctl show --value --property={what} {unit}")

    def journal(self, unit: str = UNIT) -> list[dict[str, Any]]:
        """Return the journal of a unit, oldest first; systemd's own lines about it are among them."""
        rows = self.sh(f"journalctl --sync; journalctl --no-pager --output=json --unit={unit}")
        return [json.loads(row) for row in rows.splitlines()]

    def said(self, unit: str = UNIT) -> list[str]:
        """Return what the processes of a unit logged themselves, oldest first."""
        return [str(row["MESSAGE"]) for row in self.journal(unit) if row.get("_COMM") != "systemd"]

    def until(self, true: Callable[[], object], seconds: float = LONG) -> None:
        """Wait for a condition; fails with its name and the journal after `seconds`."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() >= end:
                raise AssertionError(
                    f"not within {seconds:g} s\n" + self.run("journalctl --no-pager -n 60").stdout
                )
            time.sleep(0.1)

    def started(self, seconds: float = LONG) -> None:
        """Wait until the service is ready."""
        self.until(lambda: self.show("ActiveState") == "active", seconds)


class Container(Booted):
    """A machine with the unit installed; nothing that happens in it stays."""

    def __init__(self, root: Path, drop_in: str, config: str, read_only: bool = False) -> None:
        """Describe the machine: the unit's drop-in, the config, and whether its disk is read-only."""
        self._mounted = tempfile.TemporaryDirectory(prefix="mona-lisa-nspawn-")
        disk = "--read-only" if read_only else "--volatile=overlay"
        options = [f"--directory={root}", disk, "--private-network"]
        for name, text in ((DROP_IN, drop_in), (CONFIG, config)):
            file = Path(self._mounted.name) / Path(name).name
            file.write_text(text)
            options.append(f"--bind={file}:/{name}")
        super().__init__(*options)

    def __exit__(self, *wrong: object) -> None:
        super().__exit__(*wrong)
        self._mounted.cleanup()

    def seeing(self) -> Self:
        """Wait until pictures come."""
        self.until(lambda: "pictures/s" in self.show("StatusText"))
        return self

    def warnings(self) -> list[str]:
        """Return what the present run of the service has logged as warnings and errors."""
        run = self.show("InvocationID")
        rows = self.sh(f"journalctl --sync; journalctl --output=json -p warning _SYSTEMD_INVOCATION_ID={run}")
        return [str(json.loads(row)["MESSAGE"]) for row in rows.splitlines()]

    def status(self) -> tuple[int, str]:
        """Return what `mona-lisa status` exits with and prints."""
        done = self.run(f"{PROGRAM} status")
        return done.returncode, done.stdout.strip()
