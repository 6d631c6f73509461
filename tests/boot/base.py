"""The system the appliance is provisioned on: a small Debian Trixie that stands in for Raspberry Pi OS.

Debian lacks three things that Raspberry Pi OS has: picamera2, which comes from PyPI as a Debian
package of its own making; a boot partition with a cmdline.txt; and a kernel for a Pi, instead of
which a plain one is there.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.boot.places import CACHE, finished, forget_others, say

RELEASE: Final = "trixie"
PICAMERA2: Final = "0.3.38"
# Its parts that Debian lacks; the rest are Debian packages.
_WHEELS: Final = (f"picamera2=={PICAMERA2}", "simplejpeg==1.9.0", "videodev2==0.0.4")
_CAMERA_NEEDS: Final = (
    *("python3-av", "python3-jsonschema", "python3-libarchive-c", "python3-libcamera", "libcamera-ipa"),
    *("python3-numpy", "python3-piexif", "python3-pil", "python3-prctl", "python3-tqdm"),
)
_SYSTEM: Final = ("systemd-sysv", "udev", "dbus", "libpam-systemd", "kmod", "procps", "e2fsprogs", "python3")
_KERNEL: Final = ("initramfs-tools", "zstd", "linux-image-{arch}")
_MODULES: Final = ("virtio_pci", "virtio_mmio", "virtio_blk", "ext4")
# As Raspberry Pi OS writes it on its boot partition.
_CMDLINE: Final = (
    "console=serial0,115200 console=tty1 root=PARTUUID=0000-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
)
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


def base_root(arch: str, small: bool = False) -> Path:
    """Return the folder of the base system, built at its first use: minutes, and a network.

    A small one is for a container without a camera: without kernel and picamera2, in half the time.
    """
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    kind = "small" if small else "base"
    root = CACHE / arch / f"{kind}-{key}"
    with finished(root) as new:
        if new:
            say(f"building Debian {RELEASE} for {arch} (some minutes)")
            camera_and_kernel = (*_CAMERA_NEEDS, *_KERNEL)
            _bootstrap(arch, new, _SYSTEM if small else (*_SYSTEM, *camera_and_kernel))
            if not small:
                say("picamera2 as a Debian package")
                _install_picamera2(arch, new)
            boot = new / "boot" / "firmware"
            boot.mkdir()
            (boot / "cmdline.txt").write_text(_CMDLINE)
            (boot / "config.txt").write_text("camera_auto_detect=1\n")
            (new / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
            (new / "etc/hostname").write_text("framed-screen\n")
    forget_others(root, f"{kind}-*")
    return root


def _bootstrap(arch: str, root: Path, packages: tuple[str, ...]) -> None:
    settings = "MODULES=list\\nCOMPRESS=zstd\\n"
    small = (
        'mkdir -p "$1"/etc/initramfs-tools/conf.d; '
        f'printf "{settings}" >"$1"/etc/initramfs-tools/conf.d/small; '
        f'printf "%s\\n" {" ".join(_MODULES)} >"$1"/etc/initramfs-tools/modules'
    )
    log = root.with_suffix(".log")
    command = [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", f"--architectures={arch}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "locale", "doc")),
        *("--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"', '--aptopt=Acquire::Retries "3"'),
        f"--setup-hook={small}",
        f"--include={','.join(packages).format(arch=arch)}",
        *(RELEASE, str(root), _mirror()),
    ]
    with log.open("wb") as out:
        if subprocess.run(command, stdout=out, stderr=out).returncode != 0:
            sys.exit(f"boot: mmdebstrap failed; see {log}")


def _mirror() -> str:
    """Return where this machine has Debian's packages from, if it is a Debian; else where everybody has them from."""
    sources = Path("/etc/apt")
    for file in sorted([*sources.glob("sources.list"), *sources.glob("sources.list.d/*")]):
        if found := re.search(r"^(?:URIs:|deb(?: +\[[^]]*\])?) +(\S+/debian)/?\s", file.read_text(), re.M):
            return found[1]
    return "http://deb.debian.org/debian"


def _install_picamera2(arch: str, root: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheels, package = Path(folder, "wheels"), Path(folder, "package")
        modules = package / "usr/lib/python3/dist-packages"
        machine = _MACHINES[arch]
        platforms = [f"manylinux{each}_{machine}" for each in ("2014", "_2_17", "_2_27", "_2_28")]
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run(
            [
                *(*pip, "--only-binary=:all:", "--implementation=cp", "--python-version=313", "--abi=cp313"),
                *(f"--platform={platform}" for platform in platforms),
                *("-d", str(wheels), *_WHEELS),
            ],
            check=True,
        )
        for wheel in sorted(wheels.iterdir()):
            shutil.unpack_archive(wheel, modules, "zip")
        (package / "DEBIAN").mkdir(parents=True)
        (package / "DEBIAN/control").write_text(
            f"Package: python3-picamera2\nVersion: {PICAMERA2}\nArchitecture: {arch}\n"
            f"Maintainer: the boot tests\nDepends: {', '.join(_CAMERA_NEEDS)}\n"
            "Description: picamera2 from PyPI, as Raspberry Pi OS packages it\n"
        )
        (root / "tmp/package").mkdir()
        subprocess.run(["cp", "-a", f"{package}/.", root / "tmp/package"], check=True)
        for command in (
            "dpkg-deb --root-owner-group -Znone -b /tmp/package /tmp/p.deb",
            "dpkg -i /tmp/p.deb",
            "rm -r /tmp/package /tmp/p.deb",
            "cd /usr/lib/python3/dist-packages && python3 -m compileall -q picamera2 simplejpeg videodev2",
        ):
            subprocess.run(["chroot", root, "sh", "-c", command], check=True, stdout=subprocess.DEVNULL)
