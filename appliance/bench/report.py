"""All benches under one name, and their results as lines."""

from collections.abc import Callable
from typing import Any

from appliance.bench.gaze import bench_gaze
from appliance.bench.memory import bench_memory
from appliance.bench.portrait import bench_portrait
from appliance.bench.speed import bench_vision

BENCHES: dict[str, Callable[[Callable[[str], None]], dict[str, Any]]] = {
    "vision": lambda say: bench_vision(peer=True, say=say),
    "gaze": bench_gaze,
    "portrait": bench_portrait,
    "memory": bench_memory,
}


def bench(what: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Run one bench, or all of them; `say` receives a line per step."""
    names = list(BENCHES) if what == "all" else [what]
    return {name: BENCHES[name](say) for name in names}


def lines(results: dict[str, Any], prefix: str = "") -> list[str]:
    """Return results as one line per figure."""
    out = []
    for name, value in results.items():
        path = f"{prefix}{name}"
        out += lines(value, f"{path} / ") if isinstance(value, dict) else [f"{path:60} {value}"]
    return out
