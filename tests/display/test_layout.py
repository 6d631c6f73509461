import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.display.fitted_patches import fit_base, fit_patches
from appliance.display.layout import ScreenLayout
from appliance.pack import Box, Pack
from tests.conftest import BOX, FRAMES, SIZE

SIDES = st.integers(8, 3000)
ROTATIONS = (0, 90, 180, 270)
FITS = ("contain", "cover")


@st.composite
def pictures(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(SIDES), draw(SIDES)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


@given(pictures(), SIDES, SIDES, st.sampled_from(ROTATIONS), st.integers(0, 400))
def test_a_cover_leaves_no_border_and_keeps_the_face_in_view(
    picture: tuple[tuple[int, int], tuple[int, int, int, int]], w: int, h: int, rotation: int, margin: int
) -> None:
    size, face = picture
    fit = ScreenLayout((w, h), rotation, "cover", margin).place(size, face)
    x0, y0, x1, y1 = fit.view
    assert fit.left <= x0 and fit.left + fit.size[0] >= x1
    assert fit.top <= y0 and fit.top + fit.size[1] >= y1
    for low, high, scale, at, start, end in (
        (face[0], face[2], fit.scale_x, fit.left, x0, x1),
        (face[1], face[3], fit.scale_y, fit.top, y0, y1),
    ):
        if (high - low) * scale <= end - start - 2:
            assert at + low * scale >= start - 1 and at + high * scale <= end + 1


@given(pictures(), SIDES, SIDES, st.sampled_from(ROTATIONS), st.integers(0, 400))
def test_a_contained_picture_is_whole_centred_and_largest(
    picture: tuple[tuple[int, int], tuple[int, int, int, int]], w: int, h: int, rotation: int, margin: int
) -> None:
    fit = ScreenLayout((w, h), rotation, "contain", margin).place(*picture)
    x0, y0, x1, y1 = fit.view
    assert x0 <= fit.left and fit.left + fit.size[0] <= x1
    assert y0 <= fit.top and fit.top + fit.size[1] <= y1
    assert fit.size[0] == x1 - x0 or fit.size[1] == y1 - y0
    assert abs((fit.left - x0) - (x1 - fit.left - fit.size[0])) <= 1


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("screen", [(90, 160), (160, 90), (300, 100), (64, 48)])
def test_base_and_patch_together_are_the_frame_turned_and_fitted(
    pack: Pack, rotation: int, fit: str, screen: tuple[int, int]
) -> None:
    layout = ScreenLayout(screen, rotation, fit, margin=3, border=(10, 200, 30))
    box, images = fit_patches(pack, layout)
    for frame, patch in enumerate(images):
        lit = fit_base(pack, layout)
        assert lit.size == screen
        lit.paste(patch, box[:2])
        whole = pack.base()
        whole.paste(pack.patch(frame), BOX[:2])
        # Cutting the box at other fractions can round a level more in each of Pillow's two passes.
        assert np.abs(np.asarray(lit, int) - np.asarray(expected(whole, layout), int)).max() <= 2
    assert frame == FRAMES - 1


def expected(frame: Image.Image, layout: ScreenLayout, face: Box = BOX) -> Image.Image:
    """The frame on the screen by Pillow's resize, paste, crop and rotate alone."""
    placed = layout.place(frame.size, face)
    x0, y0, x1, y1 = placed.view
    inside = Image.new("RGB", (x1 - x0, y1 - y0), layout.border)
    inside.paste(frame.resize(placed.size, Image.Resampling.LANCZOS), (placed.left - x0, placed.top - y0))
    upright = Image.new("RGB", layout.upright, layout.border)
    upright.paste(inside, (x0, y0))
    return upright.rotate(-layout.rotation, expand=True)


def test_brightness_dims_every_level_alike(pack: Pack) -> None:
    half = np.asarray(fit_base(pack, ScreenLayout(SIZE, brightness=0.5)), int)
    assert np.abs(half - np.asarray(pack.base(), int) / 2).max() <= 0.5


@given(pictures(), SIDES, SIDES, st.integers(0, 400))
def test_a_cover_is_no_larger_than_needed_and_not_stretched(
    picture: tuple[tuple[int, int], tuple[int, int, int, int]], w: int, h: int, margin: int
) -> None:
    (width, height), face = picture
    fit = ScreenLayout((w, h), 0, "cover", margin).place((width, height), face)
    x0, y0, x1, y1 = fit.view
    assert fit.size[0] == x1 - x0 or fit.size[1] == y1 - y0
    # Equal scales, but for the half pixel by which each side is rounded.
    assert abs(fit.size[0] * height - fit.size[1] * width) <= (width + height) / 2


@pytest.mark.parametrize(
    ("face", "top"),
    [
        ((140, 160), -100),  # in the middle of the picture, as it would lie without a face
        ((20, 60), -15),  # near the upper edge: moved down, with an eighth of the head above it
        ((240, 280), -185),  # near the lower edge: moved up as far
        ((100, 260), -130),  # larger than the screen: its middle, 180, in the screen's middle
    ],
    ids=["middle", "high", "low", "large"],
)
def test_a_cover_moves_just_enough_to_show_the_face(face: tuple[int, int], top: int) -> None:
    for turned in (False, True):
        size, box = (100, 300), (0, face[0], 100, face[1])
        if turned:
            size, box = (300, 100), (face[0], 0, face[1], 100)
        fit = ScreenLayout((100, 100), fit="cover").place(size, box)
        assert (fit.left, fit.top) == ((top, 0) if turned else (0, top))
