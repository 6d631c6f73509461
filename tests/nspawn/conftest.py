"""The machines the tests look at or do harm to, in a root directory that `tests/nspawn/run` names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nspawn.container import EYES, SMALL, Container, install


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--root", help="a Debian root built by tests/nspawn/build")


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest) -> Path:
    """A disk with the program and its units; containers boot from it and write nothing to it."""
    folder = Path(request.config.getoption("--root"))
    install(folder)
    return folder


@pytest.fixture(scope="module")
def gallery(root: Path) -> Iterator[Container]:
    """A machine with the simulated gallery for a camera, for tests that only look at it."""
    with Container(root, EYES % "--camera gallery", SMALL) as booted:
        yield booted.seeing()


@pytest.fixture
def own(root: Path) -> Iterator[Container]:
    """The same for one test alone, which may leave it in any state: it is thrown away."""
    with Container(root, EYES % "--camera gallery", SMALL) as booted:
        yield booted.seeing()
