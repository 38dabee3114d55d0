"""Health reports over all replicas and a period, on `sms.metrics` and in answers to queries.

Rules: an unknown value is absent, never zero. Rates are in per cent, times in milliseconds, money
in strings. Differences are target minus legacy.
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
    """Errors by the party at fault."""

    provider: Count = 0
    """Proved not taken, the provider's fault."""
    account: Count = 0
    """Proved not taken, the fault of our account there."""
    unknown: Count = 0
    """The message may have left."""
    skipped: Count = 0
    """Passed over without a call because the breaker was open."""


class MessageCost(Wire):
    """What accepted messages cost in one currency."""

    total: Amount
    per_message: Amount
    """Mean over accepted messages whose price is known."""
    per_delivered: Amount | None = None
    """`perMessage` divided by the delivery rate; absent if that is unknown."""


class ValidationHealth(Wire):
    """Rates of validation messages, which no other figure includes."""

    success_rate: Rate
    delivery_rate: Rate | None = None


class ProviderHealth(Wire):
    """Figures of one provider over a period."""

    role: Literal["target", "legacy"]
    attempts: Count
    """Attempts at this provider, including those that were passed over."""
    accepted: Count
    refused: Count
    """Messages that no provider may send, such as after an opt-out; neither success nor error."""
    wrong_recipient: Count
    """Proved not taken because of the number; neither success nor error."""
    wrong_message: Count | None = None
    """Proved not taken because of what the message asks of this provider, such as its own sender
    id; neither success nor error. Absent in messages of older workers."""
    success_rate: Rate
    """Share of accepted in accepted and errors."""
    error_rate: Rate
    errors_by_class: ErrorsByClass
    fallback_rate: Rate
    """Share of all calls that were made because another provider came first and did not take it."""
    p50_ms: Milliseconds | None = None
    """Percentiles of accepted calls, as upper limits. They come from the bounds of the histogram
    (`x-bounds-ms` of `metric.provider`) and the sum of all durations, and are never below the true
    value. If one is absent although calls were accepted, it is beyond the last bound."""
    p95_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None
    mean_ms: Milliseconds | None = None
    delivery_rate: Rate | None = None
    """Share of delivered in accepted messages that were judged at the delivery age. Absent if the
    provider gives no delivery reports."""
    segments: Count
    """Segments of accepted messages."""
    cost: dict[Currency, MessageCost] = Field(default_factory=dict)
    """By ISO 4217 currency."""
    validation: ValidationHealth
    issues: tuple[str, ...] = ()
    """What is out of bounds: measured value, bound and sample, for people."""
    missing: tuple[str, ...] = ()
    """What is unknown, and why, for people."""


class HealthMetric(Wire):
    """Both providers over a period, summed over all replicas. Published every health interval."""

    event: Literal["metric.health"] = "metric.health"
    at: Moment
    since: Moment
    until: Moment
    """The period is [since, until)."""
    hours: Annotated[float, Field(gt=0)]
    """Length of the period."""
    providers: dict[str, ProviderHealth]
    """By provider id."""


class RateDifference(Wire):
    """Target minus legacy in percentage points; `low` to `high` is Newcombe's 95 % interval."""

    points: Difference
    low: Difference
    high: Difference


class CostDifference(Wire):
    """Target minus legacy in one currency."""

    per_message: Amount
    per_delivered: Amount | None = None


class Differences(Wire):
    """Target minus legacy; absent if one side is unknown."""

    success_rate: RateDifference | None = None
    error_rate: RateDifference | None = None
    delivery_rate: RateDifference | None = None
    p50_ms: Difference | None = None
    p95_ms: Difference | None = None
    p99_ms: Difference | None = None
    mean_ms: Difference | None = None
    cost: dict[Currency, CostDifference] = Field(default_factory=dict)
    """By each currency in which both providers are paid."""


class CostSavings(Wire):
    """What the target saves against legacy in the period; negative: it costs more."""

    currency: Currency
    messages: Count
    """Accepted by both providers together."""
    per_message: Amount
    """Legacy minus target."""
    actual: Amount
    """Savings for the messages that the target took."""
    projected: Amount
    """Savings for all messages, if the target had taken 100 %."""


class ComparisonMetric(Wire):
    """Target and legacy side by side over a period. Published every health interval."""

    event: Literal["metric.comparison"] = "metric.comparison"
    at: Moment
    since: Moment
    until: Moment
    """The period is [since, until)."""
    hours: Annotated[float, Field(gt=0)]
    """Length of the period."""
    target: str
    """Provider id, like `legacy`."""
    legacy: str
    providers: dict[str, ProviderHealth]
    """By provider id."""
    difference: Differences
    savings: CostSavings | None = None
    savings_unknown: str | None = None
    """Why the savings are unknown, for people."""
