"""The card "What happens next": the next move, what it waits for, and who makes it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.pages.condition import Condition
from worker.console.pages.parts import When
from worker.console.pages.verdict import who_holds
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.step_down import WEEK
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contracts.control_views import GateView
    from worker.console.pages.facts import Facts
    from worker.console.pages.parts import Line

_OPEN: Final = frozenset({"pass", "not applicable"})
_UNKNOWN_WAIT: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The card."""

    title: str
    text: Line = ()
    note: Line = ()


def upcoming(facts: Facts, condition: Condition) -> Upcoming:
    """What happens next in a condition."""
    if not condition.is_known:
        return Upcoming("Not known")
    make = _CARDS.get(condition, _usual)
    return make(facts)


def title_of(facts: Facts) -> str:
    """The next move: `Step to 50 %`, `Parallel setup at 1 %`."""
    move = facts.next
    if move is None:
        return "Nothing further"
    if move.command == "step":
        return f"Step to {move.percentage} %"
    return f"{wording.phase(move.phase)} at {move.percentage} %"


def shut(facts: Facts) -> tuple[GateView, ...]:
    """The gates that are not open."""
    return tuple(gate for gate in facts.gates if gate.verdict not in _OPEN)


def wait_s(gate: GateView) -> float:
    """Seconds until a gate opens at today's rate; infinite: not known."""
    return _UNKNOWN_WAIT if gate.missing_s is None else gate.missing_s


def missing(gate: GateView) -> str:
    """What a gate misses: `about 780 messages, 10 min`."""
    wait = "" if gate.missing_s is None else formats.duration(gate.missing_s)
    if gate.missing_outcomes:
        counted = f"about {formats.about(gate.missing_outcomes)} messages"
        return f"{counted}, {wait}" if wait else counted
    return wait or gate.missing or ""


def _usual(facts: Facts) -> Upcoming:
    if facts.next is None:
        return _nothing_further(facts)
    return Upcoming(title_of(facts), (_gates(facts),), _who(facts))


def _gates(facts: Facts) -> str:
    closed = shut(facts)
    if not closed:
        return "Every gate is open."
    longest = max(closed, key=wait_s)
    what = missing(longest) or wording.measure(longest.measured)
    named = wording.gate(longest.gate, facts.legacy)
    many = f"{len(closed)} of {len(facts.gates)} gates still shut."
    return f"{many} Longest: {named}, {what}." if len(closed) > 1 else f"{many} {named}: {what}."


def _who(facts: Facts) -> Line:
    """Who makes the next move."""
    state = facts.state
    if who_holds(facts) is not None:
        return ("Nothing goes up by itself",)
    if state is not None and state.proposed is not None:
        return ("Waits for a person's approval",)
    if not facts.flag("MigrationSettings", "AutoAdvanceEnabled") or not facts.share:
        return ("Automatic steps are off: a person takes the step",)
    if facts.flag("MigrationSettings", "RequireApprovalForAdvance"):
        return ("Proposed by itself when all gates are open; a person approves",)
    return ("Steps by itself when all gates are open",)


def _nothing_further(facts: Facts) -> Upcoming:
    if facts.share < FULL_SHARE:
        return Upcoming("Nothing further", ("There is no move upwards from here.",))
    retired = facts.state is not None and facts.state.legacy_retired
    text = (
        f"{facts.legacy} is retired: there is no way back by itself."
        if retired
        else f"It stays so until a person retires {facts.legacy}."
    )
    return Upcoming("Nothing further", (f"{facts.target} takes all messages. {text}",))


def _locked(facts: Facts) -> Upcoming:
    lock = facts.state.lock if facts.state else None
    if lock is None or lock.until is None:
        downs = facts.state.automatic_downs if facts.state else ()
        lately = sum(facts.at - down < WEEK for down in downs)
        why = f": {lately} automatic moves down within 7 days" if lately > 1 else ""
        return Upcoming(title_of(facts), (f"A person must unlock{why}.",))
    left = formats.duration((lock.until - facts.at).total_seconds())
    text = ("Locked until ", When(lock.until), f" ({left} left).")
    return Upcoming(title_of(facts), text, ("Automation waits for the lock",))


def _trouble(facts: Facts) -> Upcoming:
    reason = facts.monitor.hold_reason if facts.monitor else None
    if reason == HoldReason.NO_WAY_BACK:
        return Upcoming("Automation cannot roll back", (f"{facts.legacy} is not enabled.",))
    if reason == HoldReason.ROLLBACK_WANTED:
        return Upcoming("Automation may not roll back", ("EnableAutomaticRollback is off.",))
    return Upcoming("Automation decides", ("It looks at the outcomes every 10 s.",))


def _no_traffic(facts: Facts) -> Upcoming:
    if facts.state is None or not facts.state.percentage:
        return _usual(facts)
    return Upcoming("Nothing by itself", (f"{facts.target} is not enabled.",))


def _common_trouble(facts: Facts) -> Upcoming:
    return Upcoming(title_of(facts), ("Nothing goes up while both are in trouble.",))


def _hold(facts: Facts) -> Upcoming:
    if who_holds(facts) is not None:
        return Upcoming(title_of(facts), ("Nothing goes up by itself.",))
    return Upcoming(title_of(facts), ("Goes on by itself when it is over.",))


_CARDS: Final[Mapping[Condition, Callable[[Facts], Upcoming]]] = MappingProxyType(
    {
        Condition.LOCKED: _locked,
        Condition.TROUBLE: _trouble,
        Condition.COMMON_TROUBLE: _common_trouble,
        Condition.HOLD: _hold,
        Condition.NO_TRAFFIC: _no_traffic,
    }
)
"""The card by condition; in any other the gates decide."""
