"""The rates and times of one provider, made of its sums in one place for whoever asks.

Rules: a rate keeps its count and its sample, so that nobody divides again. What is not known is
None, never a zero.
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
    """What the sums of one provider come to."""

    success: Rate
    """Accepted of accepted and errors; what recipients and messages bring on themselves is
    nobody's."""
    error: Rate
    errors_by_class: Mapping[str, int]
    delivery: Rate
    """Delivered of accepted messages judged at the delivery age."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Percentiles of accepted calls: what that many took at most. Never less than the true one, and
    on the same side of every bound of the histogram; infinite beyond the last one."""
    mean_ms: float | None


def figures_of(sums: Tally) -> Figures:
    """Make the figures of a provider."""
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
