"""The metric events that the worker publishes on `sms.metrics`.

Rules: figures are sums, so those of any number of replicas add up. Every message carries both what
was added since the last one and the sum since the process started, so a lost message loses no
figure. A new `since` means that the sums began anew. Reports over all replicas: `contracts.health`.
Best effort: published without confirm.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field

from contracts.health import ComparisonMetric, HealthMetric
from contracts.model import Amount, Count, Currency, Moment, Wire

DURATION_BOUNDS_MS: Final = (
    10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750,
    1000, 1500, 2000, 2500, 3000, 4000, 5000, 7500, 10_000, 15_000, 30_000,
)  # fmt: skip
"""Upper bounds of the histogram's buckets, milliseconds, inclusive; one more bucket takes longer
calls. The response times that phases ask for (2 s, 3 s) are bounds. Never changes."""

BUCKETS: Final = len(DURATION_BOUNDS_MS) + 1


def _no_calls() -> tuple[int, ...]:
    return (0,) * BUCKETS


class Counts(Wire):
    """Attempts of one provider by outcome, and their cost."""

    accepted: Count = 0
    refused: Count = 0
    """Messages that no provider may send, such as after an opt-out; neither success nor error."""
    not_sent_provider: Count = 0
    """Proved not taken, the provider's fault. An error."""
    not_sent_account: Count = 0
    """Proved not taken, the fault of our account there. An error."""
    not_sent_recipient: Count = 0
    """Proved not taken because of the number; neither success nor error."""
    not_sent_message: Count | None = None
    """Proved not taken because of what the message asks of this provider, such as its own sender
    id; neither success nor error. Absent in messages of older workers."""
    unknown: Count = 0
    """The message may have left. An error."""
    skipped: Count = 0
    """Passed over without a call because the breaker was open. An error."""
    fallback: Count = 0
    """Attempts made here because another provider came first and did not take the message."""
    segments: Count = 0
    """Segments of accepted messages."""
    cost: dict[Currency, Amount] = Field(default_factory=dict)
    """Cost of accepted messages, by ISO 4217 currency."""
    duration_ms_sum: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Sum over accepted calls, milliseconds."""
    histogram: Annotated[tuple[Count, ...], Field(min_length=BUCKETS, max_length=BUCKETS)] = Field(
        default_factory=_no_calls, json_schema_extra={"x-bounds-ms": list(DURATION_BOUNDS_MS)}
    )
    """Accepted calls by duration; bucket i ends at bound i (`x-bounds-ms`), the last has no end."""
    delivered: Count = 0
    """Accepted attempts judged delivered at the delivery age."""
    undelivered: Count = 0
    """Accepted attempts judged not delivered at the delivery age."""


class ProviderMetric(Wire):
    """One provider as one replica saw it. Published every second while figures change."""

    event: Literal["metric.provider"] = "metric.provider"
    provider: str
    replica: str
    at: Moment
    since: Moment
    """When `total` began: the start of the process."""
    delta: Counts
    """Added since the message before."""
    total: Counts
    """Sum since `since`."""


BreakerName = Literal["closed", "open", "half_open"]


class BreakerMetric(Wire):
    """A circuit breaker changed its state on one replica."""

    event: Literal["metric.breaker"] = "metric.breaker"
    provider: str
    replica: str
    at: Moment
    from_: Annotated[BreakerName, Field(alias="from")]
    to: BreakerName
    reason: str


class AlertMetric(Wire):
    """Something a person should know."""

    event: Literal["metric.alert"] = "metric.alert"
    alert_id: UUID
    """The same alert published twice has the same id."""
    at: Moment
    severity: Literal["info", "warning", "critical"]
    code: str
    """Short, stable, for programs and for the runbook."""
    reason: str
    """For people."""
    provider: str | None = None
    replica: str | None = None
    evidence: dict[str, str] | None = None
    """Measured values behind the reason, by name."""
    suggested_command: str | None = None
    """A command line an administrator may want to run."""


class AlertNotice(AlertMetric):
    """The notice of an alert that a webhook recipient gets. Not on the broker."""

    notice: Literal["new", "again", "repeat", "recovered"]
    """`new`: it began. `again`: it came back after a notice that it was over. `repeat`: nobody has
    acknowledged it yet. `recovered`: it is over."""
    since: Moment
    over_at: Moment | None = None
    count: Count
    """How often a replica saw it begin or happen."""
    text: str
    """The whole notice for people, in lines."""


METRICS: Final[tuple[type[Wire], ...]] = (
    ProviderMetric, BreakerMetric, AlertMetric, HealthMetric, ComparisonMetric,
)  # fmt: skip
