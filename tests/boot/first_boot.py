"""A card from deploy/image provisions itself at its first boot, whatever Raspberry Pi Imager wrote over it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from appliance.pack import Pack
from tests.boot.downloaded import card, laid_over
from tests.boot.image import PORTRAIT, Disk
from tests.boot.look import Eye, Watch
from tests.boot.machine import Machine
from tests.boot.places import HERE, PROJECT, say
from tests.boot.suite import BOOT, whole

# Provisioning takes minutes on a Pi; an emulated processor that is shared with others needs many times that.
FIRST_BOOT: Final = 3500.0
# The screen fits the portrait that the bundle brings along, so that it is shown pixel by pixel.
BUNDLED: Final = PROJECT / "frames" / PORTRAIT
ANSWER: Final = "/boot/firmware/mona-lisa.txt"
HANGS: Final = "provisioned: the portrait hangs\n"
# It is asked seldom, because asking takes an emulated processor from the provisioning.
UNTIL_ANSWERED: Final = f"until grep -qs provisioned: {ANSWER}; do sleep 10; done"
CONFIG: Final = (HERE / "guest/config.toml").read_text().replace("width = 360\nheight = 640\n", "")
# As Raspberry Pi Imager 2 writes them for Trixie, without the keyboard, whose packages the stand-in lacks.
CLOUD_INIT: Final = {
    "user-data": """#cloud-config
manage_resolv_conf: false

hostname: duchess
manage_etc_hosts: true
timezone: Europe/London
users:
- name: keeper
  groups: users,adm,audio,video,input,render
  shell: /bin/bash
  lock_passwd: false
  passwd: $5$saltsalt$YHVFXFmBNOnkGMyjBLyEIJdNl9mZXFfWtP3pUd9GFh8
  sudo: ALL=(ALL) NOPASSWD:ALL
ssh_pwauth: true
runcmd:
- [touch, /root/imager]
""",
    "network-config": """network:
  version: 2
  wifis:
    wlan0:
      dhcp4: true
      optional: true
      access-points:
        "Gallery":
          password: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
""",
    "meta-data": "instance-id: rpi-imager-1764350000000\n",
    "cmdline.txt": "console=serial0,115200 console=tty1 root=PARTUUID=0000-02 rootfstype=ext4 fsck.repair=yes rootwait"
    " ds=nocloud;i=rpi-imager-1764350000000\n",
}
# As Imager writes them for Bookworm.
ONCE: Final = " systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
FIRSTRUN: Final = {
    "firstrun.sh": """#!/bin/bash

set +e

CURRENT_HOSTNAME=`cat /etc/hostname | tr -d " \\t\\n\\r"`
echo duchess >/etc/hostname
sed -i "s/127.0.1.1.*$CURRENT_HOSTNAME/127.0.1.1\\tduchess/g" /etc/hosts
useradd -m keeper
touch /root/imager
rm -f /boot/firmware/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/firmware/cmdline.txt
exit 0
""",
    "cmdline.txt": "console=serial0,115200 console=tty1 root=PARTUUID=0000-02 rootfstype=ext4 fsck.repair=yes rootwait"
    f" cloud-init=disabled{ONCE}\n",
}


@pytest.fixture(scope="module")
def disk(request: pytest.FixtureRequest) -> Disk:
    """A card as it comes from deploy/image."""
    return card(str(request.config.getoption("--arch")), CONFIG)


@pytest.fixture(scope="module")
def size() -> tuple[int, int]:
    return Pack(BUNDLED).info.size


@pytest.fixture(scope="module")
def eye(size: tuple[int, int]) -> Eye:
    return Eye({PORTRAIT: BUNDLED}, size)


def until_provisioned(machine: Machine, eye: Eye) -> None:
    """Wait until the card says that the portrait hangs, and see it lit."""
    machine.await_console(BOOT)
    machine.run(UNTIL_ANSWERED, FIRST_BOOT)
    say(f"provisioned at {machine.uptime:.0f} s")
    is_provisioned(lambda command: machine.run(command).text)
    with Watch(machine, eye) as watch:
        watch.until(whole, BOOT)


def is_provisioned(sh: Callable[[str], str]) -> None:
    """Make sure of it with a shell in the machine, which prints what a command says."""
    answer = sh(f"cat {ANSWER}")
    assert HANGS in answer and "not provisioned" not in answer, answer
    assert sh("ls /sys/class/net") == "lo\n", "there is no network"
    assert sh("cmp /boot/firmware/mona-lisa.toml /etc/mona-lisa/card.toml && echo same") == "same\n"
    assert "mona-lisa-first-boot" not in sh("find /etc/systemd/system"), "the next boot does not do it again"
    assert sh("systemctl is-enabled mona-lisa; systemctl is-active mona-lisa") == "enabled\nactive\n"


def is_as_chosen(sh: Callable[[str], str]) -> None:
    """Make sure that the machine has the host name and the user that were chosen in Imager."""
    assert sh("hostname; id -un keeper; ls /root/imager") == "duchess\nkeeper\n/root/imager\n"


def test_a_card_as_it_was_made(disk: Disk, folder: Path, size: tuple[int, int], eye: Eye) -> None:
    with Machine(disk.copy(folder / "plain.qcow2"), folder / "plain", size) as machine:
        until_provisioned(machine, eye)


def test_a_card_with_user_and_wifi_chosen_for_trixie(
    disk: Disk, folder: Path, size: tuple[int, int], eye: Eye
) -> None:
    with (
        laid_over(disk, CLOUD_INIT, folder / "trixie.img") as written,
        Machine(written.copy(folder / "trixie.qcow2"), folder / "trixie", size) as machine,
    ):
        until_provisioned(machine, eye)
        machine.run("cloud-init status --wait", BOOT)
        is_as_chosen(lambda command: machine.run(command).text)
        assert "Gallery" in machine.run("cat /etc/netplan/*").text


def test_a_card_with_user_chosen_for_bookworm(
    disk: Disk, folder: Path, size: tuple[int, int], eye: Eye
) -> None:
    with laid_over(disk, FIRSTRUN, folder / "bookworm.img") as written:
        first = written.copy(folder / "bookworm.qcow2")
        with Machine(first, folder / "bookworm-firstrun", size) as machine:
            machine.await_off(BOOT)  # it restarts, which ends the machine
        then = replace(first, cmdline=first.cmdline.replace(ONCE, ""))
        with Machine(then, folder / "bookworm", size) as machine:
            until_provisioned(machine, eye)
            is_as_chosen(lambda command: machine.run(command).text)
            assert machine.run("ls /boot/firmware/firstrun.sh").code != 0
