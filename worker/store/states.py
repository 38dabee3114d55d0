"""Builds the parts of updates by which a record enters a state: filter and deadlines.

Rules: the filters are built once, at import, from the table (`domain.messages.transitions`). When a
record enters a state, the deadlines of that state are set and all others are removed. Only records
in a final state expire (TTL). A record proved `accepted` by a delivery report keeps the deadlines
of `unknown`, because its report has come.
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
"""Operand of `$unset` if a record enters a state without deadlines."""
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
    """Seconds after which delivery is judged, reports are given up, and records expire."""

    def __init__(self, *, delivery_age_s: float, report_deadline_s: float, keep_s: float) -> None:
        self.delivery_age = timedelta(seconds=delivery_age_s)
        self.report_deadline = timedelta(seconds=report_deadline_s)
        self.keep = timedelta(seconds=keep_s)

    def deadlines(self, state: State, now: datetime) -> Document:
        """The deadlines of a record that enters a final state."""
        if state not in (State.ACCEPTED, State.UNKNOWN):
            return {"expireAt": now + self.keep}
        due = now + self.report_deadline
        deadlines: Document = {"reportDue": due, "expireAt": due + self.keep}
        if state is State.ACCEPTED:
            deadlines["judgeAt"] = now + self.delivery_age
        return deadlines

    def end(self, update: Document, state: State, now: datetime) -> None:
        """Add to an update that a record ends in `state`, with only the deadlines of that state."""
        update["$set"] |= {"state": str(state), **self.deadlines(state, now)}
        if state is not State.ACCEPTED and state is not State.UNKNOWN:
            update["$unset"] = _NO_REPORT_DUE  # a record that was `unknown` has this deadline
