"""The planner, held against the time the gates take on traffic simulated message by message.

What is simulated shares with the planner the engine alone: arrivals by the second, each message
assigned and failing on its own, ticks by the clock, and the gates themselves saying when an advance
is possible, the minimum time included. Long, hence not a unit test.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from statistics import median

from worker.domain.evidence import TICK_S, Evidence, Setting, Side, Tick, observe
from worker.domain.evidence_gates import SOAK_FROM, evidence_gates
from worker.domain.flags import MigrationSettings
from worker.domain.gates import Measures, time_gate
from worker.domain.likelihood import Seen
from worker.domain.planning import forecast

RUNS = 61
DAY_S = 86_400.0
LOOK = 6
"""Ticks from one look at the gates to the next."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SCENARIOS = [
    (1, 0.02, 500_000), (1, 0.0, 200_000), (5, 0.02, 500_000), (10, 0.02, 400_000),
    (25, 0.02, 300_000), (25, 0.001, 100_000), (50, 0.02, 300_000), (75, 0.02, 400_000),
    (95, 0.02, 5_000), (100, 0.01, 2_000),
]  # fmt: skip
"""Share, failures of both, messages a day: the proof takes longer than the minimum time."""


class Arrivals:
    """Messages one by one."""

    def __init__(self, seed: int, share: int, rate: float, per_day: int) -> None:
        self.rng = random.Random(f"arrivals {seed} {share}")
        self.share, self.rate, self.gap_s = share / 100, rate, DAY_S / per_day
        self.next_s = self.rng.expovariate(1 / self.gap_s)

    def until(self, at: float) -> Tick:
        """What becomes known until then."""
        counts = {True: [0, 0], False: [0, 0]}
        while self.next_s < at:
            count = counts[self.rng.random() < self.share]
            count[0] += self.rng.random() < self.rate
            count[1] += 1
            self.next_s += self.rng.expovariate(1 / self.gap_s)
        return Tick(at, *(Side(Seen(*counts[ours])) for ours in (True, False)))


def days_until_open(seed: int, share: int, rate: float, per_day: int) -> float:
    """Until the gates of time and failures are open."""
    arrivals, known, at = Arrivals(seed, share, rate, per_day), Evidence(), 0.0
    setting = Setting(share, None)
    settings = MigrationSettings()
    minimum = timedelta(
        minutes=settings.soak_min if share >= SOAK_FROM else settings.minimum_phase_min
    )
    while True:
        for _ in range(LOOK):
            at += TICK_S
            known = observe(known, arrivals.until(at), setting)
        time = time_gate(BEGAN, BEGAN + timedelta(seconds=at), minimum)
        gates = evidence_gates(Measures(evidence=known), share)
        if time.open and all(gate.open for gate in gates if gate.name.startswith("failed")):
            return at / DAY_S


def test_the_forecast_is_within_a_third_in_nine_of_ten_scenarios() -> None:
    near = []
    for share, rate, per_day in SCENARIOS:
        (rung,) = forecast([share], per_day, rate)
        simulated = median(days_until_open(seed, share, rate, per_day) for seed in range(RUNS))
        assert rung.days is not None
        near.append(abs(rung.days / simulated - 1.0) <= 0.3)
    assert sum(near) >= 9, near
