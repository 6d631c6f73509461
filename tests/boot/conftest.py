"""Options of `tests/boot/run`, and the machine that its tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.image import OTHER_PORTRAIT, PORTRAIT, SIZE, Disk, appliance_disk
from tests.boot.look import Eye
from tests.boot.places import CACHE


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the suites can be told."""
    parser.addoption("--arch", choices=("amd64", "arm64"), default="amd64")
    parser.addoption("--cuts", type=int, default=0, help="power cuts at random moments")
    parser.addoption("--seed", type=int, default=1, help="of those moments")


@pytest.fixture(scope="session")
def provisioned(request: pytest.FixtureRequest) -> Disk:
    """The disk every machine begins with; nobody writes to it."""
    return appliance_disk(str(request.config.getoption("--arch")))


@pytest.fixture(scope="session")
def eye(provisioned: Disk) -> Eye:
    """Knows the frames of both portraits, upright."""
    return Eye(packs(provisioned), SIZE)


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where the machines of a run leave their disks and logs."""
    place = CACHE / "run" / str(request.config.getoption("--arch"))
    place.mkdir(parents=True, exist_ok=True)
    yield place
    for disk in (*place.glob("*.qcow2"), *place.glob("*.img")):
        disk.unlink()


def packs(disk: Disk) -> dict[str, Path]:
    """Return the portraits on a disk."""
    return {name: disk.path.parent / name for name in (PORTRAIT, OTHER_PORTRAIT)}
