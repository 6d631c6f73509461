"""The iris is found at its rim in drawings of every size and style."""

from dataclasses import replace

import pytest

from appliance.portrait.eye_layers import find_irises
from appliance.portrait.iris import fit_iris
from tests.portrait.synthetic import IRIS, DrawnEye, draw, landmarks

DARK, PALE = (40, 25, 15), (140, 110, 80)


@pytest.mark.parametrize(
    ("size", "pupil", "rim", "hidden", "gaze"),
    [
        (0.3, 0.45, DARK, 0.0, 3),
        (0.5, 0.65, PALE, 0.5, 0),
        (0.6, 0.65, PALE, 0.0, 0),
        (0.6, 0.35, DARK, 0.35, -5),
        (0.6, 0.65, DARK, 0.5, 0),
        (0.7, 0.65, IRIS, 0.0, 3),
    ],
)
def test_an_iris_is_found_at_its_rim_whatever_its_size_and_style(
    size: float, pupil: float, rim: tuple[int, int, int], hidden: float, gaze: float
) -> None:
    eyes = [DrawnEye(x, 60, 80, gaze, size=size, pupil=pupil, rim=rim, hidden=hidden) for x in (110, 290)]
    for (view, iris, _), truth in zip(find_irises(draw(eyes), landmarks(eyes)), eyes, strict=True):
        assert iris.radius * view.axes.width == pytest.approx(truth.radius, abs=0.03 * truth.width)


@pytest.mark.parametrize("beside", [-0.1, 0.1])
def test_an_iris_is_found_a_tenth_of_an_eye_beside_its_mark(beside: float) -> None:
    """The iris model's landmark may be off by that much, in eye widths."""
    eyes = [DrawnEye(x, 60, 80, 0, size=0.6, pupil=0.5) for x in (110, 290)]
    for view, iris, lids in find_irises(draw(eyes), landmarks(eyes)):
        prior = replace(iris, u=iris.u + beside)
        found = fit_iris(view, lids, prior, 0.15, (0.7 * iris.radius, 1.4 * iris.radius))
        assert (found.u, found.radius) == pytest.approx((iris.u, iris.radius), abs=0.01)
