"""What tests share: small packs whose frames can be told apart, and a camera at any place and tilt."""

import itertools
import logging
import math
import os
import signal
import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.config import WEEK, GazeConfig
from appliance.pack import Box, FrameGrid, Pack, PackInfo, write_pack

# A shared machine may be slow: no test is judged by the clock.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The id of a user who is not root, where tests run as root.
SERVICE = 4711
SIZE, BOX, FRAMES = (90, 160), (20, 30, 71, 61), 9
ANGLES = tuple(6.0 * (i - FRAMES // 2) for i in range(FRAMES))


def one_row(box: Box, angles: tuple[float, ...], resting: int) -> FrameGrid:
    """The grid of a sitter whose gaze is level in all frames, with the eyes in the middle of the box."""
    return FrameGrid(box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), angles, (0.0,), (1,), (0, resting))


# Two sitters with a grid each, whose boxes overlap.
OTHER_BOX = (55, 45, 88, 90)
GRID = (
    FrameGrid(BOX, (45.0, 45.0), ANGLES, (8.0, 0.0, -12.0), (2, 1, 4), (1, FRAMES // 2)),
    FrameGrid(OTHER_BOX, (72.0, 60.0), ANGLES[2:7], (0.0, -10.0), (1, 2), (0, 2)),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process per core for the whole suite; none where files are named, or where output is not captured."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and config.option.capture != "no"
    return len(os.sched_getaffinity(0)) if whole else 0


def sendable(report: object) -> object:
    """A test's report with escapes for surrogates, which execnet cannot send between processes: some tests log them."""
    if isinstance(report, str):
        return report.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(report, dict):
        return {key: sendable(value) for key, value in report.items()}
    if isinstance(report, list | tuple):
        return type(report)(sendable(value) for value in report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    return sendable((yield))


def striped(frame: int) -> Image.Image:
    """A patch with a dark bar that moves to picture right with the frame, on the base's own texture."""
    patch = base_image().crop(BOX)
    patch.paste((20, 30, 40), (4 + 5 * frame, 5, 9 + 5 * frame, 25))
    return patch


def base_image() -> Image.Image:
    pixels = np.random.default_rng(3).integers(60, 200, (SIZE[1], SIZE[0], 3), np.uint8)
    image = Image.fromarray(pixels)
    x0, y0 = BOX[:2]
    middle = 4 + 5 * (FRAMES // 2)
    image.paste((20, 30, 40), (x0 + middle, y0 + 5, x0 + middle + 5, y0 + 25))
    return image


def small_info(**changes: Any) -> PackInfo:
    values: dict[str, Any] = {
        "title": "Test Sitter",
        "artist": "a test",
        "licence": "CC0-1.0",
        "source": "none.png",
        "source_sha256": "0" * 64,
        "size": SIZE,
        "engine": "test",
        "settings": {"eyes": True},
        "sitters": (one_row(BOX, ANGLES, FRAMES // 2),),
    }
    return PackInfo(**(values | changes))


def every_day(opening: str) -> dict[str, Any]:
    """The same opening hours on each day of the week, for `HoursConfig`."""
    return dict.fromkeys(WEEK, opening)


def small_patches() -> list[Image.Image]:
    patches = [striped(i) for i in range(FRAMES)]
    patches[FRAMES // 2] = base_image().crop(BOX)
    return patches


def in_camera(point: tuple[float, float, float], place: GazeConfig) -> tuple[float, float, float]:
    """A point (mm to the right, above and ahead of the sitter's eyes) in the camera's frame."""
    pitch = math.radians(place.camera_pitch)
    axes = np.array(
        [
            [1 if place.mirrored else -1, 0, 0],
            [0, -math.cos(pitch), math.sin(pitch)],
            [0, math.sin(pitch), math.cos(pitch)],
        ]
    )
    x, y, z = axes @ np.subtract(point, [place.camera_right, place.camera_up, place.camera_forward])
    return float(x), float(y), float(z)


def grid_info(**changes: Any) -> PackInfo:
    return small_info(sitters=GRID, **changes)


def owned(sitter: int) -> NDArray[np.bool_]:
    """Where in a box of `GRID` the pixels are the sitter's own: those below a slanting line are the second's."""
    x0, y0, x1, y1 = GRID[sitter].box
    across, down = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    a, b, c, d = GRID[1 - sitter].box
    shared = (a <= across) & (across < c) & (b <= down) & (down < d)
    own: NDArray[np.bool_] = ~shared | ((across + down < 120) == (sitter == 0))
    return own


def grid_patches(base: Image.Image | None = None) -> list[Image.Image]:
    """The patches of a pack of `grid_info`: each has a bar of its own; those at rest are the base's."""
    base = base or base_image()
    patches = []
    for sitter, grid in enumerate(GRID):
        for number in range(grid.count):
            patch = base.crop(grid.box)
            row, column = grid.place(number)
            if number != grid.rest:
                patch.paste(
                    (20, 30, 40 + 100 * sitter), (4 + 3 * column, 6 * row, 30 + 3 * column, 6 * row + 9)
                )
                patch.paste((200, 30, 9 * row), (0, 27 - 2 * column, 60, 29))
            patch.putalpha(Image.fromarray(owned(sitter).astype(np.uint8) * 255))
            patches.append(patch)
    return patches


def composed(pack: Pack, frames: Sequence[int]) -> Pixels:
    """The picture with each sitter in a frame, pixel by pixel: alpha decides whose they are."""
    picture = pack.base()
    for sitter, frame in enumerate(frames):
        patch = pack.patch(frame, sitter)
        alpha = patch.getchannel("A") if patch.mode == "RGBA" else None
        picture.paste(patch, pack.info.sitters[sitter].box[:2], alpha)
    return np.asarray(picture)


@pytest.fixture
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Pack:
    """A pack of one row; of two sitters' grids where a test is parametrised with `packs`."""
    if getattr(request, "param", "row") == "grid":
        write_pack(tmp_path / "pack", grid_info(), base_image(), grid_patches())
    else:
        write_pack(tmp_path / "pack", small_info(), base_image(), small_patches())
    return Pack(tmp_path / "pack")


packs = pytest.mark.parametrize("pack", ["row", "grid"], indirect=True)


@pytest.fixture(scope="session")
def three_sitters(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """The pack of a picture with three sitters, nine frames of each; the boxes of two overlap."""
    from appliance.portrait.painting_to_pack import render
    from tests.portrait import company

    folder = tmp_path_factory.mktemp("three")
    company.three_sitters().save(folder / "three.png")
    render(folder / "three.png", folder / "three", 9, rows=1)
    return Pack(folder / "three")


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder after the other. `mktemp` would look through thousands of them for each test."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / f"{number}" for number in itertools.count())


@pytest.fixture(autouse=True)
def _cache_of_its_own(_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = next(_caches)
    cache.mkdir()
    monkeypatch.setenv("CACHE_DIRECTORY", str(cache))


@pytest.fixture
def service_folder() -> Iterator[Path]:
    """A folder of another user's; unlike `tmp_path`, that user gets there."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        os.chown(name, SERVICE, SERVICE)
        yield Path(name)


@pytest.fixture
def secrets() -> Iterator[Path]:
    """A folder of root's with a file that only root may read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "key").write_text("secret")
        (Path(name) / "key").chmod(0o600)
        yield Path(name)


@pytest.fixture(autouse=True)
def _log_at_info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, logger="appliance"):
        yield


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Give signals back to Python after a test that ran a command in this process.

    Where tests run in the background, Ctrl-C was ignored to begin with.
    """
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
