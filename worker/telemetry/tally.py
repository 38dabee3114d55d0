"""Counting attempts: plain sums that add, subtract and travel.

Rules: pure; whole numbers and exact money only, so that sums over replicas, slots and days are
exact in any order. What counts as what is DESIGN section 7's table, written out once in
`Tally.attempt`. Latency goes into a fixed histogram, for histograms add up and percentiles do not.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import TYPE_CHECKING, Final, assert_never

from contracts.metrics import BUCKETS, DURATION_BOUNDS_MS, Counts
from worker.domain.outcome import NO_CURRENCY, Accepted, Blame, NotSent, Refused, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.domain.outcome import Money, Outcome
    from worker.ports import Measured

COUNTERS: Final = (
    "accepted",
    "refused",
    "not_sent_provider",
    "not_sent_account",
    "not_sent_recipient",
    "unknown",
    "skipped",
    "distinct_failed",
    "fallback",
    "segments",
    "unpriced",
    "duration_us",
    "delivered",
    "undelivered",
    "eligible_ok",
    "eligible_failed",
    "eligible_slow",
    "eligible_delivered",
    "eligible_undelivered",
    "eligible_unreported",
    "probe_accepted",
    "probe_errors",
    "probe_delivered",
    "probe_undelivered",
)
"""Whole-number counters of a tally.

`distinct_failed` are failures and skips, at most one a recipient and hour: what shows that a
provider is in trouble, and not a number. `fallback` counts attempts made after another candidate
was proved not to have sent; `segments` and `duration_us` (microseconds) sum over accepted attempts
alone, and `unpriced` are those of unknown cost; `eligible_unreported` are those of
`eligible_undelivered` for which no final report came at all. Validation messages count in `probe_*`
and in no other.
"""

_PUBLISHED: Final = tuple(name for name in COUNTERS if name in Counts.model_fields)
_LATENCY: Final = "latency:"
_COST: Final = "cost:"


class Tally:
    """Sums over some attempts."""

    __slots__ = (*COUNTERS, "cost", "latency")

    accepted: int
    refused: int
    not_sent_provider: int
    not_sent_account: int
    not_sent_recipient: int
    unknown: int
    skipped: int
    distinct_failed: int
    fallback: int
    segments: int
    unpriced: int
    duration_us: int
    delivered: int
    undelivered: int
    eligible_ok: int
    eligible_failed: int
    eligible_slow: int
    eligible_delivered: int
    eligible_undelivered: int
    eligible_unreported: int
    probe_accepted: int
    probe_errors: int
    probe_delivered: int
    probe_undelivered: int

    def __init__(self) -> None:
        for name in COUNTERS:
            setattr(self, name, 0)
        self.latency = [0] * BUCKETS
        self.cost: dict[str, Decimal] = {}

    def attempt(self, measured: Measured) -> None:
        """Count one attempt, but for the evidence (`eligible_*`)."""
        if measured.probe:
            self._probe(measured.outcome)
            return
        self.fallback += measured.fallback
        match measured.outcome:
            case Accepted(cost=cost, parts=parts):
                self.accepted += 1
                self.segments += parts or measured.segments
                self.duration_us += round(measured.duration_ms * 1_000)
                self.latency[bisect_left(DURATION_BOUNDS_MS, measured.duration_ms)] += 1
                self.unpriced += (cost or measured.cost) is None
                add_cost(self.cost, cost or measured.cost)
            case Refused():
                self.refused += 1
            case NotSent(blame=Blame.PROVIDER):
                self.not_sent_provider += 1
            case NotSent(blame=Blame.ACCOUNT):
                self.not_sent_account += 1
            case NotSent():
                self.not_sent_recipient += 1
            case Unknown():
                self.unknown += 1
            case _:
                assert_never(measured.outcome)

    def _probe(self, outcome: Outcome) -> None:
        failure = counts_as_failure(outcome)
        self.probe_accepted += failure is False
        self.probe_errors += failure is True

    def counts(self) -> dict[str, int | Decimal]:
        """The sums flat, as stored: name -> number, without those of 0.

        Latency buckets are `latency:<index in DURATION_BOUNDS_MS>`, costs `cost:<currency>`.
        """
        sums: dict[str, int | Decimal] = {name: getattr(self, name) for name in COUNTERS}
        sums |= {f"{_LATENCY}{index}": count for index, count in enumerate(self.latency)}
        sums |= cost_counts(self.cost)
        return {name: count for name, count in sums.items() if count}

    def on_the_wire(self) -> Counts:
        """The sums as published: those of `Counts`, so without the evidence."""
        return Counts(
            **{name: getattr(self, name) for name in _PUBLISHED},
            cost=self.cost,
            duration_ms_sum=self.duration_us / 1_000,
            histogram=tuple(self.latency),
        )

    @classmethod
    def of(cls, counts: Mapping[str, int | Decimal]) -> Tally:
        """Read what `counts` wrote; names it does not know are left out."""
        tally = cls()
        for name, count in counts.items():
            if name in COUNTERS:
                setattr(tally, name, count)
            elif name.startswith(_LATENCY):
                tally.latency[int(name.removeprefix(_LATENCY))] = int(count)
            elif name.startswith(_COST):
                tally.cost[name.removeprefix(_COST)] = Decimal(count)
        return tally

    def since(self, earlier: Tally) -> Tally:
        """What was counted after `earlier`, an earlier copy of this tally."""
        return self._combined(earlier, -1)

    def plus(self, other: Tally) -> Tally:
        """The sums over both, on their own."""
        return self._combined(other, 1)

    def _combined(self, other: Tally, sign: int) -> Tally:
        result = Tally()
        for name in COUNTERS:
            setattr(result, name, getattr(self, name) + sign * getattr(other, name))
        pairs = zip(self.latency, other.latency, strict=True)
        result.latency = [ours + sign * theirs for ours, theirs in pairs]
        for currency in self.cost.keys() | other.cost.keys():
            amount = self.cost.get(currency, 0) + sign * other.cost.get(currency, Decimal())
            if amount:
                result.cost[currency] = amount
        return result

    @property
    def errors(self) -> int:
        """Attempts that count against the provider: faults of it or the account, and unknown."""
        return self.not_sent_provider + self.not_sent_account + self.unknown + self.skipped

    @property
    def mean_ms(self) -> float | None:
        """Mean duration of accepted calls; None without any."""
        return self.duration_us / self.accepted / 1_000 if self.accepted else None

    @property
    def p95_ms(self) -> float | None:
        """95th percentile of accepted calls, see `percentile`."""
        return self.percentile_ms(0.95)

    def percentile_ms(self, share: float) -> float | None:
        """A percentile of accepted calls, see `percentile`."""
        return percentile(self.latency, share)


def counts_as_failure(outcome: Outcome) -> bool | None:
    """Whether the detectors see a failure; None: not counted (nobody's or the message's fault)."""
    match outcome:
        case Accepted():
            return False
        case Refused() | NotSent(blame=Blame.RECIPIENT):
            return None
        case NotSent() | Unknown():
            return True
        case _:
            assert_never(outcome)


def add_cost(sums: dict[str, Decimal], cost: Money | None) -> None:
    """Add an amount to the sums by currency."""
    if cost is None:
        return
    code = cost.currency
    known = len(code) == len(NO_CURRENCY) and code.isascii() and code.isupper()
    code = code if known and code.isalpha() else NO_CURRENCY
    sums[code] = sums.get(code, Decimal()) + cost.amount


def cost_counts(cost: Mapping[str, Decimal]) -> dict[str, int | Decimal]:
    """Costs flat, as stored: `cost:<currency>` -> amount."""
    return {f"{_COST}{currency}": amount for currency, amount in cost.items()}


def percentile(latency: Sequence[int], share: float) -> float | None:
    """Smallest bound that at least `share` of the calls kept, in milliseconds.

    Never less than the true percentile, and exact where it is compared with a bound. None without
    calls; infinity where the bucket beyond the last bound holds it.
    """
    calls = sum(latency)
    if not calls:
        return None
    seen = 0
    for bound, count in zip(DURATION_BOUNDS_MS, latency, strict=False):
        seen += count
        if seen >= share * calls:
            return float(bound)
    return float("inf")
