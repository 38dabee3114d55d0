"""Traffic simulated message by message, until the gates say that an advance is possible.

What this shares with the planner is the engine alone: each message is assigned, fails, is slow and
is judged at the delivery age on its own, ticks go by the clock, and the gates themselves say when
an advance is possible, the minimum time included. Ticks in which nothing becomes known are passed
over: they change nothing.
"""

from __future__ import annotations

import math
import random
from collections import deque
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.evidence_gates import SOAK_FROM, evidence_gates
from worker.domain.detection.forecast import forecast
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.planning import Traffic
from worker.domain.detection.readings import PROOF, low_proof
from worker.domain.detection.signals import Signal
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.gates import Measures, time_gate
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY_S = 86_400.0
DELIVERY_AGE_S = 600.0
LOOK = 18
"""Ticks from one look at the gates to the next."""
NEAR = 0.3
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PARALLEL, GRADUAL, LATE, FULL = list(Phase)[1:5]


class Scenario(NamedTuple):
    """What a share is simulated with."""

    share: int
    phase: Phase
    per_day: int
    failed: float
    slow: float = 0.0
    undelivered: float | None = None
    """None: no reports."""


class Arrivals:
    """Messages one by one."""

    def __init__(self, seed: int, asked: Scenario) -> None:
        self.rng = random.Random(f"arrivals {seed} {asked.share}")
        self.asked, self.gap_s = asked, DAY_S / asked.per_day
        self.next_s = self.rng.expovariate(1 / self.gap_s)
        self.waiting: deque[tuple[float, bool, bool]] = deque()

    def until(self, at: float) -> Tick:
        """What becomes known until then."""
        failed, slow = {True: [0, 0], False: [0, 0]}, {True: [0, 0], False: [0, 0]}
        while self.next_s < at:
            ours = self.rng.random() < self.asked.share / 100
            bad = self.rng.random() < self.asked.failed
            failed[ours][0] += bad
            failed[ours][1] += 1
            if not bad:
                slow[ours][0] += self.rng.random() < self.asked.slow
                slow[ours][1] += 1
                self.accepted(ours=ours)
            self.next_s += self.rng.expovariate(1 / self.gap_s)
        judged = self.judged(at)
        sides = (
            ProviderTick(EventCounts(*failed[ours]), EventCounts(*slow[ours]), judged[ours])
            for ours in (True, False)
        )
        return Tick(at, *sides, legacy_all=EventCounts(*failed[False]))

    def next_tick(self) -> float:
        """The end of the next tick in which anything becomes known."""
        known = min(self.next_s, self.waiting[0][0]) if self.waiting else self.next_s
        return math.floor(known / TICK_S + 1.0) * TICK_S

    def accepted(self, *, ours: bool) -> None:
        if self.asked.undelivered is not None:
            lost = self.rng.random() < self.asked.undelivered
            self.waiting.append((self.next_s + DELIVERY_AGE_S, ours, lost))

    def judged(self, at: float) -> dict[bool, DeliveryCounts]:
        counts = {True: [0, 0], False: [0, 0]}
        while self.waiting and self.waiting[0][0] < at:
            _, ours, lost = self.waiting.popleft()
            counts[ours][0] += lost
            counts[ours][1] += 1
        return {ours: DeliveryCounts(lost, of, of - lost) for ours, (lost, of) in counts.items()}


def days_until_open(seed: int, asked: Scenario) -> float:
    """Until the gates of time and proofs are open."""
    arrivals, known, looked = Arrivals(seed, asked), Evidence(), 0.0
    reports = asked.undelivered is not None
    state = Snapshot(1, "x", asked.phase, asked.share, Flags())
    setting = criteria_of(state, dict.fromkeys(Role, reports), DELIVERY_AGE_S)
    settings = MigrationSettings()
    minimum = timedelta(
        minutes=settings.soak_min if asked.share >= SOAK_FROM else settings.minimum_phase_min
    )
    while True:
        at = arrivals.next_tick()  # those between hold nothing
        known = observe(known, arrivals.until(at), setting)
        if at < looked + LOOK * TICK_S or low_proof(known, Signal.FAILED) < PROOF:
            continue
        looked = at
        if not time_gate(BEGAN, BEGAN + timedelta(seconds=at), minimum).open:
            continue
        gates = evidence_gates(Measures(evidence=known, gives_reports=reports), asked.share)
        if all(gate.open for gate in gates):
            return at / DAY_S


def rates(asked: Scenario) -> dict[Signal, float]:
    found = {Signal.FAILED: asked.failed, Signal.SLOW: asked.slow}
    return found if asked.undelivered is None else found | {Signal.UNDELIVERED: asked.undelivered}


def distances(scenarios: Sequence[Scenario], runs: int) -> dict[Scenario, float]:
    """How far the forecast is from the simulated median, as a part of that."""
    found = {}
    for asked in scenarios:
        (rung,) = forecast([asked.share], Traffic(asked.per_day, rates(asked)))
        simulated = median(days_until_open(seed, asked) for seed in range(runs))
        found[asked] = median(rung.days) / simulated - 1.0
    return found


def near(found: dict[Scenario, float]) -> float:
    """The part of the scenarios in which the forecast is within 30 %."""
    return sum(abs(distance) <= NEAR for distance in found.values()) / len(found)
