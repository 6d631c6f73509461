"""What a portrait costs to render, against only reading and packing the same images."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from appliance.assets import home
from appliance.bench.processes import measure

PICTURES: Final = ("sconosciuta.png", "astronaut.png")
SIZE: Final = "1080x1920"
_COPY: Final = """
import sys
from pathlib import Path
from appliance.pack import Pack, write_pack
pack = Pack(Path(sys.argv[1]))
write_pack(Path(sys.argv[2]), pack.info, pack.base(), (pack.patch(i) for i in range(pack.info.main.count)))
"""


def bench_portrait(say: Callable[[str], None]) -> dict[str, Any]:
    """Return CPU seconds and peak memory in MB for 33 frames at 1080x1920, per picture.

    `ratio` is that of CPU time to the baseline's: a process that reads the finished pack and writes
    it again.
    """
    results: dict[str, Any] = {}
    for name in PICTURES:
        say(f"portrait: {name}")
        with tempfile.TemporaryDirectory() as folder:
            pack, copy = Path(folder) / "pack", Path(folder) / "copy"
            picture = str(home() / "frames" / name)
            command = ["portrait", "render", picture, "--size", SIZE, "--out", str(pack)]
            ours = measure(["-m", "appliance", *command])
            packing = measure(["-c", _COPY, str(pack), str(copy)])
        results[name] = {
            "cpu_s": ours.cpu_s,
            "peak_mb": ours.peak_mb,
            "packing_cpu_s": packing.cpu_s,
            "ratio": round(ours.cpu_s / packing.cpu_s, 2),
        }
    return results
