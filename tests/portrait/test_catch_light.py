"""A catch-light stays with the lamp while the iris moves."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from appliance.camera.sampling import Pixels
from appliance.portrait.catch_light import CATCH_LIGHT_FOLLOWS, inpaint
from appliance.portrait.eye_layers import PaintedEye, fit_eyes
from appliance.portrait.lids import EYE_VIEW_RASTER
from tests.portrait.synthetic import SIZE, DrawnEye, draw, landmarks

Y, X = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
# In the pupil and beside it.
LAMPS = [(-2.0, -2.0), (7.0, 3.0)]
# From the iris's middle in pixels; its radius is 16. The last lie half on the white.
WHOLE = [
    [(-3.0, -3.0)],
    [(8.0, 2.0)],
    [(-6.0, -3.0), (7.0, 2.0)],
    [(-12.0, -3.0)],
    [(-15.0, -1.0)],
    [(15.0, 2.0)],
]


def eyes_with(lamp: tuple[float, float] | None, shift: float = 0.0) -> list[DrawnEye]:
    return [DrawnEye(x, 60, 80, shift, lamp) for x in (110, 290)]


def moved(
    painting: Pixels, eyes: tuple[PaintedEye, PaintedEye], shift: float, down: float = 0.0
) -> NDArray[np.float64]:
    out = painting.astype(float)
    for eye in eyes:
        inside = eye.can_change(X, Y, bool(down))
        out[inside] = eye.draw(painting, X[inside], Y[inside], shift, down)
    return out


@pytest.mark.parametrize("lamp", LAMPS)
def test_a_catch_light_stays_with_the_lamp(lamp: tuple[float, float]) -> None:
    eyes = eyes_with(lamp)
    painting = draw(eyes)
    fitted = fit_eyes(painting, landmarks(eyes))
    for shift in (-8.0, 8.0):
        frame = moved(painting, fitted, shift)
        lit = (lamp[0] + CATCH_LIGHT_FOLLOWS * shift, lamp[1])
        truth, unlit = (draw(eyes_with(at, shift)).astype(float) for at in (lit, None))
        light, found = (truth - unlit).mean(-1), (frame - unlit).mean(-1)
        for x in (110, 290):
            # Within the iris, clear of its rim and of the upper lid's line.
            inner = (np.hypot(X - x - shift, Y - 60) < 12) & (Y > 52)
            seen = inner & (light > 60)
            assert seen.sum() > 12
            assert found[seen].mean() == pytest.approx(light[seen].mean(), rel=0.15)
            was = inner & (np.hypot(X - x - lamp[0] - shift, Y - 60 - lamp[1]) < 2.5)
            # Grey levels: 13 to 29 were measured; a light that goes with the iris leaves 93 or more.
            assert abs((found - light)[was].mean()) < 40


def lamps_on(painting: Pixels, eyes: list[DrawnEye], lamps: list[tuple[float, float]]) -> Pixels:
    """Paint lamps' lights of 3 pixels' glow over eyes, whether they lie on the iris or not."""
    lit = painting.astype(float)
    for eye in eyes:
        for x, y in lamps:
            glow = np.exp(-0.5 * (np.hypot(X - eye.x - x, Y - eye.y - y) / 3.0) ** 2)
            lit += glow[..., None] * (np.array((250, 250, 250)) - lit)
    rounded: Pixels = np.rint(lit).astype(np.uint8)
    return rounded


@pytest.mark.parametrize("lamps", WHOLE)
@pytest.mark.parametrize("softness", [0.0, 1.5])
def test_a_catch_light_is_as_bright_and_whole_in_every_frame(
    lamps: list[tuple[float, float]], softness: float
) -> None:
    eyes = eyes_with(None)
    grey = draw(eyes).astype(float)
    grey[(grey > 180).all(-1)] = (150, 145, 140)  # the white in shade, so that lights on it are seen
    plain = Image.fromarray(grey.astype(np.uint8)).filter(ImageFilter.GaussianBlur(softness))
    painting = lamps_on(np.asarray(plain), eyes, lamps)
    fitted = fit_eyes(painting, landmarks(eyes))
    for shift, down in ((-11, 0), (-7, 0), (-3, 0), (3, 0), (7, 0), (11, 0), (0, -3), (-7, 3)):
        frame = moved(painting, fitted, shift, down)
        for x in (110, 290):
            painted = light_on(painting.mean(-1), x, 60)
            now = light_on(frame.mean(-1), x + shift, 60 + down)
            assert 0.9 < now[0] / painted[0] < 1.1
            # Outwards it gets darker: in a ring it would get brighter.
            assert np.diff(now[1]).max() < 4


def light_on(grey: NDArray[np.float64], x: float, y: float) -> tuple[float, list[float]]:
    """Return the mean of the brightest 3 % of an iris and its rim, and of each pixel's ring around their middle."""
    iris = (np.hypot(X - x, Y - y) < 18) & (abs(Y - y) < 9)
    brightest = iris & (grey >= np.quantile(grey[iris], 0.97))
    row, column = np.unravel_index(np.where(brightest, grey, 0).argmax(), grey.shape)
    away = np.hypot(X - X[row, column], Y - Y[row, column])
    rings = [float(grey[iris & (away >= r - 0.5) & (away < r + 0.5)].mean()) for r in range(5)]
    return float(grey[brightest].mean()), rings


def test_a_light_at_the_border_of_what_is_looked_at_is_no_error() -> None:
    image = np.ones((9, 9, 3))
    gone = np.zeros((9, 9), bool)
    gone[:4, 5:] = True
    assert inpaint(image, gone, ~gone) == pytest.approx(image)


def test_without_a_lamp_no_catch_light_is_found() -> None:
    eyes = eyes_with(None, 5.0)
    for eye in fit_eyes(draw(eyes), landmarks(eyes, wrong_by=-0.03)):
        assert not eye.layers.lights


@pytest.mark.parametrize("lamp", [(-11.0, -5.0), (11.0, -5.0)])
def test_no_white_beside_the_rim_moves_with_the_catch_light(lamp: tuple[float, float]) -> None:
    eyes = eyes_with(lamp)
    u, v = EYE_VIEW_RASTER.mesh()
    for eye, truth in zip(fit_eyes(draw(eyes), landmarks(eyes)), eyes, strict=True):
        x, y = eye.view.axes.to_picture(u, v)
        # Three sigmas of the lamp's glow; beyond them its light is below 3 grey levels,
        # and the white is 28 darker than a lamp.
        beyond = np.hypot(x - truth.x - lamp[0], y - truth.y - lamp[1]) > 7
        assert eye.layers.colours[beyond, 6:9].max() < 20
