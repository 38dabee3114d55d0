"""What is not known moves nothing: a day without traffic, without receipts, without the store.

Engine, decision table and gates together; `decide` is asked what automation would ask.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.changes import change
from tests.support.seeded import DAY, tick
from worker.domain.detection.automatic_rollback import judge
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.observing import observe
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.migration.decide import decide
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.snapshot import AUTOMATIC, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

SPLIT = 25
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STATE = Snapshot(
    version=7,
    lineage="l",
    phase=Phase.GRADUAL_MIGRATION,
    percentage=SPLIT,
    flags=Flags(migration=MigrationSettings(auto_advance=True, require_approval=False)),
    since=BEGAN,
    proven=(1, 5, 10),
)
FEW, LOOK = 4, 360
"""Ticks of traffic at first, too few to prove anything; ticks from one asking to the next."""


def silent(_rng: random.Random, at: float) -> Tick:
    return Tick(at, ProviderTick(), ProviderTick())


def without_receipts(rng: random.Random, at: float) -> Tick:
    seen = tick(rng, 0, SPLIT, 0.0, 0.0)
    ours, theirs = (
        DeliveryCounts(s.failed.total, s.failed.total, 0) for s in (seen.target, seen.legacy)
    )
    return replace(
        seen,
        at=at,
        target=replace(seen.target, judged=ours),
        legacy=replace(seen.legacy, judged=theirs),
    )


def advanced(known: Evidence, at: float) -> bool:
    """Whether automation would go up: all that is counted is faultless, the proofs are asked."""
    failed, slow, judged = (int(counted[1]) for counted in known.counted)
    measures = Measures(
        accepted=failed, p95_ms=100.0 if slow else None, delivered=judged, judged=judged,
        evidence=known,
    )  # fmt: skip
    up = change("step", by=AUTOMATIC, reason="every gate is open")
    return decide(up, STATE, measures, BEGAN + timedelta(seconds=at)).accepted


@pytest.mark.parametrize("then", [silent, without_receipts])
def test_a_day_of_it_neither_advances_nor_goes_down(
    then: Callable[[random.Random, float], Tick],
) -> None:
    rng, known = random.Random(1), Evidence()
    setting = criteria_of(STATE, dict.fromkeys(Role, True), 600.0)
    for number in range(DAY):
        at = BEGAN.timestamp() + number * TICK_S
        made = replace(tick(rng, 0, SPLIT, 0.02, 0.02), at=at) if number < FEW else then(rng, at)
        known = observe(known, made, setting)
        assert not judge(known, STATE).action.down
        assert number % LOOK or not advanced(known, number * TICK_S)


def test_a_store_cut_for_a_day_neither_advances_nor_goes_down() -> None:
    """No tick is made meanwhile; the first one after it holds what the last minutes brought."""
    rng, known = random.Random(1), Evidence()
    setting = criteria_of(STATE, dict.fromkeys(Role, True), 600.0)
    for number in (*range(FEW), DAY):
        rate = 600.0 if number == DAY else 10.0  # ten minutes of it at once
        seen = tick(rng, 0, SPLIT, 0.02, 0.02, rate)
        known = observe(known, replace(seen, at=BEGAN.timestamp() + number * TICK_S), setting)
        assert not judge(known, STATE).action.down
        assert not advanced(known, number * TICK_S)


def test_what_was_proved_before_the_silence_still_counts() -> None:
    rng, known = random.Random(1), Evidence()
    setting = criteria_of(STATE, dict.fromkeys(Role, True), 600.0)
    for number in range(360):
        seen = tick(rng, 0, SPLIT, 0.0, 0.0)
        ours, theirs = (
            DeliveryCounts(0, s.failed.total, s.failed.total) for s in (seen.target, seen.legacy)
        )
        sides = replace(seen.target, judged=ours), replace(seen.legacy, judged=theirs)
        known = observe(known, Tick(BEGAN.timestamp() + number * TICK_S, *sides), setting)
    assert advanced(known, 3_600.0)
