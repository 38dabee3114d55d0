"""Which ladder is recommended."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from worker.domain.detection import ladder, planning
from worker.domain.detection.forecast import NINE_OF_TEN, quantile, total
from worker.domain.detection.ladder import SHARES, harm_of, least_harm, recommend
from worker.domain.detection.phase_ladder import ladder_of
from worker.domain.detection.planning import Traffic
from worker.domain.detection.signals import Signal
from worker.domain.migration.flags import Flags

RATES = {Signal.FAILED: 0.02, Signal.SLOW: 0.01, Signal.UNDELIVERED: 0.002}
FEWER = (1, 3, 10, 25, 50, 75, 90, 100)


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "RUNS", 21)


def paid(shares: tuple[int, ...], cost: dict[int, float]) -> float:
    rises = pairwise((0, *shares))
    spread = sum(0.5 * (high - low) / 100.0 * cost[high] for low, high in rises)
    return 0.5 * cost[shares[0]] + spread


@pytest.mark.parametrize("budget", [6.0, 9.0, 15.0, 40.0])
def test_of_all_ladders_in_time_the_shortest_that_costs_hardly_more_than_the_least_is_taken(
    monkeypatch: pytest.MonkeyPatch, budget: float
) -> None:
    monkeypatch.setattr(ladder, "SHARES", FEWER)
    cost = {share: 3.0 + share**1.3 for share in FEWER}
    days = {share: 2.0 + 10.0 / share for share in FEWER}
    every = [
        (*below, 100)
        for size in range(len(FEWER))
        for below in combinations(FEWER[:-1], size)
        if all(high - low <= 50 for low, high in pairwise((0, *below, 100)))
        and sum(days[share] for share in (*below, 100)) <= budget
    ]
    least = min(paid(shares, cost) for shares in every)
    near = [shares for shares in every if paid(shares, cost) <= 1.05 * least]
    shortest = min(near, key=lambda shares: (len(shares), paid(shares, cost)))
    assert least_harm(cost, days, budget) == shortest


def test_without_time_for_any_there_is_no_ladder() -> None:
    days = dict.fromkeys(SHARES, 2.0)
    assert least_harm(dict.fromkeys(SHARES, 1.0), days, 3.9) is None
    assert least_harm(dict.fromkeys(SHARES, 1.0), days, 4.0) == (50, 100)


@pytest.mark.parametrize(("per_day", "within"), [(1_000, 30.0), (5_000, 14.0), (100_000, 2.0)])
def test_nine_of_ten_runs_of_the_ladder_recommended_are_in_time(
    per_day: int, within: float
) -> None:
    found = recommend(Traffic(per_day, RATES), Flags(), within)
    assert found is not None
    shares = [rung.share for rung in found.rungs]
    assert found.in_time
    assert quantile(total(found.rungs), NINE_OF_TEN) <= within
    assert all(high - low <= 50 for low, high in pairwise([0, *shares]))
    assert any(5 <= share <= 50 for share in shares)
    assert shares[-1] == 100
    assert ladder_of(found.flags.phases) == tuple(shares)


def test_where_no_ladder_is_in_time_the_fastest_is_named_and_said_to_be_too_slow() -> None:
    found = recommend(Traffic(500, RATES), Flags(), 3.0)
    assert found is not None
    assert not found.in_time
    assert [rung.share for rung in found.rungs] == [50, 100]


def test_where_nothing_can_be_proved_none_is_recommended() -> None:
    assert recommend(Traffic(500, RATES | {Signal.FAILED: 0.06}), Flags(), 30.0) is None


def test_where_the_last_step_alone_is_never_proved_the_way_to_it_is_recommended() -> None:
    rates = RATES | {Signal.UNDELIVERED: 0.03}
    found = recommend(Traffic(100_000, rates), Flags(), 14.0)
    assert found is not None
    assert [rung.share for rung in found.rungs if rung.unproved] == [100]


# --- harm ------------------------------------------------------------------------------------


def test_a_dead_target_hits_those_until_the_alarm_and_those_who_came_meanwhile() -> None:
    """7 messages at 1 %, of which there are 100 in a day, and 0.7 in the delivery age."""
    harm = harm_of((1,), Traffic(10_000, RATES), Flags())
    assert harm.from_the_start[0] == pytest.approx(7.0, abs=1.0)


@pytest.mark.parametrize("per_day", [1_000, 10_000, 100_000])
def test_all_at_once_hits_more_than_any_ladder(per_day: int) -> None:
    traffic = Traffic(per_day, RATES)
    at_once = harm_of((100,), traffic, Flags())
    climbed = harm_of(ladder_of(), traffic, Flags())
    assert at_once.from_the_start == at_once.with_the_load
    assert climbed.from_the_start[0] < climbed.with_the_load[0] < at_once.from_the_start[0]


def test_without_reports_a_bad_target_is_found_by_complaints_after_a_day() -> None:
    rates = {Signal.FAILED: 0.02, Signal.SLOW: 0.01}
    harm = harm_of((10,), Traffic(1_000, rates), Flags())
    assert harm.from_the_start == pytest.approx((100.0, 50.0, 10.0))


def test_where_legacy_gives_no_reports_only_a_person_stops_what_is_lost() -> None:
    there = harm_of((10,), Traffic(100_000, RATES), Flags())
    gone = harm_of((10,), Traffic(100_000, RATES, legacy_reports=False), Flags())
    assert gone.from_the_start[0] > there.from_the_start[0] + 150.0
