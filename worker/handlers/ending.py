"""How a message ends without another call.

Rules: no false end is told. A message that a provider may have taken ends as `unknown`, whatever
else is known of it. One that was called and surely not taken has failed. One that was never called
has expired, or is rejected where we refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.domain.messages.message import State
from worker.handlers import message_events

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.messages.message import Record, StoredEvent


def too_late(record: Record | None) -> tuple[State, str]:
    """State and reason of a message whose life is over."""
    if record is not None and called(record):
        return State.FAILED, "its life ended before a provider took it"
    return State.EXPIRED, "its life ended before it could be sent"


def called(record: Record) -> bool:
    """Whether a provider was asked and it is known what came of it."""
    return any(attempt.result for attempt in record.attempts)


def caller_gone(record: Record, now: datetime) -> StoredEvent:
    """The event of a record whose lease is over: its holder may have called the provider."""
    attempt = record.attempts[-1]
    reason = f"{attempt.provider} may have taken it: its caller is gone"
    return message_events.unknown(record, attempt, reason, now)


def end_of(
    record: Record, state: State, reason: str, now: datetime
) -> tuple[State, tuple[StoredEvent, ...]]:
    """State and events with which a waiting record ends; `unknown` where it may have been sent."""
    attempt = record.possibly_sent()
    if attempt is None:
        return state, (message_events.closing(record, state, reason, now, attempts=record.epoch),)
    event = message_events.unknown(record, attempt, reason, now)
    told = not attempt.in_doubt or event.event_id in {each.event_id for each in record.events}
    return State.UNKNOWN, () if told else (event,)
