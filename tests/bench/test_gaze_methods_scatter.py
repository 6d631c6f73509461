"""The gallery's living figures against film: see `appliance.bench.gaze_methods`."""

import pytest

from appliance.bench.gaze_methods import FILMED, TIMES_FILMED, gallery_scatter


@pytest.mark.slow
@pytest.mark.parametrize("distance", FILMED)
def test_eyes_scatter_on_living_figures_as_on_film(distance: int) -> None:
    """Neither more nor less: figures that are too still or too wild mislead whoever tunes on them."""
    ours, filmed = gallery_scatter(distance), FILMED[distance]
    for figure, film in ((ours.step, filmed.step), (ours.spread, filmed.spread)):
        assert film / TIMES_FILMED < figure < film * TIMES_FILMED
