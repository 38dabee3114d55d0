"""Builds the events of a message as bytes for the outbox, and publishes them from there.

Rules: an event is built once, stored with its record and published from there, byte for byte. The
ordinal of an attempt's event is the epoch; that of a closing event is the record's generation. Both
are known without a read, so the same fact always gets the same event id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts import events
from contracts.codec import encode, event_id
from contracts.names import Exchange, Header
from worker.domain.messages.message import State, StoredEvent
from worker.domain.messages.outcome import Accepted
from worker.ports.broker import Event, Unpublishable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from worker.domain.messages.message import Attempt, Message, Record
    from worker.domain.messages.receipts import DeliveryReport
    from worker.domain.messages.writes import Finished
    from worker.ports.broker import Publisher
    from worker.ports.messages import Messages

BY_REFERENCE = "reference"
"""The delivery report named the provider's id or our own."""
BY_RECIPIENT = "recipient"
"""The delivery report was matched to the only unknown attempt of its recipient."""


def sent(
    message: Message | Record,
    attempt: Attempt,
    finished: Finished,
    at: datetime,
    *,
    possible_duplicate: bool,
) -> StoredEvent:
    """`sms.sent`: a provider took the message."""
    outcome = finished.outcome
    taken = outcome if isinstance(outcome, Accepted) else Accepted()
    cost = finished.cost
    return _build(
        events.SmsSent,
        message,
        attempt.epoch,
        at,
        provider=attempt.provider,
        attempt=attempt.epoch,
        provider_message_id=taken.provider_message_id,
        segments=taken.parts or message.segments,
        cost=events.Cost(amount=cost.amount, currency=cost.currency) if cost else None,
        possible_duplicate=possible_duplicate,
        reason=attempt.reason,
        duration_ms=round(finished.duration_ms, 1),
    )


def unknown(message: Message | Record, attempt: Attempt, reason: str, at: datetime) -> StoredEvent:
    """`sms.unknown`: the message may have left; only a delivery report can prove it."""
    return _build(
        events.SmsUnknown,
        message,
        attempt.epoch,
        at,
        provider=attempt.provider,
        attempt=attempt.epoch,
        reason=reason,
        possible_duplicate=attempt.resend,
    )


def failed(
    message: Message | Record,
    code: str,
    reason: str,
    at: datetime,
    *,
    attempts: int,
    generation: int = 1,
    provider: str | None = None,
) -> StoredEvent:
    """`sms.failed`: the message is given up; no provider took it."""
    return _build(
        events.SmsFailed,
        message,
        generation,
        at,
        code=code,
        reason=reason,
        provider=provider,
        attempts=attempts,
    )


def expired(
    message: Message | Record, reason: str, at: datetime, *, generation: int = 1
) -> StoredEvent:
    """`sms.expired`: the life of the message ended before any provider was called."""
    return _build(events.SmsExpired, message, generation, at, reason=reason, attempts=0)


def rejected(
    message: Message | Record, reason: str, problems: Iterable[str], at: datetime
) -> StoredEvent:
    """`sms.rejected`: we refuse the message before any intent."""
    return _build(
        events.SmsRejected, message, message_generation(message), at,
        reason=reason, problems=tuple(problems),
    )  # fmt: skip


def rejected_unread(
    message_id: str, reason: str, problems: Iterable[str], at: datetime
) -> StoredEvent:
    """`sms.rejected` of a command of which only the id can be read."""
    return _stored(
        events.SmsRejected(
            event_id=event_id(message_id, "sms.rejected", 1),
            occurred_at=at,
            message_id=message_id,
            reason=reason,
            problems=tuple(problems),
        ),
        1,
    )


def delivery(
    record: Record,
    attempt: Attempt,
    report: DeliveryReport,
    at: datetime,
    *,
    delivered: bool,
    matched: str,
) -> StoredEvent:
    """`sms.delivered` or `sms.undelivered`: what the provider's report says."""
    return _build(
        events.SmsDelivered if delivered else events.SmsUndelivered,
        record,
        attempt.epoch,
        at,
        provider=attempt.provider,
        attempt=attempt.epoch,
        provider_message_id=report.provider_message_id or attempt.provider_message_id,
        status=report.status,
        reason=report.reason,
        network_code=report.network_code,
        matched_by=matched,
    )


def unreported(record: Record, attempt: Attempt, at: datetime) -> StoredEvent:
    """`sms.unreported`: no final delivery report came before the deadline."""
    return _build(
        events.SmsUnreported, record, attempt.epoch, at,
        provider=attempt.provider, attempt=attempt.epoch,
    )  # fmt: skip


def message_generation(source: Message | Record) -> int:
    """The ordinal of closing events; it rises with each replay."""
    return getattr(source, "generation", 1)


def closing(
    source: Message | Record, state: State, reason: str, at: datetime, *, attempts: int
) -> StoredEvent:
    """The event of a record that ends without another provider call."""
    generation = message_generation(source)
    if state is State.EXPIRED:
        return expired(source, reason, at, generation=generation)
    if state is State.REJECTED:
        return rejected(source, reason, (), at)
    return failed(source, "given up", reason, at, attempts=attempts, generation=generation)


def _build(
    kind: type[Any], source: Message | Record, ordinal: int, at: datetime, **fields: Any
) -> StoredEvent:
    name = kind.model_fields["event"].default
    event = kind(
        event_id=event_id(source.id, name, ordinal),
        occurred_at=at,
        message_id=source.id,
        lane=str(source.lane),
        recipient=source.recipient.mask,
        message_type=source.message_type,
        user_id=source.user_id,
        branch_id=source.branch_id,
        validation=True if source.probe else None,
        **fields,
    )
    return _stored(event, ordinal)


def _stored(event: Any, ordinal: int) -> StoredEvent:
    return StoredEvent(
        name=event.event,
        ordinal=ordinal,
        body=encode(event).decode(),
        event_id=str(event.event_id),
    )


class Announcer:
    """Publishes stored events and marks each one as published once the broker confirms it.

    The order is always: store the record, publish its events until confirmed, then acknowledge the
    delivery that caused them.
    """

    def __init__(self, publisher: Publisher, messages: Messages) -> None:
        self._publisher = publisher
        self._messages = messages

    async def announce(
        self,
        message_id: str,
        events_: tuple[StoredEvent, ...],
        correlation_id: str | None,
        traceparent: str | None = None,
    ) -> None:
        """Publish each event in order; return when the broker confirmed all.

        An event that the broker refuses stays in the outbox, and an alert is raised.
        """
        headers = {str(Header.TRACEPARENT): traceparent} if traceparent else None
        told = []
        for stored in events_:
            event = Event(
                exchange=Exchange.EVENTS,
                key=stored.name,
                body=stored.body.encode(),
                id=stored.event_id,
                type=stored.name,
                correlation_id=correlation_id,
                headers=headers,
            )
            try:
                await self._publisher.event(event)
            except Unpublishable:
                continue
            told.append(stored)
        if told:
            self._messages.confirmed(message_id, tuple(told))
