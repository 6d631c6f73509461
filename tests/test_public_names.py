"""The package as a library: what it exports, and README's example."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import appliance
from appliance.assets import home_folder
from appliance.pack import Pack

CHECKOUT = Path(__file__).parent.parent


def _imported_for_types() -> set[str]:
    """What type checkers see of the package."""
    tree = ast.parse((CHECKOUT / "appliance/__init__.py").read_text("utf-8"))
    return {
        f"{node.module}.{alias.name}"
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_importing_the_package_loads_no_other_module_of_it() -> None:
    program = "import sys, appliance; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=home_folder()).split()
    assert "appliance" in loaded
    assert not [name for name in loaded if name.startswith(("appliance.", "numpy", "PIL", "pygame"))]


@pytest.mark.parametrize("name", appliance.__all__)
def test_a_public_name_is_one_of_its_module_and_has_a_docstring(name: str) -> None:
    found = getattr(appliance, name)
    assert found.__name__ == name
    assert found.__doc__
    assert f"{found.__module__}.{name}" in _imported_for_types()


def test_type_checkers_see_the_public_names_and_no_others() -> None:
    assert {path.rpartition(".")[2] for path in _imported_for_types()} == set(appliance.__all__)


def test_a_name_that_is_not_exported_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"^module 'appliance' has no attribute 'Detector'$"):
        appliance.Detector  # type: ignore[attr-defined]  # noqa: B018  # there is none: that is the test
    with pytest.raises(ImportError):
        from appliance import Detector  # type: ignore[attr-defined]  # noqa: F401  # there is none


@pytest.mark.slow
def test_the_example_in_readme_runs(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"^```python\n(.*?)^```", (CHECKOUT / "README.md").read_text("utf-8"), re.M | re.S
    )
    (tmp_path / "frames").mkdir()
    for name in ("sconosciuta.png", "astronaut.png"):
        shutil.copy(home_folder() / "frames" / name, tmp_path / "frames")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Face(score=") == 1
    pack = Pack(tmp_path / "sitter")
    shown = Image.open(tmp_path / "eyes.png").tobytes()
    (frame,) = [i for i in range(pack.info.main.count) if pack.patch(i).tobytes() == shown]
    assert pack.info.main.angles[frame] > 0  # the astronaut is a little to the camera's left
