"""Smooth motion through given places at given times."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Self


@dataclass(frozen=True, slots=True)
class Curve:
    """A value over time, in seconds, that passes through its keys without a jump or a kink.

    Between keys it never leaves their values, so that who stands between two equal keys stands
    still, and who stops does not swing over.

    Source: Fritsch and Butland, "A Method for Constructing Local Monotone Piecewise Cubic
    Interpolants", SIAM J. Sci. Stat. Comput. 5, 1984.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]

    @classmethod
    def through(cls, times: tuple[float, ...], values: tuple[float, ...]) -> Self:
        """Lay a curve through two keys or more; `times` rise."""
        steps = [b - a for a, b in pairwise(times)]
        rises = [(b - a) / h for (a, b), h in zip(pairwise(values), steps, strict=True)]
        inner = [_slope(*h, *r) for h, r in zip(pairwise(steps), pairwise(rises), strict=True)]
        return cls(times, values, (rises[0], *inner, rises[-1]))

    def at(self, time: float) -> tuple[float, float]:
        """Return the value and its change per second; the ends' values hold beyond the ends."""
        if not self.times[0] <= time <= self.times[-1]:
            return (self.values[0] if time < self.times[0] else self.values[-1]), 0.0
        k = min(bisect_right(self.times, time), len(self.times) - 1) - 1
        h = self.times[k + 1] - self.times[k]
        u = (time - self.times[k]) / h
        a, b = self.values[k], self.values[k + 1]
        p, q = self.slopes[k] * h, self.slopes[k + 1] * h
        # Cubic Hermite, in powers of u.
        c2, c3 = 3 * (b - a) - 2 * p - q, 2 * (a - b) + p + q
        return a + u * (p + u * (c2 + u * c3)), (p + u * (2 * c2 + u * 3 * c3)) / h


def _slope(before: float, after: float, rise: float, next_rise: float) -> float:
    """Return the slope at a key: a weighted harmonic mean, zero where the motion turns or rests."""
    if rise * next_rise <= 0:
        return 0.0
    share = (before + 2 * after) / (3 * (before + after))
    return rise * next_rise / (share * next_rise + (1 - share) * rise)
