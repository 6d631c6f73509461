from pathlib import Path

import pytest

from appliance.bench.demo import demo, how_to_end, seconds_per_picture, slowness


def test_a_machine_too_slow_to_judge_by_is_told_with_its_figure() -> None:
    assert slowness(0.099) == ""
    told = slowness(0.25)
    assert told.startswith(
        "warning: this machine takes 250 ms for a picture, 4 in a second. Under 10 the eyes"
    )


def test_a_machine_is_measured_with_the_gallerys_pictures() -> None:
    assert 0 < seconds_per_picture(1) < 60


@pytest.mark.parametrize(
    ("display", "output", "told"),
    [(":0", "auto", True), (":0", "window", True), (":0", "offscreen:lit", False), ("", "auto", False)],
)
def test_on_a_desktop_the_demo_says_how_to_end_it(
    monkeypatch: pytest.MonkeyPatch, display: str, output: str, told: bool
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    assert ("close its window or press Ctrl-C" in how_to_end(output)) == told


@pytest.mark.slow
def test_the_demo_tells_its_summary_line_by_line(tmp_path: Path) -> None:
    said: list[str] = []
    demo(tmp_path / "out", f"offscreen:{tmp_path / 'lit'}", 4.0, said.append)
    assert not any("\n" in line for line in said)
    summary = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert said[-len(summary) - 1 : -1] == summary
