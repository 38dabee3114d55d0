"""Makes health reports and the comparison of a period, for each health interval and on request.

Rules: one read of the store serves both providers. Queries and events have the same figures in the
same form. Figures are rounded only where they leave the worker (`shown`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from contracts import health as wire
from contracts.codec import encode
from worker.domain.figures.comparison import compare
from worker.domain.figures.health import bounds_of, report
from worker.monitoring.shown import rounded, shown_money, shown_time
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from worker.domain.figures.comparison import Comparison, Savings
    from worker.domain.figures.health import HealthReport, Price, Subject
    from worker.domain.figures.rates import Difference, Rate
    from worker.domain.figures.tally import Tally
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.broker import Broadcast
    from worker.ports.clock import Clock
    from worker.ports.steering import Snapshots

    SumsOf = Callable[[Sequence[str], datetime, datetime], Awaitable[Mapping[str, Tally]]]

LEAST_HOURS: Final = 1.0
"""The shortest period that is published. A longer health interval is used as the period."""


@dataclass(frozen=True, slots=True)
class _Period:
    """The health reports of both providers over a period."""

    at: datetime
    hours: float
    target: HealthReport
    legacy: HealthReport

    @property
    def since(self) -> datetime:
        """The start of the period, which ends at `at`."""
        return self.at - timedelta(hours=self.hours)

    @property
    def providers(self) -> dict[str, wire.ProviderHealth]:
        """The published form."""
        return {each.subject.provider: _provider(each) for each in (self.target, self.legacy)}


@dataclass(frozen=True, slots=True)
class Reporting:
    """Makes the health reports of both providers.

    Args:
        sums: returns the sums of providers by id over [since, until). Raises `StoreUnavailable`.
        target: one of the two providers of the reports; the other is `legacy`.
        snapshots: the state in force, with thresholds, requirements and interval.
        broadcast: publishes `metric.health` and `metric.comparison`.
        clock: time.
    """

    sums: SumsOf
    target: Subject
    legacy: Subject
    snapshots: Snapshots
    broadcast: Broadcast
    clock: Clock

    async def health(self, hours: float) -> wire.HealthMetric:
        """The reports of both providers over the last hours.

        Raises:
            StoreUnavailable: the store did not answer, or no state is in force yet.
        """
        return _health(await self._period(hours))

    async def comparison(self, hours: float) -> wire.ComparisonMetric:
        """Compare target and legacy over the last hours. Raises as `health`."""
        return _comparison(await self._period(hours))

    async def publish(self) -> None:
        """Publish both for the last hour or the last health interval. Raises as `health`."""
        interval = self._state().flags.migration.health_interval_min / 60
        period = await self._period(max(LEAST_HOURS, interval))
        for metric in (_health(period), _comparison(period)):
            self.broadcast.metric(metric.event, encode(metric))

    async def _period(self, hours: float) -> _Period:
        state, now = self._state(), self.clock.now()
        both = (self.target, self.legacy)
        ids = [subject.provider for subject in both]
        tallies = await self.sums(ids, now - timedelta(hours=hours), now)
        target, legacy = (
            report(subject, tallies[subject.provider], bounds_of(state, subject.role))
            for subject in both
        )
        return _Period(now, hours, target, legacy)

    def _state(self) -> Snapshot:
        state = self.snapshots.current
        if state is None:
            raise StoreUnavailable("nothing is in force yet")
        return state


def _health(period: _Period) -> wire.HealthMetric:
    return wire.HealthMetric(
        at=period.at,
        since=period.since,
        until=period.at,
        hours=period.hours,
        providers=period.providers,
    )


def _comparison(period: _Period) -> wire.ComparisonMetric:
    comparison = compare(period.target, period.legacy)
    return wire.ComparisonMetric(
        at=period.at,
        since=period.since,
        until=period.at,
        hours=period.hours,
        target=period.target.subject.provider,
        legacy=period.legacy.subject.provider,
        providers=period.providers,
        difference=_differences(comparison),
        savings=_savings(comparison.savings) if comparison.savings else None,
        savings_unknown=comparison.savings_unknown,
    )


def _provider(health: HealthReport) -> wire.ProviderHealth:
    figures, validation = health.figures, health.validation
    return wire.ProviderHealth(
        role=health.subject.role.value,
        attempts=health.attempts,
        accepted=health.accepted,
        refused=health.refused,
        wrong_recipient=health.wrong_recipient,
        wrong_message=health.wrong_message,
        success_rate=_rate(figures.success),
        error_rate=_rate(figures.error),
        errors_by_class=wire.ErrorsByClass(**figures.errors_by_class),
        fallback_rate=_rate(health.fallback),
        p50_ms=shown_time(figures.p50_ms),
        p95_ms=shown_time(figures.p95_ms),
        p99_ms=shown_time(figures.p99_ms),
        mean_ms=shown_time(figures.mean_ms),
        delivery_rate=_rate(health.delivery) if health.delivery else None,
        segments=health.segments,
        cost={currency: _cost(price) for currency, price in health.prices.items()},
        validation=wire.ValidationHealth(
            success_rate=_rate(validation.success),
            delivery_rate=_rate(validation.delivery) if validation.delivery else None,
        ),
        issues=health.issues,
        missing=health.missing,
    )


def _rate(rate: Rate) -> wire.Rate:
    if rate.percent is None or rate.interval is None:
        return wire.Rate(count=rate.count, sample=rate.sample)
    low, high = rate.interval
    return wire.Rate(
        percent=rounded(rate.percent),
        low=rounded(low),
        high=rounded(high),
        count=rate.count,
        sample=rate.sample,
    )


def _cost(price: Price) -> wire.MessageCost:
    return wire.MessageCost(
        total=price.total,
        per_message=shown_money(price.per_message),
        per_delivered=None if price.per_delivered is None else shown_money(price.per_delivered),
    )


def _differences(comparison: Comparison) -> wire.Differences:
    return wire.Differences(
        success_rate=_points(comparison.success),
        error_rate=_points(comparison.error),
        delivery_rate=_points(comparison.delivery),
        p50_ms=shown_time(comparison.p50_ms),
        p95_ms=shown_time(comparison.p95_ms),
        p99_ms=shown_time(comparison.p99_ms),
        mean_ms=shown_time(comparison.mean_ms),
        cost={
            currency: wire.CostDifference(
                per_message=shown_money(each.per_message),
                per_delivered=None
                if each.per_delivered is None
                else shown_money(each.per_delivered),
            )
            for currency, each in comparison.prices.items()
        },
    )


def _points(difference: Difference | None) -> wire.RateDifference | None:
    if difference is None:
        return None
    return wire.RateDifference(
        points=rounded(difference.points),
        low=rounded(difference.low),
        high=rounded(difference.high),
    )


def _savings(savings: Savings) -> wire.CostSavings:
    return wire.CostSavings(
        currency=savings.currency,
        messages=savings.messages,
        per_message=shown_money(savings.per_message),
        actual=shown_money(savings.actual),
        projected=shown_money(savings.projected),
    )
