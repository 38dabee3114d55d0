"""What a delivery does with the record it finds, as one table.

Rules: `ACTIONS` is the table; a missing cell is an error (`KeyError`) and tests walk every cell.
The situation is computed from the record and the delivery alone; nothing else may influence what a
redelivery does. Terminal decisions go through the same compare-and-set as intents, so no cell can
announce a false end. A delivery whose message a task of this process holds waits for that task
before it asks the table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.domain.messages.message import OnUnknown, Record, State

if TYPE_CHECKING:
    from collections.abc import Mapping


class Situation(StrEnum):
    """How a delivery relates to the record it finds."""

    NEW = "new"
    """No record."""
    LEASE_ALIVE = "lease alive"
    LEASE_DEAD = "lease dead"
    ROUND_MATCHES = "round matches"
    ROUND_DIFFERS = "round differs"
    RESEND_LEFT = "resend left"
    """Policy resend, resend unused, not expired."""
    SETTLED = "settled"


class DeliveryAction(StrEnum):
    """What the handler does about it."""

    BEGIN = "begin"
    """Decide and insert the first intent."""
    PARK = "park"
    """Into the 5 s tier, uncounted: somebody alive holds it."""
    DECLARE_UNKNOWN = "declare unknown"
    """Take the dead lease over into `unknown`, then look again."""
    CONTINUE = "continue"
    """`waiting -> submitting` by compare-and-set on the round."""
    COPY_AGAIN = "copy again"
    """The copy of the record's round may be lost: publish it again, acknowledge this one."""
    RESEND = "resend"
    """One more attempt through what was not tried; none left: publish the stored events."""
    ANNOUNCE_AGAIN = "announce again"
    """Publish the stored events (same ids), acknowledge."""


ACTIONS: Final[Mapping[tuple[State | None, Situation], DeliveryAction]] = {
    (None, Situation.NEW): DeliveryAction.BEGIN,
    (State.SUBMITTING, Situation.LEASE_ALIVE): DeliveryAction.PARK,
    (State.SUBMITTING, Situation.LEASE_DEAD): DeliveryAction.DECLARE_UNKNOWN,
    (State.WAITING, Situation.ROUND_MATCHES): DeliveryAction.CONTINUE,
    (State.WAITING, Situation.ROUND_DIFFERS): DeliveryAction.COPY_AGAIN,
    (State.UNKNOWN, Situation.RESEND_LEFT): DeliveryAction.RESEND,
    (State.UNKNOWN, Situation.SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.ACCEPTED, Situation.SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.FAILED, Situation.SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.REJECTED, Situation.SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.EXPIRED, Situation.SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
}


def situation(record: Record | None, *, round_carried: int, expired: bool) -> Situation:
    """Say how a delivery relates to the record it found.

    Args:
        record: what the store holds for the message id; None when nothing is stored.
        round_carried: the delivery's round header, 0 when absent.
        expired: whether the message's life is over now.
    """
    if record is None:
        return Situation.NEW
    match record.state:
        case State.SUBMITTING:
            return Situation.LEASE_ALIVE if record.lease_alive else Situation.LEASE_DEAD
        case State.WAITING:
            matches = round_carried == record.round
            return Situation.ROUND_MATCHES if matches else Situation.ROUND_DIFFERS
        case State.UNKNOWN if may_resend(record, expired=expired):
            return Situation.RESEND_LEFT
        case _:
            return Situation.SETTLED


def may_resend(record: Record, *, expired: bool) -> bool:
    """Whether policy still allows the one resend after an unknown attempt."""
    return record.on_unknown is OnUnknown.RESEND and not record.resend_used and not expired


def action(record: Record | None, where: Situation) -> DeliveryAction:
    """What to do; raises KeyError for a combination that cannot be."""
    return ACTIONS[(record.state if record else None, where)]
