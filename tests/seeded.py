"""Seeded traffic for the evidence: counts a tick, as the slots would show them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from worker.domain.evidence import TICK_S, Seen, Side, Tick

if TYPE_CHECKING:
    import random

DAY = 8_640
"""Ticks."""


def poisson(rng: random.Random, mean: float) -> int:
    if mean > 30:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    left, count = math.exp(-mean), 0
    product = rng.random()
    while product > left:
        product *= rng.random()
        count += 1
    return count


def side(rng: random.Random, messages: float, failing: float) -> Side:
    failed, good = poisson(rng, messages * failing), poisson(rng, messages * (1 - failing))
    return Side(Seen(failed, failed + good), Seen(0, good))


def tick(  # noqa: PLR0917 - a tick of two providers
    rng: random.Random, at: int, split: int, target: float, legacy: float, rate: float = 10.0
) -> Tick:
    """One tick at a rate of messages a second, a split and failure rates."""
    share = rate * TICK_S * split / 100
    ours, theirs = side(rng, share, target), side(rng, rate * TICK_S - share, legacy)
    return Tick(at * TICK_S, ours, theirs, legacy_all=theirs.failed)
