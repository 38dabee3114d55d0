"""The page of capacities is what the model says, and the model is what a simulation shows."""

from __future__ import annotations

import re

import pytest

from tests.support import documentation as docs
from tests.support.capacity_model import (
    KEPT_DAYS,
    LATENCIES_S,
    LEAST_REPLICAS,
    MEASURED,
    PLANNED_LATENCY_S,
    RATES,
    USE,
    Plan,
    bounds,
    most_per_s,
    page_tables,
    plan_for,
)
from tests.support.capacity_simulation import simulate
from worker.clock import SystemClock
from worker.domain.messages.message import Lane
from worker.providers.limiter import Limiter
from worker.settings.model import Settings
from worker.settings.providers import ProviderSettings

CAPACITY = "deploy/CAPACITY.md"
MOST_MESSAGES = 20_000
"""Of one run; at 10,000 a second these are 2 s."""
NEAR = 0.06
UNBOUND = {"max_in_flight": 100_000, "rate_per_s": 1e6, "broker_cores": 50.0, "store_cores": 50.0}
BOUND_PLANS = [
    ("CPU of the workers", Plan(2, 0.05, **UNBOUND, prefetch=200)),
    ("`SMS_PREFETCH_BULK`", Plan(2, 0.05, **UNBOUND, prefetch=16)),
    ("`MAX_IN_FLIGHT`", Plan(2, 0.25)),
    ("`MAX_IN_FLIGHT`", Plan(4, 1.0)),
    ("`RATE_PER_S`", Plan(3, 0.05, max_in_flight=1_000)),
    ("CPU of the broker", Plan(8, 0.05, **{**UNBOUND, "broker_cores": 1.0})),
    ("CPU of the database", Plan(8, 0.05, **{**UNBOUND, "store_cores": 1.0})),
]


@pytest.mark.parametrize("name", page_tables())
def test_the_page_has_the_tables_of_the_model(name: str) -> None:
    shown = re.search(
        rf"<!-- capacity: {name} -->\n(.*?)\n?<!-- end of {name} -->",
        docs.read(CAPACITY),
        re.DOTALL,
    )
    assert shown is not None
    assert shown[1] == page_tables()[name], f"stale: put page_tables()[{name!r}] there"


def test_the_programs_that_measure_exist() -> None:
    named = re.findall(r"\$ python (\S+)", docs.read(CAPACITY))
    assert len(named) == 2
    assert [path for path in named if not (docs.ROOT / path).is_file()] == []


@pytest.mark.parametrize(("name", "plan"), BOUND_PLANS)
def test_more_than_a_plan_carries_is_carried_at_its_bound(name: str, plan: Plan) -> None:
    most, why = most_per_s(plan)
    assert why == name
    lasts_s = max(15.0, 20 * plan.latency_s)
    result = simulate(plan, most * 1.5, lasts_s)
    assert result.per_s == pytest.approx(most, rel=NEAR)


@pytest.mark.parametrize(
    ("per_s", "latency_s"),
    [(per_s, PLANNED_LATENCY_S) for per_s in RATES]
    + [(RATES[-1], latency_s) for latency_s in LATENCIES_S if latency_s != PLANNED_LATENCY_S],
)
def test_a_plan_carries_its_rate_without_a_backlog(per_s: int, latency_s: float) -> None:
    plan = plan_for(per_s, latency_s)
    lasts_s = min(20.0, MOST_MESSAGES / per_s)
    result = simulate(plan, per_s, lasts_s)
    assert result.waited_s < 0.1
    assert result.left < per_s * 0.05 + 5


def test_half_the_workers_leave_a_backlog_that_grows() -> None:
    plan = plan_for(3_000, PLANNED_LATENCY_S)
    half = Plan(**{**vars(plan), "replicas": plan.replicas // 2})
    assert simulate(half, 3_000, 4.0).left > 1_000


@pytest.mark.parametrize("per_s", RATES)
def test_a_plan_leaves_room_and_one_worker_may_be_away(per_s: int) -> None:
    plan = plan_for(per_s, PLANNED_LATENCY_S)
    assert plan.replicas >= LEAST_REPLICAS
    assert all(bound * USE >= per_s * 0.999 for bound in bounds(plan).values())


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("max_in_flight", [1, 64, 1_000])
def test_permits_are_shared_as_the_worker_shares_them(replicas: int, max_in_flight: int) -> None:
    limiter = Limiter(max_in_flight, 1e6, SystemClock(), {Lane.BULK: 96})
    limiter._share(replicas)
    plan = Plan(replicas, 0.25, max_in_flight=max_in_flight)
    taken = 0
    while limiter.take(Lane.BULK):
        taken += 1
    assert plan.permits == max(taken, 1)


def test_the_defaults_of_a_plan_are_those_of_the_settings() -> None:
    plan = Plan(2, 0.25)
    provider = ProviderSettings.model_fields
    assert plan.prefetch == Settings.model_fields["prefetch_bulk"].default
    assert plan.max_in_flight == provider["max_in_flight"].default
    assert plan.rate_per_s == provider["rate_per_s"].default
    kept = Settings.model_fields["keep_records_s"].default
    waited = Settings.model_fields["report_deadline_s"].default
    assert (kept + waited) / 86_400 == KEPT_DAYS


def test_no_constant_is_missing() -> None:
    assert all(value > 0 for value in vars(MEASURED).values())
