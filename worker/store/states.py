"""How a record enters a state in MongoDB: from which states, and with which deadlines.

Rules: the states a write may start from are those of the table (`domain.messages.transitions`),
made into filters once, at import. A state's deadlines are set when a record enters it, and those it
does not have are removed: only records in an ended state expire (TTL). What proves a record
`accepted` by a delivery report keeps the deadlines of `unknown`: its report is there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from worker.domain.messages.message import State
from worker.domain.messages.transitions import STARTS, NoSuchTransition, Write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Document = dict[str, Any]

CHANGED: Final = {"changedAt": True}
"""Operand of `$currentDate` in every write that changes a record."""
NO_DEADLINES: Final = {"expireAt": "", "reportDue": "", "judgeAt": ""}
"""Operand of `$unset` when a record enters a state that has no deadline."""
_NO_REPORT_DUE: Final = {"reportDue": ""}


def _filter(states: frozenset[State]) -> Any:
    names = sorted(map(str, states))
    return {"$in": names} if len(names) > 1 else names[0]


_FILTERS: Final[Mapping[tuple[Write, State], Any]] = {
    key: _filter(states) for key, states in STARTS.items()
}


def standing(write: Write, end: State) -> Any:
    """The filter on `state` of a write that leads to `end`. Raises `NoSuchTransition`."""
    try:
        return _FILTERS[write, end]
    except KeyError:
        raise NoSuchTransition(write, end) from None


class Retention:
    """When stored facts are judged, given up and forgotten. All in seconds."""

    def __init__(self, *, delivery_age_s: float, report_deadline_s: float, keep_s: float) -> None:
        self.delivery_age = timedelta(seconds=delivery_age_s)
        self.report_deadline = timedelta(seconds=report_deadline_s)
        self.keep = timedelta(seconds=keep_s)

    def deadlines(self, state: State, now: datetime) -> Document:
        """The deadlines of a record that enters an ended state."""
        if state not in (State.ACCEPTED, State.UNKNOWN):
            return {"expireAt": now + self.keep}
        due = now + self.report_deadline
        deadlines: Document = {"reportDue": due, "expireAt": due + self.keep}
        if state is State.ACCEPTED:
            deadlines["judgeAt"] = now + self.delivery_age
        return deadlines

    def end(self, update: Document, state: State, now: datetime) -> None:
        """Let an update end a record in `state`, with the deadlines of that state alone."""
        update["$set"] |= {"state": str(state), **self.deadlines(state, now)}
        if state is not State.ACCEPTED and state is not State.UNKNOWN:
            update["$unset"] = _NO_REPORT_DUE  # of a record that was `unknown` before
