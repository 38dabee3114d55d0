"""The sweeper: finishes records and reports for which no delivery comes any more.

Rules:
- Only a delivered command sends, so the sweeper never calls a provider. Each of its changes is the
  same compare-and-set that a delivery would make, so several sweepers do not conflict.
- After an outage of the store, it waits for the time of one lease before it judges leases, because
  their holders could not write.
- While the broker takes nothing, and soon after, it announces nothing again. The first publisher
  still waits for the confirm, and every sweeper would publish another copy.
- A waiting record ends when its life is over and its copy did not come, because the copy may be
  lost. Its body goes to `sms.dead` only if the copy comes later.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

import structlog

from worker.domain.messages.message import Delivery, Lane, Result, State
from worker.domain.messages.receipts import FINAL
from worker.handlers import message_events
from worker.handlers.ending import caller_gone, end_of, too_late
from worker.ports.store import StoreUnavailable
from worker.service import cancel_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.domain.messages.message import Attempt, Record
    from worker.handlers.accepted_references import AcceptedReferences
    from worker.handlers.delivery_report_matcher import Matcher
    from worker.handlers.message_events import Announcer
    from worker.ports.clock import Clock
    from worker.ports.messages import Due, Messages, Reports
    from worker.ports.metrics import Meter
    from worker.service import Background

EVERY_S: Final = 2.0
TRANSACTIONAL_LATER_S: Final = 10.0
"""How long a transactional record is left to its redelivery, which may still resend."""
CONFIRM_LATER_S: Final = 10.0
"""The age after which an unconfirmed event is published again."""
WAITING_LATER_S: Final = 60.0
"""How long after the end of its life a waiting record is left to its copy."""
MATCH_EVERY_S: Final = 0.5
_log = structlog.get_logger(__name__)


class Sweeper:
    """A service that handles whatever is due.

    Args:
        due: finds the records that are due.
        messages: writes the transitions to `unknown` and to a final state.
        reports: finds unmatched reports.
        matcher: matches them.
        announcer: publishes stored events.
        meter: counts whether accepted messages were delivered.
        reporting: providers that send delivery reports; others are not judged.
        clock: time.
        background: runs the loops; if one dies, the process ends.
        lease_s: how long leases are left alone after an outage of the store.
        references: references of attempts just accepted, whose reports may have come earlier.
    """

    def __init__(
        self,
        *,
        due: Due,
        messages: Messages,
        reports: Reports,
        matcher: Matcher,
        announcer: Announcer,
        meter: Meter,
        reporting: frozenset[str],
        clock: Clock,
        background: Background,
        lease_s: float,
        references: AcceptedReferences,
    ) -> None:
        self._due = due
        self._messages = messages
        self._reports = reports
        self._matcher = matcher
        self._announcer = announcer
        self._meter = meter
        self._reporting = reporting
        self._clock = clock
        self._background = background
        self._lease_s = lease_s
        self._judge_leases_from = self._announce_from = float("-inf")
        self._references = references
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start to sweep. Leases are left alone at first, as after an outage."""
        self.store_was_away()
        self._tasks = {
            self._background.spawn(self._every(EVERY_S, self.sweep), "sweeper"),
            self._background.spawn(self._every(MATCH_EVERY_S, self.match_early), "early reports"),
        }

    async def drain(self) -> None:
        """Do nothing: the next sweeper finds whatever is left."""

    async def stop(self) -> None:
        """Stop the loops. Idempotent."""
        await cancel_all(self._tasks)
        self._tasks = set()

    def store_was_away(self) -> None:
        """Leave all leases alone for the time of one lease."""
        self._judge_leases_from = self._clock.monotonic() + self._lease_s

    def broker_blocked(self, blocked: bool) -> None:  # noqa: FBT001 - `BrokerConnection.on_blocked` hands it
        """Announce nothing again while the broker takes nothing, nor soon after.

        The first publisher still waits for the confirm and publishes first.
        """
        later = float("inf") if blocked else CONFIRM_LATER_S
        self._announce_from = self._clock.monotonic() + later

    async def match_early(self) -> None:
        """Match reports that came before the response of their attempt was stored."""
        references = self._references.take()
        if references:
            for stored in await self._reports.waiting_for(references):
                await self._matcher.match(stored)

    async def sweep(self) -> None:
        """Handle everything that is due once. Raises `StoreUnavailable`."""
        if self._clock.monotonic() >= self._judge_leases_from:
            await self._leases()
        if self._clock.monotonic() >= self._announce_from:
            await self._announce_again()
        for record in await self._due.outlived(older_s=WAITING_LATER_S):
            await self._outlived(record)
        for stored in await self._reports.orphans():
            await self._matcher.match(stored)
        while judged := await self._due.take_judged():
            for record in judged:
                self._judge(record)
        for record in await self._due.overdue():
            await self._unreported(record)

    async def _announce_again(self) -> None:
        """Publish unconfirmed events again; stop if it takes long, as the list is outdated then."""
        for record, events in await self._due.unannounced(older_s=CONFIRM_LATER_S):
            began = self._clock.monotonic()
            await self._announcer.announce(
                record.id, events, record.correlation_id, record.traceparent
            )
            if self._clock.monotonic() - began > EVERY_S:
                self._announce_from = self._clock.monotonic() + CONFIRM_LATER_S
                return

    async def _leases(self) -> None:
        dead = await self._due.dead_leases(extra_s=0, lane=Lane.BULK)
        later = TRANSACTIONAL_LATER_S
        dead += await self._due.dead_leases(extra_s=later, lane=Lane.TRANSACTIONAL)
        for record in dead:
            event = caller_gone(record, self._clock.now())
            if await self._messages.declare_unknown(record, (event,)) is None:
                _log.warning(
                    "the lease ended without an outcome",
                    message_id=record.id,
                    lane=str(record.lane),
                )
                await self._announcer.announce(
                    record.id, (event,), record.correlation_id, record.traceparent
                )

    async def _outlived(self, record: Record) -> None:
        state, reason = too_late(record)
        state, events = end_of(record, state, reason, self._clock.now())
        if await self._messages.close(record, state, events) is None:
            _log.warning(
                "the copy of a waiting record never came", message_id=record.id, state=str(state)
            )
            await self._announcer.announce(
                record.id, events, record.correlation_id, record.traceparent
            )

    def _judge(self, record: Record) -> None:
        attempt = _accepted(record)
        if attempt is not None and attempt.provider in self._reporting:
            delivered = attempt.delivery is Delivery.DELIVERED
            self._meter.judged(
                attempt.provider,
                delivered=delivered,
                eligible=attempt.eligible,
                recipient_hash=record.recipient.hash,
                reported=attempt.delivery in FINAL,
                probe=record.probe is not None,
            )

    async def _unreported(self, record: Record) -> None:
        attempt = _accepted(record) or record.attempts[-1]
        silent = attempt.provider not in self._reporting and record.state is not State.UNKNOWN
        told = attempt.delivery in FINAL or silent
        now = self._clock.now()
        events = () if told else (message_events.unreported(record, attempt, now),)
        if await self._due.unreported(record, events):
            await self._announcer.announce(
                record.id, events, record.correlation_id, record.traceparent
            )

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            # Jitter, so that replicas do not sweep the same documents at the same moment.
            await asyncio.sleep(seconds * random.uniform(0.7, 1.3))  # noqa: S311 - no secret
            try:
                await work()
            except StoreUnavailable as error:
                _log.warning("sweep failed", error=str(error))
                self.store_was_away()


def _accepted(record: Record) -> Attempt | None:
    return next((a for a in reversed(record.attempts) if a.result is Result.ACCEPTED), None)
