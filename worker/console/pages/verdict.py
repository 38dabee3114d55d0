"""The card "Is it healthy?": one verdict, and one sentence with value, bound and sample."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.console import formats
from worker.console.known import OLD_S
from worker.console.pages.condition import Condition
from worker.console.pages.parts import LOOKED, Age, Tone
from worker.console.pages.verdict_texts import TEXTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.console.pages.facts import Facts
    from worker.console.pages.parts import Line

_HELD: Final = re.compile(r"(?P<who>\S+) \([a-z-]+ at .+?\): (?P<why>.+)", re.DOTALL)
_OK, _WARN, _BAD, _UNKNOWN = Tone.OK, Tone.WARN, Tone.BAD, Tone.UNKNOWN
_TITLES: Final[Mapping[Condition, tuple[Tone, str, str]]] = MappingProxyType(
    {
        Condition.BROKER_AWAY: (_UNKNOWN, "?", "Not known"),
        Condition.LOGIN_REFUSED: (_UNKNOWN, "?", "Not known"),
        Condition.NO_WORKER: (_UNKNOWN, "?", "No worker answers"),
        Condition.NO_ANSWER_YET: (_UNKNOWN, "?", "Not known"),
        Condition.STORE_AWAY: (_UNKNOWN, "?", "Store away"),
        Condition.STALE: (_UNKNOWN, "?", "Not known"),
        Condition.LOCKED: (_BAD, "!", "Rolled back, locked"),
        Condition.TROUBLE: (_BAD, "!", "{target} in trouble"),
        Condition.COMMON_TROUBLE: (_WARN, "‖", "Both providers in trouble"),
        Condition.HOLD: (_WARN, "‖", "Automation holds"),
        Condition.NOT_STARTED: (_UNKNOWN, "i", "Not started"),
        Condition.ROLLED_BACK: (_UNKNOWN, "i", "Rolled back"),
        Condition.NO_TRAFFIC: (_UNKNOWN, "i", "No traffic"),
        Condition.BLIND: (_UNKNOWN, "?", "Not known"),
        Condition.SUSPECT: (_WARN, "?", "Too early to say"),
        Condition.TOO_EARLY: (_UNKNOWN, "?", "Too early to say"),
        Condition.SHORT: (_WARN, "▲", "Not good enough yet"),
        Condition.HEALTHY: (_OK, "✓", "Healthy"),
    }
)
"""Tone, icon and title by condition."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The card."""

    tone: Tone
    icon: str
    title: str
    text: Line
    looked: Age | None
    """When the monitor looked; None: never, or not known."""
    held: str
    """That a person holds automation; empty: nobody does."""
    is_old: bool
    """Whether it is drawn as old."""


def verdict(facts: Facts, condition: Condition) -> Verdict:
    """The verdict of a condition."""
    tone, icon, title = _TITLES[condition]
    if condition is Condition.LOCKED and facts.share:
        title = "Stepped back, locked"
    told = facts.known.status
    return Verdict(
        tone=tone,
        icon=icon,
        title=title.format(target=facts.target),
        text=TEXTS[condition](facts),
        looked=_looked(facts) if condition.is_known else None,
        held=_held(facts) if condition.is_known else "",
        is_old=not condition.is_known or told is None or facts.known.age(told) > OLD_S,
    )


def _looked(facts: Facts) -> Age | None:
    at = facts.looked_at
    return Age(LOOKED, formats.age((facts.at - at).total_seconds())) if at else None


def who_holds(facts: Facts) -> tuple[str, str] | None:
    """The person who holds automation, empty if not known, and why; None: nobody does."""
    state = facts.state
    if state is None or not state.held:
        return None
    why = state.held_reason or ""
    match = _HELD.fullmatch(why)
    return (match["who"], match["why"]) if match else ("", why)


def _held(facts: Facts) -> str:
    held = who_holds(facts)
    if held is None:
        return ""
    who, why = held
    return f"Automation holds: {who}, “{why}”" if who else f"Automation holds: {why}"
