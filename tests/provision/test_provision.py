"""From a fresh system to a portrait on the wall, with the real scripts and units: `tests/provision/run`."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nspawn.container import CHECKOUT
from tests.provision.conftest import CACHE
from tests.provision.machine import OFFLINE, ONLINE, PROJECT, PROVISION, Disk, Machine

pytestmark = pytest.mark.provision
NewDisk = Callable[[], Disk]


def follows(machine: Machine) -> None:
    """The service runs, and frames change as the simulated visitor walks."""
    machine.started(90)
    machine.until(lambda: machine.frames_lit() > 3, 60)


def test_a_fresh_system_becomes_a_framed_screen_over_the_network(new_disk: NewDisk) -> None:
    with new_disk().booted(ONLINE) as machine:
        told = machine.sh(PROVISION, 900)
        assert "packages in all" in told and "the portrait is lit" in told and "== done:" in told
        follows(machine)
        again = machine.sh(PROVISION, 60)
    assert "== nothing to change" in again


def test_a_bundle_needs_no_network(provisioned: Disk, disk: Disk) -> None:
    assert "whole; made for" in provisioned.told
    assert "rendering" not in provisioned.told, "the portrait came along"
    with disk.booted(OFFLINE) as machine:
        assert machine.sh("ls /sys/class/net") == "lo"
        follows(machine)


def test_units_are_installed_exactly_as_they_stand(disk: Disk) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        found = (path for path in folder.rglob("*mona-lisa*") if path.is_file() and not path.is_symlink())
        return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in found}

    units = {name.removeprefix("systemd/"): data for name, data in contents(CHECKOUT / "systemd").items()}
    installed = {name.removeprefix("system/"): data for name, data in contents(disk.root / "etc").items()}
    assert len(units) > 6
    assert "Ctrl-Alt-Del" in (disk.root / "etc/systemd/system/ctrl-alt-del.target").read_text()
    assert installed == units | {"apt.conf.d/52mona-lisa": installed["apt.conf.d/52mona-lisa"]}


def test_a_second_run_changes_nothing_and_says_so(disk: Disk, bundle: Path) -> None:
    with disk.booted(OFFLINE, bundle=bundle) as machine:
        machine.started(60)
        pid = machine.show("MainPID")
        machine.sh("touch /tmp/mark")
        told = machine.sh(f"{PROVISION} --bundle /srv/bundle", 120)
        assert "== nothing to change" in told
        newer = machine.sh(
            "find /etc /opt /usr /boot /var/lib/mona-lisa -newer /tmp/mark -not -type d"
        ).splitlines()
        assert [name for name in newer if "/fontconfig/" not in name] == []
        assert machine.show("MainPID") == pid


def test_a_dry_run_changes_nothing(new_disk: NewDisk, bundle: Path) -> None:
    with new_disk().booted(OFFLINE, bundle=bundle) as machine:
        before = machine.files()
        told = machine.sh(f"{PROVISION} --bundle /srv/bundle --dry-run")
        assert "changes would be made" in told
        assert machine.files() == before


def test_uninstalling_leaves_the_files_there_were(provisioned: Disk, disk: Disk) -> None:
    assert len(provisioned.files_after - provisioned.files_before) > 1000
    with disk.booted(OFFLINE) as machine:
        machine.sh("/opt/mona-lisa/current/deploy/uninstall --yes", 300)
        assert machine.files() == provisioned.files_before
        assert "console=tty1" in machine.sh("cat /boot/firmware/cmdline.txt").split()
        assert "mona-lisa" not in machine.sh("cat /etc/passwd /etc/group /boot/firmware/config.txt")


NEEDY = """mkdir -p /tmp/needy/DEBIAN && cat >/tmp/needy/DEBIAN/control <<END
Package: needy
Version: 1
Architecture: all
Maintainer: somebody else
Depends: python3-pil
Description: was installed later, and needs what came with the appliance
END
dpkg-deb -b /tmp/needy /tmp/needy.deb && dpkg -i /tmp/needy.deb"""


def test_uninstalling_leaves_what_others_have_come_to_need(disk: Disk) -> None:
    with disk.booted(OFFLINE) as machine:
        machine.sh(NEEDY)
        told = machine.sh("/opt/mona-lisa/current/deploy/uninstall --yes", 300)
        assert "other packages have come to need some of ours" in told
        machine.sh("python3 -c 'import PIL.Image'")
        assert machine.run("dpkg -s python3-pygame").returncode != 0


def test_cut_off_anywhere_it_can_be_run_again(
    new_disk: NewDisk, bundle: Path, release: str, request: pytest.FixtureRequest
) -> None:
    """SIGKILL to the whole of it, at random moments: each run goes on where it can, to the same end.

    A run that came to its end before its random moment does not count; then a fresh machine is taken.
    """
    command = f"{PROVISION} --bundle /srv/bundle"
    chance = random.Random(7)
    cut: list[str] = []
    while len(cut) < request.config.getoption("--kills"):
        with new_disk().booted(OFFLINE, bundle=bundle) as machine:
            while len(cut) < request.config.getoption("--kills"):
                machine.sh(f"systemd-run -q --collect --unit=cut{len(cut)} {command}")
                time.sleep(chance.uniform(0.3, 20))  # the random moment
                if machine.run(f"systemctl is-active cut{len(cut)}").returncode:
                    break
                machine.sh(f"systemctl kill --signal=KILL --kill-whom=all cut{len(cut)} || true")
                machine.until(lambda: machine.run(f"systemctl is-active cut{len(cut)}").returncode, 10)
                cut.append(machine.sh("journalctl -o cat -t mona-lisa-provision | tail -1"))
            machine.sh(command, 600)
            follows(machine)
            assert "== nothing to change" in machine.sh(command, 120)
    (CACHE / f"cut-off-{release}.txt").write_text("\n".join(cut) + "\n")
    assert len(set(cut)) > len(cut) // 3, cut


def test_a_package_half_unpacked_is_installed_anew(disk: Disk, bundle: Path) -> None:
    with disk.booted(OFFLINE, bundle=bundle) as machine:
        for name, state in (("libegl1", "half-installed"), ("python3-pygame", "unpacked")):
            machine.sh(
                f"sed -i '/^Package: {name}$/,/^$/s/^Status: .*/Status: install reinstreq {state}/' "
                "/var/lib/dpkg/status"
            )
            machine.run("dpkg --configure -a")
            assert machine.sh("dpkg --audit"), "dpkg alone cannot mend it"
            machine.sh(f"{PROVISION} --bundle /srv/bundle", 120)
            assert machine.sh("dpkg --audit") == ""
        assert "== nothing to change" in machine.sh(f"{PROVISION} --bundle /srv/bundle", 120)


def test_console_replaces_a_desktop_until_the_uninstall(disk: Disk, bundle: Path) -> None:
    command = f"{PROVISION} --bundle /srv/bundle"
    target = "systemctl get-default"
    disk.write("/etc/systemd/system/lightdm.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    with disk.booted(OFFLINE, bundle=bundle) as machine:
        machine.sh(
            "ln -s lightdm.service /etc/systemd/system/display-manager.service; systemctl daemon-reload"
        )
        machine.sh("systemctl set-default graphical.target; systemctl start display-manager")
        assert "a desktop (lightdm) starts here" in refused(machine, "true", command)
        told = machine.sh(f"{command} --console", 120)
        assert "a desktop holds the display until the next boot" in told
        assert machine.sh(target) == "multi-user.target"
        assert "== nothing to change" in machine.sh(command, 120)
    with disk.booted(OFFLINE) as machine:
        follows(machine)
        assert machine.show("ActiveState", "display-manager.service") == "inactive"
        machine.sh("/opt/mona-lisa/current/deploy/uninstall --yes", 300)
        assert machine.sh(target) == "graphical.target"


def refused(machine: Machine, prepare: str, command: str = PROVISION) -> str:
    done = machine.run(f"{prepare}; {command}")
    assert done.returncode == 1, done
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_it_refuses_what_it_cannot_do_and_says_why(new_disk: NewDisk, bundle: Path) -> None:
    wrong = bundle.with_name("damaged.bundle")
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    wrong.write_bytes(data)
    with new_disk().booted(OFFLINE, bundle=wrong) as machine:
        before = machine.files()
        assert "run it with sudo" in refused(machine, "true", f"runuser -u pi -- {PROVISION}")
        fake = "mkdir -p /tmp/b; printf '#!/bin/sh\\necho armhf' >/tmp/b/dpkg; chmod +x /tmp/b/dpkg; export PATH=/tmp/b:$PATH"
        assert "64-bit image" in refused(machine, fake)
        for other in ("VERSION_CODENAME=buster", "ID=linuxmint"):
            key = other.partition("=")[0]
            assert "Bookworm or Trixie" in refused(
                machine, f"sed -i.old 's/^{key}=.*/{other}/' /usr/lib/os-release"
            )
            machine.sh("mv /usr/lib/os-release.old /usr/lib/os-release")
        assert "use a larger card" in refused(
            machine,
            "mount -t tmpfs -o size=1m none /mnt; df() { command df --output=avail -m /mnt; }; export -f df",
        )
        assert "no such file" in refused(machine, "true", f"{PROVISION} --portrait painting.jpg")
        assert "neither a file nor the name" in refused(machine, "true", f"{PROVISION} --portrait nobody")
        expected = "/tmp/bad.toml:2: gaze.gain = 99; expected a number, 0.1 to 5"
        bad = "printf '[gaze]\\ngain = 99\\n' >/tmp/bad.toml"
        assert expected in refused(machine, bad, f"{PROVISION} --config /tmp/bad.toml")
        assert "check the network" in refused(machine, "true")
        assert "no such file" in refused(machine, "true", f"{PROVISION} --bundle /srv/nothing")
        assert "damaged" in refused(machine, "true", f"{PROVISION} --bundle /srv/bundle 2> >(tail -1 >&2)")
        cut = "head -c 9999999 /srv/bundle >/tmp/cut.bundle"
        assert "not all of one" in refused(machine, cut, f"{PROVISION} --bundle /tmp/cut.bundle")
        for script, says in (
            ("rollback", "nothing is installed"),
            ("update", "nothing is installed"),
            (f"portrait {PROJECT}/frames/astronaut.png", "nothing is installed"),
            ("readonly on", "raspi-config is missing"),
        ):
            assert says in refused(machine, "true", f"{PROJECT}/deploy/{script}")
        for script in ("provision", "update", "rollback", "uninstall", "readonly", "write-card"):
            assert machine.run(f"{PROJECT}/deploy/{script} one@host another@host").returncode == 2
        assert "== nothing to change" in machine.sh(f"{PROJECT}/deploy/uninstall")
        assert machine.run(f"{PROJECT}/deploy/provision --wrong").returncode == 2
        assert machine.files() == before
