"""The planner, held against the time the gates take on traffic simulated message by message.

What is simulated shares with the planner the engine alone: arrivals by the second, each message
assigned, failing, slow and judged at the delivery age on its own, ticks by the clock, and the gates
themselves saying when an advance is possible, the minimum time included. Long, hence not a unit
test.
"""

from __future__ import annotations

import random
from collections import deque
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import NamedTuple

from worker.domain.evidence import TICK_S, Evidence, Judged, Side, Signal, Tick, observe
from worker.domain.evidence_gates import SOAK_FROM, evidence_gates
from worker.domain.flags import Flags, MigrationSettings, Snapshot
from worker.domain.gates import Measures, time_gate
from worker.domain.judgement import setting_of
from worker.domain.likelihood import Seen
from worker.domain.phases import Phase, Role
from worker.domain.planning import forecast

RUNS = 61
DAY_S = 86_400.0
DELIVERY_AGE_S = 600.0
LOOK = 18
"""Ticks from one look at the gates to the next."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Scenario(NamedTuple):
    """The proofs take longer than the minimum time."""

    share: int
    phase: Phase
    per_day: int
    failed: float
    slow: float = 0.0
    undelivered: float | None = None
    """None: no reports."""


PARALLEL, GRADUAL, LATE, FULL = list(Phase)[1:5]
SCENARIOS = [
    Scenario(1, PARALLEL, 500_000, 0.02, 0.01, 0.002),
    Scenario(1, PARALLEL, 200_000, 0.0),
    Scenario(5, GRADUAL, 500_000, 0.02),
    Scenario(10, GRADUAL, 400_000, 0.02),
    Scenario(25, GRADUAL, 400_000, 0.01, 0.02, 0.01),
    Scenario(25, GRADUAL, 100_000, 0.001),
    Scenario(50, GRADUAL, 300_000, 0.01, 0.0, 0.01),
    Scenario(75, LATE, 400_000, 0.02),
    Scenario(95, LATE, 15_000, 0.02, 0.01, 0.004),
    Scenario(100, FULL, 15_000, 0.01, 0.0, 0.001),
]


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
        return Tick(at, *(
            Side(Seen(*failed[ours]), Seen(*slow[ours]), judged[ours]) for ours in (True, False)
        ))  # fmt: skip

    def accepted(self, *, ours: bool) -> None:
        if self.asked.undelivered is not None:
            lost = self.rng.random() < self.asked.undelivered
            self.waiting.append((self.next_s + DELIVERY_AGE_S, ours, lost))

    def judged(self, at: float) -> dict[bool, Judged]:
        counts = {True: [0, 0], False: [0, 0]}
        while self.waiting and self.waiting[0][0] < at:
            _, ours, lost = self.waiting.popleft()
            counts[ours][0] += lost
            counts[ours][1] += 1
        return {ours: Judged(lost, of, of - lost) for ours, (lost, of) in counts.items()}


def days_until_open(seed: int, asked: Scenario) -> float:
    """Until the gates of time and proofs are open."""
    arrivals, known, at = Arrivals(seed, asked), Evidence(), 0.0
    reports = asked.undelivered is not None
    state = Snapshot(1, "x", asked.phase, asked.share, Flags())
    setting = setting_of(state, dict.fromkeys(Role, reports), DELIVERY_AGE_S)
    settings = MigrationSettings()
    minimum = timedelta(
        minutes=settings.soak_min if asked.share >= SOAK_FROM else settings.minimum_phase_min
    )
    while True:
        for _ in range(LOOK):
            at += TICK_S
            known = observe(known, arrivals.until(at), setting)
        if not time_gate(BEGAN, BEGAN + timedelta(seconds=at), minimum).open:
            continue
        gates = evidence_gates(Measures(evidence=known, gives_reports=reports), asked.share)
        if all(gate.open for gate in gates):
            return at / DAY_S


def test_the_forecast_is_within_a_third_in_nine_of_ten_scenarios() -> None:
    near = []
    for asked in SCENARIOS:
        rates = {Signal.FAILED: asked.failed, Signal.SLOW: asked.slow}
        if asked.undelivered is not None:
            rates[Signal.UNDELIVERED] = asked.undelivered
        (rung,) = forecast([asked.share], asked.per_day, rates)
        simulated = median(days_until_open(seed, asked) for seed in range(RUNS))
        assert rung.days is not None
        near.append(abs(rung.days / simulated - 1.0) <= 0.3)
    assert sum(near) >= 9, near
