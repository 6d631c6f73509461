"""A machine to provision: a fresh Debian that boots systemd in a container and keeps what is written to it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.nspawn.container import CHECKOUT, Booted

PROJECT: Final = "/srv/project"
PROVISION: Final = f"{PROJECT}/deploy/provision --no-camera --config /etc/screen.toml"
# What is chosen for the test: there is no camera and no display in a container.
CONFIG: Final = """[camera]
source = "gallery"
[display]
output = "offscreen:/run/mona-lisa/lit"
width = 270
height = 480
"""
ONLINE: Final = ("--resolv-conf=replace-host",)
OFFLINE: Final = ("--private-network",)
# The package manager's own books and caches, and logs, which are to stay.
_BOOKS: Final = (
    "/proc", "/sys", "/run", "/tmp", "/dev", "/srv", "/var/log", "/var/cache", "/var/lib/apt", "/var/lib/ucf",
    "/var/lib/systemd", "/var/tmp/systemd-private-*", "/root",
)  # fmt: skip


class Machine(Booted):
    """A container with a few more questions to it."""

    def files(self) -> set[str]:
        """List every file, link and folder, but for logs and the package manager's books and caches."""
        pruned = " -o ".join(f"-path '{folder}'" for folder in _BOOKS)
        return set(self.sh(f"find / -xdev \\( {pruned} \\) -prune -o -print").splitlines())

    def release(self) -> str:
        """Return the name of the release that runs."""
        return Path(self.sh("readlink /opt/mona-lisa/current")).name

    def frames_lit(self) -> int:
        """Count the frames that were lit since the service started."""
        return int(self.sh("wc -l </run/mona-lisa/lit/lit.jsonl 2>/dev/null || echo 0"))


class Disk:
    """A root that starts as the topmost of `lower` and keeps its changes over boots (an overlay mount)."""

    def __init__(self, lower: Sequence[Path], folder: Path) -> None:
        self.root = folder / "root"
        upper, work = folder / "upper", folder / "work"
        for part in (self.root, upper, work):
            part.mkdir(parents=True)
        self.layers = [upper, *lower]
        self.files_before: set[str] = set()
        self.files_after: set[str] = set()
        self.told = ""
        options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)

    def close(self) -> None:
        """Unmount; the changes stay in the folder."""
        subprocess.run(["umount", "--lazy", self.root], check=True)

    def write(self, name: str, text: str) -> None:
        """Write a file of the machine, which is switched off."""
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def boot_once(self, *kernel: str) -> None:
        """Boot it with these words on the kernel's command line, until it switches itself off."""
        machine = Machine(f"--directory={self.root}", *OFFLINE, *kernel)
        machine.run_to_the_end(120)

    @contextmanager
    def booted(
        self, network: Sequence[str], project: Path = CHECKOUT, bundle: Path | None = None
    ) -> Iterator[Machine]:
        """Boot it with a project under PROJECT and a bundle as /srv/bundle, both read-only."""
        binds = [f"--bind-ro={project}:{PROJECT}"]
        if bundle:
            binds.append(f"--bind-ro={bundle}:/srv/bundle")
        with Machine(f"--directory={self.root}", *network, *binds) as machine:
            yield machine
