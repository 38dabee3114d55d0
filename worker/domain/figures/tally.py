"""Counts attempts as plain sums, which can be added, subtracted and stored.

Rules: pure; whole numbers and exact money only, so that sums over replicas, slots and days are
exact in any order. Only `counter_of` decides what an attempt counts as. Latency goes into a
fixed histogram, because histograms can be added and percentiles cannot.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Final, assert_never

from worker.domain.messages.outcome import NO_CURRENCY, Accepted, Blame, NotSent, Refused, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.domain.messages.outcome import Money, Outcome

COUNTERS: Final = (
    "accepted",
    "refused",
    "not_sent_provider",
    "not_sent_account",
    "not_sent_recipient",
    "not_sent_message",
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
    "eligible_refused",
    "eligible_delivered",
    "eligible_undelivered",
    "eligible_unreported",
    "probe_accepted",
    "probe_errors",
    "probe_delivered",
    "probe_undelivered",
)
"""Whole-number counters of a tally.

- `distinct_failed`: failures and skips, at most one for each recipient and day. They show that a
  provider is in trouble, and not a single number.
- `fallback`: attempts after another candidate was proved not to have sent.
- `segments`, `duration_us` (microseconds): sums over accepted attempts only.
- `unpriced`: accepted attempts of unknown cost.
- `eligible_refused`: refusals because of the recipient or the message, which are no failures.
- `eligible_unreported`: those of `eligible_undelivered` without any final report.
- `probe_*`: validation messages, which count in no other counter.
"""

BOUNDS_MS: Final = (
    10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750,
    1000, 1500, 2000, 2500, 3000, 4000, 5000, 7500, 10_000, 15_000, 30_000,
)  # fmt: skip
"""Inclusive upper bounds of the histogram's buckets, in milliseconds. One more bucket takes longer
calls. They never change, because stored sums depend on them. On the wire:
`metrics.DURATION_BOUNDS_MS`."""
_STARTS_MS: Final = (0.0, *map(float, BOUNDS_MS))
_ENDS_MS: Final = (*map(float, BOUNDS_MS), math.inf)
_EXACT: Final = 1e-9
"""The rounding error allowed when a share of a number of calls is a float."""
_NOT_SENT: Final = {
    Blame.PROVIDER: "not_sent_provider",
    Blame.ACCOUNT: "not_sent_account",
    Blame.RECIPIENT: "not_sent_recipient",
    Blame.MESSAGE: "not_sent_message",
}
OUTCOMES: Final = ("accepted", "refused", *_NOT_SENT.values(), "unknown", "skipped")
"""The counters that together count every attempt once, probes apart."""
_LATENCY: Final = "latency:"
LATENCY: Final = tuple(f"{_LATENCY}{index}" for index in range(len(BOUNDS_MS) + 1))
"""The names of the histogram's buckets as they are stored."""
_COST: Final = "cost:"


@dataclass(frozen=True, slots=True)
class Measured:
    """One attempt, with the fields that are counted."""

    provider: str
    outcome: Outcome
    duration_ms: float
    lane: str
    message_type: str
    branch_id: int | None
    segments: int
    cost: Money | None
    eligible: bool
    recipient_hash: str
    fallback: bool
    probe: bool = False
    """Whether it is a probe, which is counted apart."""


class Tally:
    """Sums over a set of attempts."""

    __slots__ = (*COUNTERS, "cost", "latency")

    accepted: int
    refused: int
    not_sent_provider: int
    not_sent_account: int
    not_sent_recipient: int
    not_sent_message: int
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
    eligible_refused: int
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
        self.latency = [0] * (len(BOUNDS_MS) + 1)
        self.cost: dict[str, Decimal] = {}

    def attempt(self, measured: Measured) -> None:
        """Count one attempt, except in the evidence (`eligible_*`, `distinct_failed`)."""
        if measured.probe:
            self._probe(measured.outcome)
            return
        self.fallback += measured.fallback
        name = counter_of(measured.outcome)
        setattr(self, name, getattr(self, name) + 1)
        if isinstance(measured.outcome, Accepted):
            cost = measured.outcome.cost or measured.cost
            self.segments += measured.outcome.parts or measured.segments
            self.duration_us += round(measured.duration_ms * 1_000)
            self.latency[bisect_left(BOUNDS_MS, measured.duration_ms)] += 1
            self.unpriced += cost is None
            add_cost(self.cost, cost)

    def add(self, names: Sequence[str]) -> None:
        """Count one more of each of these counters."""
        for name in names:
            setattr(self, name, getattr(self, name) + 1)

    def _probe(self, outcome: Outcome) -> None:
        failure = counts_as_failure(outcome)
        self.probe_accepted += failure is False
        self.probe_errors += failure is True

    def counts(self) -> dict[str, int | Decimal]:
        """The sums as stored: name -> number, without zeros.

        Latency buckets are `latency:<index in BOUNDS_MS>`, costs `cost:<currency>`.
        """
        sums: dict[str, int | Decimal] = {name: getattr(self, name) for name in COUNTERS}
        sums |= zip(LATENCY, self.latency, strict=True)
        sums |= cost_counts(self.cost)
        return {name: count for name, count in sums.items() if count}

    @classmethod
    def of(cls, counts: Mapping[str, int | Decimal]) -> Tally:
        """Read the output of `counts`; unknown names are left out."""
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
        """The counts since `earlier`, an earlier copy of this tally."""
        return self._combined(earlier, -1)

    def plus(self, other: Tally) -> Tally:
        """Return the sums over both as a new tally."""
        return self._combined(other, 1)

    def _combined(self, other: Tally, sign: int) -> Tally:
        result = Tally()
        for name in COUNTERS:
            setattr(result, name, getattr(self, name) + sign * getattr(other, name))
        pairs = zip(self.latency, other.latency, strict=True)
        result.latency = [count + sign * change for count, change in pairs]
        for currency in self.cost.keys() | other.cost.keys():
            amount = self.cost.get(currency, 0) + sign * other.cost.get(currency, Decimal())
            if amount:
                result.cost[currency] = amount
        return result

    @property
    def errors(self) -> int:
        """Attempts that count as errors: faults of provider or account, and unknown."""
        return self.not_sent_provider + self.not_sent_account + self.unknown + self.skipped

    @property
    def attempts(self) -> int:
        """Messages that came to it, one for each attempt, those that passed it over included."""
        nobodys = self.refused + self.not_sent_recipient + self.not_sent_message
        return self.accepted + self.errors + nobodys

    @property
    def mean_ms(self) -> float | None:
        """Mean duration of accepted calls; None: there are none."""
        return self.duration_us / self.accepted / 1_000 if self.accepted else None

    @property
    def p95_ms(self) -> float | None:
        """95th percentile of accepted calls, see `percentile`."""
        return self.percentile_ms(0.95)

    def percentile_ms(self, share: float) -> float | None:
        """A percentile of accepted calls, see `percentile`."""
        rounding_ms = self.accepted * 0.0005  # each call is rounded to whole microseconds
        return percentile(self.latency, share, self.duration_us / 1_000 + rounding_ms)


def counter_of(outcome: Outcome) -> str:
    """The name of the counter that an attempt with this outcome is counted in."""
    match outcome:
        case Accepted():
            return "accepted"
        case Refused():
            return "refused"
        case NotSent(blame=blame):
            return _NOT_SENT[blame]
        case Unknown():
            return "unknown"
        case _:
            assert_never(outcome)


def counts_as_failure(outcome: Outcome) -> bool | None:
    """Whether it is a failure for the detectors; None: not counted, as the message is at fault."""
    match outcome:
        case Accepted():
            return False
        case Refused() | NotSent(blame=Blame.RECIPIENT | Blame.MESSAGE):
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
    """Costs as stored: `cost:<currency>` -> amount."""
    return {f"{_COST}{currency}": amount for currency, amount in cost.items()}


def percentile(latency: Sequence[int], share: float, total_ms: float = math.inf) -> float | None:
    """The time in milliseconds within which at least `share` of the calls ended.

    It is a bound of the histogram, or less if the total time of all calls allows no more: for a
    single call it is the call's own time. It is never less than the true percentile, and on the
    same side of every bound of the histogram; gates rely on that. None: there are no calls.

    Args:
        latency: calls by bucket.
        share: which percentile, above 0 and up to 1.
        total_ms: total time of all calls; infinity: not known.
    """
    calls = sum(latency)
    if not calls:
        return None
    seen = list(accumulate(latency))
    bucket = next(index for index, count in enumerate(seen) if count >= share * calls)
    least = sum(count * start for count, start in zip(latency, _STARTS_MS, strict=True))
    if total_ms < least:  # the two sums are of different calls, so the total is of no use
        return _ENDS_MS[bucket]
    rank = max(1, math.ceil(share * calls - _EXACT))
    as_long = seen[bucket] - rank + 1
    room = _STARTS_MS[bucket] + (total_ms - least) / as_long
    return min(_ENDS_MS[bucket], room)
