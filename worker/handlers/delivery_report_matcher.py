"""Matches delivery reports: finds the message of a stored report, and applies the report to it.

Rules:
- A report is matched by our own id and epoch if the gateway returns them, else by the provider's
  id. A report with neither, or whose provider id no record has, matches the only attempt to its
  recipient at its provider that may have left. If there are two, it matches none.
- A report counts only for an attempt at the provider that sent it, even if it names the ids of
  another provider's attempt.
- The delivery state only moves forward. A report on an `unknown` message proves it `accepted`.
- `consent` records opt-outs that a report contains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from worker.domain.messages.consent import CLOCKS_DIFFER
from worker.domain.messages.message import Attempt, Delivery, Record, Result, State
from worker.domain.messages.outcome import Accepted
from worker.domain.messages.receipts import FINAL, moves
from worker.domain.messages.writes import Finished
from worker.handlers import message_events
from worker.ports.messages import MOST_IN_DOUBT

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from worker.domain.messages.message import StoredEvent
    from worker.domain.messages.receipts import DeliveryReport, StoredReport
    from worker.handlers.consent import Wishes
    from worker.handlers.message_events import Announcer
    from worker.ports.clock import Clock
    from worker.ports.messages import Reported, Reports

_TRIES: Final = 3
LINKED_AFTER: Final = timedelta(minutes=10)
"""A report that comes later is linked to the trace of its message, and does not continue it."""
_log = structlog.get_logger(__name__)


class ReportTracer(Protocol):
    """Spans around what reports bring about."""

    def report(
        self, traceparent: str | None, message_id: str, *, delayed: bool, cause: str | None = None
    ) -> AbstractContextManager[str | None]:
        """Span it in the trace of its message; yields the `traceparent` to go on with.

        `cause`: the trace in which the webhook took the report; it is linked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """Finds the message of a stored report and applies the report to its record.

    Args:
        reported: the records.
        reports: the reports.
        announcer: publishes stored events.
        wishes: records the opt-out that a report may contain.
        clock: time.
        tracer: spans reports of messages whose traces are recorded.
    """

    reported: Reported
    reports: Reports
    announcer: Announcer
    wishes: Wishes
    clock: Clock
    tracer: ReportTracer

    async def match(self, stored: StoredReport) -> bool:
        """Find the message and apply the report; False: no match yet. Raises `StoreUnavailable`."""
        for _ in range(_TRIES):
            match = await self._find(stored)
            if match is None:
                await self.wishes.of_nobodys_report(stored)
                return False
            record, attempt, how = match
            if record.state is State.SUBMITTING:
                return False  # its outcome comes first; then the sweeper tries again
            await self.wishes.of_report(stored, record.recipient, attempt.sender_id)
            if await self._apply(stored, record, attempt, how):
                await self.reports.matched(stored.id)
                return True
        return False

    async def _find(self, stored: StoredReport) -> tuple[Record, Attempt, str] | None:
        """Find by our own id and epoch, else by the provider's id, else by recipient."""
        report, pid = stored.report, stored.report.provider_message_id
        if report.message_id is not None and report.epoch is not None:
            record = await self.reported.find(report.message_id)
            match = _attempt(record, report.provider, lambda a: a.epoch == report.epoch)
            if record is not None and match is None:
                _log.warning(
                    "report ignored: it names no attempt at its provider",
                    provider=report.provider,
                    message_id=record.id,
                )
            return match
        if pid is not None:
            record = await self.reported.by_reference(report.provider, pid)
            if record is not None:
                return _attempt(record, report.provider, lambda a: a.provider_message_id == pid)
        return await self._only_in_doubt(stored)

    async def _only_in_doubt(self, stored: StoredReport) -> tuple[Record, Attempt, str] | None:
        """The only attempt at its provider, to that recipient, that may have left; two: none.

        A report is about a message sent before the report came, so later attempts do not match. An
        attempt that was resent is one too, whatever became of the resend.
        """
        if stored.recipient_hash is None:
            return None

        def may_be(attempt: Attempt) -> bool:
            unreported = attempt.in_doubt and attempt.delivery not in FINAL
            return unreported and _before(attempt, stored.received_at)

        records = await self.reported.in_doubt_of(stored.recipient_hash)
        provider, by_recipient = stored.report.provider, message_events.BY_RECIPIENT
        found = (_attempt(record, provider, may_be, by_recipient) for record in records)
        candidates = [match for match in found if match is not None]
        certain = len(candidates) == 1 and len(records) < MOST_IN_DOUBT
        return candidates[0] if certain else None

    async def _apply(
        self, stored: StoredReport, record: Record, attempt: Attempt, how: str
    ) -> bool:
        report = stored.report
        if not moves(attempt.delivery, report.delivery):
            return True  # a repeated report, or one older than the stored state
        proves = record.state is State.UNKNOWN
        events = self._events(report, record, attempt, how, proves=proves)
        if not await self.reported.report(record, attempt.epoch, report, events, proves=proves):
            return False
        delayed = attempt.at is not None and self.clock.now() - attempt.at > LINKED_AFTER
        with self.tracer.report(
            record.traceparent, record.id, delayed=delayed, cause=stored.traceparent
        ) as traceparent:
            await self.announcer.announce(record.id, events, record.correlation_id, traceparent)
        return True

    def _events(
        self, report: DeliveryReport, record: Record, attempt: Attempt, how: str, *, proves: bool
    ) -> tuple[StoredEvent, ...]:
        now = self.clock.now()
        events: list[StoredEvent] = []
        if proves:
            pid = report.provider_message_id or attempt.provider_message_id
            proof = replace(attempt, reason=f"{attempt.reason}; proved by a delivery report")
            taken = Finished(Accepted(provider_message_id=pid), 0.0)
            doubled = attempt.resend or _may_have_left_twice(record, attempt)
            events.append(
                message_events.sent(record, proof, taken, now, possible_duplicate=doubled)
            )
        if report.delivery in FINAL:
            delivered = report.delivery is Delivery.DELIVERED
            events.append(
                message_events.delivery(
                    record, attempt, report, now, delivered=delivered, matched=how
                )
            )
        return tuple(events)


def _may_have_left_twice(record: Record, proved: Attempt) -> bool:
    """Whether a provider may have taken another attempt of the message as well."""
    others = (attempt for attempt in record.attempts if attempt.epoch != proved.epoch)
    return any(other.in_doubt or other.result is Result.ACCEPTED for other in others)


def _before(attempt: Attempt, moment: datetime) -> bool:
    return attempt.at is not None and attempt.at <= moment + CLOCKS_DIFFER


def _attempt(
    record: Record | None,
    provider: str,
    fits: Callable[[Attempt], bool],
    how: str = message_events.BY_REFERENCE,
) -> tuple[Record, Attempt, str] | None:
    """The newest attempt at this provider that matches the condition."""
    if record is None:
        return None
    at_provider = (a for a in reversed(record.attempts) if a.provider == provider)
    attempt = next((a for a in at_provider if fits(a)), None)
    return (record, attempt, how) if attempt else None
