"""A folder of pictures as a camera."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.camera.replay import PICTURE_SKIPPED, ReplayCamera
from appliance.errors import CameraAbsent, CameraEnded
from tests.test_images import png_header


def grey(path: Path, value: int, size: tuple[int, int] = (8, 6)) -> None:
    Image.new("RGB", size, (value, value, value)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, written in another order than their names'."""
    for value in (30, 10, 20):
        grey(tmp_path / f"{value}.png", value)
    return tmp_path


def values(camera: ReplayCamera) -> list[int]:
    """The grey values of a replay, to its end."""
    seen = []
    with camera:
        while True:
            try:
                seen.append(int(camera.newest().to_rgb()[0, 0, 0]))
            except CameraEnded:
                return seen


def test_pictures_come_in_the_order_of_their_names(folder: Path) -> None:
    assert values(ReplayCamera(folder, pace=False)) == [10, 20, 30]


def test_in_real_time_they_come_at_their_rate(folder: Path) -> None:
    with ReplayCamera(folder, rate=20) as camera:
        pictures = [camera.newest(), camera.newest()]
    steps = pictures[1].number - pictures[0].number
    assert pictures[1].captured - pictures[0].captured == pytest.approx(steps / 20)


def test_the_last_picture_is_never_skipped(folder: Path) -> None:
    assert values(ReplayCamera(folder, rate=100000))[-1] == 30


def test_times_follow_the_rate_in_virtual_time(folder: Path) -> None:
    with ReplayCamera(folder, rate=12.5, pace=False) as camera:
        assert [camera.newest().captured for _ in range(3)] == [0.0, 0.08, 0.16]


def test_tells_the_name_of_the_picture(folder: Path) -> None:
    with ReplayCamera(folder, pace=False) as camera:
        camera.newest()
        assert camera.name == "10.png"


def test_sizes_may_differ(folder: Path) -> None:
    grey(folder / "15.png", 15, (31, 17))
    with ReplayCamera(folder, pace=False) as camera:
        sizes = [(p.width, p.height) for p in (camera.newest() for _ in range(3))]
    assert sizes == [(8, 6), (31, 17), (8, 6)]


def test_other_files_are_not_pictures(folder: Path) -> None:
    (folder / "15.txt").write_text("notes")
    (folder / "16.png").mkdir()
    assert values(ReplayCamera(folder, pace=False)) == [10, 20, 30]


def test_a_broken_picture_is_named_once_and_skipped(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = (folder / "20.png").read_bytes()
    broken = folder / "15.png"
    broken.write_bytes(whole[: len(whole) // 2])
    with ReplayCamera(folder, rate=10, pace=False, loop=True) as camera:
        pictures = [camera.newest() for _ in range(7)]
    assert [p.to_rgb()[0, 0, 0] for p in pictures] == [10, 20, 30, 10, 20, 30, 10]
    assert [p.number for p in pictures] == [0, 2, 3, 4, 6, 7, 8]
    assert pictures[1].captured == 0.2
    (record,) = [r for r in caplog.record_tuples if r[0] == "appliance.camera.replay"]
    assert record[1] == logging.WARNING
    assert record[2].startswith(PICTURE_SKIPPED % f"{broken}: not a whole, readable image (")


def test_a_picture_of_289_million_pixels_in_a_folder_is_skipped(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bomb = png_header(17_000, 17_000, depth=1, colour=0, data=bytes(17_000 * 2126))
    (folder / "15.png").write_bytes(bomb)
    assert values(ReplayCamera(folder, pace=False)) == [10, 20, 30]
    fault = f"{folder / '15.png'}: 17000x17000 pixels as PNG, expected at most 25,000,000; make it smaller"
    assert caplog.record_tuples == [("appliance.camera.replay", logging.WARNING, PICTURE_SKIPPED % fault)]


def test_after_the_last_picture_it_has_ended(folder: Path) -> None:
    with ReplayCamera(folder, pace=False) as camera:
        for _ in range(3):
            camera.newest()
        for _ in range(2):
            with pytest.raises(CameraEnded, match=r"no more pictures after 30\.png"):
                camera.newest()


def test_only_broken_pictures_end_at_once_even_in_a_loop(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"not an image")
    with (
        ReplayCamera(tmp_path, pace=False, loop=True) as camera,
        pytest.raises(CameraAbsent, match="none of its 2 image files can be read"),
    ):
        camera.newest()


def test_an_empty_folder_is_no_camera(tmp_path: Path) -> None:
    with pytest.raises(CameraAbsent) as error, ReplayCamera(tmp_path):
        pass
    assert str(error.value) == f"{tmp_path}: no pictures; expected a folder of image files"


def test_a_missing_folder_is_no_camera(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(CameraAbsent) as error, ReplayCamera(missing):
        pass
    assert str(error.value) == f"{missing}: cannot be read as a folder (No such file or directory)"


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(CameraAbsent, match=r"10\.png: cannot be read as a folder \(Not a directory\)"):
        ReplayCamera(folder / "10.png").__enter__()


def test_colours_stay_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with ReplayCamera(tmp_path, pace=False) as camera:
        np.testing.assert_array_equal(camera.newest().to_rgb(), pixels)
