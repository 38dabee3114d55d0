"""Health and comparison over a period: published each health interval, answered on request.

Rules: one read of the store for both providers; whoever asks and whoever listens gets the same
figures in the same shape. Figures are rounded at the edge (`shown`), and nowhere else.
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
"""Length of the period that is published; a longer health interval makes it longer."""


@dataclass(frozen=True, slots=True)
class _Period:
    """Both reports of a period."""

    at: datetime
    hours: float
    target: HealthReport
    legacy: HealthReport

    @property
    def since(self) -> datetime:
        """Where it begins; it ends at `at`."""
        return self.at - timedelta(hours=self.hours)

    @property
    def providers(self) -> dict[str, wire.ProviderHealth]:
        """As published."""
        return {each.subject.provider: _provider(each) for each in (self.target, self.legacy)}


@dataclass(frozen=True, slots=True)
class Reporting:
    """Makes reports of both providers.

    Args:
        sums: of providers by id over [since, until). Raises `StoreUnavailable`.
        target: whom reports are about; so is `legacy`.
        snapshots: what is in force: thresholds, requirements, interval.
        broadcast: takes `metric.health` and `metric.comparison`.
        clock: time.
    """

    sums: SumsOf
    target: Subject
    legacy: Subject
    snapshots: Snapshots
    broadcast: Broadcast
    clock: Clock

    async def health(self, hours: float) -> wire.HealthMetric:
        """Both providers over the last hours.

        Raises:
            StoreUnavailable: the store did not answer, or nothing is in force yet.
        """
        return _health(await self._period(hours))

    async def comparison(self, hours: float) -> wire.ComparisonMetric:
        """Target and legacy side by side over the last hours. Raises as `health`."""
        return _comparison(await self._period(hours))

    async def publish(self) -> None:
        """Publish both for the last hour, or the last health interval. Raises as `health`."""
        interval = self._state().flags.migration.health_interval_min / 60
        period = await self._period(max(LEAST_HOURS, interval))
        for metric in (_health(period), _comparison(period)):
            self.broadcast.metric(metric.event, encode(metric))

    async def _period(self, hours: float) -> _Period:
        state, now = self._state(), self.clock.now()
        both = (self.target, self.legacy)
        ids = [subject.provider for subject in both]
        found = await self.sums(ids, now - timedelta(hours=hours), now)
        target, legacy = (
            report(subject, found[subject.provider], bounds_of(state, subject.role))
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
    found = compare(period.target, period.legacy)
    return wire.ComparisonMetric(
        at=period.at,
        since=period.since,
        until=period.at,
        hours=period.hours,
        target=period.target.subject.provider,
        legacy=period.legacy.subject.provider,
        providers=period.providers,
        difference=_differences(found),
        savings=_savings(found.savings) if found.savings else None,
        savings_unknown=found.savings_unknown,
    )


def _provider(found: HealthReport) -> wire.ProviderHealth:
    figures, validation = found.figures, found.validation
    return wire.ProviderHealth(
        role=found.subject.role.value,
        attempts=found.attempts,
        accepted=found.accepted,
        refused=found.refused,
        wrong_recipient=found.wrong_recipient,
        wrong_message=found.wrong_message,
        success_rate=_rate(figures.success),
        error_rate=_rate(figures.error),
        errors_by_class=wire.ErrorsByClass(**figures.errors_by_class),
        fallback_rate=_rate(found.fallback),
        p50_ms=shown_time(figures.p50_ms),
        p95_ms=shown_time(figures.p95_ms),
        p99_ms=shown_time(figures.p99_ms),
        mean_ms=shown_time(figures.mean_ms),
        delivery_rate=_rate(found.delivery) if found.delivery else None,
        segments=found.segments,
        cost={currency: _cost(price) for currency, price in found.prices.items()},
        validation=wire.ValidationHealth(
            success_rate=_rate(validation.success),
            delivery_rate=_rate(validation.delivery) if validation.delivery else None,
        ),
        issues=found.issues,
        missing=found.missing,
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


def _differences(found: Comparison) -> wire.Differences:
    return wire.Differences(
        success_rate=_points(found.success),
        error_rate=_points(found.error),
        delivery_rate=_points(found.delivery),
        p50_ms=shown_time(found.p50_ms),
        p95_ms=shown_time(found.p95_ms),
        p99_ms=shown_time(found.p99_ms),
        mean_ms=shown_time(found.mean_ms),
        cost={
            currency: wire.CostDifference(
                per_message=shown_money(each.per_message),
                per_delivered=None
                if each.per_delivered is None
                else shown_money(each.per_delivered),
            )
            for currency, each in found.prices.items()
        },
    )


def _points(found: Difference | None) -> wire.RateDifference | None:
    if found is None:
        return None
    return wire.RateDifference(
        points=rounded(found.points), low=rounded(found.low), high=rounded(found.high)
    )


def _savings(found: Savings) -> wire.CostSavings:
    return wire.CostSavings(
        currency=found.currency,
        messages=found.messages,
        per_message=shown_money(found.per_message),
        actual=shown_money(found.actual),
        projected=shown_money(found.projected),
    )
