"""Computes the rates and times of one provider from its sums, in one place for all callers.

Rules: a rate keeps its count and its sample, so that callers need not divide again. An unknown
figure is None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.figures.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.figures.tally import Tally


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one provider."""

    success: Rate
    """Accepted of accepted and errors. Refusals because of the recipient or the message count as
    neither."""
    error: Rate
    errors_by_class: Mapping[str, int]
    delivery: Rate
    """Delivered of the accepted messages that reached the delivery age."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Percentiles of the time of accepted calls. Never less than the true one, and on the same side
    of every bound of the histogram; infinite beyond the last bound."""
    mean_ms: float | None


def figures_of(sums: Tally) -> Figures:
    """Compute the figures of a provider."""
    outcomes = sums.accepted + sums.errors
    return Figures(
        success=Rate(sums.accepted, outcomes),
        error=Rate(sums.errors, outcomes),
        errors_by_class={
            "provider": sums.not_sent_provider,
            "account": sums.not_sent_account,
            "unknown": sums.unknown,
            "skipped": sums.skipped,
        },
        delivery=Rate(sums.delivered, sums.delivered + sums.undelivered),
        p50_ms=sums.percentile_ms(0.5),
        p95_ms=sums.percentile_ms(0.95),
        p99_ms=sums.percentile_ms(0.99),
        mean_ms=sums.mean_ms,
    )
