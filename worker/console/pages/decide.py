"""The card "For you to decide": what only a person can do now, and the buttons for it.

Rules: a button is shown only if this person may give its command. While the command would be in
vain, the button is off and says why. A label ends with an ellipsis where a dialog follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.known import OLD_S
from worker.console.pages import taken_back
from worker.console.pages.condition import Condition
from worker.console.pages.parts import When
from worker.console.pages.upcoming import shut, title_of
from worker.console.pages.verdict import who_holds
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.migration.change_names import ChangeName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contracts.control_views import ProposalView
    from worker.console.pages.facts import Facts
    from worker.console.pages.parts import Line
    from worker.console.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Button:
    """A button that opens the dialog of a command."""

    label: str
    command: str
    key: str = ""
    kind: str = ""
    """`primary`: what is decided here; `danger`; empty: neither."""
    off: str = ""
    """Why it is off; empty: it is on."""


@dataclass(frozen=True, slots=True)
class Decide:
    """The card."""

    title: str
    text: Line
    buttons: tuple[Button, ...] = ()


_STEP: Final = Button("Step up…", ChangeName.STEP, key="s")
_ADVANCE: Final = Button("Advance…", ChangeName.ADVANCE, key="s")
_SHARE: Final = Button("Set share…", ChangeName.SET_PERCENTAGE)
_HOLD: Final = Button("Hold…", ChangeName.HOLD)
_RESUME: Final = Button("Resume…", ChangeName.RESUME)
_ROLLBACK: Final = Button("Roll back…", ChangeName.ROLLBACK)
_EMERGENCY: Final = Button("Emergency rollback…", ChangeName.EMERGENCY_ROLLBACK, kind="danger")
_ENABLE: Final = Button("Enable…", ChangeName.ENABLE_PROVIDER)
_UNLOCK: Final = Button("Unlock…", ChangeName.UNLOCK)
_BREAKER: Final = Button("Reset breaker…", ChangeName.RESET_BREAKER)
_APPROVE: Final = Button("Approve…", ChangeName.APPROVE, key="a", kind="primary")
_REJECT: Final = Button("Reject…", ChangeName.REJECT)
_DOWN: Final = frozenset({ChangeName.ROLLBACK, ChangeName.HOLD})
"""What is also done, later, if the store is away."""
_OLD: Final = "The page shows old data."
_NO_WAY_BACK: Final = "There is no way back until legacy is enabled again."
_WAITS: Final = "It needs the store."


def decide(facts: Facts, condition: Condition, viewer: Viewer) -> Decide:
    """What this person can decide in a condition."""
    card = _CARDS.get(condition, _usual)(facts, viewer)
    mine = (button for button in card.buttons if viewer.may(button.command))
    return replace(
        card,
        buttons=tuple(
            replace(each, off=each.off or why_off(facts, condition, each.command)) for each in mine
        ),
    )


def why_off(facts: Facts, condition: Condition, command: str) -> str:
    """Why a command cannot be given now; empty: it can."""
    told = facts.known.status
    if told is None or facts.known.age(told) > OLD_S or condition.is_silent:
        return _OLD
    if condition is Condition.STORE_AWAY and command not in _DOWN:
        return _WAITS
    return ""


def _primary(button: Button) -> Button:
    return replace(button, kind="primary")


def _up(facts: Facts) -> Button:
    """The button of the next move upwards."""
    move = facts.next
    return _ADVANCE if move is not None and move.command == ChangeName.ADVANCE else _STEP


def _common(facts: Facts) -> tuple[Button, ...]:
    back = facts.state is None or facts.state.is_rollback_available
    rollback = _ROLLBACK if back else replace(_ROLLBACK, off=_NO_WAY_BACK)
    first = (_up(facts),) if facts.next else (rollback,)
    return (*first, _SHARE, _RESUME if who_holds(facts) is not None else _HOLD)


# --- with traffic --------------------------------------------------------------------------


def _usual(facts: Facts, viewer: Viewer) -> Decide:
    state = facts.state
    if state is not None and state.proposed is not None:
        return _proposal(state.proposed, facts, viewer)
    if (held := who_holds(facts)) is not None:
        return _held_by(held, facts)
    if facts.next is None:
        return Decide("Nothing now", ("There is no move upwards from here.",), _common(facts))
    step = title_of(facts)
    if shut(facts) or not facts.gates:
        text = f"When all gates are open: {step[0].lower()}{step[1:]}."
        return Decide("Nothing now", (text,), _common(facts))
    if _is_automatic(facts):
        return Decide("Nothing now", ("Automation takes the step by itself.",), _common(facts))
    up, *others = _common(facts)
    return Decide(f"{step}?", (_more(facts),), (_primary(up), *others))


def _is_automatic(facts: Facts) -> bool:
    return bool(facts.flag("MigrationSettings", "AutoAdvanceEnabled")) and facts.share > 0


def _more(facts: Facts) -> str:
    """The effect of the next move."""
    move = facts.next
    moved = facts.moving(move.percentage) if move else None
    if moved is None:
        return "Every gate is open."
    return f"About {formats.about(moved)} more messages an hour go to {facts.target}."


def _proposal(proposal: ProposalView, facts: Facts, viewer: Viewer) -> Decide:
    left = formats.duration((proposal.expires_at - facts.at).total_seconds())
    by = wording.person(proposal.by)
    moved = facts.moving(proposal.percentage)
    effect = "" if moved is None else f" About {formats.about(moved)} more messages an hour."
    title = f"Proposal {proposal.number}: {facts.share} % → {proposal.percentage} %"
    text = f"By {by}, expires in {left}.{effect}"
    if proposal.by == viewer.user:
        return Decide(title, (f"{text} Somebody else than you must approve.",), (_REJECT,))
    if not viewer.may(ChangeName.APPROVE):
        return Decide(title, (f"{text} An administrator approves.",))
    return Decide(title, (text,), (_APPROVE, _REJECT))


def _held_by(held: tuple[str, str], facts: Facts) -> Decide:
    who, why = held
    text = f"{who} holds it: “{why}”" if who else why
    up, share, resume = _common(facts)
    return Decide("Let automation go on?", (text,), (resume, up, share))


# --- without traffic -----------------------------------------------------------------------


def _not_started(facts: Facts, viewer: Viewer) -> Decide:
    return _begin(facts, viewer, "Begin?", Button("Begin…", ChangeName.ADVANCE, key="s"))


def _rolled_back(facts: Facts, viewer: Viewer) -> Decide:
    return _begin(facts, viewer, "Begin again?", _ADVANCE)


def _begin(facts: Facts, viewer: Viewer, title: str, button: Button) -> Decide:
    move = facts.next
    if move is None:
        return Decide("Nothing now", ("There is no move upwards from here.",))
    moved = facts.moving(move.percentage)
    many = "" if moved is None else f", about {formats.about(moved)} messages an hour,"
    phase = wording.phase(move.phase)
    text = f"{phase} sends {move.percentage} % of recipients{many} to {facts.target}."
    if not viewer.may(button.command):
        return Decide("Nothing now", (f"{text} An administrator begins.",))
    return Decide(title, (text,), (_primary(button),))


def _no_traffic(facts: Facts, viewer: Viewer) -> Decide:
    if facts.state is not None and facts.state.percentage:
        text = f"{facts.state.percentage} % is set; nothing goes to {facts.target} until then."
        return Decide(f"Enable {facts.target}?", (text,), (_ENABLE,))
    return _usual(facts, viewer)


# --- trouble -------------------------------------------------------------------------------


def _locked(facts: Facts, _: Viewer) -> Decide:
    decision = taken_back.last(facts.known)
    at = (" at ", When(decision.at)) if decision and decision.at else ()
    text = ("Automation went down by itself", *at, ". It stays down until you advance again.")
    return Decide("Find the cause", text, (_UNLOCK, _up(facts)))


def _trouble(facts: Facts, _: Viewer) -> Decide:
    reason = facts.monitor.hold_reason if facts.monitor else None
    what = wording.remedy(reason, facts.legacy) or "Roll back if you do not want to wait."
    down = _EMERGENCY if reason == HoldReason.NO_WAY_BACK else _primary(_ROLLBACK)
    return Decide("Roll back?", (what,), (down, _SHARE))


def _common_trouble(_: Facts, __: Viewer) -> Decide:
    text = "Automation goes on by itself when the trouble is over."
    return Decide("Nothing now", (text,), (_SHARE, _HOLD))


def _hold(facts: Facts, _: Viewer) -> Decide:
    if (held := who_holds(facts)) is not None:
        return _held_by(held, facts)
    reason = facts.monitor.hold_reason if facts.monitor else None
    text = ("Automation goes on by itself when it is over.",)
    if reason == HoldReason.ACCOUNT:
        return Decide("Mend the account", text, (_BREAKER, _ROLLBACK))
    return Decide("Nothing now", text, (_SHARE, _ROLLBACK))


# --- not known -----------------------------------------------------------------------------


def _store_away(facts: Facts, viewer: Viewer) -> Decide:
    can = viewer.may(ChangeName.HOLD)
    text = "Emergency, roll back and hold are done when the store is back." if can else ""
    return Decide("Wait for the store", (text,), (_ROLLBACK, _HOLD, _up(facts)))


def _silent(_: Facts, __: Viewer) -> Decide:
    return Decide("Not known", ("No command reaches the workers now.",), (_ROLLBACK, _SHARE, _HOLD))


def _no_worker(_: Facts, __: Viewer) -> Decide:
    return Decide("Start a worker", ("On this machine: make run",))


def _login(_: Facts, __: Viewer) -> Decide:
    return Decide("Log in again", ("The broker refuses the login of this session.",))


_CARDS: Final[Mapping[Condition, Callable[[Facts, Viewer], Decide]]] = MappingProxyType(
    {
        Condition.BROKER_AWAY: _silent,
        Condition.LOGIN_REFUSED: _login,
        Condition.NO_WORKER: _no_worker,
        Condition.NO_ANSWER_YET: _silent,
        Condition.STORE_AWAY: _store_away,
        Condition.STALE: _silent,
        Condition.LOCKED: _locked,
        Condition.TROUBLE: _trouble,
        Condition.COMMON_TROUBLE: _common_trouble,
        Condition.HOLD: _hold,
        Condition.NOT_STARTED: _not_started,
        Condition.ROLLED_BACK: _rolled_back,
        Condition.NO_TRAFFIC: _no_traffic,
    }
)
"""The card by condition; in any other the gates decide."""
