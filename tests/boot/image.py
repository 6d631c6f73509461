"""What a machine boots: the base system with the appliance provisioned on it, offline, by its own scripts."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from PIL import Image

from appliance.gallery.camera import GalleryCamera
from tests.boot.base import RELEASE, base_root
from tests.boot.places import CACHE, HERE, PROJECT, finished, forget_others, say

# The screen of the tests: a portrait mode small enough for an emulated processor to draw.
SIZE: Final = (360, 640)
PORTRAIT: Final = "sconosciuta"
# What the portrait is switched for.
OTHER_PORTRAIT: Final = "astronaut"
LIBRARY: Final = "/var/lib/mona-lisa"
# So few that an emulated processor has seen all of them within a minute.
_PICTURES_PER_SECOND: Final = 1.0
_SHIPPED: Final = ("appliance", "deploy", "systemd", "models", "frames/portraits.toml", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk and the kernel that boots it; `arch` is Debian's word, amd64 or arm64.

    `cmdline` is what provisioning made of the boot partition's cmdline.txt; `root` is the device with the root.
    """

    arch: str
    path: Path
    kernel: Path
    initrd: Path
    cmdline: str
    root: str = "/dev/vda"

    def copy(self, path: Path) -> "Disk":
        """Return a disk that begins as this one; what is written to it stays in `path` (qcow2)."""
        form = "qcow2" if self.path.suffix == ".qcow2" else "raw"
        path.unlink(missing_ok=True)
        _run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.path.resolve(), "-F", form, path)
        return replace(self, path=path)

    def copy_with(self, path: Path, file: Path, target: str) -> "Disk":
        """Return a disk that holds one file more, before it is booted for the first time."""
        raw = path.with_suffix(".img")
        raw.unlink(missing_ok=True)
        _run("cp", "--sparse=always", self.path, raw)
        _run("debugfs", "-w", "-R", f"write {file} {target}", raw)
        return replace(self, path=raw).copy(path)


def appliance_disk(arch: str) -> Disk:
    """Return the provisioned disk, made when anything that goes into it has changed."""
    root = provisioned_root(arch)
    place = CACHE / arch / f"disk-{key_of(root.name, HERE / 'guest')}"
    with finished(place) as new:
        if new:
            new.mkdir()
            whole = new / "root"
            _run("cp", "-a", "--reflink=auto", root, whole)
            say("what only this machine has: console and camera")
            furnish(whole)
            say("writing the disk")
            _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-d", whole, new / "disk.img", "3500M")
            shutil.copy(whole / "boot/firmware/cmdline.txt", new)
            for name in ("vmlinuz", "initrd.img"):
                shutil.copy(next((whole / "boot").glob(f"{name}-*")), new / name)
            for name in (PORTRAIT, OTHER_PORTRAIT):
                shutil.copytree(whole / LIBRARY.lstrip("/") / name, new / name)
            _run("rm", "-rf", whole)
    forget_others(place, "disk-*")
    cmdline = (place / "cmdline.txt").read_text()
    return Disk(arch, place / "disk.img", place / "vmlinuz", place / "initrd.img", cmdline)


def provisioned_root(arch: str, small: bool = False) -> Path:
    """Return the folder of the system as provisioning left it, made when anything that ships has changed.

    A small one is for a container: no camera, no second portrait.
    """
    base = base_root(arch, small)
    shipped = [PROJECT / part for part in _SHIPPED]
    kind = "contained" if small else "provisioned"
    ours = HERE / "image.py", HERE / "guest/config.toml", HERE / "visitor.toml"
    key = key_of(base.name, *shipped, *ours)
    root = CACHE / arch / f"{kind}-{key}"
    with finished(root) as new:
        if new:
            say("copying the base")
            _run("cp", "-a", "--reflink=auto", base, new)
            bundle = make_bundle(arch, new)
            say("deploy/provision --bundle, without a network")
            _provision(new, bundle, "--no-camera" if small else "")
            if not small:
                say(f"the portrait of {OTHER_PORTRAIT}.png, to be switched for")
                _install_other(new)
            visitor_pictures(new / "srv/visitor", rounds=60 if small else 1)
    forget_others(root, f"{kind}-*")
    return root


def key_of(name: str, *paths: Path) -> str:
    parts = hashlib.sha256(name.encode())
    for path in sorted(file for each in paths for file in _files(each)):
        parts.update(str(path.relative_to(PROJECT)).encode() + path.read_bytes())
    return parts.hexdigest()[:12]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts]


def make_bundle(arch: str, root: Path) -> Path:
    bundle = CACHE / arch / "appliance.bundle"
    with tempfile.TemporaryDirectory() as sources:
        for part in ("etc/apt/sources.list", "usr/share/keyrings/debian-archive-keyring.gpg"):
            shutil.copy(root / part, sources)
        say("deploy/bundle")
        _run(
            *(PROJECT / "deploy/bundle", "--release", RELEASE, "--arch", arch, "--sources", sources),
            *("--no-camera", "--cache", CACHE / "bundles" / arch, "--out", bundle),
        )
    return bundle


def _provision(root: Path, bundle: Path, more: str) -> None:
    # What a technician brings along: the bundle, the project in it, and the screen's config.
    stick = root / "media/stick"
    stick.mkdir()
    shutil.copy(HERE / "guest/config.toml", stick)
    bundle.rename(stick / "bundle")
    _run("tar", "-xf", stick / "bundle", "-C", stick, "./project")
    options = f"--yes --bundle /media/stick/bundle --config /media/stick/config.toml --portrait {PORTRAIT}"
    inside(root, f"/media/stick/project/deploy/provision {options} {more}")
    shutil.rmtree(stick)


def _install_other(root: Path) -> None:
    picture = f"{OTHER_PORTRAIT}.png"
    shutil.copy(PROJECT / "frames" / picture, root / "var/tmp")
    command = f"runuser -u mona-lisa -- env STATE_DIRECTORY={LIBRARY} mona-lisa portrait"
    inside(root, f"{command} install /var/tmp/{picture} && {command} use {PORTRAIT} && rm /var/tmp/{picture}")


def furnish(root: Path) -> None:
    guest, units = HERE / "guest", root / "etc/systemd/system"
    for source, target in (
        ("virtual.yaml", root / "usr/share/libcamera/pipeline/virtual/virtual.yaml"),
        ("console.service", units / "boot-console.service"),
        ("70-virtual-camera.rules", root / "etc/udev/rules.d/70-virtual-camera.rules"),
        ("emulation.conf", units / "mona-lisa.service.d/90-emulation.conf"),
        ("card-portrait.conf", units / "mona-lisa-card-portrait.service.d/90-emulation.conf"),
        ("take-display", root / "opt/take-display"),
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(guest / source, target)
    shutil.copytree(guest / "virtual-camera", root / "opt/virtual-camera")
    (units / "serial-getty@hvc0.service").symlink_to("/dev/null")
    inside(root, "systemctl enable -q boot-console.service && python3 -m compileall -q /opt/virtual-camera")


def visitor_pictures(folder: Path, rounds: int) -> None:
    """Write what the camera sees: a visitor at its left, in the middle, at its right.

    The virtual camera begins again by itself; a replayed folder ends, and holds some rounds.
    """
    folder.mkdir(parents=True)
    with GalleryCamera(HERE / "visitor.toml", 640, 360, _PICTURES_PER_SECOND, pace=False) as camera:
        count = round(camera.walk.duration * _PICTURES_PER_SECOND)
        for number in range(count):
            Image.fromarray(camera.newest().pixels).save(folder / f"{number:05}.jpg", quality=92)
    for number in range(count, count * rounds):
        (folder / f"{number:05}.jpg").hardlink_to(folder / f"{number % count:05}.jpg")


def inside(root: Path, command: str) -> None:
    """Run a shell command as root in a root folder, in a network that reaches nothing."""
    script = (
        'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/run" && '
        'mkdir "$1/run/lock" && exec chroot "$1" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:'
        '/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 sh -ec "$2"'
    )
    _run("unshare", "--mount", "--net", "sh", "-ec", script, "sh", root, command)


def _run(*command: str | Path) -> None:
    if (code := subprocess.run(command).returncode) != 0:
        sys.exit(f"boot: failed with {code}: {' '.join(map(str, command))[:300]}")
