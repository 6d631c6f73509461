"""The option that names the root directory to boot; `tests/nspawn/run` gives it."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--root", help="a Debian root built by tests/nspawn/build")
