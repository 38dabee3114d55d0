"""Seeded traffic for the evidence: counts a tick, as the slots would show them; and the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.planning import poisson
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import DEFAULT_RULES, Phase
from worker.domain.migration.snapshot import Snapshot

if TYPE_CHECKING:
    import random

DAY = 8_640
"""Ticks."""


def side(rng: random.Random, messages: float, failing: float) -> ProviderTick:
    failed, good = poisson(rng, messages * failing), poisson(rng, messages * (1 - failing))
    return ProviderTick(EventCounts(failed, failed + good), EventCounts(0, good))


def tick(  # noqa: PLR0917 - a tick of two providers
    rng: random.Random, at: int, split: int, target: float, legacy: float, rate: float = 10.0
) -> Tick:
    """One tick at a rate of messages a second, a split and failure rates."""
    share = rate * TICK_S * split / 100
    ours, theirs = side(rng, share, target), side(rng, rate * TICK_S - share, legacy)
    return Tick(at * TICK_S, ours, theirs, legacy_all=theirs.failed)


def state_at(split: int) -> Snapshot:
    """A migration that arrived at a share with every gate before it passed."""
    phase = next(p for p in Phase if DEFAULT_RULES[p].low <= split <= DEFAULT_RULES[p].high)
    steps = {step for rules in DEFAULT_RULES.values() for step in rules.steps if step < split}
    return Snapshot(
        version=9,
        lineage="seeded",
        phase=phase,
        percentage=split,
        flags=Flags(),
        proven=tuple(sorted(steps)),
    )
