"""The iris is found at its rim in drawings of every size and style."""

import pytest

from appliance.portrait.eye_layers import find_irises
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
