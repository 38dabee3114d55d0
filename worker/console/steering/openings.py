"""What a dialog can say and fill in from what is known already, before a worker is asked.

Rules: pure and total. Nothing needs to be known: then nothing is filled in, and the names of the
providers are the usual ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from worker.console import wording
from worker.console.steering.shapes import PROVIDERS
from worker.domain.migration import effect
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.effect import Names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contracts.answers import StatusAnswer
    from contracts.control_views import StateView
    from worker.console.known import Known
    from worker.console.steering.descriptions import Description

_AT: Final = re.compile(r" at (\d{1,3}) %$")
_CLOSED: Final = "closed"
_LEAST_ID: Final = 6


def names_in(known: Known) -> Names:
    """What people call the providers."""
    status = _status(known)
    return Names(
        wording.provider((status and status.target) or "africastalking"),
        wording.provider((status and status.legacy) or "legacy"),
    )


def state_in(known: Known) -> StateView | None:
    """The newest state; None: it is not known."""
    told = [each.reply.state for each in (known.status, known.whole) if each is not None]
    return next((state for state in told if state is not None), None)


def filled_in(description: Description, known: Known) -> Mapping[str, str]:
    """What the fields of a command are filled in with."""
    state = state_in(known)
    match description.name:
        case ChangeName.APPROVE | ChangeName.REJECT if state and state.proposed:
            return {"proposal": str(state.proposed.number)}
        case ChangeName.ROLLBACK if state:
            return {"leaving": state.phase}
        case ChangeName.SET_PERCENTAGE:
            return {"percentage": following} if (following := _following(known)) else {}
        case ChangeName.RESET_BREAKER:
            return {"provider": role} if (role := _open_breaker(known)) else {}
    return {}


def about(description: Description, form: Mapping[str, str], known: Known) -> tuple[str, ...]:
    """The object of a command, in words."""
    match description.name:
        case ChangeName.APPROVE | ChangeName.REJECT:
            return tuple(_proposal(form, known))
        case ChangeName.ACK:
            return tuple(_alert(form, known))
        case ChangeName.EMERGENCY_ROLLBACK:
            return tuple(_everything(known))
        case ChangeName.CLEAR_USER_OVERRIDE:
            return (f"User {form.get('user', '')}",)
        case ChangeName.CLEAR_BRANCH_OVERRIDE:
            return (f"Branch {form.get('branch', '')}",)
    return ()


def _proposal(form: Mapping[str, str], known: Known) -> Iterator[str]:
    state = state_in(known)
    proposed = state.proposed if state else None
    if proposed is not None and form.get("proposal") == str(proposed.number):
        to = f"{wording.phase(proposed.phase)} at {proposed.percentage} %"
        yield f"Proposal {proposed.number}: {to}, by {wording.person(proposed.by)}."


def _alert(form: Mapping[str, str], known: Known) -> Iterator[str]:
    wanted = form.get("alert", "")
    alerts = known.alerts.data.alerts if known.alerts else []
    found = (each for each in alerts if len(wanted) >= _LEAST_ID and each.id.startswith(wanted))
    for each in found:
        severity = wording.SEVERITIES.get(each.severity, each.severity)
        yield f"{severity}: {each.reason}"
        return


def _everything(known: Known) -> Iterator[str]:
    """The effect of an emergency, from what is known: nobody is asked for it."""
    state, names = state_in(known), names_in(known)
    if state is None:
        return
    share = state.percentage if state.share is None else state.share
    if not share:
        yield f"{names.target} gets no share of the messages now."
        return
    told = known.comparison
    per_hour = sum(each.attempts for each in told.data.providers.values()) if told else None
    goes = f"{names.target} goes from {share} % to 0 %"
    yield f"{goes}: {effect.movement(per_hour, share, 0, names)}." if told else f"{goes}."


def _following(known: Known) -> str:
    status = _status(known)
    found = _AT.search(status.next.to) if status and status.next else None
    return found[1] if found else ""


def _open_breaker(known: Known) -> str:
    """The role of the provider whose breaker is open somewhere; empty: none is, or both are."""
    status = _status(known)
    replicas = (status.replicas if status else None) or []
    states = [each.breakers for each in replicas]
    ids = (status.target, status.legacy) if status else ()
    opened = [
        role
        for role, ident in zip(PROVIDERS, ids, strict=False)
        if any(each.get(str(ident), _CLOSED) != _CLOSED for each in states)
    ]
    return opened[0] if len(opened) == 1 else ""


def _status(known: Known) -> StatusAnswer | None:
    told = known.whole or known.status
    return told.data if told else None
