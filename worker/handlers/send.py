"""Handles one delivery of a `SendSms`.

    decode -> (look) -> act by the table (`domain.messages.delivery_action`) -> settle (`settle`)

Rules:
- The insert of a fresh delivery shows whether there is a record. A redelivered or retried command
  reads the record first.
- A write that loses against another returns the stored record, and the delivery acts on that.
- One task of this process works on a message id. A second delivery waits for that task.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

import structlog

from contracts.names import Header
from worker.domain.messages.delivery_action import DeliveryAction, action, situation
from worker.domain.messages.message import Message, Record, State
from worker.handlers.copies import is_copy
from worker.handlers.decode import Refusal, carried
from worker.handlers.ending import caller_gone, too_late
from worker.handlers.retry_tiers import SOON, tier_after
from worker.handlers.round import (
    ProbeImpossible,
    RoundBlocked,
    RoundEnd,
    RoundNotBegun,
    RoundOptedOut,
    RoundSettled,
    RoundTooLate,
    RoundWaits,
)
from worker.handlers.running import Running
from worker.ports.broker import Settlement

if TYPE_CHECKING:
    from worker.domain.messages.message import StoredEvent
    from worker.handlers.intents import Hybrid
    from worker.handlers.settle import Settler
    from worker.ports.broker import Incoming, Lanes
    from worker.ports.clock import Clock
    from worker.ports.messages import Messages


@dataclass(frozen=True, slots=True)
class SendHandler:
    """Handles deliveries of `SendSms`.

    Args:
        messages: the records.
        hybrid: tries providers.
        settler: settles deliveries; its decoder decodes commands.
        lanes: the consumers of the lanes, paused while no provider takes more.
        clock: time.
    """

    messages: Messages
    hybrid: Hybrid
    settler: Settler
    lanes: Lanes
    clock: Clock
    running: Running = field(default_factory=Running)

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one delivery and return its settlement."""
        understood = self.settler.decoder.decode(incoming, self.clock.now())
        if isinstance(understood, Refusal):
            return await self.settler.refuse(incoming, understood)
        if understood.id != incoming.message_id:  # otherwise a wrapper has bound it already
            structlog.contextvars.bind_contextvars(message_id=understood.id)
        looked = incoming.redelivered or is_copy(incoming)
        while understood.id in self.running:
            looked = True
            await self.running.ended(understood.id)
        with self.running.hold(understood.id):
            record = await self.messages.look(understood.id) if looked else None
            return await self._deliver(incoming, understood, record)

    async def _deliver(
        self, incoming: Incoming, message: Message, record: Record | None
    ) -> Settlement:
        """Act by the table until the delivery is settled; after a lost write, look again."""
        while True:
            if record is not None:
                if not message.is_content_of(record):
                    return await self.settler.conflict(incoming, record)
                message = _frozen(message, record)
            step = await self._act(incoming, message, record)
            if isinstance(step, Settlement):
                return step
            record = step

    async def _act(
        self, incoming: Incoming, message: Message, record: Record | None
    ) -> Settlement | Record:
        where = situation(
            record,
            round_carried=carried(incoming, Header.ROUND),
            expired=self.clock.now() >= message.expires_at,
        )
        chosen = action(record, where)
        match chosen:
            case DeliveryAction.BEGIN | DeliveryAction.CONTINUE | DeliveryAction.RESEND:
                return await self._round(incoming, message, record)
            case DeliveryAction.PARK:
                return await self._park_soon(incoming)
            case DeliveryAction.DECLARE_UNKNOWN:
                return await self._declare_unknown(_known(record))
            case DeliveryAction.COPY_AGAIN:
                known = _known(record)
                tier = tier_after(known.failed_rounds)
                return await self.settler.park(incoming, tier, known.round)
            case DeliveryAction.ANNOUNCE_AGAIN:
                return await self.settler.announce_again(incoming, message, _known(record))
        assert_never(chosen)

    async def _round(
        self, incoming: Incoming, message: Message, record: Record | None
    ) -> Settlement | Record:
        ended = await self.hybrid.run(message, record)
        if isinstance(ended, Record):
            return ended
        return await self._ended(incoming, message, record, ended)

    async def _ended(
        self, incoming: Incoming, message: Message, record: Record | None, ended: RoundEnd
    ) -> Settlement | Record:
        match ended:
            case RoundSettled():
                events = _untold(record, ended.events)
                return await self.settler.settled(
                    incoming, message, ended.state, events, ended.reason, attempts=ended.attempts
                )
            case RoundWaits():
                tier = tier_after(ended.failed_rounds)
                return await self.settler.park(incoming, tier, ended.round)
            case RoundBlocked():
                if ended.lane:
                    self.lanes.pause(message.lane, ended.for_s)
                return await self._park_soon(incoming)
            case RoundTooLate() | RoundOptedOut() | ProbeImpossible():
                state, reason = _end_of(ended, record)
                return await self.settler.close(incoming, message, record, state, reason)
            case RoundNotBegun():
                return Settlement.REQUEUE
        assert_never(ended)

    async def _park_soon(self, incoming: Incoming) -> Settlement:
        return await self.settler.park(incoming, SOON, carried(incoming, Header.ROUND))

    async def _declare_unknown(self, record: Record) -> Record:
        """Settle a record as `unknown` whose holder is gone. The first finder does so."""
        event = caller_gone(record, self.clock.now())
        stands = await self.messages.declare_unknown(record, (event,))
        if stands is not None:
            return stands
        return replace(record, state=State.UNKNOWN, events=(*record.events, event))


def _untold(record: Record | None, new: tuple[StoredEvent, ...]) -> tuple[StoredEvent, ...]:
    """The events of a resend: `sms.unknown` of the first attempt precedes what followed."""
    if record is None or record.state is not State.UNKNOWN:
        return new
    return record.events + tuple(event for event in new if event not in record.events)


def _frozen(message: Message, record: Record) -> Message:
    """The message with lane, policy and life of its first delivery."""
    return replace(
        message,
        lane=record.lane,
        on_unknown=record.on_unknown,
        expires_at=record.expires_at,
        correlation_id=record.correlation_id,
        probe=record.probe,
    )


def _end_of(
    why: RoundTooLate | RoundOptedOut | ProbeImpossible, record: Record | None
) -> tuple[State, str]:
    match why:
        case RoundTooLate():
            return too_late(record)
        case RoundOptedOut():
            return State.FAILED if record else State.REJECTED, "recipient opted out"
        case ProbeImpossible(reason=reason):
            return State.FAILED, reason


def _known(record: Record | None) -> Record:
    if record is None:
        raise AssertionError("the table asks this of a record only")
    return record
