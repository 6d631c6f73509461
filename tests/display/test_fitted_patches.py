import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from appliance.display.fitted_patches import fit_base, fit_patches
from appliance.display.layout import PlacedPicture, ScreenLayout
from appliance.pack import Pack
from tests.conftest import BOX, FRAMES, SIZE

SIDES = st.integers(1, 3000)


def contain(picture: tuple[int, int], screen: tuple[int, int]) -> PlacedPicture:
    return ScreenLayout(screen).place(picture, (0, 0, *picture))


@given(SIDES, SIDES, SIDES, SIDES)
def test_the_whole_picture_is_centred_and_as_large_as_possible(w: int, h: int, sw: int, sh: int) -> None:
    fit = contain((w, h), (sw, sh))
    assert fit.left >= 0 and fit.left + fit.size[0] <= sw
    assert fit.top >= 0 and fit.top + fit.size[1] <= sh
    assert fit.size[0] == sw or fit.size[1] == sh
    assert abs(2 * fit.left + fit.size[0] - sw) <= 1 and abs(2 * fit.top + fit.size[1] - sh) <= 1


def whole_frame(pack: Pack, frame: int) -> Image.Image:
    image = pack.base()
    image.paste(pack.patch(frame), BOX[:2])
    return image


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(screen=st.tuples(st.integers(30, 400), st.integers(30, 400)))
def test_base_and_patch_together_are_the_scaled_frame(pack: Pack, screen: tuple[int, int]) -> None:
    fit = contain(SIZE, screen)
    place, scaled = fit_patches(pack, ScreenLayout(screen))
    patches = list(scaled)
    assert len(patches) == FRAMES
    for frame in (0, 4, 8):
        lit = fit_base(pack, ScreenLayout(screen))
        lit.paste(patches[frame], place[:2])
        expected = Image.new("RGB", screen)
        expected.paste(
            whole_frame(pack, frame).resize(fit.size, Image.Resampling.LANCZOS), (fit.left, fit.top)
        )
        # Cutting the box at other fractions can round a level more in each of Pillow's two passes.
        assert np.abs(np.asarray(lit, int) - np.asarray(expected, int)).max() <= 2


def test_on_a_screen_of_the_packs_own_size_nothing_is_resampled(pack: Pack) -> None:
    place, scaled = fit_patches(pack, ScreenLayout(SIZE))
    patches = list(scaled)
    assert place == BOX
    for frame in range(FRAMES):
        lit = fit_base(pack, ScreenLayout(SIZE))
        lit.paste(patches[frame], BOX[:2])
        assert np.array_equal(np.asarray(lit), np.asarray(whole_frame(pack, frame)))


@pytest.mark.parametrize("screen", [(300, 160), (90, 400)])
def test_borders_are_black(pack: Pack, screen: tuple[int, int]) -> None:
    pixels = np.asarray(fit_base(pack, ScreenLayout(screen)))
    fit = contain(SIZE, screen)
    border = np.ones(pixels.shape[:2], bool)
    border[fit.top : fit.top + fit.size[1], fit.left : fit.left + fit.size[0]] = False
    assert border.any() and not pixels[border].any()
