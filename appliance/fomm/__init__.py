"""The First Order Motion Model: the way the original piece made its frames, on a workstation."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from appliance.errors import NoExtra

# Older PyTorch could be made to run code, or to overwrite memory, by a file read as weights only
# (CVE-2025-32434 before 2.6, CVE-2026-24747 before 2.10). Older PyAV does not tell a film's rotation.
LEAST: Final = {"torch": (2, 10), "av": (14, 0)}


def check(*packages: str) -> None:
    """Make sure that packages are installed and new enough; nothing is imported.

    Raises
    ------
    NoExtra
        If one is not.
    """
    for package in packages:
        least = LEAST[package]
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "none"
        numbers = found.split("+")[0].split(".")[:2]
        if not all(n.isdecimal() for n in numbers) or tuple(map(int, numbers)) < least:
            raise NoExtra(
                f"fomm needs {package} {least[0]}.{least[1]} or newer, found {found}; on a workstation, "
                "in a checkout: .venv/bin/pip install -e '.[fomm]'"
            )
