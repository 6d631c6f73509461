from hypothesis import given
from hypothesis import strategies as st

from appliance.pack import FrameGrid


@st.composite
def grids(draw: st.DrawFn) -> FrameGrid:
    last = 2 ** draw(st.integers(1, 5))
    steps = draw(st.lists(st.sampled_from([2**k for k in range(6) if 2**k <= last]), min_size=1, max_size=9))
    row = draw(st.integers(0, len(steps) - 1))
    column = draw(st.sampled_from(range(0, last + 1, steps[row])))
    pitches = tuple(-4.0 * i for i in range(len(steps)))
    angles = tuple(float(i) for i in range(last + 1))
    return FrameGrid((0, 0, 9, 9), (4.0, 4.0), angles, pitches, tuple(steps), (row, column))


@given(grids())
def test_every_frame_has_one_number_and_one_place(grid: FrameGrid) -> None:
    places = [grid.place(number) for number in range(grid.count)]
    assert places == sorted(set(places))
    assert [grid.number(*place) for place in places] == list(range(grid.count))
    assert grid.place(grid.rest) == grid.resting


@given(grids())
def test_every_row_reaches_both_ends(grid: FrameGrid) -> None:
    for row in range(len(grid.pitches)):
        columns = grid.columns(row)
        assert (columns[0], columns[-1]) == (0, len(grid.angles) - 1)


@given(grids())
def test_corners_are_the_ends_and_middles_of_the_outer_rows(grid: FrameGrid) -> None:
    places = [grid.place(number) for number in grid.corners()]
    last = len(grid.pitches) - 1
    assert [row for row, _ in places] == [0] * 3 + [grid.resting[0]] * 3 + [last] * 3
    assert [column for _, column in places[::3]] == [0, 0, 0]
    assert [column for _, column in places[2::3]] == [len(grid.angles) - 1] * 3
