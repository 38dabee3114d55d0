"""Counts the attempts of this replica at once; they are published and stored later.

Rules:
- Counting is synchronous, only uses memory and never fails, so that no message waits for a metric.
- Slots and days have cumulative sums of this process (owner). So a repeated write counts nothing
  twice, and a failed write is simply repeated.
- Memory is bounded. Slots (`telemetry.slots`) and days leave memory once they are over and stored.
  Rows of a day and remembered recipients have a limit.
- An attempt counts in two places: in the slot in which it ended, and in the one in which it began
  (`telemetry.cohorts`).
- Evidence counts at most one failure for each recipient and day, because retries to one dead number
  must never cause a rollback. The store knows whether a failure is the first
  (`telemetry.recipients`). The failure counts when the store answers, in its cohort and in the slot
  of that moment.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from worker.domain.figures.tally import (
    Tally,
    add_cost,
    cost_counts,
    counter_of,
    counts_as_failure,
)
from worker.domain.messages.outcome import Accepted
from worker.telemetry.cohorts import CohortRow, Cohorts
from worker.telemetry.recipients import Failure, Mark, Recipients
from worker.telemetry.slots import SlotRow, Slots

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from decimal import Decimal

    from worker.domain.figures.tally import Measured
    from worker.ports.clock import Clock

MAX_ROWS_A_DAY: Final = 5_000
"""The most combinations of provider, branch and message type. Further ones share a row."""
OTHER: Final = "(other)"
"""Message type of the shared row."""
_OK: Final = ("any_ok",)
_ELIGIBLE_OK: Final = ("any_ok", "eligible_ok")
_REFUSED: Final = ("any_refused",)
_ELIGIBLE_REFUSED: Final = ("any_refused", "eligible_refused")
_PROBE_FAILED: Final = ("any_failed",)
_PROBE_SKIPPED: Final = ("any_skipped",)


@dataclass(slots=True)
class Day:
    """Volume and cost of one day by branch and message type."""

    accepted: int = 0
    errors: int = 0
    segments: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)

    def counts(self) -> dict[str, int | Decimal]:
        """The sums as stored."""
        sums: dict[str, int | Decimal] = {
            "accepted": self.accepted,
            "errors": self.errors,
            "segments": self.segments,
        }
        return sums | cost_counts(self.cost)


@dataclass(frozen=True, slots=True)
class DayRow:
    """Present cumulative sums of one day, provider, branch and message type."""

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
    cohorts: Sequence[CohortRow] = ()


_DayKey = tuple[str, date, int | None, str]


class AttemptMetrics:
    """Counts attempts (`ports.Meter`).

    Args:
        clock: decides slot and day of an attempt.
        providers: ids that are reported from the start, with zeros.
        slow_ms: accepted calls that take longer count as slow for the detectors.
    """

    def __init__(self, clock: Clock, providers: Iterable[str], *, slow_ms: float) -> None:
        self.slow_ms = slow_ms
        self.by_lane: Counter[tuple[str, str, str]] = Counter()
        """Attempts since the start by provider, outcome (`tally.OUTCOMES`) and lane."""
        self.assigned: Counter[str] = Counter()
        """First attempts since the start by the provider that the share in force assigned."""
        self._clock = clock
        self._slots = Slots(providers)
        self._reported: dict[str, Tally] = {}
        self._days: dict[_DayKey, Day] = {}
        self._dirty_days: set[_DayKey] = set()
        self._cohorts = Cohorts(clock)
        self._recipients = Recipients()
        self._now = 0

    def began(self, provider: str, *, eligible: bool) -> int:
        """See `Meter.began`."""
        self.assigned[provider] += eligible
        return self._cohorts.began(provider, eligible=eligible)

    def abandoned(self, call: int) -> None:
        """See `Meter.abandoned`."""
        self._cohorts.ended(call, ())

    def attempt(self, measured: Measured, call: int = 0) -> None:
        """Count one finished attempt; call 0: its begin was not counted."""
        failure = counts_as_failure(measured.outcome)
        if not measured.probe:
            self.by_lane[measured.provider, counter_of(measured.outcome), measured.lane] += 1
        tally = self._slots.open(measured.provider, self._tick())
        tally.attempt(measured)
        if failure:
            self._failed(measured, call)
        elif failure is None:
            tally.eligible_refused += measured.eligible
            self._cohorts.ended(call, _ELIGIBLE_REFUSED if measured.eligible else _REFUSED)
        elif measured.eligible:
            tally.eligible_ok += 1
            self._in_time_or_slow(measured, call)
        else:
            self._cohorts.ended(call, _OK)
        self._count_day(measured, failure=failure)

    def skipped(
        self, provider: str, *, eligible: bool, recipient_hash: str, lane: str, probe: bool = False
    ) -> None:
        """Count a candidate passed over because its breaker is open."""
        tally = self._slots.open(provider, self._tick())
        call = self.began(provider, eligible=eligible)
        if probe:
            tally.probe_errors += 1
            self._cohorts.ended(call, _PROBE_SKIPPED)
            return
        tally.skipped += 1
        self.by_lane[provider, "skipped", lane] += 1
        whose = f"{provider}:{recipient_hash}"
        marks = [self._mark(f"any:{whose}", "distinct_failed", of_cohort="any_skipped")]
        if eligible:
            of_cohort = "eligible_skipped"
            marks.append(self._mark(f"failed:{whose}", "eligible_failed", of_cohort=of_cohort))
        self._if_first(Failure(provider, tuple(marks), call))

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
        """Count at the delivery age whether an accepted attempt was delivered."""
        tally = self._slots.open(provider, self._tick())
        if probe:
            tally.probe_delivered += delivered
            tally.probe_undelivered += not delivered
        elif delivered:
            tally.delivered += 1
            tally.eligible_delivered += eligible
        else:
            tally.undelivered += 1
            if eligible:
                sums = ("eligible_undelivered", *(() if reported else ("eligible_unreported",)))
                mark = self._mark(f"undelivered:{provider}:{recipient_hash}", *sums)
                self._if_first(Failure(provider, (mark,)))

    def asked(self) -> list[Failure]:
        """Take failures; the store decides whether they are the first of their day."""
        return self._recipients.take()

    def answered(self, asked: Sequence[Failure], first: Collection[str] | None) -> None:
        """Count the failures whose marks are new in the store; None: it did not answer."""
        if first is None:
            self._recipients.forget(asked)
        left = set(first or ())
        for failure in asked:
            of_cohort = list(failure.certain)
            for mark in failure.marks:
                if mark.ident not in left:
                    continue
                left.remove(mark.ident)
                self._slots.open(failure.provider, self._tick()).add(mark.sums)
                of_cohort += [mark.of_cohort] if mark.of_cohort else []
            self._cohorts.ended(failure.call, of_cohort)

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of all reported providers."""
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
        """Take at most `limit` rows to store. Forget slots and days that are over and stored."""
        self._forget()
        slots = self._slots.take(self._tick(), limit)
        days = [self._dirty_days.pop() for _ in range(min(limit, len(self._dirty_days)))]
        return Changes(
            slots, [_day_row(key, self._days[key]) for key in days], self._cohorts.take()
        )

    def put_back(self, changes: Changes) -> None:
        """Put rows back that could not be stored. Call before the next `take`."""
        self._slots.put_back(changes.slots)
        self._cohorts.put_back(changes.cohorts)
        self._dirty_days |= {
            (row.provider, row.day, row.branch_id, row.message_type) for row in changes.days
        }

    def _tick(self) -> int:
        """Seconds since the epoch. They never go back, so a forgotten slot never begins again."""
        now = int(self._clock.now().timestamp())
        self._now = max(self._now, now)
        return self._now

    def _failed(self, measured: Measured, call: int) -> None:
        """Count a failed call. It is evidence if it is its recipient's first failure of the day."""
        whose, marks = f"{measured.provider}:{measured.recipient_hash}", []
        if not measured.probe:
            marks.append(self._mark(f"any:{whose}", "distinct_failed", of_cohort="any_failed"))
        if measured.eligible:
            of_cohort = "eligible_failed"
            marks.append(self._mark(f"failed:{whose}", "eligible_failed", of_cohort=of_cohort))
        certain = _PROBE_FAILED if measured.probe else ()
        self._if_first(Failure(measured.provider, tuple(marks), call, certain))

    def _in_time_or_slow(self, measured: Measured, call: int) -> None:
        """Count an accepted eligible call. A slow one counts once for each recipient and day."""
        if measured.duration_ms <= self.slow_ms:
            self._cohorts.ended(call, _ELIGIBLE_OK)
            return
        what = f"slow:{measured.provider}:{measured.recipient_hash}"
        mark = self._mark(what, "eligible_slow", of_cohort="eligible_slow")
        self._if_first(Failure(measured.provider, (mark,), call, _ELIGIBLE_OK))

    def _mark(self, what: str, *sums: str, of_cohort: str = "") -> Mark:
        return Mark(self._recipients.ident(self._now, what), sums, of_cohort)

    def _if_first(self, failure: Failure) -> None:
        """Count it after the store's answer. Sums that count in any case count at once."""
        if not self._recipients.wait(failure):
            self._cohorts.ended(failure.call, failure.certain)

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


def _day_row(key: _DayKey, sums: Day) -> DayRow:
    provider, day, branch_id, message_type = key
    return DayRow(provider, day, branch_id, message_type, sums.counts())
