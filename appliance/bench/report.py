"""All benches under one name, and their results as lines."""

from collections.abc import Callable
from functools import partial
from typing import Any

from appliance import fomm
from appliance.bench.display import bench_display
from appliance.bench.gaze import bench_gaze
from appliance.bench.memory import bench_memory
from appliance.bench.portrait_rendering import bench_portrait
from appliance.bench.scale import bench_scale
from appliance.bench.vision import bench_vision
from appliance.errors import NoExtra


def _bench_fomm(say: Callable[[str], None]) -> dict[str, Any]:
    fomm.check("torch", "av")
    from appliance.bench.fomm import bench_fomm

    return bench_fomm(say)


BENCHES: dict[str, Callable[[Callable[[str], None]], dict[str, Any]]] = {
    "vision": lambda say: bench_vision(peer=True, say=say),
    "gaze": lambda say: bench_gaze(say, peer=True),
    "display": bench_display,
    "portrait": bench_portrait,
    "memory": bench_memory,
    "scale": bench_scale,
    "fomm": _bench_fomm,
}


def bench(what: str, say: Callable[[str], None], output: str | None = None) -> dict[str, Any]:
    """Run one bench, or all that this machine has the packages for.

    Parameters
    ----------
    say : receives a line per step
    output : a display to time
    """
    benches = BENCHES | {"display": partial(bench_display, output=output)}
    if what != "all":
        return {what: benches[what](say)}
    results: dict[str, Any] = {}
    for name, run in benches.items():
        try:
            results[name] = run(say)
        except NoExtra as error:
            results[name] = {"not measured": str(error)}
    return results


def lines(results: dict[str, Any], prefix: str = "") -> list[str]:
    """Return results as one line per figure."""
    out = []
    for name, value in results.items():
        path = f"{prefix}{name}"
        out += lines(value, f"{path} / ") if isinstance(value, dict) else [f"{path:60} {value}"]
    return out
