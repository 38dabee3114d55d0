"""Rates and their confidence intervals.

Rules: the rate of an empty sample is None, never 0. Intervals are only for display. Decisions use
the evidence (`domain.detection.evidence`), which may be checked any number of times.

Sources: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212, and R. G. Newcombe, Statistics in
Medicine 17 (1998) 857-872 (one share, his method 3, without continuity correction) and 873-890
(difference of two shares, his method 10).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_Z: Final = 1.959963984540054
"""97.5th percentile of the normal distribution, for a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A count out of a sample."""

    count: int
    sample: int

    @property
    def percent(self) -> float | None:
        """The share in per cent; None: the sample is empty."""
        return 100.0 * self.count / self.sample if self.sample else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the share, in per cent; None: the sample is empty."""
        n = self.sample
        if not n:
            return None
        share = self.count / n
        middle = share + _Z**2 / (2 * n)
        reach = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        low, high = ((middle + sign * reach) / (1 + _Z**2 / n) for sign in (-1, 1))
        return 100.0 * max(0.0, low), 100.0 * min(1.0, high)


@dataclass(frozen=True, slots=True)
class Difference:
    """First share minus second, in percentage points, with its 95 % interval."""

    points: float
    low: float
    high: float


def difference(first: Rate | None, second: Rate | None) -> Difference | None:
    """Compute the difference, with Newcombe's interval from the Wilson intervals of both.

    None: a rate is not applicable or its sample is empty.
    """
    if first is None or second is None:
        return None
    one, two = first.percent, second.percent
    first_interval, second_interval = first.interval, second.interval
    if one is None or two is None or first_interval is None or second_interval is None:
        return None
    points = one - two
    return Difference(
        points,
        points - math.hypot(one - first_interval[0], second_interval[1] - two),
        points + math.hypot(first_interval[1] - one, two - second_interval[0]),
    )
