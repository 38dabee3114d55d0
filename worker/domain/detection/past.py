"""Volume and rates of the last days, from health reports: what a plan can start from.

Rules: pure. Rates are those of both providers together. A value that was not measured is absent,
never zero. Reports go back to the first day with traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from worker.domain.detection.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    class Rate(Protocol):
        """A share of a sample."""

        @property
        def count(self) -> int:
            """How many it is."""
            ...

        @property
        def sample(self) -> int:
            """Of how many."""
            ...

    class Figures(Protocol):
        """Figures of one provider over a period."""

        @property
        def role(self) -> str:
            """`target` or `legacy`."""
            ...

        @property
        def accepted(self) -> int:
            """Accepted messages."""
            ...

        @property
        def error_rate(self) -> Rate:
            """Errors of all calls."""
            ...

        @property
        def delivery_rate(self) -> Rate | None:
            """None: it gives no delivery reports."""
            ...

        @property
        def p95_ms(self) -> float | None:
            """Milliseconds; None: not known."""
            ...

        @property
        def p99_ms(self) -> float | None:
            """Milliseconds; None: not known."""
            ...


DAYS: Final = 7
"""The longest period that is looked at."""
_NOT_OVER_ONE, _NOT_OVER_FIVE, _MORE = 0.01, 0.03, 0.1
"""Slow share that is assumed if the 99th percentile is fast, if the 95th is, and if neither is."""


@dataclass(frozen=True, slots=True)
class Past:
    """Volume and rates of the last days."""

    per_day: float
    days: int
    """Days back to the first one with traffic."""
    rates: Mapping[Signal, float]
    reports: tuple[bool, bool]
    """Whether target and legacy give delivery reports."""
    p95_ms: float | None


def past_of(reports: Mapping[int, Iterable[Figures]], most_ms: float) -> Past | None:
    """What the reports of the last days show; None: no message was accepted.

    Args:
        reports: figures of both providers by length of the period in days.
        most_ms: what is slow, milliseconds.
    """
    figures = {day: list(report) for day, report in reports.items()}
    sums = {day: sum(each.accepted for each in report) for day, report in figures.items()}
    if not any(sums.values()):
        return None
    days = min(day for day in sums if sums[day] >= sums[max(sums)])  # no traffic before them
    return _read(figures[days], sums[days] / days, days, most_ms)


def _read(providers: list[Figures], per_day: float, days: int, most_ms: float) -> Past:
    by_role = {each.role: each for each in providers}
    rates = {
        Signal.FAILED: _rate(each.error_rate for each in providers),
        Signal.SLOW: _slow(providers, most_ms),
        Signal.UNDELIVERED: _not(_rate(each.delivery_rate for each in providers)),
    }
    slowest = [each.p95_ms for each in providers if each.p95_ms is not None]
    return Past(
        per_day=per_day,
        days=days,
        rates={signal: rate for signal, rate in rates.items() if rate is not None},
        reports=(_gives_reports(by_role.get("target")), _gives_reports(by_role.get("legacy"))),
        p95_ms=max(slowest, default=None),
    )


def _rate(rates: Iterable[Rate | None]) -> float | None:
    """Return the rate of both providers together."""
    known = [rate for rate in rates if rate is not None]
    sample = sum(rate.sample for rate in known)
    return sum(rate.count for rate in known) / sample if sample else None


def _not(rate: float | None) -> float | None:
    return None if rate is None else 1.0 - rate


def _slow(providers: list[Figures], most_ms: float) -> float | None:
    """Estimate the slow rate of the slower provider from its percentiles."""
    rates = [_of_percentiles(each, most_ms) for each in providers if each.accepted]
    return max(rates, default=None)


def _of_percentiles(provider: Figures, most_ms: float) -> float:
    for percentile, rate in ((provider.p99_ms, _NOT_OVER_ONE), (provider.p95_ms, _NOT_OVER_FIVE)):
        if percentile is not None and percentile <= most_ms:
            return rate
    return _MORE


def _gives_reports(provider: Figures | None) -> bool:
    return provider is not None and provider.delivery_rate is not None
