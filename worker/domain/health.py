"""How one provider did over a period: from sums to a report, with what is wrong in words.

Rules: what counts as what is the table of `Tally.attempt`; here sums only become figures. What is
not known is None and named in `missing`, never a zero. A rate of a sample below the minimum is no
issue, whatever it is. Validation messages stand apart and are in no other figure. Money is exact;
whoever shows it rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from worker.domain.phases import Role, requirements_at
from worker.domain.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from worker.domain.flags import Snapshot

    class Sums(Protocol):
        """Sums over a period (`telemetry.tally.Tally`)."""

        accepted: int
        refused: int
        not_sent_provider: int
        not_sent_account: int
        not_sent_recipient: int
        unknown: int
        skipped: int
        fallback: int
        segments: int
        delivered: int
        undelivered: int
        unpriced: int
        probe_accepted: int
        probe_errors: int
        probe_delivered: int
        probe_undelivered: int
        cost: dict[str, Decimal]

        @property
        def errors(self) -> int:
            """Attempts that count against the provider."""
            ...

        @property
        def mean_ms(self) -> float | None:
            """Mean duration of accepted calls."""
            ...

        def percentile_ms(self, share: float) -> float | None:
            """Percentile of accepted calls."""
            ...


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a report is about."""

    provider: str
    role: Role
    gives_reports: bool
    """Whether delivery reports can come; without, delivery is not applicable."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the figures are held against. Rates in per cent."""

    max_error_rate: float
    min_success_rate: float
    max_p95_ms: float
    min_delivery_rate: float | None
    """None: nothing is asked."""
    minimum_sample: int


@dataclass(frozen=True, slots=True)
class Price:
    """What messages cost in one currency."""

    total: Decimal
    per_message: Decimal
    """Over accepted messages whose price is known."""
    per_delivered: Decimal | None
    """`per_message` over the delivery rate; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Validation messages, in no other figure."""

    success: Rate
    delivery: Rate | None
    """None: not applicable."""


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of one provider over a period."""

    subject: Subject
    attempts: int
    """Messages that came to it, once for each attempt, those passed over too."""
    accepted: int
    success: Rate
    """Accepted of accepted and errors; refused and wrong recipients are nobody's."""
    error: Rate
    errors_by_class: Mapping[str, int]
    refused: int
    wrong_recipient: int
    fallback: Rate
    """Calls made because another provider came first, of all calls."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Percentiles of accepted calls: the bound of the histogram that many kept; infinite beyond the
    last one."""
    mean_ms: float | None
    delivery: Rate | None
    """Delivered of accepted messages judged at the delivery age; None: not applicable."""
    segments: int
    prices: Mapping[str, Price]
    """By currency."""
    validation: Validation
    issues: tuple[str, ...] = ()
    """What is out of bounds, for people."""
    missing: tuple[str, ...] = ()
    """What cannot be said, and why."""


def bounds_of(state: Snapshot, role: Role) -> Bounds:
    """What a provider is held against in this state: delivery is asked of the target alone."""
    thresholds = state.flags.thresholds
    wanted = requirements_at(state.flags.phases, state.phase) if role is Role.TARGET else None
    return Bounds(
        thresholds.max_error_rate,
        thresholds.min_success_rate,
        thresholds.max_response_ms,
        wanted.min_delivery_rate if wanted else None,
        state.flags.migration.minimum_sample,
    )


def report(subject: Subject, sums: Sums, bounds: Bounds) -> Report:
    """Make the report of a provider."""
    outcomes, nobodys = sums.accepted + sums.errors, sums.refused + sums.not_sent_recipient
    calls = outcomes + nobodys - sums.skipped
    delivery = _delivery(subject, sums.delivered, sums.undelivered)
    found = Report(
        subject=subject,
        attempts=calls + sums.skipped,
        accepted=sums.accepted,
        success=Rate(sums.accepted, outcomes),
        error=Rate(sums.errors, outcomes),
        errors_by_class={
            "provider": sums.not_sent_provider,
            "account": sums.not_sent_account,
            "unknown": sums.unknown,
            "skipped": sums.skipped,
        },
        refused=sums.refused,
        wrong_recipient=sums.not_sent_recipient,
        fallback=Rate(sums.fallback, calls),
        p50_ms=sums.percentile_ms(0.5),
        p95_ms=sums.percentile_ms(0.95),
        p99_ms=sums.percentile_ms(0.99),
        mean_ms=sums.mean_ms,
        delivery=delivery,
        segments=sums.segments,
        prices=_prices(sums, delivery),
        validation=Validation(
            Rate(sums.probe_accepted, sums.probe_accepted + sums.probe_errors),
            _delivery(subject, sums.probe_delivered, sums.probe_undelivered),
        ),
    )
    return _judged(found, bounds, sums.unpriced)


def _delivery(subject: Subject, delivered: int, undelivered: int) -> Rate | None:
    return Rate(delivered, delivered + undelivered) if subject.gives_reports else None


def _prices(sums: Sums, delivery: Rate | None) -> dict[str, Price]:
    priced = sums.accepted - sums.unpriced
    if priced <= 0:
        return {}

    def price(total: Decimal) -> Price:
        one = total / priced
        delivered = one * delivery.sample / delivery.count if delivery and delivery.count else None
        return Price(total, one, delivered)

    return {currency: price(total) for currency, total in sorted(sums.cost.items())}


# --- issues ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Check:
    """A figure and its bound."""

    name: str
    sample: int
    of: str
    """What the sample consists of."""
    bad: bool
    words: str


def _judged(found: Report, bounds: Bounds, unpriced: int) -> Report:
    issues, missing = [], []
    for check in _checks(found, bounds):
        if check.sample < bounds.minimum_sample:
            sample = f"{check.sample} of {bounds.minimum_sample} {check.of}"
            missing.append(f"{check.name}: not enough data ({sample})")
        elif check.bad:
            issues.append(f"{check.name} {check.words}, of {check.sample} {check.of}")
    if found.delivery is None:
        missing.append("delivery rate: not applicable, the provider gives no reports")
    if unpriced:
        missing.append(f"cost: no price known for {unpriced} of {found.accepted} accepted")
    return replace(found, issues=tuple(issues), missing=tuple(missing))


def _checks(found: Report, bounds: Bounds) -> Iterator[_Check]:
    yield _low("success rate", found.success, "outcomes", bounds.min_success_rate, "MinSuccessRate")
    error, most = found.error.percent or 0.0, bounds.max_error_rate
    words = f"{error:.2f} % is above {most:g} % (MaxErrorRate)"
    yield _Check("error rate", found.error.sample, "outcomes", error > most, words)
    p95, slow = found.p95_ms or 0.0, bounds.max_p95_ms
    measured = f"{p95:g} ms" if math.isfinite(p95) else "beyond all that is measured"
    words = f"{measured} is above {slow:g} ms (MaxResponseTimeMs)"
    yield _Check("response p95", found.accepted, "accepted calls", p95 > slow, words)
    if found.delivery is not None and bounds.min_delivery_rate is not None:
        asked = "asked by the phases"
        yield _low("delivery rate", found.delivery, "judged", bounds.min_delivery_rate, asked)


def _low(name: str, rate: Rate, of: str, least: float, source: str) -> _Check:
    measured = rate.percent or 0.0
    words = f"{measured:.2f} % is below {least:g} % ({source})"
    return _Check(name, rate.sample, of, measured < least, words)
