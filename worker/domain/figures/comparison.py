"""Compares target and legacy over the same period: which did better, and what the migration saves.

Rules: differences are target minus legacy, so fewer errors and lower costs are negative. If one
side is not known, the difference is None. Savings are given in one currency or not at all, because
there are no exchange rates here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.figures.rates import difference
from worker.domain.messages.outcome import NO_CURRENCY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from worker.domain.figures.health import HealthReport, Price
    from worker.domain.figures.rates import Difference


@dataclass(frozen=True, slots=True)
class PriceDifference:
    """Target minus legacy in one currency."""

    per_message: Decimal
    per_delivered: Decimal | None


@dataclass(frozen=True, slots=True)
class Savings:
    """What the target saves compared with legacy; negative: it costs more."""

    currency: str
    messages: int
    """Number of messages that both providers accepted in the period."""
    per_message: Decimal
    """Legacy minus target."""
    projected: Decimal
    """The savings if the target had taken all messages of the period."""
    actual: Decimal
    """The savings for the messages that the target took."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Target minus legacy."""

    success: Difference | None
    error: Difference | None
    delivery: Difference | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float | None
    prices: Mapping[str, PriceDifference]
    """Cost differences, for currencies in which both are paid."""
    savings: Savings | None
    savings_unknown: str | None
    """Why the savings are not known; None: they are known."""


def compare(target: HealthReport, legacy: HealthReport) -> Comparison:
    """Compare two reports of the same period."""
    savings = _savings(target, legacy)
    one, other = target.figures, legacy.figures
    return Comparison(
        success=difference(one.success, other.success),
        error=difference(one.error, other.error),
        delivery=difference(target.delivery, legacy.delivery),
        p50_ms=_less(one.p50_ms, other.p50_ms),
        p95_ms=_less(one.p95_ms, other.p95_ms),
        p99_ms=_less(one.p99_ms, other.p99_ms),
        mean_ms=_less(one.mean_ms, other.mean_ms),
        prices={
            currency: _price(price, legacy.prices[currency])
            for currency, price in target.prices.items()
            if currency in legacy.prices and currency != NO_CURRENCY
        },
        savings=savings if isinstance(savings, Savings) else None,
        savings_unknown=savings if isinstance(savings, str) else None,
    )


def _less(first: float | None, second: float | None) -> float | None:
    if first is None or second is None or math.isinf(first) or math.isinf(second):
        return None
    return first - second


def _price(target: Price, legacy: Price) -> PriceDifference:
    delivered = None
    if target.per_delivered is not None and legacy.per_delivered is not None:
        delivered = target.per_delivered - legacy.per_delivered
    return PriceDifference(target.per_message - legacy.per_message, delivered)


def _savings(target: HealthReport, legacy: HealthReport) -> Savings | str:
    """The savings, or why they are not known."""
    for each in (target, legacy):
        if len(each.prices) != 1 or NO_CURRENCY in each.prices:
            return f"{each.subject.provider}: {_unpriced(each)}"
    (currency, price), (other, legacy_price) = *target.prices.items(), *legacy.prices.items()
    if currency != other:
        return (
            f"{target.subject.provider} is paid in {currency}, "
            f"{legacy.subject.provider} in {other}: there is no exchange rate here"
        )
    less = legacy_price.per_message - price.per_message
    messages = target.accepted + legacy.accepted
    return Savings(currency, messages, less, less * messages, less * target.accepted)


def _unpriced(report: HealthReport) -> str:
    if not report.accepted:
        return "no message was accepted in the period"
    if not report.prices:
        return "no price of a message is known"
    return f"paid in more than one currency or in none ({', '.join(report.prices)})"
