"""The wheel, installed into a venv of its own: what works without a checkout. Needs no network.

What the wheel depends on is taken from the venv that runs the tests; CONTRIBUTING.md says how to try an empty one.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.assets import load_assets

CHECKOUT = Path(__file__).parent.parent
MANIFESTS = ("models/manifest.toml", "frames/portraits.toml")
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "frames/sconosciuta.png", *MANIFESTS)


@dataclass(frozen=True)
class Installed:
    """A venv with the wheel, and an empty folder in place of its user's home."""

    wheel: Path
    command: Path
    user: Path

    @property
    def cache(self) -> Path:
        """Where the command looks for what was fetched."""
        return self.user / ".cache/mona-lisa"

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the user's home."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        return subprocess.run(
            [self.command, *words],
            cwd=self.user,
            env={**kept, "HOME": str(self.user), **environment},
            capture_output=True,
            text=True,
        )

    def copy_fetched(self) -> None:
        """Copy what the checkout has fetched: `assets fetch` without a network."""
        for asset in load_assets():
            folder = self.cache / asset.folder.name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(asset.path, folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of a copy of the project, because setuptools leaves a folder build/ behind."""
    pytest.importorskip("setuptools", "70.1", "the first that builds a wheel; deploy/setup --dev installs it")
    project, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        CHECKOUT / "appliance", project / "appliance", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in SOURCES:
        (project / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, project / name)
    _pip("wheel", "--no-build-isolation", f"--wheel-dir={out}", str(project))
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    _pip("--python", str(python), "install", str(wheel))
    purelib = subprocess.check_output(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], text=True
    )
    # Behind the wheel, and without their own .pth files: the checkout's editable install does not come along.
    Path(purelib.strip(), "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder


@pytest.fixture
def installed(wheel: Path, venv: Path, tmp_path: Path) -> Installed:
    return Installed(wheel, venv / "bin/mona-lisa", tmp_path)


def _pip(*words: str) -> None:
    options = ("--no-index", "--no-deps")
    at = words.index("install" if "install" in words else "wheel") + 1
    subprocess.run(
        [sys.executable, "-m", "pip", "-q", *words[:at], *options, *words[at:]],
        check=True,
        capture_output=True,
    )


def test_the_wheel_has_all_modules_and_their_data(wheel: Path) -> None:
    found = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("appliance/")}
    package = CHECKOUT / "appliance"
    wanted = [path for kind in ("*.py", "*.toml", "py.typed") for path in package.rglob(kind)]
    shipped = {f"appliance/shipped/{name}" for name in (*MANIFESTS, "frames/sconosciuta.png")}
    assert found == {str(path.relative_to(CHECKOUT)) for path in wanted} | shipped


def test_the_wheel_has_the_version_of_the_package(wheel: Path, installed: Installed) -> None:
    from appliance import __version__

    assert wheel.name == f"mona_lisa-{__version__}-py3-none-any.whl"
    assert installed.run("--version").stdout == f"mona-lisa {__version__}\n"


def test_known_portraits_are_listed_without_a_checkout(installed: Installed) -> None:
    done = installed.run("portrait", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "La Sconosciuta" in done.stdout
    assert "Mona Lisa" in done.stdout


def test_missing_models_are_named_in_the_users_cache(installed: Installed) -> None:
    done = installed.run("assets", "verify")
    assert done.returncode == 1
    for asset in load_assets():
        path = installed.cache / asset.folder.name / asset.name
        assert f"mona-lisa: {path}: No such file or directory; run `mona-lisa assets fetch`\n" in done.stderr


def test_faces_are_found_with_models_from_the_users_cache(installed: Installed) -> None:
    installed.copy_fetched()
    done = installed.run("assets", "verify")
    assert (done.returncode, done.stdout) == (0, f"6 files right in {installed.cache}\n")
    done = installed.run("detect", str(installed.cache / "frames/astronaut.png"), "--json")
    assert done.returncode == 0, done.stderr
    assert [len(image["faces"]) for image in json.loads(done.stdout)] == [1]


def test_xdg_cache_home_is_followed_and_named(installed: Installed, tmp_path: Path) -> None:
    installed.copy_fetched()
    installed.cache.parent.rename(tmp_path / "elsewhere")
    done = installed.run("assets", "verify", XDG_CACHE_HOME=str(tmp_path / "elsewhere"))
    assert done.stdout == f"6 files right in {tmp_path / 'elsewhere/mona-lisa'}\n"
    done = installed.run("assets", "verify", XDG_CACHE_HOME="elsewhere")  # XDG: a relative path is ignored
    assert f"{installed.cache}/models/" in done.stderr


@pytest.mark.slow
def test_the_demo_runs_without_a_checkout(installed: Installed) -> None:
    installed.copy_fetched()
    done = installed.run("demo", "--seconds", "5", "--display", "offscreen:lit")
    assert done.returncode == 0, done.stderr
    assert f"rendering La Sconosciuta into {installed.cache}/frames/sconosciuta\n" in done.stderr
    assert (installed.user / "demo-out/film.webp").stat().st_size
    done = installed.run("portrait", "list")
    assert done.stdout.startswith("* sconosciuta: La Sconosciuta")
