"""The quick form: the provisioned system in a container, its screen a folder, its camera the same visitor."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from appliance.pack import Pack
from tests.boot.image import LIBRARY, PORTRAIT, provisioned_root
from tests.boot.suite import STANDS, frame_towards
from tests.nspawn.container import Container

LIT: Final = "/run/mona-lisa/lit"
DROP_IN: Final = "[Service]\nTimeoutStartSec=120\n"
# Eight pictures a second: two seconds and more at every place.
CONFIG: Final = f"""[camera]
source = "replay:/srv/visitor"
rate = 8.0
[display]
output = "offscreen:{LIT}"
width = 360
height = 640
shift = 0
"""


@pytest.fixture(scope="module")
def root() -> Path:
    return provisioned_root("amd64")


@pytest.fixture(scope="module")
def container(root: Path) -> Iterator[Container]:
    with Container(root, DROP_IN, CONFIG) as container:
        container.started()
        yield container


def written(container: Container) -> set[int]:
    """Return the frames whose pictures are in the folder that stands for the screen."""
    return {int(name[6:8]) for name in container.sh(f"cd {LIT} && ls frame_??.png || true").split()}


@pytest.mark.parametrize("place", STANDS)
def test_the_sitter_looks_at_the_visitor_pixel_by_pixel(
    container: Container, root: Path, tmp_path: Path, place: str
) -> None:
    folder = root / LIBRARY.lstrip("/") / PORTRAIT
    wanted = frame_towards(place, folder)
    near = {wanted - 1, wanted, wanted + 1}
    container.until(lambda: near & written(container), 60)
    index = min(near & written(container))
    pack = Pack(folder)
    (tmp_path / "lit.png").write_bytes(
        bytes.fromhex(container.sh(f"od -An -v -tx1 {LIT}/frame_{index:02d}.png"))
    )
    expected = pack.base()
    expected.paste(pack.patch(index), pack.info.box[:2])
    with Image.open(tmp_path / "lit.png") as screen:
        assert screen.convert("RGB").tobytes() == expected.tobytes()


def test_the_service_is_well_and_says_so(container: Container) -> None:
    assert container.show("NRestarts") == "0"
    container.until(lambda: "following" in container.run("/usr/local/bin/mona-lisa status").stdout, 30)
    assert any("lit at rest on 360x640" in line for line in container.said())
