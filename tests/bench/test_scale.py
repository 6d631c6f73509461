import json

import pytest

from appliance.bench.scale import EXPONENT, FACES, ROWS, SITTERS, WIDTHS, bench_scale, exponents_of


def test_the_exponent_of_a_power_law_is_found() -> None:
    table = {size: {"linear": 3.0 * size, "root": 2.0 * size**0.5, "same": 7.0} for size in (1, 5, 30)}
    assert exponents_of(table) == {"linear": 1.0, "root": 0.5, "same": pytest.approx(0.0, abs=1e-9)}


def test_the_ranges_are_those_that_are_promised() -> None:
    assert (FACES[0], FACES[-1]) == (1, 30)
    assert (WIDTHS[0], WIDTHS[-1]) == (320, 1920)
    assert [across * down for across, down in SITTERS] == [1, 3, 6, 12]
    assert (ROWS[0], ROWS[-1]) == (1, 9)


@pytest.mark.slow
def test_cost_and_memory_are_given_for_every_range() -> None:
    said: list[str] = []
    report = bench_scale(
        said.append, (1, 4), (320, 640), ((1, 1), (2, 1)), (1, 3), pictures=20, screen="135x240"
    )
    ranges = {
        "faces": ["1", "4"], "pixels": ["57600", "230400"], "sitters": ["1", "2"], "frames": ["33", "67"]
    }  # fmt: skip
    assert {name: list(report[name]) for name in ranges} == ranges
    assert len(said) == 8
    for name in ranges:
        columns = {column for row in report[name].values() for column in row}
        assert set(report["exponents"][name]) == columns
        assert all(value > 0 for row in report[name].values() for value in row.values())
    # Times are for the bench to judge: a test on a busy machine cannot.
    for name, column in (("faces", "allocated_kb"), ("sitters", "disk_mb"), ("frames", "disk_mb")):
        assert report["exponents"][name][column] <= EXPONENT
    assert report["required"]["searches of a picture"] == {"at_most": 1, "found": 1, "met": True}
    json.dumps(report)
