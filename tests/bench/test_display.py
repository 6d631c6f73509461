"""The bench of the display on its smallest job: that it measures, not what."""

import pytest

from appliance.bench.display import bench_display
from appliance.pack import Pack


@pytest.mark.slow
def test_the_bench_measures_starts_changes_and_memory(pack: Pack) -> None:
    said: list[str] = []
    found = bench_display(said.append, rounds=2, starts=1, pack=pack.folder, rest_s=1)
    start = {name: row["median"] for name, row in found["start"].items()}
    assert 0 < start["interpreter_ms"] < start["first_lit_ms"] < start["following_ms"]
    assert found["change"]["driver"] == "dummy" and found["change"]["size"] == [1080, 1920]
    assert 0 < found["change"]["bare_blit_ms"] <= 2 * found["change"]["show_ms"]
    assert [
        0 < row["bare_blits_ms"] < 2 * row["show_ms"] for row in found["together"]["sitters"].values()
    ] == [True] * 3
    for rows in found["memory"].values():
        for row in rows.values():
            assert 20 < row["display_mb"] < row["run_peak_mb"] and row["disk_mb"] > 8
    assert len(found["required"]) == 9
    assert all(row["met"] == (row["found"] <= row["at_most"]) for row in found["required"].values())
    assert len(said) == 10
