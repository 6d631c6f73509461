"""A stand-in for a Raspberry Pi OS Lite image as downloaded, and the card that deploy/image makes of it.

A partition table, a FAT boot partition with cmdline.txt and cloud-init's files, and an ext4 root that is nearly full
until it grows at its first boot. cloud-init is Debian's, set up as Raspberry Pi OS has it.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.boot.base import base_root
from tests.boot.image import Disk, furnish, inside, key_of, make_bundle, visitor_pictures
from tests.boot.places import CACHE, HERE, PROJECT, finished, forget_others, say

# In MB, as on Raspberry Pi OS: the boot partition's beginning and size. The root takes the rest.
BOOT_AT: Final = 4
BOOT_SIZE: Final = 512
ROOT_AT: Final = BOOT_AT + BOOT_SIZE
CARD_SIZE: Final = 4000
# In MB: what is free in the root until it grows.
FREE: Final = 40
FILES: Final = {
    "cmdline.txt": "console=serial0,115200 console=tty1 root=PARTUUID=0000-02 rootfstype=ext4 fsck.repair=yes rootwait\n",
    "config.txt": "camera_auto_detect=1\n",
    "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
    "user-data": "#cloud-config\n",
    "network-config": "network:\n  version: 2\n",
}
CLOUD_INIT: Final = """datasource_list: [NoCloud, None]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware
ssh_deletekeys: false
ssh_genkeytypes: []
"""
CARD_IS_MOUNTED: Final = "[Unit]\nRequiresMountsFor=/boot/firmware\n"
FSTAB: Final = "/dev/vda1 /boot/firmware vfat defaults 0 2\n/dev/vda2 / ext4 defaults,x-systemd.growfs 0 1\n"


def downloaded_image(arch: str) -> Path:
    """Return the folder with `os.img`, its kernel and its initrd; made when anything that goes into it has changed."""
    base = base_root(arch)
    place = (
        CACHE
        / arch
        / f"os-{key_of(base.name, HERE / 'downloaded.py', HERE / 'guest', HERE / 'visitor.toml')}"
    )
    with finished(place) as new:
        if new:
            new.mkdir()
            root = new / "root"
            _run("cp", "-a", "--reflink=auto", base, root)
            say("cloud-init, console and camera")
            _add_cloud_init(root)
            furnish(root)
            visitor_pictures(root / "srv/visitor", rounds=1)
            for name in ("vmlinuz", "initrd.img"):
                shutil.copy(next((root / "boot").glob(f"{name}-*")), new / name)
            for path in (root / "boot/firmware").iterdir():
                path.unlink()
            (root / "etc/fstab").write_text(FSTAB)
            say("writing the image")
            _write(root, new / "os.img")
            _run("rm", "-rf", root)
    forget_others(place, "os-*")
    return place


def card(arch: str, config: str) -> Disk:
    """Return the disk that deploy/image makes of that image, of today's project and of settings."""
    image = downloaded_image(arch)
    place = CACHE / arch / "card"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    bundle = make_bundle(arch, base_root(arch))
    (place / "screen.toml").write_text(config)
    say("deploy/image")
    _run(
        *(PROJECT / "deploy/image", image / "os.img", "--bundle", bundle),
        *("--config", place / "screen.toml", "--out", place / "card.img"),
    )
    bundle.unlink()
    return Disk(
        arch, place / "card.img", image / "vmlinuz", image / "initrd.img", FILES["cmdline.txt"], "/dev/vda2"
    )


@contextmanager
def laid_over(disk: Disk, files: dict[str, str], path: Path) -> Iterator[Disk]:
    """Yield a copy of a card with files over those of its boot partition, as Imager writes them after the image."""
    _run("cp", "--reflink=auto", "--sparse=always", disk.path, path)
    for name, text in files.items():
        place = f"{path}@@{BOOT_AT * 2**20}"
        subprocess.run(["mcopy", "-o", "-i", place, "-", f"::{name}"], input=text.encode(), check=True)
    try:
        yield replace(disk, path=path, cmdline=files.get("cmdline.txt", disk.cmdline))
    finally:
        path.unlink()


@contextmanager
def opened(disk: Disk, folder: Path) -> Iterator[Path]:
    """Yield the card's root, mounted, with the boot partition's files in their place and grown as by the first boot."""
    root = folder / "root"
    root.mkdir(parents=True, exist_ok=True)
    attach = ("losetup", "--find", "--show", f"--offset={ROOT_AT * 2**20}", disk.path)
    loop = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        for command in (("e2fsck", "-fp", loop), ("resize2fs", loop), ("mount", loop, root)):
            _run(*command)
        # Copied, because not every kernel that containers run on knows FAT, where all files are executable.
        _run("mcopy", "-n", "-i", f"{disk.path}@@{BOOT_AT * 2**20}", "::*", root / "boot/firmware")
        _run("chmod", "-R", "755", root / "boot/firmware")
        yield root
    finally:
        subprocess.run(["umount", root], check=False)  # not mounted if one of the above failed
        _run("losetup", "--detach", loop)


def _add_cloud_init(root: Path) -> None:
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    install = (
        "apt-get -qqy -o Acquire::Retries=3 -o APT::Install-Recommends=false install cloud-init netplan.io"
    )
    script = (
        f"export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && {install} >/dev/null && apt-get clean"
    )
    _run("chroot", root, "sh", "-c", f"mount -t proc proc /proc; {script}; code=$?; umount /proc; exit $code")
    (root / "etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg").write_text(CLOUD_INIT)
    for unit in ("cloud-init-main", "cloud-init-local"):
        folder = root / f"etc/systemd/system/{unit}.service.d"
        folder.mkdir(parents=True)
        (folder / "card.conf").write_text(CARD_IS_MOUNTED)
    inside(root, "rm -rf /var/lib/apt/lists/*; truncate -s 0 /etc/machine-id")


def _write(root: Path, image: Path) -> None:
    used = int(subprocess.run(["du", "-sm", root], capture_output=True, check=True).stdout.split()[0])
    table = f"label: dos\nstart={BOOT_AT}MiB, size={BOOT_SIZE}MiB, type=c\nstart={ROOT_AT}MiB, type=83\n"
    _run("truncate", "-s", f"{CARD_SIZE}M", image)
    subprocess.run(["sfdisk", "-q", image], input=table.encode(), check=True)
    place = f"{image}@@{BOOT_AT * 2**20}"
    _run(
        "mformat",
        "-i",
        place,
        "-F",
        "-T",
        str(BOOT_SIZE * 2048),
        "-h",
        "64",
        "-s",
        "32",
        "-v",
        "bootfs",
        "::",
    )
    for name, text in FILES.items():
        subprocess.run(["mcopy", "-i", place, "-", f"::{name}"], input=text.encode(), check=True)
    # A twentieth more for what the file system itself takes.
    size = f"{used * 105 // 100 + FREE}M"
    _run(
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-m",
        "0",
        "-L",
        "rootfs",
        "-d",
        root,
        "-E",
        f"offset={ROOT_AT * 2**20}",
        image,
        size,
    )


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)
