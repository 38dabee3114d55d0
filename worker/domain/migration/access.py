"""Which role may request which change.

Rules: observers only query. Operators hold, roll back, acknowledge alerts, and move the percentage
within the phase. Administrators may do everything. The effect of a change counts: an operator may
take traffic from the target by any command that changes nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.direction import share
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Mapping

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


_WHATEVER_THEY_LEAD_TO: Final[Mapping[AccessRole, frozenset[ChangeName]]] = MappingProxyType(
    {
        AccessRole.OBSERVER: frozenset(),
        AccessRole.OPERATOR: frozenset(
            {
                ChangeName.HOLD,
                ChangeName.ROLLBACK,
                ChangeName.EMERGENCY_ROLLBACK,
                ChangeName.SET_PERCENTAGE,
                ChangeName.STEP,
                ChangeName.ACK,
            }
        ),
        AccessRole.ADMINISTRATOR: frozenset(ChangeName),
    }
)
"""The changes that a role may request, without overriding gates."""
_WITHIN_PHASE: Final = frozenset({ChangeName.SET_PERCENTAGE, ChangeName.STEP})
_WHOLE: Final = frozenset({ChangeName.SET_FLAGS, ChangeName.RESTORE})
"""Changes that affect more than the share, whether the share rises or falls."""


def commands_of(role: AccessRole) -> tuple[ChangeName, ...]:
    """The changes that a role may request whatever they lead to.

    An operator may request others too where they only take traffic from the target;
    `require_role` decides on the effect.
    """
    return tuple(name for name in ChangeName if name in _WHATEVER_THEY_LEAD_TO[role])


def require_role(change: Change, state: Snapshot, wanted: Snapshot, *, upward: bool) -> None:
    """Raise `ChangeRefused` if the user's role does not allow the change."""
    request = change.request
    if request.role is AccessRole.ADMINISTRATOR:
        return
    down = share(wanted) < share(state) and change.name not in _WHOLE
    listed = change.name in _WHATEVER_THEY_LEAD_TO[request.role]
    fits = (listed or down) and (not upward or change.name in _WITHIN_PHASE)
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
