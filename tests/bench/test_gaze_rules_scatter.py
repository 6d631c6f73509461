"""The gallery's living figures against film: see `appliance.bench.gaze_rules`."""

import pytest

from appliance.bench.gaze_rules import FILMED, PLACES, TIMES_FILMED, gallery_scatter


def compare(distance: int, places: tuple[float, ...]) -> None:
    """Neither more nor less: figures that are too still or too wild mislead who tunes on them."""
    ours, filmed = gallery_scatter(distance, places), FILMED[distance]
    for figure, film in ((ours.step, filmed.step), (ours.spread, filmed.spread)):
        assert film / TIMES_FILMED < figure < film * TIMES_FILMED


@pytest.mark.slow
def test_eyes_scatter_on_living_figures_as_on_film() -> None:
    compare(1, PLACES[::3])


@pytest.mark.slow
@pytest.mark.parametrize("distance", FILMED)
def test_eyes_scatter_on_figures_as_on_film_at_all_places(distance: int) -> None:
    compare(distance, PLACES)
