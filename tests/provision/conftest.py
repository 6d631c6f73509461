"""Fresh machines, bundles and versions of the project; `tests/provision/run` says for which releases."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nspawn.container import CHECKOUT
from tests.provision.machine import CONFIG, OFFLINE, PROVISION, Disk

CACHE = CHECKOUT / ".cache/provision"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--releases", default="bookworm", help="bookworm, trixie, or both with a comma between")
    parser.addoption("--kills", type=int, default=3, help="how often provisioning is cut off")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "release" in metafunc.fixturenames:
        metafunc.parametrize(
            "release", metafunc.config.getoption("--releases", "bookworm").split(","), scope="session"
        )


@pytest.fixture(scope="session")
def base(release: str) -> Path:
    """A fresh minimal Debian."""
    return Path(_output("tests/provision/build", release))


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """Make a bundle of a project with the real script; what it downloads is kept for the next one."""

    def make(release: str, project: Path = CHECKOUT) -> Path:
        folder = tmp_path_factory.mktemp("bundle")
        mirror = (CACHE / "mirror").read_text().strip()
        (folder / "of.list").write_text(f"deb {mirror} {release} main\n")
        shutil.copy(KEYS, folder)
        options = ["--release", release, "--arch", "amd64", "--no-camera", "--sources", str(folder)]
        command = [str(project / "deploy/bundle"), *options, "--cache", str(CACHE / "downloads")]
        contents = hashlib.sha256(_output(*command, "--dry-run").encode()).hexdigest()[:12]
        bundle = CACHE / f"{release}-{contents}.bundle"
        if not bundle.exists():
            for old in CACHE.glob(f"{release}-*.bundle"):
                old.unlink()
            _output(*command, "--out", str(bundle))
        return bundle

    return make


@pytest.fixture(scope="session")
def bundle(release: str, make_bundle: Callable[[str, Path], Path]) -> Path:
    """The checkout's bundle for the release."""
    return make_bundle(release, CHECKOUT)


@pytest.fixture
def new_disk(base: Path, tmp_path: Path) -> Iterator[Callable[[], Disk]]:
    """Disks of fresh machines, thrown away at the end."""
    disks: list[Disk] = []

    def make() -> Disk:
        disks.append(Disk([base], tmp_path / f"disk{len(disks)}"))
        disks[-1].write("/etc/screen.toml", CONFIG)
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


@pytest.fixture(scope="session")
def provisioned(
    base: Path, bundle: Path, release: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disk]:
    """A machine provisioned from the bundle, without a network; switched off."""
    disk = Disk([base], tmp_path_factory.mktemp(release))
    disk.write("/etc/screen.toml", CONFIG)
    with disk.booted(OFFLINE, bundle=bundle) as machine:
        disk.files_before = machine.files()
        disk.told = machine.sh(f"{PROVISION} --bundle /srv/bundle", 600)
        disk.files_after = machine.files()
    yield disk
    disk.close()


@pytest.fixture
def disk(provisioned: Disk, tmp_path: Path) -> Iterator[Disk]:
    """A copy of the provisioned machine, thrown away at the end."""
    copy = Disk(provisioned.layers, tmp_path / "disk")
    yield copy
    copy.close()


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()
