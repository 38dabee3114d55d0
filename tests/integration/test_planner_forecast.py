"""The planner, held against the time the gates take on traffic simulated message by message.

Long, hence not a unit test; a larger version is in `tests/bench`.
"""

from __future__ import annotations

import pytest

from tests.support import documentation
from tests.support.planner_days import FULL, GRADUAL, LATE, PARALLEL, Scenario, distances, near
from worker.domain.detection.forecast import NINE_OF_TEN, forecast, quantile, total
from worker.domain.detection.ladder import recommend
from worker.domain.detection.phase_ladder import ladder_of
from worker.domain.detection.planning import Traffic
from worker.domain.detection.signals import Signal
from worker.domain.migration.flags import Flags

LADDERS = "Which ladder, and how long it takes"
RUNS = 21
SCENARIOS = [
    Scenario(1, PARALLEL, 500_000, 0.02, 0.01, 0.002),
    Scenario(1, PARALLEL, 200_000, 0.0),
    Scenario(3, PARALLEL, 20_000, 0.005),
    Scenario(5, GRADUAL, 20_000, 0.005),
    Scenario(10, GRADUAL, 20_000, 0.02),
    Scenario(25, GRADUAL, 1_000, 0.001),
    Scenario(25, GRADUAL, 5_000, 0.02),
    Scenario(50, GRADUAL, 1_000, 0.001),
    Scenario(50, GRADUAL, 5_000, 0.02),
    Scenario(75, LATE, 20_000, 0.02, 0.01, 0.002),
    Scenario(90, LATE, 10_000, 0.02, 0.01, 0.002),
    Scenario(95, LATE, 15_000, 0.02, 0.01, 0.004),
    Scenario(100, FULL, 15_000, 0.01, 0.0, 0.001),
]
"""The proofs take longer than the minimum time."""
RATES = {Signal.FAILED: 0.02, Signal.SLOW: 0.01, Signal.UNDELIVERED: 0.002}


@pytest.mark.timeout(300)
def test_the_forecast_is_within_30_per_cent_in_nine_of_ten_scenarios() -> None:
    found = distances(SCENARIOS, RUNS)
    assert near(found) >= 0.9, found


@pytest.mark.parametrize(
    ("per_day", "within", "most"),
    [(1_000, 30.0, 30.0), (5_000, 14.0, 12.0), (10_000, 14.0, 9.0), (100_000, 14.0, 2.0)],
)
def test_the_ladder_recommended_is_in_time_in_nine_of_ten_and_stands_in_the_table(
    per_day: int, within: float, most: float
) -> None:
    found = recommend(Traffic(per_day, RATES), Flags(), within)
    assert found is not None
    assert found.in_time
    assert quantile(total(found.rungs), NINE_OF_TEN) <= most
    shares = ", ".join(str(rung.share) for rung in found.rungs)
    times = "; ".join(
        f"{days:.1f}" if days < 10 else f"{days:.0f}"
        for days in (quantile(total(found.rungs), part) for part in (0.5, NINE_OF_TEN))
    )
    table = documentation.chapter("worker/domain/detection/README.md", LADDERS)
    assert f"| {per_day:,}, {within:g} days | {shares} | {times} days |" in table, times


def test_the_default_ladder_takes_at_most_eight_days_at_10_000_a_day_in_the_median() -> None:
    assert quantile(total(forecast(ladder_of(), Traffic(10_000, RATES))), 0.5) <= 8.0
