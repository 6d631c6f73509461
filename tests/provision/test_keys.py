"""Which power keys switch the machine off, with the release's own udev: `tests/provision/run`."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.nspawn.container import CHECKOUT
from tests.provision.test_provision import NewDisk

pytestmark = pytest.mark.provision

# Devices as the kernel shows them under /sys: each parent with its subsystem and driver, and the input device.
PARENTS = {
    "button of a Pi 5": ["platform/pwr_button platform gpio-keys"],
    "dtoverlay=gpio-shutdown": ["platform/soc platform -", "platform/soc/shutdown_button platform gpio-keys"],
    "button of a PC": ["LNXPWRBN:00 acpi button"],
    "keyboard": [
        "platform/xhci-hcd.0 platform xhci-hcd",
        "platform/xhci-hcd.0/usb1 usb usb",
        "platform/xhci-hcd.0/usb1/1-1:1.0 usb usbhid",
        "platform/xhci-hcd.0/usb1/1-1:1.0/0003:046D:C31C.0001 hid hid-generic",
    ],
    "wireless keyboard": ["virtual/misc misc -", "virtual/misc/uhid hid hid-generic"],
    "remote control through the television": [
        "platform/107c701400.hdmi platform vc4_hdmi",
        "platform/107c701400.hdmi/rc0 rc -",
    ],
    "infrared remote control": [
        "platform/ir-receiver platform gpio_ir_recv",
        "platform/ir-receiver/rc1 rc -",
    ],
}
OWN = ["button of a Pi 5", "dtoverlay=gpio-shutdown", "button of a PC"]
# The power key alone (116), which 70-power-switch.rules tags.
TREE = r"""
mount -t tmpfs none $1/sys
mount -t proc none $1/proc
cd $1/sys
mkdir -p class/input bus
while read -r path subsystem driver; do
    last=$path
    mkdir -p "bus/$subsystem/drivers/$driver" "devices/$path"
    touch "devices/$path/uevent"
    ln -s "/sys/bus/$subsystem" "devices/$path/subsystem"
    [ "$driver" = - ] || ln -s "/sys/bus/$subsystem/drivers/$driver" "devices/$path/driver"
done
input=devices/$last/input/input0
mkdir -p $input/event0 $input/capabilities $input/id
ln -s /sys/class/input $input/subsystem
ln -s /sys/class/input $input/event0/subsystem
ln -s ../../input0 $input/event0/device
printf 'MAJOR=13\nMINOR=64\nDEVNAME=input/event0\n' >$input/event0/uevent
touch $input/uevent
echo 3 >$input/capabilities/ev
echo "10000000000000 0" >$input/capabilities/key
for name in abs rel ff led msc snd sw; do echo 0 >$input/capabilities/$name; done
export SYSTEMD_DEVICE_VERIFY_SYSFS=0
chroot $1 udevadm test --action=add /sys/$input/event0
"""


def power_switch(root: Path, parents: list[str]) -> bool:
    """Whether logind is given the device: with the tag, since the rules that ran last."""
    command = ["unshare", "-m", "bash", "-euc", TREE, "tree", str(root)]
    done = subprocess.run(command, input="\n".join(parents) + "\n", capture_output=True, text=True)
    assert "ID_INPUT_KEY=1" in done.stdout, done.stdout + done.stderr
    return re.search(r"CURRENT_TAGS=\S*:power-switch:", done.stdout) is not None


@pytest.fixture
def root(new_disk: NewDisk) -> Path:
    return new_disk().root


@pytest.mark.parametrize("device", PARENTS)
def test_a_power_key_counts_only_on_the_machine_itself(root: Path, device: str) -> None:
    assert power_switch(root, PARENTS[device]), "the system's own rules take any"
    rules = root / "etc/udev/rules.d/71-mona-lisa.rules"
    rules.write_bytes((CHECKOUT / "systemd/udev/rules.d/71-mona-lisa.rules").read_bytes())
    assert power_switch(root, PARENTS[device]) == (device in OWN)


def test_udev_finds_nothing_wrong_with_the_rules(root: Path, release: str) -> None:
    if release == "bookworm":
        pytest.skip("udevadm verify came with systemd 254")
    for rules in (CHECKOUT / "systemd/udev/rules.d").iterdir():
        (root / "etc/udev/rules.d" / rules.name).write_bytes(rules.read_bytes())
    command = ["chroot", str(root), "udevadm", "verify", "/etc/udev/rules.d/"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
