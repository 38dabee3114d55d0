"""The book of what this replica did: counted at once, published and stored later.

Rules: counting is synchronous, touches memory alone and never fails; a metric is never a reason for
a message to wait. Slots and days hold cumulative sums of this process (owner), so writing one twice
counts nothing twice, and a write that failed is simply made again. Memory is bounded: slots
(`telemetry.slots`) and days leave once they are stored and over, rows of a day and remembered
recipients have a limit.

Evidence counts at most one failure a recipient and hour: five retries to one dead number must never
roll a migration back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from worker.domain.outcome import Accepted
from worker.telemetry.slots import SlotRow, Slots
from worker.telemetry.tally import Tally, add_cost, cost_counts, counts_as_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from worker.ports import Clock, Measured

MAX_ROWS_A_DAY: Final = 5_000
"""Combinations of provider, branch and message type kept apart; further ones share a row."""
MAX_REMEMBERED: Final = 50_000
"""Recipients remembered an hour. Beyond it every failure counts: that many are no retries."""
OTHER: Final = "(other)"
"""Message type of the shared row."""


@dataclass(slots=True)
class Day:
    """Volume and cost of one day by branch and message type."""

    accepted: int = 0
    errors: int = 0
    segments: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)

    def counts(self) -> dict[str, int | Decimal]:
        """The sums flat, as stored."""
        sums: dict[str, int | Decimal] = {
            "accepted": self.accepted,
            "errors": self.errors,
            "segments": self.segments,
        }
        return sums | cost_counts(self.cost)


@dataclass(frozen=True, slots=True)
class DayRow:
    """Cumulative sums of one day, provider, branch and message type, as they stand."""

    provider: str
    day: date
    branch_id: int | None
    message_type: str
    counts: Mapping[str, int | Decimal]
    """`Day.counts`."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows that changed since they were last taken."""

    slots: Sequence[SlotRow]
    days: Sequence[DayRow]


_DayKey = tuple[str, date, int | None, str]


class Book:
    """Counts attempts (`ports.Meter`).

    Args:
        clock: places attempts in slots, days and hours.
        providers: ids reported from the start, with zeros.
        slow_ms: accepted calls that took longer are slow to the detectors.
    """

    def __init__(self, clock: Clock, providers: Iterable[str], *, slow_ms: float) -> None:
        self.slow_ms = slow_ms
        self._clock = clock
        self._slots = Slots(providers)
        self._reported: dict[str, Tally] = {}
        self._days: dict[_DayKey, Day] = {}
        self._dirty_days: set[_DayKey] = set()
        self._hour = _FirstOfHour()
        self._now = 0

    def attempt(self, measured: Measured) -> None:
        """Count one finished attempt."""
        failure = counts_as_failure(measured.outcome)
        tally = self._slots.open(measured.provider, self._tick())
        tally.attempt(measured)
        if failure and not measured.probe:
            tally.distinct_failed += self._first("any", measured.provider, measured.recipient_hash)
        if measured.eligible and failure is not None:
            self._evidence(tally, measured, failure=failure)
        self._count_day(measured, failure=failure)

    def skipped(
        self, provider: str, *, eligible: bool, recipient_hash: str, probe: bool = False
    ) -> None:
        """Count a candidate passed over because its breaker is open."""
        tally = self._slots.open(provider, self._tick())
        if probe:
            tally.probe_errors += 1
            return
        tally.skipped += 1
        tally.distinct_failed += self._first("any", provider, recipient_hash)
        tally.eligible_failed += eligible and self._first("failed", provider, recipient_hash)

    def judged(
        self,
        provider: str,
        *,
        delivered: bool,
        eligible: bool,
        recipient_hash: str,
        reported: bool = True,
        probe: bool = False,
    ) -> None:
        """Count an accepted attempt judged at the delivery age, in the slot of the judgement."""
        tally = self._slots.open(provider, self._tick())
        if probe:
            tally.probe_delivered += delivered
            tally.probe_undelivered += not delivered
        elif delivered:
            tally.delivered += 1
            tally.eligible_delivered += eligible
        else:
            tally.undelivered += 1
            counts = eligible and self._first("undelivered", provider, recipient_hash)
            tally.eligible_undelivered += counts
            tally.eligible_unreported += counts and not reported

    @property
    def providers(self) -> tuple[str, ...]:
        """Ids of every provider reported."""
        return self._slots.providers

    def total(self, provider: str) -> Tally:
        """Sums since the process started."""
        return self._slots.total(provider)

    def delta(self, provider: str) -> Tally:
        """Sums since the last call for this provider."""
        total = self.total(provider)
        earlier = self._reported.get(provider, Tally())
        self._reported[provider] = total
        return total.since(earlier)

    def take(self, limit: int = 1_000) -> Changes:
        """Rows to store, at most `limit` of each kind; what is stored and over is forgotten."""
        self._forget()
        slots = self._slots.take(self._tick(), limit)
        days = [self._dirty_days.pop() for _ in range(min(limit, len(self._dirty_days)))]
        return Changes(slots, [_day_row(key, self._days[key]) for key in days])

    def put_back(self, changes: Changes) -> None:
        """Take rows again next time: they could not be stored. Call before the next `take`."""
        self._slots.put_back(changes.slots)
        self._dirty_days |= {
            (row.provider, row.day, row.branch_id, row.message_type) for row in changes.days
        }

    def _tick(self) -> int:
        """Seconds since the epoch, never back: a slot once forgotten must not begin again."""
        now = int(self._clock.now().timestamp())
        self._now = max(self._now, now)
        return self._now

    def _evidence(self, tally: Tally, measured: Measured, *, failure: bool) -> None:
        provider, recipient = measured.provider, measured.recipient_hash
        if failure:
            tally.eligible_failed += self._first("failed", provider, recipient)
            return
        tally.eligible_ok += 1
        slow = measured.duration_ms > self.slow_ms
        tally.eligible_slow += slow and self._first("slow", provider, recipient)

    def _first(self, signal: str, provider: str, recipient_hash: str) -> bool:
        return self._hour.first(self._tick(), f"{signal} {provider} {recipient_hash}")

    def _count_day(self, measured: Measured, *, failure: bool | None) -> None:
        day = datetime.fromtimestamp(self._now, UTC).date()
        key = (measured.provider, day, measured.branch_id, measured.message_type)
        sums = self._days.get(key)
        if sums is None and len(self._days) >= MAX_ROWS_A_DAY:
            key = (measured.provider, day, None, OTHER)
            sums = self._days.get(key)
        if sums is None:
            sums = self._days[key] = Day()
        self._dirty_days.add(key)
        sums.errors += bool(failure)
        if isinstance(measured.outcome, Accepted):
            sums.accepted += 1
            sums.segments += measured.outcome.parts or measured.segments
            add_cost(sums.cost, measured.outcome.cost or measured.cost)

    def _forget(self) -> None:
        today = datetime.fromtimestamp(self._tick(), UTC).date()
        for day in [k for k in self._days if k[1] < today and k not in self._dirty_days]:
            del self._days[day]


class _FirstOfHour:
    """Remembers what was seen in the present hour."""

    def __init__(self) -> None:
        self._hour = 0
        self._seen: set[int] = set()

    def first(self, now: int, what: str) -> bool:
        """Whether `what` is seen for the first time this hour, or too much was seen to tell."""
        if now // 3600 != self._hour:
            self._hour = now // 3600
            self._seen.clear()
        mark = hash(what)
        if mark in self._seen:
            return False
        if len(self._seen) < MAX_REMEMBERED:
            self._seen.add(mark)
        return True


def _day_row(key: _DayKey, sums: Day) -> DayRow:
    provider, day, branch_id, message_type = key
    return DayRow(provider, day, branch_id, message_type, sums.counts())
