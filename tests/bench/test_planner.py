"""The planner at more volumes, and whole ladders climbed message by message: some minutes."""

from __future__ import annotations

from statistics import median

import pytest

from tests.support.planner_days import (
    FULL,
    GRADUAL,
    LATE,
    NEAR,
    Scenario,
    days_until_open,
    distances,
    near,
)
from worker.domain.detection.forecast import quantile, total
from worker.domain.detection.ladder import recommend
from worker.domain.detection.planning import Traffic
from worker.domain.detection.signals import Signal
from worker.domain.migration.flags import Flags

RUNS = 25
CLIMBS = 9
USUAL = (0.02, 0.01, 0.002)
FEW = (0.003, 0.005, 0.002)
MANY = (0.01, 0.01, 0.022)
"""Not delivered a little over the bound: proved to be hardly worse than legacy."""
RATES = dict(zip(Signal, USUAL, strict=True))
SCENARIOS = [
    Scenario(share, phase, per_day, *rates)
    for share, phase, per_day, rates in (
        (5, GRADUAL, 10_000, FEW),
        (10, GRADUAL, 20_000, USUAL),
        (25, GRADUAL, 1_000, USUAL),
        (25, GRADUAL, 20_000, MANY),
        (25, GRADUAL, 20_000, USUAL),
        (50, GRADUAL, 2_000, USUAL),
        (50, GRADUAL, 10_000, MANY),
        (75, LATE, 5_000, USUAL),
        (75, LATE, 20_000, FEW),
        (90, LATE, 2_000, USUAL),
        (98, LATE, 10_000, USUAL),
        (100, FULL, 1_000, USUAL),
    )
]


@pytest.mark.bench
@pytest.mark.timeout(3_600)
def test_the_forecast_is_within_30_per_cent_in_nine_of_ten_scenarios() -> None:
    found = distances(SCENARIOS, RUNS)
    for asked, distance in found.items():
        print(f"{asked.share:>4} % of {asked.per_day:>7,} a day: {distance:+.0%}")
    assert near(found) >= 0.9


@pytest.mark.bench
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("per_day", "most"), [(5_000, 12.0), (10_000, 9.0), (100_000, 2.0)])
def test_the_ladder_recommended_is_climbed_as_forecast(per_day: int, most: float) -> None:
    found = recommend(Traffic(per_day, RATES), Flags(), 14.0)
    assert found is not None
    steps = [Scenario(rung.share, rung.phase, per_day, *USUAL) for rung in found.rungs]
    climbed = [sum(days_until_open(seed, step) for step in steps) for seed in range(CLIMBS)]
    said = median(total(found.rungs))
    print(f"{per_day:,} a day: forecast {said:.2f} days, climbed in {median(climbed):.2f}")
    assert said == pytest.approx(median(climbed), rel=NEAR)
    assert quantile(climbed, 0.9) <= most
