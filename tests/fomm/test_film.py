import numpy as np
import pytest
from PIL import Image

from appliance.bench.driving import write_film
from appliance.errors import BadFilm
from appliance.fomm.film import MOST, Film
from appliance.fomm.watch import watch
from appliance.portrait.landmarks import Landmarker


def marked(width: int = 64, height: int = 48, grey: int = 100) -> Image.Image:
    """A grey picture with its upper left quarter white."""
    pixels = np.full((height, width, 3), grey, np.uint8)
    pixels[: height // 2, : width // 2] = 255
    return Image.fromarray(pixels)


def test_a_film_is_read_picture_by_picture_twice_over(tmp_path) -> None:
    film = Film(write_film(tmp_path / "f.mp4", [marked(grey=10 * i) for i in range(12)]))
    assert len(film) == 12
    assert film.seconds == pytest.approx(1 / 30)
    for _ in range(2):
        greys = [int(pixels[40, 50].mean()) for pixels in film]
        assert len(greys) == 12
        assert np.abs(np.array(greys) - 10 * np.arange(12)).max() < 6


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (-90, (0, 1))])
def test_a_telephones_film_is_turned_upright(tmp_path, rotation: int, corner: tuple[int, int]) -> None:
    film = Film(write_film(tmp_path / "f.mp4", [marked()] * 5, rotation))
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


def test_large_pictures_are_reduced_and_long_films_thinned(tmp_path) -> None:
    pixels = next(iter(Film(write_film(tmp_path / "large.mp4", [marked(1920, 1080)] * 3))))
    assert pixels.shape == (720, 1280, 3)
    film = Film(write_film(tmp_path / "long.mp4", [marked(32, 32)] * (2 * MOST + 5)))
    assert len(film) <= MOST
    assert sum(1 for _ in film) == len(film)
    assert film.seconds == pytest.approx(3 / 30)


def test_what_is_no_film_is_refused_in_one_line(tmp_path) -> None:
    text, picture, short = tmp_path / "text.mp4", tmp_path / "one.png", tmp_path / "short.mp4"
    text.write_text("no film")
    marked().save(picture)
    write_film(short, [marked()] * 2)
    for path in (text, picture, short, tmp_path, tmp_path / "none.mp4"):
        with pytest.raises(BadFilm) as caught:
            Film(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_a_film_without_a_face_is_refused_as_soon_as_it_is_clear(tmp_path) -> None:
    film = Film(write_film(tmp_path / "f.mp4", [marked()] * 30))
    with pytest.raises(BadFilm, match="no face in 4 of the first 4 pictures"):
        watch(film, Landmarker())
