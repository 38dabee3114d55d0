"""What is published and what is answered: one read, the same figures, rounded at the edge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contracts.health import ComparisonMetric, HealthMetric
from contracts.metrics import DURATION_BOUNDS_MS
from tests.support.fakes import HandClock, Snapshots, snapshot
from worker.control import views
from worker.domain.figures.health import Subject
from worker.domain.figures.tally import Tally
from worker.domain.migration.flags import MigrationSettings
from worker.domain.migration.phases import Role
from worker.monitoring.health_reports import Reporting
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Harness:
    """A reporting over sums the test sets."""

    def __init__(self, *, legacy_reports: bool = True, interval_min: float = 5.0) -> None:
        self.tallies = {"africastalking": Tally(), "legacy": Tally()}
        self.asked: list[tuple[datetime, datetime]] = []
        self.told: list[tuple[str, bytes]] = []
        self.clock = HandClock()
        settings = MigrationSettings(health_interval_min=interval_min)
        self.snapshots = Snapshots(snapshot(migration=settings))
        self.reporting = Reporting(
            sums=self.sums,
            target=Subject("africastalking", Role.TARGET, gives_reports=True),
            legacy=Subject("legacy", Role.LEGACY, gives_reports=legacy_reports),
            snapshots=self.snapshots,
            broadcast=self,
            clock=self.clock,
        )

    async def sums(
        self, providers: Sequence[str], since: datetime, until: datetime
    ) -> dict[str, Tally]:
        self.asked.append((since, until))
        return {provider: self.tallies[provider] for provider in providers}

    def metric(self, key: str, body: bytes) -> None:
        self.told.append((key, body))

    def count(self, provider: str, **counts: int | Decimal) -> None:
        named = {"cost:ZMW" if name == "cost" else name: n for name, n in counts.items()}
        self.tallies[provider] = Tally.of(named)


async def test_both_metrics_are_published_from_one_read_of_the_last_hour() -> None:
    bench = Harness()
    await bench.reporting.publish()
    (since, until), = bench.asked  # fmt: skip
    assert (until, until - since) == (bench.clock.now(), timedelta(hours=1))
    assert [key for key, _ in bench.told] == ["metric.health", "metric.comparison"]
    health = HealthMetric.model_validate_json(bench.told[0][1])
    comparison = ComparisonMetric.model_validate_json(bench.told[1][1])
    assert health.providers == comparison.providers
    assert (health.since, health.until, health.hours) == (since, until, 1.0)


async def test_a_longer_health_interval_is_covered_whole() -> None:
    bench = Harness(interval_min=180)
    await bench.reporting.publish()
    assert bench.asked[0][1] - bench.asked[0][0] == timedelta(hours=3)


async def test_an_answer_has_the_fields_of_the_metric() -> None:
    bench = Harness()
    bench.count("africastalking", accepted=98, unknown=2, cost=Decimal("78.4"))
    data = views.report(await bench.reporting.health(24.0))
    assert "event" not in data
    assert HealthMetric.model_validate(data) == await bench.reporting.health(24.0)
    assert (data["hours"], set(data["providers"])) == (24.0, {"africastalking", "legacy"})
    assert data["providers"]["africastalking"]["cost"]["ZMW"]["perMessage"] == "0.8"


async def test_rates_are_rounded_and_carry_sample_and_interval() -> None:
    bench = Harness()
    bench.count("legacy", accepted=2, unknown=1)
    rate = (await bench.reporting.health(1.0)).providers["legacy"].success_rate
    assert (rate.percent, rate.count, rate.sample) == (66.667, 2, 3)
    assert (rate.low, rate.high) == (20.766, 93.851)


async def test_what_is_not_known_is_absent() -> None:
    found = views.report(await Harness(legacy_reports=False).reporting.comparison(1.0))
    legacy = found["providers"]["legacy"]
    assert legacy["successRate"] == {"count": 0, "sample": 0}
    assert not {"deliveryRate", "p95Ms", "meanMs"} & set(legacy)
    assert found["difference"] == {"cost": {}}
    assert found["savingsUnknown"] == "africastalking: no message was accepted in the period"


async def test_a_time_beyond_the_last_bound_is_absent_but_an_issue() -> None:
    bench = Harness()
    calls = {f"latency:{len(DURATION_BOUNDS_MS)}": 200}
    bench.tallies["legacy"] = Tally.of({"accepted": 200, **calls})
    legacy = (await bench.reporting.health(1.0)).providers["legacy"]
    assert legacy.p95_ms is None
    assert legacy.issues[0].startswith("response p95 beyond all that is measured is above 5000 ms")


async def test_money_is_rounded_to_a_millionth_and_totals_are_exact() -> None:
    bench = Harness()
    bench.count("africastalking", accepted=3, cost=Decimal("1.0000"))
    bench.count("legacy", accepted=3, cost=Decimal(2))
    found = await bench.reporting.comparison(1.0)
    cost = found.providers["africastalking"].cost["ZMW"]
    assert (str(cost.total), str(cost.per_message)) == ("1.0000", "0.333333")
    assert (str(found.savings.per_message), str(found.savings.actual)) == ("0.333333", "1")
    assert found.savings.projected == 2


async def test_nothing_in_force_is_no_report() -> None:
    bench = Harness()
    bench.snapshots.current = None
    with pytest.raises(StoreUnavailable, match="nothing is in force yet"):
        await bench.reporting.publish()
    assert bench.told == []


async def test_thresholds_in_force_decide_what_is_an_issue() -> None:
    bench = Harness()
    bench.count("africastalking", accepted=97, unknown=3)
    assert (await bench.reporting.health(1.0)).providers["africastalking"].issues == ()
    state = bench.snapshots.current
    stricter = replace(state.flags.thresholds, max_error_rate=2.0)
    bench.snapshots.current = replace(state, flags=replace(state.flags, thresholds=stricter))
    issues = (await bench.reporting.health(1.0)).providers["africastalking"].issues
    assert issues == ("error rate 3.00 % is above 2 % (MaxErrorRate), of 100 outcomes",)
