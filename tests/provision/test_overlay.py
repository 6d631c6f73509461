"""A root that really is an overlay, of Debian's own overlayroot, in an emulated machine: `tests/provision/run --full`.

A Pi's boot partition is written whatever the root is; this machine has none, so that the kernel's command
line which deploy/readonly wrote is handed from one boot to the next here.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.boot.image import OTHER_PORTRAIT, SIZE, Disk, appliance_disk
from tests.boot.machine import Machine
from tests.boot.places import CACHE
from tests.boot.suite import BOOT
from tests.provision.test_change import RASPI_CONFIG, READONLY

pytestmark = [pytest.mark.provision, pytest.mark.full]
STICK: Final = "/dev/vdb"
CMDLINE: Final = "/boot/firmware/cmdline.txt"
LIBRARY: Final = "/var/lib/mona-lisa"
Booted = Callable[[str, Path | None, str], AbstractContextManager["WithStick"]]
HANGS: Final = f"readlink {LIBRARY}/current"


class WithStick(Machine):
    """A machine into which a second disk is plugged."""

    stick: Path | None = None

    def _command(self) -> list[str]:
        more = ["-drive", f"file={self.stick},if=virtio,format=raw"] if self.stick else []
        return [*super()._command(), *more]

    def ok(self, command: str) -> str:
        """Run a command that must succeed."""
        done = self.run(command, BOOT)
        assert done.code == 0, f"{command}: {done.code}\n{done.text}"
        return done.text.strip()


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("no qemu-system-x86_64")
    folder = CACHE / "run/overlay"
    folder.mkdir(parents=True, exist_ok=True)
    disk = appliance_disk("amd64").copy(folder / "card.qcow2")
    yield disk
    disk.path.unlink()


@pytest.fixture(scope="module")
def stick(disk: Disk) -> Iterator[Path]:
    path = disk.path.with_name("stick.img")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", path, "64M"], check=True)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def on(disk: Disk) -> Booted:
    """Switch the machine on with a command line of the boot partition; its power is cut at the end."""

    @contextmanager
    def booted(cmdline: str, stick: Path | None, name: str) -> Iterator[WithStick]:
        machine = WithStick(replace(disk, cmdline=cmdline), disk.path.parent / name, SIZE)
        machine.stick = stick
        with machine:
            machine.await_console(BOOT)
            machine.ok("until systemctl is-active -q mona-lisa; do sleep 1; done")
            yield machine

    return booted


def test_a_read_only_root_and_a_data_partition(disk: Disk, stick: Path, on: Booted) -> None:
    with on(disk.cmdline, stick, "switching-on") as machine:
        machine.ok(f"cat >/usr/bin/raspi-config <<'END'\n{RASPI_CONFIG}END\nchmod 755 /usr/bin/raspi-config")
        assert "read-only root: off" in machine.ok(f"{READONLY} status")
        assert "no file system on it" in machine.run(f"{READONLY} on --data /dev/null").text
        assert "is mounted at /;" in machine.run(f"{READONLY} on --data /dev/vda").text
        machine.ok(f"{READONLY} on --data {STICK}")
        cmdline = machine.ok(f"sync; cat {CMDLINE}")
    assert cmdline.startswith("overlayroot=tmpfs:recurse=0 ")

    with on(cmdline, stick, "read-only") as machine:
        assert machine.ok("findmnt -n -o FSTYPE /") == "overlay"
        told = machine.ok(f"{READONLY} status")
        assert "read-only root: on" in told
        for what, place in (
            ("portraits", LIBRARY),
            ("config", "/etc/mona-lisa"),
            ("logs", "/var/log/journal"),
        ):
            assert f"{what}: kept in {place} ({STICK}[" in told
        assert "gone at the next boot" in machine.run("/opt/mona-lisa/current/deploy/rollback").text
        machine.ok("touch /root/of-this-boot /etc/mona-lisa/kept")
        machine.ok(f"cd /; runuser -u mona-lisa -- mona-lisa portrait use {OTHER_PORTRAIT}; sync")

    with on(cmdline, stick, "next-boot") as machine:
        assert machine.run("ls /root/of-this-boot").code != 0
        assert machine.ok(f"ls /etc/mona-lisa/kept; {HANGS}").endswith(OTHER_PORTRAIT)
        assert machine.ok("journalctl --list-boots --no-pager | wc -l") != "1", "the log outlives a boot"
        assert "overlayroot" not in machine.ok(f"{READONLY} off >/dev/null; cat {CMDLINE}")

    with on(cmdline, None, "stick-pulled-out") as machine:
        assert machine.ok(HANGS) == "sconosciuta", "what lies on the card"
        assert "is the stick plugged in?" in machine.run(f"{READONLY} status").text

    with on(disk.cmdline, stick, "taken-away") as machine:
        assert machine.ok("findmnt -n -o FSTYPE /") == "ext4"
        machine.ok(f"{READONLY} off")  # written this time
        assert "read-only root: off" in machine.ok(f"{READONLY} status")
        machine.ok("/opt/mona-lisa/current/deploy/uninstall --yes")
        assert machine.ok(f"mount {STICK} /mnt; ls /mnt") == "lost+found"
        assert (
            machine.run("ls -d /srv/mona-lisa /var/lib/mona-lisa /etc/mona-lisa").text.count("cannot access")
            == 3
        )
        assert "mona-lisa" not in machine.ok("cat /etc/fstab")
