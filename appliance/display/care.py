"""Burn-in care: the picture wanders by single pixels, too slowly to be seen."""


def offset_at(elapsed: float, reach: int, period: float) -> tuple[int, int]:
    """Return how far the picture is from its place, (right, down) in pixels.

    It walks every place of a square row by row, to and fro, each as often as any other, and begins
    in the middle; a step is one pixel.

    Parameters
    ----------
    elapsed : seconds since the start
    reach : pixels from the middle to the square's edge
    period : seconds between steps
    """
    side = 2 * reach + 1
    places = side * side
    step = (int(elapsed / period) + places // 2) % (2 * places)
    place = min(step, 2 * places - 1 - step)  # there, and back the same way
    row, column = divmod(place, side)
    return (column if row % 2 == 0 else side - 1 - column) - reach, row - reach
