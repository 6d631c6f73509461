import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from appliance.bench.fomm import frames_of_the_sitter, write_driving_film
from appliance.errors import BadFilm
from appliance.fomm.driving_video import MOST, Film, watch
from appliance.portrait.landmarks import FaceLandmarker


def marked(width: int = 64, height: int = 48, grey: int = 100) -> Image.Image:
    """A grey picture with its upper left quarter white."""
    pixels = np.full((height, width, 3), grey, np.uint8)
    pixels[: height // 2, : width // 2] = 255
    return Image.fromarray(pixels)


def write_uneven(path: Path, thousandths: Iterable[int], stretch: Fraction | None = None) -> Path:
    """A film whose pictures are shown at given times, in thousandths of a second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if stretch:
            stream.codec_context.sample_aspect_ratio = stretch
        for time in thousandths:
            frame = av.VideoFrame.from_ndarray(np.asarray(marked()))
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_film_is_read_picture_by_picture_twice_over(tmp_path: Path) -> None:
    film = Film(write_driving_film(tmp_path / "f.mp4", [marked(grey=10 * i) for i in range(12)]))
    assert len(film) == 12
    np.testing.assert_allclose(film.times, np.arange(12) / 30, atol=1e-6)
    for _ in range(2):
        greys = [int(pixels[40, 50].mean()) for pixels in film]
        assert len(greys) == 12
        assert np.abs(np.array(greys) - 10 * np.arange(12)).max() < 6


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (-90, (0, 1))])
def test_a_telephones_film_is_turned_upright(tmp_path: Path, rotation: int, corner: tuple[int, int]) -> None:
    film = Film(write_driving_film(tmp_path / "f.mp4", [marked()] * 5, rotation))
    pixels = next(iter(film))
    rows, columns = pixels.shape[:2]
    assert (rows, columns) == ((48, 64) if rotation % 180 == 0 else (64, 48))
    light = pixels.mean(2)
    quarters = {
        (i, j): light[i * rows // 2 : (i + 1) * rows // 2, j * columns // 2 : (j + 1) * columns // 2].mean()
        for i in (0, 1)
        for j in (0, 1)
    }
    assert max(quarters, key=quarters.__getitem__) == corner  # turned counter-clockwise from upper left


def test_large_pictures_are_reduced_and_long_films_thinned(tmp_path: Path) -> None:
    pixels = next(iter(Film(write_driving_film(tmp_path / "large.mp4", [marked(1920, 1080)] * 3))))
    assert pixels.shape == (720, 1280, 3)
    film = Film(write_driving_film(tmp_path / "long.mp4", [marked(32, 32)] * (2 * MOST + 5)))
    assert len(film) <= MOST
    assert sum(1 for _ in film) == len(film)
    np.testing.assert_allclose(np.diff(film.times), 3 / 30, atol=1e-6)


def test_uneven_times_are_read_from_the_film(tmp_path: Path) -> None:
    thousandths = [0, 33, 66, 100, 400, 433, 900]
    film = Film(write_uneven(tmp_path / "f.mkv", thousandths))
    np.testing.assert_allclose(film.times, np.array(thousandths) / 1000, atol=1e-6)


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    path = write_uneven(tmp_path / "f.mkv", range(0, 300, 30), stretch=Fraction(4, 3))
    assert next(iter(Film(path))).shape == (48, 86, 3)  # 85.3, to the next even number


def test_a_colon_in_a_name_does_no_harm(tmp_path: Path) -> None:
    assert len(Film(write_driving_film(tmp_path / "take 1: the best.mp4", [marked()] * 4))) == 4


def test_files_that_are_no_films_are_refused_in_one_line(tmp_path: Path) -> None:
    names = ("text.txt", "one.png", "short.mp4", "cut.mp4", "list.mp4", "web.mp4", "sound.mp4", "empty.mp4")
    text, picture, short, cut, listed, web, sound, empty = (tmp_path / name for name in names)
    text.write_text("no film\n" * 500)  # FFmpeg would show it as a terminal does
    marked().save(picture)
    write_driving_film(short, [marked()] * 2)
    whole = write_driving_film(tmp_path / "whole.mp4", [marked()] * 9)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    listed.write_text("ffconcat version 1.0\nfile whole.mp4\n")
    web.write_text("#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    write_sound(sound)
    empty.touch()
    with pytest.raises(BadFilm, match="a picture, a list, a text or the like"):
        Film(picture)
    none = (tmp_path, tmp_path / "none.mp4", Path("http://127.0.0.1:9/film.mp4"))
    for path in (text, picture, short, cut, listed, web, sound, empty, *none):
        with pytest.raises(BadFilm) as caught:
            Film(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_a_name_in_another_encoding_in_a_film_does_no_harm(tmp_path: Path) -> None:
    path = write_driving_film(tmp_path / "f.mp4", [marked()] * 4)
    data = bytearray(path.read_bytes())
    data[data.index(b"isom")] = 0xFF  # the brand, in ftyp
    path.write_bytes(data)
    assert len(Film(path)) == 4


def test_a_film_that_is_a_pipe_or_too_large_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(BadFilm, match="no regular file"):
        Film(tmp_path / "pipe.mp4")
    path = write_driving_film(tmp_path / "large.mp4", [marked(4096, 2320)] * 3)
    with pytest.raises(
        BadFilm, match="4096x2320 pixels; expected at most 9,500,000, as in 4K; make it smaller"
    ):
        Film(path)


def test_a_film_on_its_side_or_its_head_is_refused(tmp_path: Path) -> None:
    sitter = frames_of_the_sitter()[16]
    for turn, told in ((90, 90), (180, 180), (-90, 90)):
        film = Film(write_driving_film(tmp_path / "f.mp4", [sitter.rotate(turn, expand=True)] * 4))
        with pytest.raises(BadFilm, match=r"turned by \d+ degrees .* expected an upright film") as caught:
            watch(film, FaceLandmarker())
        degrees = int(str(caught.value).split("turned by ")[1].split(" ")[0])
        assert abs(degrees - told) < 10


def test_a_film_without_a_face_is_refused_as_soon_as_it_is_clear(tmp_path: Path) -> None:
    film = Film(write_driving_film(tmp_path / "f.mp4", [marked()] * 30))
    with pytest.raises(BadFilm, match="no face in 4 of the first 4 pictures"):
        watch(film, FaceLandmarker())
