"""The default install does without PyTorch, and says in one line how to get it."""

import subprocess
import sys

import pytest

from appliance import cli, fomm
from appliance.bench.report import BENCHES
from appliance.errors import NoExtra


def test_the_other_tests_of_fomm_need_pytorch() -> None:
    try:
        fomm.check("torch", "av")
    except NoExtra:
        pytest.skip("the other tests of FOMM need PyTorch and PyAV; deploy/fomm-test installs and runs them")


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("torch", ["animate", "--source=a", "--driving=b", "--checkpoint=c", "--out=d"]),
        ("av", ["check-driving", "film.mp4"]),
    ],
)
def test_one_line_says_what_is_missing_and_how_to_get_it(
    package: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fomm.LEAST, package, (999, 0))
    assert cli.main(["fomm", *words]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"fomm needs {package} 999.0 or newer" in said
    assert "pip install" in said


def test_a_package_that_is_not_there_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fomm.LEAST, "no-such-package", (1, 0))
    with pytest.raises(NoExtra, match="found none"):
        fomm.check("no-such-package")


def test_the_bench_of_fomm_asks_for_pytorch_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fomm.LEAST, "torch", (999, 0))
    with pytest.raises(NoExtra, match=r"torch 999\.0"):
        BENCHES["fomm"](print)


def test_nothing_but_fomm_imports_pytorch() -> None:
    code = (
        "import sys, appliance.cli, appliance.service.app, appliance.portrait.foreign_pack, appliance.bench.report;"
        "assert not {'torch', 'av'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
