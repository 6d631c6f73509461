from pathlib import Path

import pytest

from appliance.bench.demo import demo


@pytest.mark.slow
def test_the_demo_tells_its_summary_line_by_line(tmp_path: Path) -> None:
    said: list[str] = []
    demo(tmp_path / "out", f"offscreen:{tmp_path / 'lit'}", 4.0, said.append)
    assert not any("\n" in line for line in said)
    summary = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert said[-len(summary) - 1 : -1] == summary
