"""How a delivered command is settled: told, parked, refused, or put among the dead letters.

Rules:
- Record before events, events confirmed before the dead letter, all before the acknowledgement.
- Every end of a message goes through the store's compare-and-set. Who loses looks again.
- A record that waits for a copy which can no longer be understood, or is understood otherwise, ends
  with that copy: nobody else comes for it before its life is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from contracts.names import Header
from worker.domain.messages.message import Record, State
from worker.domain.messages.writes import TerminalWrite
from worker.handlers import message_events
from worker.handlers.copies import copy_headers, is_copy_of
from worker.handlers.decode import CommandDecoder, Refusal, first_seen
from worker.handlers.ending import called, end_of
from worker.ports.broker import Settlement

if TYPE_CHECKING:
    from worker.domain.messages.message import Message, StoredEvent
    from worker.handlers.message_events import Announcer
    from worker.ports.broker import Incoming, Publisher
    from worker.ports.clock import Clock
    from worker.ports.messages import Messages

_DEAD: Final = frozenset({State.FAILED, State.REJECTED, State.EXPIRED})
"""States whose command goes to `sms.dead` as well."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles deliveries of commands.

    Args:
        decoder: bytes -> message.
        messages: the records.
        announcer: publishes stored events.
        publisher: retry copies and dead letters.
        clock: time.
    """

    decoder: CommandDecoder
    messages: Messages
    announcer: Announcer
    publisher: Publisher
    clock: Clock

    # --- by a record that is written -----------------------------------------------------

    async def settled(
        self,
        incoming: Incoming,
        message: Message,
        state: State,
        events: tuple[StoredEvent, ...],
        reason: str,
        *,
        attempts: int,
    ) -> Settlement:
        """Publish the stored events, and put the command of a bad end among the dead letters."""
        await self.announcer.announce(
            message.id, events, message.correlation_id, message.traceparent
        )
        if state in _DEAD and message.probe is None:  # a probe is of no use any more
            return await self.dead(incoming, f"{state}: {reason}", attempts)
        return Settlement.ACK

    async def announce_again(
        self, incoming: Incoming, message: Message, record: Record
    ) -> Settlement:
        """Publish what is stored once more: same events, same ids."""
        reason = "settled before; announced again"
        return await self.settled(
            incoming, message, record.state, record.events, reason, attempts=record.epoch
        )

    async def park(self, incoming: Incoming, tier: str, round_: int) -> Settlement:
        """Let a copy of the command come back from a retry tier."""
        headers = copy_headers(self.decoder.key, incoming, round_, self.clock.now())
        await self.publisher.park(incoming, tier, headers)
        return Settlement.ACK

    async def dead(self, incoming: Incoming, reason: str, attempts: int | None) -> Settlement:
        """Put the command among the dead letters."""
        now = self.clock.now()
        headers: dict[str, object] = {
            Header.FIRST_AT: first_seen(incoming, now).isoformat(),
            Header.LAST_AT: now.isoformat(),
        }
        if attempts is not None:
            headers[Header.ATTEMPTS] = attempts
        await self.publisher.dead(incoming, reason, headers)
        _log.info("dead letter", reason=reason, queue=incoming.queue)
        return Settlement.ACK

    # --- without another call ------------------------------------------------------------

    async def close(
        self,
        incoming: Incoming,
        message: Message,
        record: Record | None,
        state: State,
        reason: str,
    ) -> Settlement | Record:
        """End a message by the same writes as an intent; a Record: that one stands instead."""
        if record is not None and record.state is State.UNKNOWN:
            return await self.announce_again(incoming, message, record)
        now = self.clock.now()
        if record is None:
            event = message_events.closing(message, state, reason, now, attempts=0)
            events: tuple[StoredEvent, ...] = (event,)
            closing = TerminalWrite(message.id, state, events, message)
            stands = await self.messages.close_new(closing)
        else:
            state, events = end_of(record, state, reason, now)
            stands = await self.messages.close(record, state, events)
        if stands is not None:
            return stands
        attempts = record.epoch if record else 0
        return await self.settled(incoming, message, state, events, reason, attempts=attempts)

    async def give_up(self, incoming: Incoming, reason: str) -> Settlement:
        """End a delivery our own code keeps failing on."""
        return await self.conclude(incoming, State.FAILED, reason, waiting=True)

    async def conclude(
        self, incoming: Incoming, state: State, reason: str, *, waiting: bool = False
    ) -> Settlement:
        """End a delivery from outside the ordinary course: by its record if nobody holds that.

        Args:
            incoming: the delivery.
            state: how a message ends that has no record.
            reason: for event and dead letter.
            waiting: whether a `waiting` record may be ended too, though its copy may be on its way.
                Where the delivery is that very copy, nobody else will go on: it is ended anyhow.
        """
        understood = self.decoder.decode(incoming, self.clock.now())
        if isinstance(understood, Refusal):
            return await self.refuse(incoming, understood)
        record = await self.messages.look(understood.id)
        ours = record is None or record.fingerprint == understood.fingerprint
        if ours and (record is None or _may_end(record, incoming, waiting=waiting)):
            if record is not None and called(record):
                state = State.FAILED
            ended = await self.close(incoming, understood, record, state, reason)
            if isinstance(ended, Settlement):
                return ended
        return await self.dead(incoming, reason, record.epoch if record else None)

    # --- commands nobody will process ----------------------------------------------------

    async def refuse(
        self, incoming: Incoming, refusal: Refusal, message: Message | None = None
    ) -> Settlement:
        """Refuse a command: an event where its id is new, and the bytes to `sms.dead`.

        Args:
            incoming: the delivery.
            refusal: why.
            message: what it asks for, where it could be understood all the same.
        """
        if refusal.message_id is not None:
            await self._reject(refusal.message_id, refusal, incoming, message)
        return await self.dead(incoming, refusal.in_words(), None)

    async def conflict(self, incoming: Incoming, record: Record) -> Settlement:
        """Refuse a command whose id belongs to a message with other content."""
        if not is_copy_of(incoming, record):
            return await self.dead(incoming, "id conflict: same id, other content", None)
        reason = "its copy reads otherwise than the first delivery did: settings were changed"
        return await self.refuse(incoming, Refusal(reason, message_id=record.id))

    async def _reject(
        self, message_id: str, refusal: Refusal, incoming: Incoming, message: Message | None
    ) -> None:
        event = message_events.rejected_unread(
            message_id, refusal.reason, refusal.problems, self.clock.now()
        )
        closing = TerminalWrite(message_id, State.REJECTED, (event,), message)
        stands = await self.messages.close_new(closing)
        if stands is None:
            events: tuple[StoredEvent, ...] = (event,)
        elif is_copy_of(incoming, stands):
            events = await self._refused_copy(stands, refusal)
        else:  # a redelivery of this very command, or another's id: that one is untouched
            events = stands.events if stands.state is State.REJECTED else ()
        await self.announcer.announce(message_id, events, incoming.correlation_id)

    async def _refused_copy(self, record: Record, refusal: Refusal) -> tuple[StoredEvent, ...]:
        """End the record that waits for a copy we no longer take; returns what is to be told."""
        if record.state in _DEAD:
            return record.events
        if record.state is not State.WAITING:
            return ()
        state = State.FAILED if called(record) else State.REJECTED
        state, events = end_of(record, state, refusal.in_words(), self.clock.now())
        return events if await self.messages.close(record, state, events) is None else ()


def _may_end(record: Record, incoming: Incoming, *, waiting: bool) -> bool:
    return record.state is State.WAITING and (waiting or is_copy_of(incoming, record))
