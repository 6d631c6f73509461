import numpy as np
import pytest

from appliance.portrait.eyes import Eye, fit_eyes
from appliance.portrait.glint import KEEPS_UP
from appliance.portrait.view import columns, rows
from tests.portrait.synthetic import SIZE, DrawnEye, draw, landmarks

Y, X = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
# A lamp in the pupil, beside it, and at the rim, where it touches the white, with the shifts of the iris after
# which it is still on it; the least part of its light that must be where it is, and the most grey levels by which
# the place that it would have if it moved with the iris may be too bright: at the rim a fringe stays.
LAMPS = [
    ((-2.0, -2.0), (-8.0, 8.0), 0.5, 40),
    ((7.0, 3.0), (-8.0, 8.0), 0.5, 25),
    ((-12.5, -3.0), (-8.0,), 0.4, 60),
]


def eyes_with(lamp: tuple[float, float] | None, shift: float = 0.0) -> list[DrawnEye]:
    return [DrawnEye(x, 60, 80, shift, lamp) for x in (110, 290)]


def moved(painting: np.ndarray, eyes: tuple[Eye, Eye], shift: float) -> np.ndarray:
    out = painting.astype(float)
    for eye in eyes:
        inside = eye.reaches(X, Y)
        out[inside] = eye.draw(painting, X[inside], Y[inside], shift)
    return out


@pytest.mark.parametrize(("lamp", "on_iris", "least", "most"), LAMPS)
def test_a_catch_light_stays_with_the_lamp_and_off_the_iris(
    lamp: tuple[float, float], on_iris: tuple[float, ...], least: float, most: float
) -> None:
    eyes = eyes_with(lamp)
    painting = draw(eyes)
    fitted = fit_eyes(painting, landmarks(eyes))
    for shift in (-8.0, 8.0):
        frame = moved(painting, fitted, shift)
        lit = (lamp[0] + KEEPS_UP * shift, lamp[1])
        truth, unlit = (draw(eyes_with(at, shift)).astype(float) for at in (lit, None))
        light, found = (truth - unlit).mean(-1), (frame - unlit).mean(-1)
        for x in (110, 290):
            # Within the iris, clear of its rim and of the upper lid's line.
            inner = (np.hypot(X - x - shift, Y - 60) < 12) & (Y > 52)
            seen = inner & (light > 60)
            assert (seen.sum() > 20) == (shift in on_iris)
            if shift in on_iris:
                assert found[seen].mean() > least * light[seen].mean()
            with_the_iris = inner & (np.hypot(X - x - lamp[0] - shift, Y - 60 - lamp[1]) < 2.5)
            assert with_the_iris.any()
            assert (found - light)[with_the_iris].mean() < most


def test_without_a_lamp_no_light_is_taken_off_nor_white_that_the_disc_covers() -> None:
    eyes = eyes_with(None, 5.0)
    for eye in fit_eyes(draw(eyes), landmarks(eyes, wrong_by=-0.03)):
        assert eye.layers.light.max() == 0


@pytest.mark.parametrize("lamp", [(-11.0, -5.0), (11.0, -5.0)])
def test_no_white_beside_the_rim_moves_with_the_catch_light(lamp: tuple[float, float]) -> None:
    eyes = eyes_with(lamp)
    u, v = np.meshgrid(columns(), rows())
    for eye, truth in zip(fit_eyes(draw(eyes), landmarks(eyes)), eyes, strict=True):
        x, y = eye.view.axes.to_picture(u, v)
        # Three sigmas of the lamp's glow; beyond them its light is below 3 grey levels.
        beyond = np.hypot(x - truth.x - lamp[0], y - truth.y - lamp[1]) > 7
        assert eye.layers.light[beyond].max() < 12
