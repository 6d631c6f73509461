import fcntl
import subprocess
from pathlib import Path

import pytest

from appliance.bench.peer import make_venv
from appliance.bench.vision import bench_vision
from appliance.errors import AssetUnavailable
from appliance.vision.runtime import importable_runtimes

RUNTIMES = importable_runtimes()


def test_both_models_are_timed_on_every_form_of_picture() -> None:
    said: list[str] = []
    report = bench_vision(rounds=2, say=said.append)
    assert said == [f"measuring {10 * len(RUNTIMES)} cases in 2 rounds"]
    assert report["peer"] == "not asked for"
    assert list(report["ratios"]) == [
        f"{kind} {size} {form}, {runtime} / raw invoke"
        for kind in ("short", "full")
        for runtime in RUNTIMES
        for size in ("640x480", "640x360")
        for form in ("RGB", "YUV420")
    ]
    # How large they are is for the bench to say: a test on a busy machine cannot.
    assert all(ratio["p10"] > 0 < ratio["median"] for ratio in report["ratios"].values())
    assert report["auto"] == RUNTIMES[0]
    asked = f"short 640x480 RGB, {RUNTIMES[0]} / raw invoke"
    assert {name: row["at_most"] for name, row in report["required"].items()} == {asked: 1.40}


def test_the_bench_compares_with_the_fastest_runtime() -> None:
    report = bench_vision(rounds=3)
    cases = report["cases"]
    for kind, fastest in report["fastest"].items():
        raw = {name: cases[f"{kind} raw invoke, {name}"]["p10_ms"] for name in RUNTIMES}
        assert raw[fastest] == min(raw.values()) == cases[f"{kind} raw invoke"]["p10_ms"]
        case = f"{kind} 640x480 RGB, {RUNTIMES[-1]}"
        ratio = cases[case]["p10_ms"] / raw[fastest]
        assert report["ratios"][f"{case} / raw invoke"]["p10"] == pytest.approx(ratio, rel=0.01)


def test_where_the_peer_cannot_be_installed_one_line_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssetUnavailable) as caught:
        make_venv(tmp_path / "file" / "venv")
    assert str(caught.value).startswith("mediapipe 0.10.21: cannot be installed (")
    assert "\n" not in str(caught.value)


def test_while_the_peer_is_installed_another_bench_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv, held = tmp_path / "cache" / "venv", []

    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        venv.mkdir(parents=True, exist_ok=True)
        with (tmp_path / "cache" / "venv.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert make_venv(venv) == make_venv(venv) == venv / "bin" / "python"
    assert len(held) == 2, "the venv, and MediaPipe into it, once"


@pytest.mark.peer
def test_with_the_peer_the_bench_compares_with_mediapipe_too() -> None:
    report = bench_vision(rounds=2, peer=True)
    assert report["peer"] == "mediapipe 0.10.21"
    assert [name for name in report["ratios"] if name.endswith("MediaPipe")] == [
        f"{kind} {size} RGB, {runtime} / MediaPipe"
        for kind in ("short", "full")
        for runtime in RUNTIMES
        for size in ("640x480", "640x360")
    ]
    assert {
        name.replace(f", {report['auto']}", ""): row["at_most"] for name, row in report["required"].items()
    } == {
        "short 640x480 RGB / raw invoke": 1.40,
        "short 640x480 RGB / MediaPipe": 0.90,
        "full 640x480 RGB / MediaPipe": 0.90,
    }
