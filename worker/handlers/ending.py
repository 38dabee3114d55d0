"""Decides how a message ends without another provider call.

Rules: no false end is announced. A message that a provider may have taken ends as `unknown`. A
message that providers were called for, but surely did not take, ends as `failed`. If no provider
was called, it ends as `expired`, or as `rejected` if we refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.domain.messages.message import State
from worker.handlers import message_events

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.messages.message import Record, StoredEvent


def too_late(record: Record | None) -> tuple[State, str]:
    """The final state of a message whose life is over, and the reason."""
    if record is not None and called(record):
        return State.FAILED, "its life ended before a provider took it"
    return State.EXPIRED, "its life ended before it could be sent"


def called(record: Record) -> bool:
    """Whether a provider was called and the outcome of the call is known."""
    return any(attempt.result for attempt in record.attempts)


def caller_gone(record: Record, now: datetime) -> StoredEvent:
    """The event of a record whose lease ended. Its holder may have called the provider."""
    attempt = record.attempts[-1]
    reason = f"{attempt.provider} may have taken it: its caller is gone"
    return message_events.unknown(record, attempt, reason, now)


def end_of(
    record: Record, state: State, reason: str, now: datetime
) -> tuple[State, tuple[StoredEvent, ...]]:
    """The final state and events of a waiting record; `unknown` if it may have been sent."""
    attempt = record.possibly_sent()
    if attempt is None:
        return state, (message_events.closing(record, state, reason, now, attempts=record.epoch),)
    event = message_events.unknown(record, attempt, reason, now)
    told = not attempt.in_doubt or event.event_id in {each.event_id for each in record.events}
    return State.UNKNOWN, () if told else (event,)
