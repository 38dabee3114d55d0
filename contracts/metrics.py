"""What the worker says about itself, on `sms.metrics`.

Rules: figures are sums, so that any number of replicas add up; every message carries both what was
added since the last one and the sum since the process started, so a lost message costs nothing. A
new `since` means that the sums began anew. Reports over all replicas: `contracts.health`. Best
effort: published without confirm.
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
"""Upper bounds of the histogram's buckets, milliseconds, inclusive; one more bucket takes what is
longer. The response times that phases ask for (2 s, 3 s) are bounds. Never changes."""

BUCKETS: Final = len(DURATION_BOUNDS_MS) + 1


def _no_calls() -> tuple[int, ...]:
    return (0,) * BUCKETS


class Counts(Wire):
    """Attempts of one provider by outcome, and what they cost."""

    accepted: Count = 0
    refused: Count = 0
    """What no provider may do, such as after an opt-out; neither success nor error."""
    not_sent_provider: Count = 0
    """Proved not taken, the provider's fault. An error."""
    not_sent_account: Count = 0
    """Proved not taken, the fault of our account there. An error."""
    not_sent_recipient: Count = 0
    """Proved not taken because of the number; counts against nobody."""
    not_sent_message: Count | None = None
    """Proved not taken because of what the message asks for there, such as its own sender id;
    counts against nobody. Absent in messages of older workers."""
    unknown: Count = 0
    """It may have left. An error."""
    skipped: Count = 0
    """Passed over without a call because the breaker was open. An error."""
    fallback: Count = 0
    """Attempts made here because another provider came first and did not take the message."""
    segments: Count = 0
    """Of accepted messages."""
    cost: dict[Currency, Amount] = Field(default_factory=dict)
    """Of accepted messages, by ISO 4217 currency."""
    duration_ms_sum: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Over accepted calls, milliseconds."""
    histogram: Annotated[tuple[Count, ...], Field(min_length=BUCKETS, max_length=BUCKETS)] = Field(
        default_factory=_no_calls, json_schema_extra={"x-bounds-ms": list(DURATION_BOUNDS_MS)}
    )
    """Accepted calls by duration; bucket i ends at bound i (`x-bounds-ms`), the last has no end."""
    delivered: Count = 0
    """Accepted attempts judged delivered at the delivery age."""
    undelivered: Count = 0
    """Accepted attempts judged not delivered at the delivery age."""


class ProviderMetric(Wire):
    """One provider as one replica saw it. Every second while there is something to say."""

    event: Literal["metric.provider"] = "metric.provider"
    provider: str
    replica: str
    at: Moment
    since: Moment
    """When `total` began: the start of the process."""
    delta: Counts
    """Since the message before."""
    total: Counts
    """Since `since`."""


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
    """The same alert told twice has the same id."""
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
    """What a webhook recipient is sent: an alert with what is said of it. Not on the broker."""

    notice: Literal["new", "again", "repeat", "recovered"]
    """It began; came back after it was said to be over; nobody acknowledged it yet; is over."""
    since: Moment
    over_at: Moment | None = None
    count: Count
    """How often a replica saw it begin, or happen."""
    text: str
    """All of it for people, in lines."""


METRICS: Final[tuple[type[Wire], ...]] = (
    ProviderMetric, BreakerMetric, AlertMetric, HealthMetric, ComparisonMetric,
)  # fmt: skip
