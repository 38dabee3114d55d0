"""What one metric is: its name, kind, unit, meaning and labels; and what its values look like.

Rules: Prometheus writes `_` for `.`, adds `_total` to counters and the unit in full. Labels are
bounded: every value comes from a fixed set, from the configuration or from a code of the protocol.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Final

Sample = tuple[float, Mapping[str, str]]
"""A value and its labels."""
Reading = Callable[[], Iterable[Sample]]
_UNITS: Final = {"s": "_seconds"}
"""Units that Prometheus writes in full."""


class Kind(StrEnum):
    """How the values of an instrument behave."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of the process."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    """Counts by upper bounds, from 0 at the start of the process."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    """UCUM; in braces where it only names what is counted."""
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram: inclusive upper bounds of its buckets. One more takes what is above."""

    @property
    def shown(self) -> str:
        """Its name in Prometheus; a histogram adds `_bucket`, `_count` and `_sum`."""
        unit = _UNITS.get(self.unit, "")
        return self.name.replace(".", "_") + unit + ("_total" if self.kind is Kind.COUNTER else "")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values of a histogram under one set of labels, since the process started."""

    labels: Mapping[str, str]
    buckets: Sequence[int]
    """Values by bucket; the last one takes those above every bound."""
    total: float


DistributionReading = Callable[[], Iterable[Distribution]]


def together(*readings: DistributionReading) -> DistributionReading:
    """Read several as one."""
    return lambda: chain.from_iterable(read() for read in readings)


class Buckets:
    """Counts values by bucket."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value; one below 0 counts as 0."""
        value = max(value, 0.0)
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def read(self, labels: Mapping[str, str]) -> Distribution:
        """What was counted so far."""
        return Distribution(labels, tuple(self.counts), self.total)
