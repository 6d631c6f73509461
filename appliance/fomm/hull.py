"""How large a cloud of points is, whatever its shape."""

from collections.abc import Iterable, Sequence

Point = tuple[float, ...]


def hull_area(points: Iterable[Sequence[float]]) -> float:
    """Return the area of the convex hull of points (x, y), by Andrew's monotone chain (1979)."""
    ordered = sorted(tuple(point) for point in points)
    hull: list[Point] = []
    for path in (ordered, ordered[::-1]):
        side: list[Point] = []
        for point in path:
            while len(side) > 1 and _turn(side[-2], side[-1], point) <= 0:
                side.pop()
            side.append(point)
        hull += side[:-1]
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(hull, hull[1:] + hull[:1], strict=True))) / 2


def _turn(o: Point, a: Point, b: Point) -> float:
    """Return twice the area to the left of the way from `o` over `a` to `b`."""
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])
