"""Seeded traffic for the evidence: counts a tick, as the slots would show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.domain.evidence import TICK_S, Seen, Side, Tick
from worker.domain.planning import poisson

if TYPE_CHECKING:
    import random

DAY = 8_640
"""Ticks."""


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
