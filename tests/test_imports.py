"""Packages and their order: a package, or a module beside the packages, imports only what stands before it.

The command line may use every package; so may the package's own __init__, which loads what it exports when it is
first used (tests/test_public_names.py).
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import appliance

PACKAGE = Path(appliance.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each package may import besides itself; the road runs from the first to the last.
HELPERS = {"clock", "errors", "terminal", "files", "schema", "images", "config", "assets"}
MAY_IMPORT = {
    "clock": set(),
    "errors": set(),
    "terminal": set(),
    "files": {"errors"},
    "schema": {"errors", "files", "terminal"},
    "images": {"errors", "files"},
    "config": {"errors", "schema", "terminal"},
    "assets": {"errors", "files", "schema"},
    "camera": HELPERS,
    "gallery": HELPERS | {"camera"},
    "pack": HELPERS,
    "library": HELPERS | {"pack"},
    "vision": HELPERS | {"camera"},
    "tracking": HELPERS | {"camera", "vision"},
    "gaze": HELPERS | {"camera", "vision", "tracking", "pack"},
    "display": HELPERS | {"camera", "vision", "tracking", "gaze", "pack", "library"},
    "service": HELPERS | {"camera", "gallery", "vision", "tracking", "gaze", "pack", "library", "display"},
    "portrait": HELPERS | {"camera", "vision", "pack", "library"},
    "fomm": HELPERS | {"camera", "vision", "pack", "portrait"},
    "bench": HELPERS
    | {"camera", "gallery", "vision", "tracking", "gaze", "pack", "display", "service", "portrait", "fomm"},
}
USE_EVERY_PACKAGE = {"__init__", "__main__", "cli"}
ONLY_CLI_IMPORTS = {"portrait", "fomm", "bench"}


def package_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    """The packages a module imports anywhere in it, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [node.module or ""]
            if node.module == "appliance":
                names = [f"appliance.{alias.name}" for alias in node.names if alias.name[0] != "_"]
        found |= {name.split(".")[1] for name in names if name.startswith("appliance.")}
    return found - {package_of(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_package_imports_only_packages_before_it(path: Path) -> None:
    if package_of(path) in USE_EVERY_PACKAGE:
        return
    assert package_of(path) in MAY_IMPORT, (
        "a new package: give it its place here, and a row in appliance/README.md"
    )
    assert imported_packages(path) <= MAY_IMPORT[package_of(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_loop_does_without_portrait_fomm_and_bench(path: Path) -> None:
    if package_of(path) not in {*USE_EVERY_PACKAGE, *ONLY_CLI_IMPORTS}:
        assert not imported_packages(path) & ONLY_CLI_IMPORTS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_opens_with_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text))


def names_defined(module: Path) -> list[str]:
    """The classes, functions and constants at the top of a module."""
    names = []
    for node in ast.parse(module.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def words_in(modules: Iterable[Path]) -> Counter[str]:
    return Counter(word for module in modules for word in re.findall(r"\w+", module.read_text("utf-8")))


def test_every_name_at_the_top_of_a_module_is_used() -> None:
    package, tests = words_in(MODULES), words_in((PACKAGE.parent / "tests").rglob("*.py"))
    for module in MODULES:
        # The bench's scenes are for the tests as well; nothing else is there for a test alone.
        users = package + tests if package_of(module) == "bench" else package
        assert [name for name in names_defined(module) if users[name] == 1] == [], module


def imported_modules(path: Path) -> set[Path]:
    """The package's modules that a module imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("appliance"):
            base = PACKAGE.parent / str(node.module).replace(".", "/")
            for file in (base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)):
                found |= {file} & set(MODULES)
    return found - {path}


def has_circle(needs: dict[Any, set[Any]]) -> bool:
    """Take away what needs nothing that is left, until nothing is left or nothing can be taken."""
    left = dict(needs)
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    return bool(left)


def test_neither_packages_nor_modules_import_in_a_circle() -> None:
    assert has_circle({1: {2}, 2: {3}, 3: {1}})
    assert not has_circle(MAY_IMPORT)
    assert not has_circle({path: imported_modules(path) for path in MODULES})


def test_the_package_has_few_modules() -> None:
    """A second idea in a module is the reason to split it; a module of a few lines is no idea."""
    assert len(MODULES) <= 112
