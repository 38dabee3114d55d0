"""Makes the health report of one provider over a period, with its issues in words.

Rules: `Tally.attempt` decides what each attempt counts as; here sums only become figures. An
unknown figure is None, never zero, and is named in `missing`. A rate of a sample below the minimum
is never an issue. Probes are counted apart and are in no other figure. Money is exact and rounded
only where it is shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from worker.domain.figures.figures import figures_of
from worker.domain.figures.rates import Rate
from worker.domain.migration.phases import Role, requirements_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from worker.domain.figures.figures import Figures
    from worker.domain.figures.tally import Tally
    from worker.domain.migration.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Subject:
    """The provider that a health report is about."""

    provider: str
    role: Role
    gives_reports: bool
    """Whether delivery reports can come. Without them, delivery is not applicable."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of the figures. Rates in per cent."""

    max_error_rate: float
    min_success_rate: float
    max_p95_ms: float
    min_delivery_rate: float | None
    """None: there is no bound."""
    minimum_sample: int


@dataclass(frozen=True, slots=True)
class Price:
    """The cost of messages in one currency."""

    total: Decimal
    per_message: Decimal
    """The mean over accepted messages with a known price."""
    per_delivered: Decimal | None
    """`per_message` divided by the delivery rate; None: the rate is not known."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Counts of probes, which are in no other figure."""

    success: Rate
    delivery: Rate | None
    """None: not applicable."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Figures of one provider over a period."""

    subject: Subject
    attempts: int
    """Messages that came to it, one for each attempt, including attempts that passed it over."""
    accepted: int
    figures: Figures
    refused: int
    wrong_recipient: int
    wrong_message: int
    fallback: Rate
    """The calls it got as fallback, of all its calls."""
    delivery: Rate | None
    """As in `figures`; None: not applicable."""
    segments: int
    prices: Mapping[str, Price]
    """Prices by currency."""
    validation: Validation
    issues: tuple[str, ...] = ()
    """Figures that are out of bounds, in words for people."""
    missing: tuple[str, ...] = ()
    """Figures that are not known, and why."""


def bounds_of(state: Snapshot, role: Role) -> Bounds:
    """The bounds for a provider in this state. Only the target has a bound for delivery."""
    thresholds = state.flags.thresholds
    wanted = requirements_at(state.flags.phases, state.phase) if role is Role.TARGET else None
    return Bounds(
        thresholds.max_error_rate,
        thresholds.min_success_rate,
        thresholds.max_response_ms,
        wanted.min_delivery_rate if wanted else None,
        state.flags.migration.minimum_sample,
    )


def report(subject: Subject, sums: Tally, bounds: Bounds) -> HealthReport:
    """Make the health report of a provider."""
    figures = figures_of(sums)
    delivery = figures.delivery if subject.gives_reports else None
    health = HealthReport(
        subject=subject,
        attempts=sums.attempts,
        accepted=sums.accepted,
        figures=figures,
        refused=sums.refused,
        wrong_recipient=sums.not_sent_recipient,
        wrong_message=sums.not_sent_message,
        fallback=Rate(sums.fallback, sums.attempts - sums.skipped),
        delivery=delivery,
        segments=sums.segments,
        prices=_prices(sums, delivery),
        validation=_validation(subject, sums),
    )
    return _judged(health, bounds, sums.unpriced)


def _validation(subject: Subject, sums: Tally) -> Validation:
    judged = sums.probe_delivered + sums.probe_undelivered
    return Validation(
        Rate(sums.probe_accepted, sums.probe_accepted + sums.probe_errors),
        Rate(sums.probe_delivered, judged) if subject.gives_reports else None,
    )


def _prices(sums: Tally, delivery: Rate | None) -> dict[str, Price]:
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
    """What the sample counts."""
    bad: bool
    words: str


def _judged(health: HealthReport, bounds: Bounds, unpriced: int) -> HealthReport:
    issues, missing = [], []
    for check in _checks(health, bounds):
        if check.sample < bounds.minimum_sample:
            sample = f"{check.sample} of {bounds.minimum_sample} {check.of}"
            missing.append(f"{check.name}: not enough data ({sample})")
        elif check.bad:
            issues.append(f"{check.name} {check.words}, of {check.sample} {check.of}")
    if health.delivery is None:
        missing.append("delivery rate: not applicable, the provider gives no reports")
    if unpriced:
        missing.append(f"cost: no price known for {unpriced} of {health.accepted} accepted")
    return replace(health, issues=tuple(issues), missing=tuple(missing))


def _checks(made: HealthReport, bounds: Bounds) -> Iterator[_Check]:
    yield _low(
        "success rate", made.figures.success, "outcomes", bounds.min_success_rate, "MinSuccessRate"
    )
    error, most = made.figures.error.percent or 0.0, bounds.max_error_rate
    words = f"{error:.2f} % is above {most:g} % (MaxErrorRate)"
    yield _Check("error rate", made.figures.error.sample, "outcomes", error > most, words)
    p95, slow = made.figures.p95_ms or 0.0, bounds.max_p95_ms
    measured = f"{p95:g} ms" if math.isfinite(p95) else "beyond all that is measured"
    words = f"{measured} is above {slow:g} ms (MaxResponseTimeMs)"
    yield _Check("response p95", made.accepted, "accepted calls", p95 > slow, words)
    if made.delivery is not None and bounds.min_delivery_rate is not None:
        asked = "asked by the phases"
        yield _low("delivery rate", made.delivery, "judged", bounds.min_delivery_rate, asked)


def _low(name: str, rate: Rate, of: str, least: float, source: str) -> _Check:
    measured = rate.percent or 0.0
    words = f"{measured:.2f} % is below {least:g} % ({source})"
    return _Check(name, rate.sample, of, measured < least, words)
