"""Delivery reports: stored first, then looked up, then told.

Rules: a report may come before the response of its attempt is stored, twice, out of order, or for
nobody. It is kept, and matched when its message can be found: by the provider's id, by our own id
where the gateway gives it back, or, where a provider has neither, to the only `unknown` message of
that recipient (two candidates: none). Delivery moves forward only. On `unknown` it proves
`accepted`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from contracts.codec import DecodeError
from contracts.names import Header
from contracts.reports import RawReport, decode_report
from worker.domain import recipient
from worker.domain.delivery import FINAL, OptOut, Report, StoredReport, moves
from worker.domain.message import Attempt, Delivery, Record, Result, State, StoredEvent
from worker.domain.outcome import Accepted
from worker.handlers import announce
from worker.handlers.understand import carried
from worker.ports import Finished, Settlement, StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from worker.handlers.announce import Announcer
    from worker.numbers import NotANumber
    from worker.ports import (
        Clock,
        Incoming,
        Provider,
        Publisher,
        Reported,
        Reports,
        Suppressions,
    )

TIERS: Final = ("5s", "30s", "2m", "10m")
CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""How far the clocks of our own machines may be apart."""
_TRIES: Final = 3
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Matcher:
    """Brings a stored report into the record of its message.

    Args:
        reported: the records.
        reports: the reports.
        announcer: publishes stored events.
        clock: time.
    """

    reported: Reported
    reports: Reports
    announcer: Announcer
    clock: Clock

    async def match(self, stored: StoredReport) -> bool:
        """Find the message and apply the report; False: nobody's yet. Raises `StoreAway`."""
        for _ in range(_TRIES):
            found = await self._find(stored)
            if found is None:
                return False
            record, attempt, how = found
            if record.state is State.SUBMITTING:
                return False  # the outcome is being written: it looks for us afterwards
            if await self._apply(stored.report, record, attempt, how):
                await self.reports.matched(stored.id)
                return True
        return False

    async def _find(self, stored: StoredReport) -> tuple[Record, Attempt, str] | None:
        """By our own id and epoch, by the provider's id, by recipient: what the report has."""
        report, pid = stored.report, stored.report.provider_message_id
        if report.message_id is not None and report.epoch is not None:
            record = await self.reported.find(report.message_id)
            return _attempt(record, lambda a: a.epoch == report.epoch, announce.BY_REFERENCE)
        if pid is not None:
            record = await self.reported.by_reference(report.provider, pid)
            if record is not None:
                return _attempt(
                    record, lambda a: a.provider_message_id == pid, announce.BY_REFERENCE
                )
        return await self._only_unknown(stored)

    async def _only_unknown(self, stored: StoredReport) -> tuple[Record, Attempt, str] | None:
        """The only unknown message of that recipient; two candidates: none.

        A report is about something sent before it came: what began later is another message.
        """
        if stored.recipient_hash is None:
            return None
        candidates = await self.reported.unknown_of(stored.recipient_hash)
        if len(candidates) != 1:
            return None
        provider = stored.report.provider
        return _attempt(
            candidates[0],
            lambda a: a.provider == provider and a.in_doubt and _before(a, stored.received_at),
            announce.BY_RECIPIENT,
        )

    async def _apply(self, report: Report, record: Record, attempt: Attempt, how: str) -> bool:
        if not moves(attempt.delivery, report.delivery):
            return True  # told before, or older than what is known
        proves = record.state is State.UNKNOWN
        events = self._events(report, record, attempt, how, proves=proves)
        if not await self.reported.report(record, attempt.epoch, report, events, proves=proves):
            return False
        await self.announcer.announce(record.id, events, record.correlation_id)
        return True

    def _events(
        self, report: Report, record: Record, attempt: Attempt, how: str, *, proves: bool
    ) -> tuple[StoredEvent, ...]:
        now = self.clock.now()
        found: list[StoredEvent] = []
        if proves:
            pid = report.provider_message_id or attempt.provider_message_id
            proof = replace(attempt, reason=f"{attempt.reason}; proved by a delivery report")
            taken = Finished(Accepted(provider_message_id=pid), 0.0)
            doubled = attempt.resend or _may_have_left_twice(record, attempt)
            found.append(announce.sent(record, proof, taken, now, possible_duplicate=doubled))
        if report.delivery in FINAL:
            delivered = report.delivery is Delivery.DELIVERED
            found.append(
                announce.delivery(record, attempt, report, now, delivered=delivered, matched=how)
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ReportHandler:
    """Handles deliveries from `sms.reports`.

    Args:
        providers: adapters by provider id: they read what they sent.
        reports: where reports are kept.
        matcher: brings them to their message.
        suppressions: takes opt-outs.
        normalise: input -> E.164 or why not.
        key: of recipient hashes.
        publisher: retry copies and dead letters.
        clock: time.
    """

    providers: Mapping[str, Provider]
    reports: Reports
    matcher: Matcher
    suppressions: Suppressions
    normalise: Callable[[str], str | NotANumber]
    key: bytes
    publisher: Publisher
    clock: Clock

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one report to its settlement."""
        try:
            raw = decode_report(incoming.body)
            read = self.providers[raw.provider].read_report(raw.kind, raw.fields)
        except KeyError:
            return await self._dead(incoming, "report of a provider that is not configured")
        except DecodeError as error:
            return await self._dead(incoming, error.reason)
        except ValueError as error:
            return await self._dead(incoming, f"report not understood: {error}")
        try:
            await self._take(read, raw)
        except StoreAway:
            tries = carried(incoming, Header.REPORT_TRIES)
            tier = TIERS[min(tries, len(TIERS) - 1)]
            await self.publisher.park(incoming, tier, {Header.REPORT_TRIES: tries + 1})
        return Settlement.ACK

    async def _take(self, read: Report | OptOut, raw: RawReport) -> None:
        if isinstance(read, OptOut):
            hashed = self._hash(read.to)
            if hashed is not None:
                await self.suppressions.add(hashed, f"callback of {read.provider}")
            return
        hashed = self._hash(read.to) if read.to else None
        stored = await self.reports.keep(read, hashed, raw.received_at)
        await self.matcher.match(stored)

    def _hash(self, number: str) -> str | None:
        to = self.normalise(number)
        return recipient.recipient(self.key, to).hash if isinstance(to, str) else None

    async def _dead(self, incoming: Incoming, reason: str) -> Settlement:
        headers: dict[str, object] = {Header.LAST_AT: self.clock.now().isoformat()}
        await self.publisher.dead(incoming, reason, headers)
        return Settlement.ACK

    async def give_up(self, incoming: Incoming, reason: str) -> Settlement:
        """End a report our own code keeps failing on."""
        return await self._dead(incoming, reason)


def _may_have_left_twice(record: Record, proved: Attempt) -> bool:
    """Whether a provider may have taken another attempt of the message as well."""
    others = (attempt for attempt in record.attempts if attempt.epoch != proved.epoch)
    return any(other.in_doubt or other.result is Result.ACCEPTED for other in others)


def _before(attempt: Attempt, moment: datetime) -> bool:
    return attempt.at is not None and attempt.at <= moment + CLOCKS_DIFFER


def _attempt(
    record: Record | None, fits: Callable[[Attempt], bool], how: str
) -> tuple[Record, Attempt, str] | None:
    if record is None:
        return None
    attempt = next((a for a in reversed(record.attempts) if fits(a)), None)
    return (record, attempt, how) if attempt else None
