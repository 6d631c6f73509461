"""Reducing a picture in bands of rows gives what Pillow makes of the whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.portrait.large_pictures import cut_into_bands, reduce_bands


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def split(image: Image.Image, heights: list[int]) -> list[Image.Image]:
    edges = [0, *itertools.accumulate(heights)]
    return [image.crop((0, a, image.width, b)) for a, b in itertools.pairwise(edges)]


@given(
    heights=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    width=st.integers(1, 60),
    part=st.floats(0.02, 1),
)
def test_reducing_in_bands_equals_pillow_on_the_whole(heights: list[int], width: int, part: float) -> None:
    whole = noise(width, sum(heights))
    size = max(round(width * part), 1), max(round(whole.height * part), 1)
    small = reduce_bands(split(whole, heights), whole.size, size)
    across = whole.resize((size[0], whole.height), Image.Resampling.LANCZOS)
    expected = across.resize(size, Image.Resampling.LANCZOS)
    difference = np.abs(np.asarray(small, int) - np.asarray(expected, int))
    assert difference.max() <= 1  # where a sum lies at a half, by the last bit of its weights
    assert np.array_equal(np.asarray(small), np.asarray(reduce_bands([whole], whole.size, size)))


@pytest.mark.parametrize("size", [(31, 200), (1, 1), (7, 64)])
def test_a_picture_that_is_not_reduced_keeps_every_bit(size: tuple[int, int]) -> None:
    whole = noise(*size)
    kept = reduce_bands(split(whole, [size[1]]), size, size)
    assert np.array_equal(np.asarray(kept), np.asarray(whole))


def test_bands_of_a_whole_picture_are_the_picture() -> None:
    whole = noise(3000, 1000)
    bands = list(cut_into_bands(whole.copy()))
    assert len(bands) == 4
    assert np.array_equal(np.concatenate([np.asarray(band) for band in bands]), np.asarray(whole))
