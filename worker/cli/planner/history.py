"""Asks the worker for volume and rates of the last days, for `sms-worker plan --from-history`.

Rules: it asks over the broker like `ctl health`, day by day, back to the first day with traffic but
no further than metrics are kept. Rates are those of both providers together. A value that was not
measured is absent, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from contracts.control import Health
from contracts.health import HealthMetric
from worker.cli.ctl.ask import NO_ANSWER, REFUSED, fail, in_force, query
from worker.domain.detection.signals import Signal
from worker.domain.migration.flags_document import FlagsError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contracts.health import ProviderHealth, Rate
    from worker.cli.options import Asking
    from worker.domain.migration.flags import Flags

DAYS: Final = 7
_NOT_OVER_ONE, _NOT_OVER_FIVE, _MORE = 0.01, 0.03, 0.1
"""Slow share that is assumed if the 99th percentile is fast, if the 95th is, and if neither is."""


@dataclass(frozen=True, slots=True)
class History:
    """Volume and rates of the last days."""

    per_day: float
    days: int
    """Days back to the first one with traffic."""
    rates: Mapping[Signal, float]
    reports: tuple[bool, bool]
    """Whether target and legacy give delivery reports."""
    p95_ms: float | None
    flags: dict[str, Any]
    """The flags in force, as a document."""


def history(given: Asking) -> History:
    """Ask the worker; end the program if it cannot answer."""
    document = in_force(given).flags
    flags = _flags(document)
    kept = min(DAYS, flags.migration.metrics_retention_days)
    # The longest period first: messages that come while we ask then only add to shorter ones.
    reports = {day: _health(given, 24.0 * day) for day in range(kept, 0, -1)}
    sums = {
        day: sum(each.accepted for each in report.providers.values())
        for day, report in reports.items()
    }
    if not sums[kept]:
        text = f"--from-history: no message was accepted in {kept} days; give --per-day"
        fail(text, REFUSED)
    days = min(day for day in sums if sums[day] >= sums[kept])  # no traffic before them
    return read(reports[days], sums[days] / days, days, document, flags)


def read(
    report: HealthMetric, per_day: float, days: int, document: dict[str, Any], flags: Flags
) -> History:
    """Return the history that a health report shows."""
    providers = list(report.providers.values())
    by_role = {each.role: each for each in providers}
    rates = {
        Signal.FAILED: _rate(each.error_rate for each in providers),
        Signal.SLOW: _slow(providers, flags.thresholds.max_response_ms),
        Signal.UNDELIVERED: _not(_rate(each.delivery_rate for each in providers)),
    }
    slowest = [each.p95_ms for each in providers if each.p95_ms is not None]
    return History(
        per_day=per_day,
        days=days,
        rates={signal: rate for signal, rate in rates.items() if rate is not None},
        reports=(_gives_reports(by_role.get("target")), _gives_reports(by_role.get("legacy"))),
        p95_ms=max(slowest, default=None),
        flags=document,
    )


def _health(given: Asking, hours: float) -> HealthMetric:
    try:
        return HealthMetric.model_validate(query(given, Health, hours=hours).data)
    except ValidationError:
        fail("--from-history: the worker answered with a report of another version", NO_ANSWER)


def _flags(document: dict[str, Any]) -> Flags:
    try:
        return parse(document, "target", "legacy")[0]
    except FlagsError as error:
        fail(f"--from-history: flags in force: {error}", REFUSED)


def _rate(rates: Iterable[Rate | None]) -> float | None:
    """Return the rate of both providers together."""
    known = [rate for rate in rates if rate is not None]
    sample = sum(rate.sample for rate in known)
    return sum(rate.count for rate in known) / sample if sample else None


def _not(rate: float | None) -> float | None:
    return None if rate is None else 1.0 - rate


def _slow(providers: list[ProviderHealth], most_ms: float) -> float | None:
    """Estimate the slow rate of the slower provider from its percentiles."""
    rates = [_of_percentiles(each, most_ms) for each in providers if each.accepted]
    return max(rates, default=None)


def _of_percentiles(provider: ProviderHealth, most_ms: float) -> float:
    for percentile, rate in ((provider.p99_ms, _NOT_OVER_ONE), (provider.p95_ms, _NOT_OVER_FIVE)):
        if percentile is not None and percentile <= most_ms:
            return rate
    return _MORE


def _gives_reports(provider: ProviderHealth | None) -> bool:
    return provider is not None and provider.delivery_rate is not None
