import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from appliance.bench.demo import FilmMoment, film, small_view
from appliance.camera.base import RgbPicture
from appliance.pack import Pack
from tests.conftest import packs

VIEW = small_view(RgbPicture(np.full((360, 640, 3), 110, np.uint8), 0.0, 0))
# Rows of the picture with the chart of the gaze sideways, and with that of the gaze up and down.
SIDEWAYS, UP_AND_DOWN = slice(442, 500), slice(524, 584)


def pictures(pack: Pack, frames: list[int]) -> list[NDArray[np.int16]]:
    """The film of a viewer at 5 degrees to picture right and 8 down, while these frames are lit."""
    film_of = Image.open(
        io.BytesIO(film([FilmMoment(VIEW, 640, [], (5.0, -8.0), frame) for frame in frames], pack))
    )
    found = []
    for picture in ImageSequence.Iterator(film_of):
        found.append(np.asarray(picture.convert("RGB"), np.int16))
    return found


def change(one: NDArray[np.int16], other: NDArray[np.int16], rows: slice) -> int:
    """The largest difference in the chart's part with the name of the column or row."""
    return int(np.abs(one - other)[rows, 200:490].max())


@packs
def test_a_film_has_a_picture_for_each_shot(pack: Pack) -> None:
    assert len(pictures(pack, [0, pack.info.main.rest, 1])) == 3


@packs
def test_a_film_of_nobody_is_drawn_too(pack: Pack) -> None:
    assert film([FilmMoment(VIEW, 640, [], None, pack.info.main.rest)] * 2, pack)


@pytest.mark.parametrize("pack", ["grid"], indirect=True)
def test_the_charts_name_the_column_and_the_row(pack: Pack) -> None:
    grid = pack.info.main
    shown = grid.number(1, 4), grid.number(2, 4), grid.number(1, 7)
    (in_level,), (in_down,), (in_aside,) = (pictures(pack, [frame]) for frame in shown)
    assert change(in_level, in_down, UP_AND_DOWN) > 100 > 60 > change(in_level, in_down, SIDEWAYS)
    assert change(in_level, in_aside, SIDEWAYS) > 100 > 60 > change(in_level, in_aside, UP_AND_DOWN)
