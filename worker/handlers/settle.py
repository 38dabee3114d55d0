"""Settles a delivered command: announces its end, parks it, refuses it, or makes a dead letter.

Rules:
- The order is: record, then events until confirmed, then dead letter, then acknowledgement.
- Every end of a message is a compare-and-set in the store. If it loses, the caller looks again.
- If the copy a record waits for can no longer be read, or now reads differently, the record ends
  with that copy. Otherwise it would wait until its life is over.
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
"""Final states whose command also goes to `sms.dead`."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles deliveries of commands.

    Args:
        decoder: decodes bytes into a message.
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

    # --- the record is written -----------------------------------------------------------

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
        """Publish the stored events; after a bad end, put the command among the dead letters."""
        await self.announcer.announce(
            message.id, events, message.correlation_id, message.traceparent
        )
        if state in _DEAD and message.probe is None:  # an ended probe has no further use
            return await self.dead(incoming, f"{state}: {reason}", attempts)
        return Settlement.ACK

    async def announce_again(
        self, incoming: Incoming, message: Message, record: Record
    ) -> Settlement:
        """Publish the stored events once more, with the same ids."""
        reason = "settled before; announced again"
        return await self.settled(
            incoming, message, record.state, record.events, reason, attempts=record.epoch
        )

    async def park(self, incoming: Incoming, tier: str, round_: int) -> Settlement:
        """Park a copy of the command in a retry tier, from which it comes back."""
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

    # --- no further provider call --------------------------------------------------------

    async def close(
        self,
        incoming: Incoming,
        message: Message,
        record: Record | None,
        state: State,
        reason: str,
    ) -> Settlement | Record:
        """End a message by compare-and-set; a Record: our write lost, this record is stored."""
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
        """Give up a delivery on which our own code keeps failing."""
        return await self.conclude(incoming, State.FAILED, reason, waiting=True)

    async def conclude(
        self, incoming: Incoming, state: State, reason: str, *, waiting: bool = False
    ) -> Settlement:
        """End a delivery outside the usual course, together with its record if that is free.

        Args:
            incoming: the delivery.
            state: the final state of a message without a record.
            reason: for event and dead letter.
            waiting: whether a `waiting` record may be ended although its copy may be on its way. If
                the delivery is that copy, the record is ended in any case.
        """
        understood = self.decoder.decode(incoming, self.clock.now())
        if isinstance(understood, Refusal):
            return await self.refuse(incoming, understood)
        record = await self.messages.look(understood.id)
        ours = record is None or understood.is_content_of(record)
        if ours and (record is None or _may_end(record, incoming, waiting=waiting)):
            if record is not None and called(record):
                state = State.FAILED
            ended = await self.close(incoming, understood, record, state, reason)
            if isinstance(ended, Settlement):
                return ended
        return await self.dead(incoming, reason, record.epoch if record else None)

    # --- refused commands ----------------------------------------------------------------

    async def refuse(
        self, incoming: Incoming, refusal: Refusal, message: Message | None = None
    ) -> Settlement:
        """Refuse a command: publish an event if its id is new, and put it into `sms.dead`.

        Args:
            incoming: the delivery.
            refusal: the reason.
            message: the decoded command, if it could be decoded.
        """
        if refusal.message_id is not None:
            await self._reject(refusal.message_id, refusal, incoming, message)
        return await self.dead(incoming, refusal.in_words(), None)

    async def conflict(self, incoming: Incoming, record: Record) -> Settlement:
        """Refuse a command whose id belongs to a message with different content."""
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
        else:  # a redelivery, or the id of another message: its record stays as it is
            events = stands.events if stands.state is State.REJECTED else ()
        await self.announcer.announce(message_id, events, incoming.correlation_id)

    async def _refused_copy(self, record: Record, refusal: Refusal) -> tuple[StoredEvent, ...]:
        """End the record whose copy is refused; returns the events to publish."""
        if record.state in _DEAD:
            return record.events
        if record.state is not State.WAITING:
            return ()
        state = State.FAILED if called(record) else State.REJECTED
        state, events = end_of(record, state, refusal.in_words(), self.clock.now())
        return events if await self.messages.close(record, state, events) is None else ()


def _may_end(record: Record, incoming: Incoming, *, waiting: bool) -> bool:
    return record.state is State.WAITING and (waiting or is_copy_of(incoming, record))
