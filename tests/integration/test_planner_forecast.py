"""The planner, held against traffic it has not seen. Long, hence not a unit test."""

from __future__ import annotations

import random
from statistics import median

from tests.seeded import tick
from worker.domain import evidence
from worker.domain.evidence import PROOF, Evidence, Setting, Signal, observe
from worker.domain.planning import forecast

SCENARIOS = [
    (1, 0.02), (1, 0.0), (5, 0.02), (10, 0.02), (25, 0.02),
    (25, 0.001), (50, 0.02), (75, 0.02), (95, 0.02), (100, 0.01),
]  # fmt: skip


def simulated(share: int, rate: float) -> float:
    """Median messages of the target over 101 runs at 10 messages a second."""
    found = []
    for seed in range(101):
        rng, known, sent = random.Random(f"seen {seed}"), Evidence(), 0.0
        proved = False
        while not proved:
            seen = tick(rng, 0, share, rate, rate)
            known = observe(known, seen, Setting(share, None))
            sent += seen.target.failed.total
            proved = evidence.low_proof(known, Signal.FAILED) >= PROOF and (
                not 5 <= share < 90 or evidence.no_worse_proof(known, Signal.FAILED) >= PROOF
            )
        found.append(sent)
    return median(found)


def test_the_forecast_is_within_a_third_in_nine_of_ten_scenarios() -> None:
    near = 0
    for share, rate in SCENARIOS:
        (rung,) = forecast([share], 864_000, rate)
        assert rung.messages is not None
        near += abs(rung.messages / simulated(share, rate) - 1.0) <= 0.3
    assert near >= 9
