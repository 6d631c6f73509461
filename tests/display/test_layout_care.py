from collections import Counter
from itertools import pairwise

import pytest

from appliance.display.layout import pixel_shift_at


@pytest.mark.parametrize("reach", [0, 1, 2, 8])
def test_the_shift_visits_every_place_equally_pixel_by_pixel(reach: int) -> None:
    places = (2 * reach + 1) ** 2
    walk = [pixel_shift_at(180.0 * step, reach, 180.0) for step in range(4 * places)]
    assert walk[0] == (0, 0)
    assert all(abs(x) <= reach and abs(y) <= reach for x, y in walk)
    assert all(abs(a[0] - b[0]) + abs(a[1] - b[1]) <= 1 for a, b in pairwise(walk))
    assert set(Counter(walk).values()) == {4}


def test_between_steps_it_stands_still() -> None:
    assert len({pixel_shift_at(179.9 * part / 10, 2, 180.0) for part in range(11)}) == 1
