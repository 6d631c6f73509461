"""New versions, bad versions, the card's config, the read-only root: `tests/provision/run`."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nspawn.container import CHECKOUT
from tests.provision.machine import OFFLINE, ONLINE, PROJECT, Disk, Machine
from tests.provision.test_provision import follows

pytestmark = pytest.mark.provision
Version = Callable[[str, str], Path]

UPDATE = f"{PROJECT}/deploy/update --no-camera"
MAIN = "def main(argv: Sequence[str] | None = None) -> int:\n"
# They can be built and asked for their status; only the service fails.
SERVICE = MAIN + "    import os, threading\n    if '--service' in sys.argv:\n"
NEVER_STARTS = SERVICE + "        raise SystemExit('this version is broken')\n"
DIES_SOON = SERVICE + "        threading.Timer(9, os._exit, (1,)).start()\n"


@pytest.fixture
def version(tmp_path: Path) -> Version:
    """Make a copy of the project with a version of its own, and another beginning of `main`."""

    def make(number: str, main: str = MAIN) -> Path:
        folder = tmp_path / number
        parts = (
            "appliance",
            "deploy",
            "systemd",
            "models",
            "frames",
            "pyproject.toml",
            "README.md",
            "LICENSE",
        )
        for part in parts:
            source = CHECKOUT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / part)
        package = folder / "appliance/__init__.py"
        package.write_text(
            re.sub(r'__version__ = "[^"]*"', f'__version__ = "{number}"', package.read_text(), count=1)
        )
        cli = folder / "appliance/cli/__init__.py"
        cli.write_text(cli.read_text().replace(MAIN, main))
        return folder

    return make


def test_an_update_takes_over_and_can_be_rolled_back(disk: Disk, version: Version) -> None:
    with disk.booted(ONLINE, version("0.9.0", MAIN)) as machine:
        machine.started(60)
        before = machine.release()
        told = machine.sh(f"{UPDATE} --watch 5", 300)
        assert "watching 0.9.0-" in told
        assert machine.release().startswith("0.9.0-")
        follows(machine)
        assert "== nothing to change" in machine.sh(f"{UPDATE} --watch 5", 60)
        machine.sh("/opt/mona-lisa/current/deploy/rollback", 60)
        assert machine.release() == before
        follows(machine)


@pytest.mark.parametrize(
    ("main", "cause"),
    [(NEVER_STARTS, "it did not start"), (DIES_SOON, "it did not stay up")],
    ids=["never starts", "dies soon"],
)
def test_a_broken_update_is_taken_back_by_itself(disk: Disk, version: Version, main: str, cause: str) -> None:
    with disk.booted(ONLINE, version("0.9.1", main)) as machine:
        machine.started(60)
        before = machine.release()
        done = machine.run(f"{UPDATE} --watch 20", 300)
        assert done.returncode == 1
        assert f"was taken back after {cause}" in done.stderr
        assert machine.release() == before
        follows(machine)


def test_an_update_cut_off_while_watched_is_taken_back(disk: Disk, version: Version) -> None:
    with disk.booted(ONLINE, version("0.9.2", MAIN)) as machine:
        machine.started(60)
        before = machine.release()
        machine.sh(f"systemd-run -q --unit=updating {UPDATE} --watch 500")
        machine.until(lambda: "watching 0.9.2" in machine.sh("journalctl --no-pager -u updating"), 200)
        assert machine.release() != before
    with disk.booted(OFFLINE) as machine:
        machine.started(60)
        assert machine.release() == before
        assert any("cut off while it was watched" in line for line in machine.said("mona-lisa-boot.service"))


def test_the_cards_config_is_applied_once_and_only_if_right(disk: Disk) -> None:
    card, answer = "/boot/firmware/mona-lisa.toml", disk.root / "boot/firmware/mona-lisa.txt"
    config = disk.root / "etc/mona-lisa/config.toml"
    before = config.read_text()

    disk.write(card, "[gaze]\ngain = 99\n")
    with disk.booted(OFFLINE) as machine:
        machine.started(60)
        expected = f"{card}:2: gaze.gain = 99; expected a number, 0.1 to 5"
        assert any(expected in line for line in machine.said("mona-lisa-boot.service"))
    assert expected in answer.read_text()
    assert config.read_text() == before

    disk.write(card, "\ufeff[gaze]\r\ngain = 1.5\r\n")
    with disk.booted(OFFLINE) as machine:
        follows(machine)
        shown = machine.sh("/usr/local/bin/mona-lisa config show")
        assert "gain = 1.5" in shown
        assert 'source = "gallery"' in shown, "what the card does not name stays"
        machine.sh("printf '[gaze]\\ngain = 1.25\\n' >> /etc/mona-lisa/config.toml")
        assert "gain = 1.25; overridden: /etc/mona-lisa/card.toml:2" in machine.sh(
            "/usr/local/bin/mona-lisa config check"
        )
    assert ": applied" in answer.read_text()

    (disk.root / card.lstrip("/")).unlink()
    with disk.booted(OFFLINE) as machine:
        assert "gain = 1.25" in machine.sh("/usr/local/bin/mona-lisa config show"), (
            "what the card set is gone"
        )


RASPI_CONFIG = r"""#!/bin/sh
[ "$1 $2" = "nonint do_overlayfs" ] || exit 1
case "$3" in
    0)
        sed -i 's/^/overlayroot=tmpfs /' /boot/firmware/cmdline.txt
        sed -i 's/\(.*\/boot.*\)defaults\(.*\)/\1defaults,ro\2/' /etc/fstab ;;
    1) sed -i 's/\(.*\)overlayroot=tmpfs \(.*\)/\1\2/' /boot/firmware/cmdline.txt ;;
esac
"""
FSTAB = (
    "PARTUUID=0-01  /boot/firmware  vfat  defaults  0  2\nPARTUUID=0-02  /  ext4  defaults,noatime  0  1\n"
)
READONLY = "/opt/mona-lisa/current/deploy/readonly"


def test_a_read_only_root_is_verified_and_not_believed(disk: Disk, tmp_path: Path) -> None:
    root = tmp_path / "plain"  # not itself an overlay
    subprocess.run(["cp", "-a", disk.root, root], check=True)
    tool = root / "usr/bin/raspi-config"
    swap = root / "etc/rpi/swap.conf.d/99-mona-lisa.conf"
    swap.parent.mkdir(parents=True)
    swap.parent.with_name("swap.conf").write_text("[Main]\n#Mechanism=auto\n")
    try:
        with Machine(f"--directory={root}", *OFFLINE) as machine:
            assert "raspi-config is missing" in machine.run(f"{READONLY} on").stderr
            tool.write_text(RASPI_CONFIG)
            tool.chmod(0o755)
            assert "read-only root: off" in machine.sh(f"{READONLY} status")
            fstab = root / "etc/fstab"
            before = (root / "boot/firmware/cmdline.txt").read_text()
            kept = fstab.read_text() if fstab.exists() else ""
            fstab.write_text(FSTAB)
            machine.sh(f"{READONLY} on")
            assert "overlayroot=tmpfs:recurse=0 " in (root / "boot/firmware/cmdline.txt").read_text()
            assert fstab.read_text() == FSTAB, "the boot partition stays as it was"
            assert "\nMechanism=zram\n" in swap.read_text()
            assert "already asked for" in machine.sh(f"{READONLY} on")
            assert "switch it off" in machine.run(f"{READONLY} on --data /dev/sda1").stderr
            machine.sh(f"{READONLY} off")
            assert (root / "boot/firmware/cmdline.txt").read_text() == before
            assert not swap.exists()
            machine.sh(f"{READONLY} on")
            fstab.write_text(kept)  # there is no such partition to boot with
        with Machine(f"--directory={root}", *OFFLINE) as machine:  # a kernel that silently did nothing
            machine.started(60)
            status = machine.run(f"{READONLY} status")
            assert (status.returncode, "THE CARD IS WRITTEN" in status.stdout) == (1, True)
            assert any("THE CARD IS WRITTEN" in line for line in machine.said("mona-lisa-boot.service"))
        with Machine(f"--directory={root}", "--volatile=overlay", *OFFLINE) as machine:
            follows(machine)
            told = machine.sh(f"{READONLY} status")
            assert "read-only root: on" in told
            assert "config: mona-lisa.toml on the boot partition" in told
            for script in (
                "rollback",
                "uninstall",
                "portrait /opt/mona-lisa/current/frames/sconosciuta.png --yes",
            ):
                done = machine.run(f"/opt/mona-lisa/current/deploy/{script}")
                assert (done.returncode, "gone at the next boot" in done.stderr) == (1, True), script
            machine.sh(f"touch /var/lib/mona-lisa/new; {READONLY} off")
        assert not (root / "var/lib/mona-lisa/new").exists()
        assert swap.exists(), "what was switched off under the overlay is on the card still"
        (root / "boot/firmware/cmdline.txt").write_text(before)  # the Pi's boot partition is written
        with Machine(f"--directory={root}", *OFFLINE) as machine:
            machine.started(60)
            assert not swap.exists()
    finally:
        shutil.rmtree(root)
