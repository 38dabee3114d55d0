"""What a delivery that finds a record does: the life of a message as one table.

Rules: `ACTIONS` is the state machine; a missing cell is an error (`KeyError`) and tests walk every
cell. The situation is computed from record and delivery alone; nothing else may influence what a
redelivery does. Terminal decisions go through the same compare-and-set as intents, so no cell can
announce a false end.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.domain.message import OnUnknown, Record, State

if TYPE_CHECKING:
    from collections.abc import Mapping


class Situation(StrEnum):
    """How a delivery relates to the record it finds."""

    NEW = "new"
    """No record."""
    RUNNING_HERE = "running here"
    """A task of this very process holds the message."""
    LEASE_ALIVE = "lease alive"
    LEASE_DEAD = "lease dead"
    ROUND_MATCHES = "round matches"
    ROUND_DIFFERS = "round differs"
    RESEND_LEFT = "resend left"
    """Policy resend, resend unused, not expired."""
    SETTLED = "settled"


class Action(StrEnum):
    """What the handler does about it."""

    BEGIN = "begin"
    """Decide and insert the first intent."""
    JOIN = "join"
    """Wait for the running task, then look again."""
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


ACTIONS: Final[Mapping[tuple[State | None, Situation], Action]] = {
    (None, Situation.NEW): Action.BEGIN,
    (None, Situation.RUNNING_HERE): Action.JOIN,
    (State.SUBMITTING, Situation.RUNNING_HERE): Action.JOIN,
    (State.SUBMITTING, Situation.LEASE_ALIVE): Action.PARK,
    (State.SUBMITTING, Situation.LEASE_DEAD): Action.DECLARE_UNKNOWN,
    (State.WAITING, Situation.RUNNING_HERE): Action.JOIN,
    (State.WAITING, Situation.ROUND_MATCHES): Action.CONTINUE,
    (State.WAITING, Situation.ROUND_DIFFERS): Action.COPY_AGAIN,
    (State.UNKNOWN, Situation.RUNNING_HERE): Action.JOIN,
    (State.UNKNOWN, Situation.RESEND_LEFT): Action.RESEND,
    (State.UNKNOWN, Situation.SETTLED): Action.ANNOUNCE_AGAIN,
    (State.ACCEPTED, Situation.RUNNING_HERE): Action.JOIN,
    (State.ACCEPTED, Situation.SETTLED): Action.ANNOUNCE_AGAIN,
    (State.FAILED, Situation.RUNNING_HERE): Action.JOIN,
    (State.FAILED, Situation.SETTLED): Action.ANNOUNCE_AGAIN,
    (State.REJECTED, Situation.RUNNING_HERE): Action.JOIN,
    (State.REJECTED, Situation.SETTLED): Action.ANNOUNCE_AGAIN,
    (State.EXPIRED, Situation.RUNNING_HERE): Action.JOIN,
    (State.EXPIRED, Situation.SETTLED): Action.ANNOUNCE_AGAIN,
}


def situation(
    record: Record | None, *, round_carried: int, running_here: bool, expired: bool
) -> Situation:
    """Place a delivery against the record it found.

    Args:
        record: what the store holds for the message id; None when nothing is stored.
        round_carried: the delivery's round header, 0 when absent.
        running_here: whether a task of this process holds the message.
        expired: whether the message's life is over now.
    """
    if running_here:
        return Situation.RUNNING_HERE
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


def action(record: Record | None, where: Situation) -> Action:
    """What to do; raises KeyError for a combination that cannot be."""
    return ACTIONS[(record.state if record else None, where)]
