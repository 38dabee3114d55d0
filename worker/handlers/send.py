"""The life of a message: what one delivery of a `SendSms` does.

    understand -> (look) -> act by the table of `domain.life` -> events confirmed -> ack

Rules:
- A fresh delivery learns from its own insert whether there is a record; a redelivered or retried
  one looks first.
- Record before events, events confirmed before the dead copy, all before the acknowledgement.
- Every terminal decision goes through the store's compare-and-set. What lost looks again.
- One task a message id in this process; a second delivery joins it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, assert_never

import structlog

from contracts.names import Header
from worker.domain.life import Action, action, situation
from worker.domain.message import Message, Record, State
from worker.handlers import announce
from worker.handlers.round import (
    Blocked,
    Ended,
    NotBegun,
    NoWay,
    OptedOut,
    Settled,
    TooLate,
    Waits,
)
from worker.handlers.running import Running
from worker.handlers.understand import Refusal, Understanding, carried, first_seen
from worker.ports import Closing, Settlement

if TYPE_CHECKING:
    from worker.domain.message import StoredEvent
    from worker.handlers.announce import Announcer
    from worker.handlers.hybrid import Hybrid
    from worker.ports import Clock, Incoming, Lanes, Messages, Publisher

TIERS: Final = ("5s", "30s", "2m", "10m")
"""Where a message waits after its first, second, third, and any further failed round."""
SOON: Final = "5s"
_CLOSES: Final = frozenset({State.FAILED, State.REJECTED, State.EXPIRED})
"""States whose command goes to `sms.dead` as well."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SendHandler:
    """Handles deliveries of `SendSms`.

    Args:
        understanding: bytes -> message.
        messages: the records.
        hybrid: tries providers.
        announcer: publishes stored events.
        publisher: retry copies and dead letters.
        lanes: paused while every breaker is open.
        clock: time.
    """

    understanding: Understanding
    messages: Messages
    hybrid: Hybrid
    announcer: Announcer
    publisher: Publisher
    lanes: Lanes
    clock: Clock
    running: Running = field(default_factory=Running)

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one delivery to its settlement."""
        understood = self.understanding.of(incoming, self.clock.now())
        if isinstance(understood, Refusal):
            return await self.refuse(incoming, understood)
        if understood.id != incoming.message_id:  # else it is bound already
            structlog.contextvars.bind_contextvars(message_id=understood.id)
        looked = incoming.redelivered or _is_copy(incoming)
        while understood.id in self.running:
            looked = True
            await self.running.ended(understood.id)
        with self.running.hold(understood.id):
            record = await self.messages.look(understood.id) if looked else None
            return await self._deliver(incoming, understood, record)

    async def _deliver(
        self, incoming: Incoming, message: Message, record: Record | None
    ) -> Settlement:
        """Act by the table until the delivery is settled; what lost a write looks again."""
        while True:
            if record is not None:
                if record.fingerprint != message.fingerprint:
                    return await self._dead(incoming, "id conflict: same id, other content", None)
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
            running_here=False,  # joined already: see __call__
            expired=self.clock.now() >= message.expires_at,
        )
        chosen = action(record, where)
        match chosen:
            case Action.BEGIN | Action.CONTINUE | Action.RESEND:
                return await self._round(incoming, message, record)
            case Action.PARK:
                return await self._park(incoming, SOON, carried(incoming, Header.ROUND))
            case Action.DECLARE_UNKNOWN:
                return await self._declare_unknown(_there(record))
            case Action.COPY_AGAIN:
                there = _there(record)
                tier = _tier(max(there.failed_rounds, 1))
                return await self._park(incoming, tier, there.round)
            case Action.ANNOUNCE_AGAIN:
                return await self._announce(incoming, message, _there(record))
            case Action.JOIN:
                raise AssertionError("joined before the table was asked")
        assert_never(chosen)

    # --- a round and its end -------------------------------------------------------------

    async def _round(
        self, incoming: Incoming, message: Message, record: Record | None
    ) -> Settlement | Record:
        ended = await self.hybrid.run(message, record)
        if isinstance(ended, Record):
            return ended
        return await self._ended(incoming, message, record, ended)

    async def _ended(
        self, incoming: Incoming, message: Message, record: Record | None, ended: Ended
    ) -> Settlement | Record:
        match ended:
            case Settled():
                events = _untold(record, ended.events)
                return await self._settled(
                    incoming, message, ended.state, events, ended.reason, attempts=ended.attempts
                )
            case Waits():
                return await self._park(incoming, _tier(ended.failed_rounds), ended.round)
            case Blocked():
                if ended.lane:
                    self.lanes.pause(message.lane, ended.for_s)
                return await self._park(incoming, SOON, carried(incoming, Header.ROUND))
            case TooLate() | OptedOut() | NoWay():
                return await self._close(incoming, message, record, *_end_of(ended, record))
            case NotBegun():
                return Settlement.REQUEUE
        assert_never(ended)

    async def _close(
        self,
        incoming: Incoming,
        message: Message,
        record: Record | None,
        state: State,
        reason: str,
    ) -> Settlement | Record:
        """End a message without another call, by the same writes as an intent."""
        if record is not None and record.state is State.UNKNOWN:
            return await self._announce(incoming, message, record)
        if record is not None and record.suspect() is not None:
            return await self._hold(incoming, message, record, reason)
        source = record or message
        attempts = record.epoch if record else 0
        event = announce.closing(source, state, reason, self.clock.now(), attempts=attempts)
        if record is None:
            closing = Closing(message.id, state, (event,), message)
            stands = await self.messages.close_new(closing)
        else:
            stands = await self.messages.close(record, state, (event,))
        if stands is not None:
            return stands
        return await self._settled(incoming, message, state, (event,), reason, attempts=attempts)

    async def _hold(
        self, incoming: Incoming, message: Message, record: Record, reason: str
    ) -> Settlement | Record:
        """End a replay of what a provider may have taken before: no false end is announced."""
        stands = await self.messages.close(record, State.UNKNOWN, ())
        if stands is not None:
            return stands
        return await self._settled(
            incoming, message, State.UNKNOWN, (), reason, attempts=record.epoch
        )

    async def _declare_unknown(self, record: Record) -> Record:
        """The holder is gone and may have called: `unknown`, by whoever finds it first."""
        attempt = record.attempts[-1]
        reason = f"{attempt.provider} may have taken it: its caller is gone"
        event = announce.unknown(record, attempt, reason, self.clock.now())
        stands = await self.messages.declare_unknown(record, (event,))
        if stands is not None:
            return stands
        return replace(record, state=State.UNKNOWN, events=(*record.events, event))

    # --- settling the delivery -----------------------------------------------------------

    async def _settled(
        self,
        incoming: Incoming,
        message: Message,
        state: State,
        events: tuple[StoredEvent, ...],
        reason: str,
        *,
        attempts: int,
    ) -> Settlement:
        await self.announcer.announce(
            message.id, events, message.correlation_id, message.traceparent
        )
        if state in _CLOSES and message.probe is None:  # a probe is of no use any more
            return await self._dead(incoming, f"{state}: {reason}", attempts)
        return Settlement.ACK

    async def _announce(self, incoming: Incoming, message: Message, record: Record) -> Settlement:
        """Publish what is stored once more: same events, same ids."""
        reason = "settled before; announced again"
        return await self._settled(
            incoming, message, record.state, record.events, reason, attempts=record.epoch
        )

    async def _park(self, incoming: Incoming, tier: str, round_: int) -> Settlement:
        await self.publisher.park(incoming, tier, self._copy_headers(incoming, round_))
        return Settlement.ACK

    def _copy_headers(self, incoming: Incoming, round_: int) -> dict[str, object]:
        seen = first_seen(incoming, self.clock.now()).isoformat()
        headers: dict[str, object] = {Header.FIRST_AT: seen}
        if round_:
            headers[Header.ROUND] = round_
        return headers

    async def _dead(self, incoming: Incoming, reason: str, attempts: int | None) -> Settlement:
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

    # --- commands nobody will process ----------------------------------------------------

    async def refuse(
        self, incoming: Incoming, refusal: Refusal, message: Message | None = None
    ) -> Settlement:
        """Not processed: an event where there is a new id, and the bytes to `sms.dead`.

        Args:
            incoming: the delivery.
            refusal: why.
            message: what it asks for, where it could be understood all the same.
        """
        if refusal.message_id is not None:
            await self._reject(refusal.message_id, refusal, incoming, message)
        return await self._dead(incoming, refusal.in_words(), None)

    async def _reject(
        self, message_id: str, refusal: Refusal, incoming: Incoming, message: Message | None
    ) -> None:
        event = announce.rejected_unread(
            message_id, refusal.reason, refusal.problems, self.clock.now()
        )
        closing = Closing(message_id, State.REJECTED, (event,), message)
        stands = await self.messages.close_new(closing)
        if stands is None:
            events: tuple[StoredEvent, ...] = (event,)
        else:  # a redelivery of this very command, or another's id: that one is untouched
            events = stands.events if stands.state is State.REJECTED else ()
        await self.announcer.announce(message_id, events, incoming.correlation_id)

    async def give_up(self, incoming: Incoming, reason: str) -> Settlement:
        """End a delivery our own code keeps failing on."""
        return await self.conclude(incoming, State.FAILED, reason, waiting=True)

    async def conclude(
        self, incoming: Incoming, state: State, reason: str, *, waiting: bool = False
    ) -> Settlement:
        """End a delivery from outside the ordinary course: by its record if that is in no hands.

        Args:
            incoming: the delivery.
            state: how a message nobody ever saw ends.
            reason: for event and dead letter.
            waiting: whether a `waiting` record may be ended too, though its copy may be on its way.
                Where the delivery is that very copy, nobody else will go on: it is ended anyhow.
        """
        understood = self.understanding.of(incoming, self.clock.now())
        if isinstance(understood, Refusal):
            return await self.refuse(incoming, understood)
        record = await self.messages.look(understood.id)
        ours = record is None or record.fingerprint == understood.fingerprint
        if ours and (record is None or _may_end(record, incoming, waiting=waiting)):
            if record is not None and any(attempt.result for attempt in record.attempts):
                state = State.FAILED
            ended = await self._close(incoming, understood, record, state, reason)
            if isinstance(ended, Settlement):
                return ended
        return await self._dead(incoming, reason, record.epoch if record else None)


def _untold(record: Record | None, new: tuple[StoredEvent, ...]) -> tuple[StoredEvent, ...]:
    """What a resend tells: that the first attempt was unknown comes before what followed."""
    if record is None or record.state is not State.UNKNOWN:
        return new
    return record.events + tuple(event for event in new if event not in record.events)


def _may_end(record: Record, incoming: Incoming, *, waiting: bool) -> bool:
    carries_on = carried(incoming, Header.ROUND) == record.round
    return record.state is State.WAITING and (waiting or carries_on)


def _is_copy(incoming: Incoming) -> bool:
    return Header.FIRST_AT in incoming.headers or Header.ERRORS in incoming.headers


def _frozen(message: Message, record: Record) -> Message:
    """Lane, policy and life are those of the first delivery."""
    return replace(
        message,
        lane=record.lane,
        on_unknown=record.on_unknown,
        expires_at=record.expires_at,
        correlation_id=record.correlation_id,
        probe=record.probe,
    )


def _end_of(why: TooLate | OptedOut | NoWay, record: Record | None) -> tuple[State, str]:
    match why:
        case TooLate():
            return _too_late(record)
        case OptedOut():
            return State.FAILED if record else State.REJECTED, "recipient opted out"
        case NoWay(reason=reason):
            return State.FAILED, reason


def _too_late(record: Record | None) -> tuple[State, str]:
    called = record is not None and any(attempt.result for attempt in record.attempts)
    if called:
        return State.FAILED, "its life ended before a provider took it"
    return State.EXPIRED, "its life ended before it could be sent"


def _tier(failed_rounds: int) -> str:
    return TIERS[min(max(failed_rounds, 1), len(TIERS)) - 1]


def _there(record: Record | None) -> Record:
    if record is None:
        raise AssertionError("the table asks this of a record only")
    return record
