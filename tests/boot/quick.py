"""The quick form: the provisioned system in a container, its screen a folder, its camera the same visitor."""

import json
import platform
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from appliance.pack import Pack
from tests.boot.image import LIBRARY, PORTRAIT, provisioned_root
from tests.boot.suite import STANDS, looks_towards
from tests.nspawn.container import Container

LIT: Final = "/run/mona-lisa/lit"
DROP_IN: Final = "[Service]\nTimeoutStartSec=180\n"
# Seconds for what takes one or two on a machine that is not shared.
WHILE: Final = 180.0
# Seconds for which a gaze is held at least; a frame that is passed on the way does not count.
STEADY: Final = 0.5
# Four pictures a second, of one that was taken: three seconds at every place.
CONFIG: Final = f"""[camera]
source = "replay:/srv/visitor"
rate = 4.0
[display]
output = "offscreen:{LIT}"
width = 360
height = 640
shift = 0
"""


@pytest.fixture(scope="module")
def root() -> Path:
    return provisioned_root({"aarch64": "arm64"}.get(platform.machine(), "amd64"), small=True)


@pytest.fixture(scope="module")
def container(root: Path) -> Iterator[Container]:
    with Container(root, DROP_IN, CONFIG) as container:
        container.started(WHILE)
        yield container


def gazes(container: Container) -> list[tuple[int | None, float]]:
    """Return the frames shown one after another, and for how many seconds each; the last is left out."""
    rows = [json.loads(row) for row in container.sh(f"cat {LIT}/lit.jsonl").splitlines()]
    runs = [next(run) for _, run in groupby(rows, lambda row: row["frame"])]
    return [(row["frame"], after["time"] - row["time"]) for row, after in pairwise(runs)]


def picture_of(frame: int) -> str:
    return f"frame_{frame:02d}.png"


@pytest.mark.parametrize("place", STANDS)
def test_the_sitter_looks_at_the_visitor_pixel_by_pixel(
    container: Container, root: Path, tmp_path: Path, place: str
) -> None:
    folder = root / LIBRARY.lstrip("/") / PORTRAIT
    pack = Pack(folder)

    def held() -> list[int]:
        steady = {frame for frame, seconds in gazes(container) if frame is not None and seconds >= STEADY}
        towards = [frame for frame in steady if looks_towards(frame, place, pack.info.main)]
        return [frame for frame in towards if picture_of(frame) in pictures()]

    def pictures() -> list[str]:
        return container.sh(f"ls {LIT}").split()

    container.until(held, WHILE)
    index = held()[0]
    (tmp_path / "lit.png").write_bytes(
        bytes.fromhex(container.sh(f"od -An -v -tx1 {LIT}/{picture_of(index)}"))
    )
    expected = pack.base()
    expected.paste(pack.patch(index), pack.info.main.box[:2])
    with Image.open(tmp_path / "lit.png") as screen:
        assert screen.convert("RGB").tobytes() == expected.tobytes()


def test_the_service_is_well_and_says_so(container: Container) -> None:
    assert container.show("NRestarts") == "0"
    container.until(lambda: "following" in container.run("/usr/local/bin/mona-lisa status").stdout, WHILE)
    assert any("lit at rest on 360x640" in line for line in container.said())
