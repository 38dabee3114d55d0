"""The acceptance criteria for migration metrics, each on figures worked out by hand.

Two replicas count attempts; what a dashboard receives is read back from the wire.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contracts.health import ComparisonMetric, HealthMetric
from tests.support.fakes import HandClock, Snapshots, snapshot
from worker.domain.detection.automatic_rollback import Action
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.threshold_policy import Window, judge_window
from worker.domain.figures.health import Subject
from worker.domain.figures.tally import Measured
from worker.domain.messages.outcome import (
    Accepted,
    Blame,
    Money,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.domain.migration.phases import Role
from worker.monitoring.health_reports import Reporting
from worker.telemetry.metrics import AttemptMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.domain.figures.tally import Tally

TARGET, LEGACY = "africastalking", "legacy"
SILENCE = Unknown("read_timeout", "silence")
DOWN = NotSent(Blame.PROVIDER, "503", "down")


class Migration:
    """Two replicas, and a dashboard."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.books = [AttemptMetrics(self.clock, [TARGET, LEGACY], slow_ms=5_000) for _ in range(2)]
        self.received: dict[str, bytes] = {}
        self.state = snapshot(25)
        self.reporting = Reporting(
            sums=self.sums,
            target=Subject(TARGET, Role.TARGET, gives_reports=True),
            legacy=Subject(LEGACY, Role.LEGACY, gives_reports=True),
            snapshots=Snapshots(self.state),
            broadcast=self,
            clock=self.clock,
        )

    def attempts(
        self, provider: str, count: int, outcome: Outcome, ms: float = 100.0, cost: str = "0.80"
    ) -> None:
        for number in range(count):
            made = Measured(
                provider=provider,
                outcome=outcome,
                duration_ms=ms,
                lane="bulk",
                message_type="Standard",
                branch_id=None,
                segments=1,
                cost=Money(Decimal(cost), "ZMW"),
                eligible=True,
                recipient_hash=str(number),
                fallback=False,
            )
            self.books[number % 2].attempt(made)

    def judged(self, provider: str, delivered: int, undelivered: int) -> None:
        for number in range(delivered + undelivered):
            self.books[number % 2].judged(
                provider, delivered=number < delivered, eligible=True, recipient_hash=str(number)
            )

    async def sums(
        self, providers: Sequence[str], since: datetime, until: datetime
    ) -> dict[str, Tally]:
        assert since < until
        first, second = self.books
        return {each: first.total(each).plus(second.total(each)) for each in providers}

    def metric(self, key: str, body: bytes) -> None:
        self.received[key] = body

    async def health(self) -> HealthMetric:
        await self.reporting.publish()
        return HealthMetric.model_validate_json(self.received["metric.health"])

    async def comparison(self) -> ComparisonMetric:
        await self.reporting.publish()
        return ComparisonMetric.model_validate_json(self.received["metric.comparison"])


@pytest.fixture
def migration() -> Migration:
    return Migration()


async def test_success_rate_comparison_between_providers(migration: Migration) -> None:
    migration.attempts(TARGET, 196, Accepted("id"))
    migration.attempts(TARGET, 4, SILENCE)
    migration.attempts(TARGET, 50, Refused("403", "invalid number"))
    migration.attempts(LEGACY, 570, Accepted("id"))
    migration.attempts(LEGACY, 30, DOWN)
    found = await migration.comparison()
    rates = {name: each.success_rate for name, each in found.providers.items()}
    assert (rates[TARGET].percent, rates[TARGET].sample) == (98.0, 200)
    assert (rates[LEGACY].percent, rates[LEGACY].sample) == (95.0, 600)
    difference = found.difference.success_rate
    assert (difference.points, difference.low, difference.high) == (3.0, -0.369, 5.384)


async def test_response_time_and_performance_metrics(migration: Migration) -> None:
    migration.attempts(TARGET, 90, Accepted("id"), ms=80.0)
    migration.attempts(TARGET, 8, Accepted("id"), ms=700.0)
    migration.attempts(TARGET, 2, Accepted("id"), ms=7_000.0)
    migration.attempts(TARGET, 50, SILENCE, ms=30_000.0)
    migration.attempts(LEGACY, 100, Accepted("id"), ms=450.0)
    found = await migration.comparison()
    target, legacy = found.providers[TARGET], found.providers[LEGACY]
    assert (target.p50_ms, target.p95_ms, target.p99_ms, target.mean_ms) == (100, 750, 7_500, 268)
    assert (legacy.p50_ms, legacy.p95_ms, legacy.mean_ms) == (498, 500, 450)
    assert (found.difference.p95_ms, found.difference.mean_ms) == (250, -182)


async def test_error_rate_tracking_and_alerting(migration: Migration) -> None:
    migration.attempts(TARGET, 930, Accepted("id"))
    migration.attempts(TARGET, 40, DOWN)
    migration.attempts(TARGET, 20, SILENCE)
    migration.books[0].skipped(TARGET, eligible=True, lane="bulk", recipient_hash="a")
    migration.attempts(TARGET, 9, NotSent(Blame.ACCOUNT, "402", "no balance"))
    target = (await migration.health()).providers[TARGET]
    assert (target.error_rate.percent, target.error_rate.sample) == (7.0, 1_000)
    assert target.errors_by_class.model_dump() == {
        "provider": 40,
        "account": 9,
        "unknown": 20,
        "skipped": 1,
    }
    assert target.issues == ("error rate 7.00 % is above 5 % (MaxErrorRate), of 1000 outcomes",)
    now = migration.clock.now()
    sums = (await migration.sums([TARGET], now - timedelta(minutes=5), now))[TARGET]
    window = Window(sums.accepted, sums.errors, sums.p95_ms)
    judged = judge_window(window, Evidence(), migration.state)
    assert (judged.action, judged.reason) == (
        Action.ROLL_BACK,
        "errors 7.00 % > 5 % over 5 min",
    )


async def test_cost_comparison_analysis(migration: Migration) -> None:
    migration.attempts(TARGET, 250, Accepted("id"), cost="0.80")
    migration.attempts(LEGACY, 750, Accepted("id"), cost="1.00")
    migration.judged(TARGET, delivered=96, undelivered=4)
    migration.judged(LEGACY, delivered=80, undelivered=20)
    found = await migration.comparison()
    target, legacy = (found.providers[name].cost["ZMW"] for name in (TARGET, LEGACY))
    assert (target.total, target.per_message) == (Decimal("200.00"), Decimal("0.8"))
    assert (legacy.total, legacy.per_message) == (Decimal("750.00"), Decimal(1))
    assert (target.per_delivered, legacy.per_delivered) == (Decimal("0.833333"), Decimal("1.25"))
    assert found.difference.cost["ZMW"].per_message == Decimal("-0.2")
    assert found.difference.cost["ZMW"].per_delivered == Decimal("-0.416667")
    saved = found.savings
    assert (saved.currency, saved.messages) == ("ZMW", 1_000)
    assert (saved.actual, saved.projected) == (Decimal(50), Decimal(200))
