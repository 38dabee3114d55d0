"""What a delivery does with the record it finds, as one table.

Rules: `ACTIONS` is the table; a missing cell is an error (`KeyError`), and tests check every cell.
Only the record and the delivery decide the situation; nothing else influences what a redelivery
does. Final states are written by the same compare-and-set as intents, so no cell can announce a
false end. If another task of this process works on the message, the delivery waits for that task
before it uses the table.
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
    """The policy allows one resend, it is unused, and the message is not expired."""
    SETTLED = "settled"


class DeliveryAction(StrEnum):
    """What the handler does in a situation."""

    BEGIN = "begin"
    """Decide and insert the first intent."""
    PARK = "park"
    """Park in the 5 s tier, uncounted: another holder works on it."""
    DECLARE_UNKNOWN = "declare unknown"
    """Change the record with the dead lease to `unknown`, then look again."""
    CONTINUE = "continue"
    """Start the round: `waiting -> submitting` by compare-and-set on the round."""
    COPY_AGAIN = "copy again"
    """Publish the copy of the record's round again, as it may be lost; acknowledge this one."""
    RESEND = "resend"
    """Make one attempt at an untried provider; if there is none, publish the stored events."""
    ANNOUNCE_AGAIN = "announce again"
    """Publish the stored events with the same ids, and acknowledge."""


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
    """Find out how a delivery relates to the record it finds.

    Args:
        record: the stored record of the message id; None: there is none.
        round_carried: the delivery's round header; 0: absent.
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
    """Whether the policy still allows the one resend after an unknown attempt."""
    return record.on_unknown is OnUnknown.RESEND and not record.resend_used and not expired


def action(record: Record | None, where: Situation) -> DeliveryAction:
    """The action to take. Raises `KeyError` for an impossible combination."""
    return ACTIONS[(record.state if record else None, where)]
