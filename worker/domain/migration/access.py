"""Which role may request which change.

Rules: observers only query. Operators hold, roll back, acknowledge alerts, and move the percentage
within the phase. Administrators may do everything. The effect of a change counts: an operator may
take traffic from the target by any command that changes nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.direction import share
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from worker.domain.migration.changes import Change
    from worker.domain.migration.snapshot import Snapshot


class AccessRole(StrEnum):
    """The rights of a broker user."""

    OBSERVER = "observer"
    """Queries."""
    OPERATOR = "operator"
    """May query, hold, roll back, acknowledge, and move the percentage within the phase."""
    ADMINISTRATOR = "administrator"
    """Everything."""


_OPERATORS: Final = frozenset(
    {
        ChangeName.HOLD,
        ChangeName.ROLLBACK,
        ChangeName.EMERGENCY_ROLLBACK,
        ChangeName.SET_PERCENTAGE,
        ChangeName.STEP,
        ChangeName.ACK,
    }
)
_WITHIN_PHASE: Final = frozenset({ChangeName.SET_PERCENTAGE, ChangeName.STEP})
_WHOLE: Final = frozenset({ChangeName.SET_FLAGS, ChangeName.RESTORE})
"""Changes that affect more than the share, whether the share rises or falls."""


def require_role(change: Change, state: Snapshot, wanted: Snapshot, *, upward: bool) -> None:
    """Raise `ChangeRefused` if the user's role does not allow the change."""
    request = change.request
    if request.role is AccessRole.ADMINISTRATOR:
        return
    down = share(wanted) < share(state) and change.name not in _WHOLE
    fits = (change.name in _OPERATORS or down) and (not upward or change.name in _WITHIN_PHASE)
    if request.role is AccessRole.OPERATOR and fits and request.override is None:
        return
    raise ChangeRefused(
        ReplyCode.FORBIDDEN,
        f"{change.name}: {request.by} is {request.role}; expected administrator"
        + (
            " (observers query)"
            if request.role is AccessRole.OBSERVER
            else " (operators hold, go down, acknowledge, and move the percentage within the phase)"
        )
        + "; ask one",
    )
