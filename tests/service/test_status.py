import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from appliance.service.health import State
from appliance.service.status import PROMETHEUS, STATUS, ask_systemd, prometheus, write_status

FIGURES: dict[str, Any] = {
    "version": "0.1.0", "portrait": 'The "Unknown"\n\\ Lady', "healthy": True, "state": "following", "visitors": 3,
    "distance_m": None, "frame": 17, "row": 3, "uptime_s": 86400.0, "since_s": 4.5, "pictures_per_second": 29.8, "picture_to_flip_p95_s": 0.08, "written": 1795396499.4,
    "counts": {"pictures": 200000, "flips": 30, "visitors": 7, "followed": 61.5, "camera_faults": 0},
    "machine": {"temperature": 51.2, "under_voltage": False, "throttled": None},
}  # fmt: skip

LINE = re.compile(r'[a-z0-9_]+(\{([a-z]+="([^"\\\n]|\\[\\n"])*",?)+\})? [-+0-9.e]+')


def test_prometheus_reads_every_line() -> None:
    text = prometheus(FIGURES)
    assert text.endswith("\n")
    rows = text.splitlines()
    samples = [row for row in rows if not row.startswith("#")]
    assert all(LINE.fullmatch(row) for row in samples)
    names = [re.split(r"[ {]", row)[0] for row in samples]
    for name in set(names):
        assert rows.count(next(row for row in rows if row.startswith(f"# HELP {name} "))) == 1
        assert sum(row.startswith(f"# TYPE {name} ") for row in rows) == 1
    assert {"mona_lisa_pictures_total 200000", "mona_lisa_frame 17", "mona_lisa_in_state_seconds 4.5"} <= set(
        samples
    )
    assert "mona_lisa_under_voltage 0" in samples
    assert not any("distance" in row or "throttled" in row for row in rows), "unknown figures are not there"
    assert sum(row.startswith("mona_lisa_state") for row in samples) == len(State)
    assert 'mona_lisa_state{state="following"} 1' in samples


def test_a_reader_always_finds_a_whole_status(tmp_path: Path) -> None:
    write_status(tmp_path, FIGURES)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            write_status(tmp_path, FIGURES)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(500):
        assert json.loads((tmp_path / STATUS).read_text())["counts"]["pictures"] == 200000
        assert (tmp_path / PROMETHEUS).read_text().endswith(" 1\n")
    over.set()
    writer.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == [PROMETHEUS, STATUS]


def test_without_systemd_no_unit_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_systemd() is None
