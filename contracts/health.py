"""Reports over all replicas and a period, on `sms.metrics` and in the answers to queries.

Rules: what is not known is absent, never a zero. Rates are in per cent, times in milliseconds,
money in strings. Differences are target minus legacy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.model import Amount, Count, Currency, Moment, Wire

Percent = Annotated[float, Field(ge=0, le=100)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Difference = Annotated[float, Field(allow_inf_nan=False)]


class Rate(Wire):
    """A share of a sample; `low` to `high` is Wilson's 95 % interval. Absent: an empty sample."""

    percent: Percent | None = None
    low: Percent | None = None
    high: Percent | None = None
    count: Count
    sample: Count


class ErrorsByClass(Wire):
    """Errors by whose fault they are."""

    provider: Count = 0
    """Proved not taken, the provider's fault."""
    account: Count = 0
    """Proved not taken, the fault of our account there."""
    unknown: Count = 0
    """It may have left."""
    skipped: Count = 0
    """Passed over without a call because the breaker was open."""


class MessageCost(Wire):
    """What accepted messages cost in one currency."""

    total: Amount
    per_message: Amount
    """Over accepted messages whose price is known."""
    per_delivered: Amount | None = None
    """Per message over the delivery rate; absent where that is not known."""


class ValidationHealth(Wire):
    """Validation messages, which are in no other figure."""

    success_rate: Rate
    delivery_rate: Rate | None = None


class ProviderHealth(Wire):
    """Figures of one provider over a period."""

    role: Literal["target", "legacy"]
    attempts: Count
    """Messages that came to it, once for each attempt, those passed over too."""
    accepted: Count
    refused: Count
    """What no provider may do, such as after an opt-out; neither success nor error."""
    wrong_recipient: Count
    """Proved not taken because of the number; neither success nor error."""
    wrong_message: Count | None = None
    """Proved not taken because of what the message asks for there, such as its own sender id;
    neither success nor error. Absent in messages of older workers."""
    success_rate: Rate
    """Accepted of accepted and errors."""
    error_rate: Rate
    errors_by_class: ErrorsByClass
    fallback_rate: Rate
    """Calls made because another provider came first, of all calls."""
    p50_ms: Milliseconds | None = None
    """Percentiles of accepted calls: what so many took at most, by the bounds of the histogram
    (`x-bounds-ms` of `metric.provider`) and by what all took together; never less than the true
    one. Absent with accepted calls: beyond the last bound."""
    p95_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None
    mean_ms: Milliseconds | None = None
    delivery_rate: Rate | None = None
    """Delivered of accepted messages judged at the delivery age. Absent: not applicable, the
    provider gives no reports."""
    segments: Count
    """Of accepted messages."""
    cost: dict[Currency, MessageCost] = Field(default_factory=dict)
    """By ISO 4217 currency."""
    validation: ValidationHealth
    issues: tuple[str, ...] = ()
    """What is out of bounds: measured value, bound and sample, for people."""
    missing: tuple[str, ...] = ()
    """What cannot be said, and why, for people."""


class HealthMetric(Wire):
    """Both providers over a period, summed over all replicas. Every health interval."""

    event: Literal["metric.health"] = "metric.health"
    at: Moment
    since: Moment
    until: Moment
    """The period is [since, until)."""
    hours: Annotated[float, Field(gt=0)]
    """Its length."""
    providers: dict[str, ProviderHealth]
    """By provider id."""


class RateDifference(Wire):
    """Target minus legacy in points of per cent; `low` to `high` is Newcombe's 95 % interval."""

    points: Difference
    low: Difference
    high: Difference


class CostDifference(Wire):
    """Target minus legacy in one currency."""

    per_message: Amount
    per_delivered: Amount | None = None


class Differences(Wire):
    """Target minus legacy; absent where one side is not known."""

    success_rate: RateDifference | None = None
    error_rate: RateDifference | None = None
    delivery_rate: RateDifference | None = None
    p50_ms: Difference | None = None
    p95_ms: Difference | None = None
    p99_ms: Difference | None = None
    mean_ms: Difference | None = None
    cost: dict[Currency, CostDifference] = Field(default_factory=dict)
    """By the currencies in which both are paid."""


class CostSavings(Wire):
    """What the target saves against legacy in the period; negative: it costs more."""

    currency: Currency
    messages: Count
    """Accepted by both providers together."""
    per_message: Amount
    """Legacy minus target."""
    actual: Amount
    """For the messages the target took."""
    projected: Amount
    """For all of them: had the target taken 100 %."""


class ComparisonMetric(Wire):
    """Target and legacy side by side over a period. Every health interval."""

    event: Literal["metric.comparison"] = "metric.comparison"
    at: Moment
    since: Moment
    until: Moment
    """The period is [since, until)."""
    hours: Annotated[float, Field(gt=0)]
    """Its length."""
    target: str
    """Provider id; so is `legacy`."""
    legacy: str
    providers: dict[str, ProviderHealth]
    """By provider id."""
    difference: Differences
    savings: CostSavings | None = None
    savings_unknown: str | None = None
    """Why nothing can be said about savings, for people."""
