"""Resident memory of `mona-lisa run`, against a Python that only loaded the same libraries."""

import tempfile
from collections.abc import Callable
from typing import Any, Final

from appliance.bench.processes import measure

_LIBRARIES: Final = (
    "import appliance.display.screen, appliance.camera.sources, appliance.vision.blazeface;"
    "from appliance.vision.runtime import runtime; runtime()"
)
_SECONDS: Final = "12"


def bench_memory(say: Callable[[str], None]) -> dict[str, Any]:
    """Return peak resident memory in MB: the loop on the gallery, offscreen at 1080x1920, 33 frames."""
    say("memory: 12 s with one visitor in the gallery, offscreen")
    with tempfile.TemporaryDirectory() as folder:
        road = ["run", "--camera", "gallery:cross", "--display", f"offscreen:{folder}", "--seconds", _SECONDS]
        ours = measure(["-m", "appliance", *road]).peak_mb
    libraries = measure(["-c", _LIBRARIES]).peak_mb
    return {"run_mb": ours, "libraries_mb": libraries, "ratio": round(ours / libraries, 2)}
