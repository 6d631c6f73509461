"""What stands around the code agrees with it: changelog, workflow, hooks, versions for development."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance import __version__
from tests.conftest import pytest_xdist_auto_num_workers, sendable

CHECKOUT = Path(__file__).parent.parent
LOCK = (CHECKOUT / "deploy/requirements/dev.txt").read_text("utf-8")


def _text(name: str) -> str:
    return (CHECKOUT / name).read_text("utf-8")


def test_the_changelog_begins_with_this_version() -> None:
    newest = re.findall(r"^## (\S+)$", _text("CHANGELOG.md"), re.MULTILINE)[0]
    assert __version__.startswith(f"{newest}.")


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]


def test_the_workflow_only_calls_scripts_that_ci_run_calls() -> None:
    steps = re.findall(r"^ +- run: (.*)$", _text(".github/workflows/ci.yml"), re.MULTILINE)
    called = _text(".ci/run").splitlines()
    assert len(steps) == 3
    assert [step for step in steps if step not in called] == []
    assert "run: |" not in _text(".github/workflows/ci.yml")


def test_hooks_only_run_what_a_checkout_has() -> None:
    entries = re.findall(r"^ +entry: (\S+)", _text(".pre-commit-config.yaml"), re.MULTILINE)
    assert set(entries) <= {".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/python", "shellcheck"}
    assert "https:" not in _text(".pre-commit-config.yaml")


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_the_lock_has_every_package_for_development(python: str) -> None:
    locked = {
        re.split("==", row)[0].lower().replace("_", "-")
        for row in LOCK.splitlines()
        if row.endswith(f'; python_version == "{python}"')
    }
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    wanted = set()
    for row in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        name, _, marker = row.partition(";")
        if marker.strip() != f"python_version {'>=' if python == '3.11' else '<'} '3.12'":
            wanted.add(re.split("[<>=]", name)[0].strip())
    assert wanted <= locked


def test_set_up_knows_the_lock() -> None:
    command = [str(CHECKOUT / "deploy/setup"), "--dev", "--locked", "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_names_of_tests_have_at_most_60_characters() -> None:
    names = [
        name
        for path in (CHECKOUT / "tests").rglob("*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(names) > 1000
    assert [name for name in names if len(name) > 60] == []


def test_the_whole_suite_uses_all_cores_and_a_file_uses_one() -> None:
    def processes(source: pytest.Config.ArgsSource, capture: str = "fd") -> int:
        config = SimpleNamespace(args_source=source, option=SimpleNamespace(capture=capture))
        return pytest_xdist_auto_num_workers(config)  # type: ignore[arg-type]

    sources = pytest.Config.ArgsSource
    assert processes(sources.TESTPATHS) == len(os.sched_getaffinity(0))
    assert processes(sources.ARGS) == 0
    assert processes(sources.TESTPATHS, capture="no") == 0, "what is printed is seen at once"


def test_a_logged_surrogate_reaches_the_other_process() -> None:
    report = {"sections": [("Captured log call", "unplugged \udce9")], "when": "call", "duration": 0.5}
    sent = sendable(report)
    assert sent == {"sections": [("Captured log call", "unplugged \\udce9")], "when": "call", "duration": 0.5}
