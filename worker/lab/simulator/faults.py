"""Applies a fault script: decides without I/O which action each request gets.

Rules: rules are tried in order, and only the first that applies decides. Without one, the answer is
plain. All random numbers come from one seeded generator, and only a rule with matching patterns
uses it. So the same script does the same for the same requests.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from worker.lab.simulator.script import Action, Do, Match, Rule, Script

_BLIND: Final = frozenset({Do.CLOSE_BEFORE_READING, Do.UNREACHABLE})
"""Actions that are decided before a request is read."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One SMS, with the fields that rules use."""

    to: str
    text: str
    kept_alive: bool = False


def fits(match: Match, ask: Ask) -> bool:
    """Whether a request matches the patterns of a rule, without its counts and chance."""
    return (
        (match.to_regex is None or match.to_regex.search(ask.to) is not None)
        and (match.text_regex is None or match.text_regex.search(ask.text) is not None)
        and (match.kept_alive is None or match.kept_alive == ask.kept_alive)
    )


PLAIN: Final = Action()
"""The action if no rule applies."""


@dataclass(slots=True)
class Counted:
    """A rule with its counts."""

    rule: Rule
    seen: int = 0
    """Number of requests that matched its patterns."""
    hits: int = 0
    """Number of requests to which it was applied."""

    @property
    def does(self) -> Do:
        """Its action, or the first of several possible ones."""
        return self.rule.actions()[0].do

    def applies(self, chance: random.Random) -> bool:
        """Whether the rule applies to this request, which matches its patterns. Counts it."""
        self.seen += 1
        match = self.rule.match
        if self.seen <= match.after or self.hits == match.first:
            return False
        if match.rate < 1.0 and chance.random() >= match.rate:
            return False
        self.hits += 1
        return True


@dataclass(slots=True)
class Faults:
    """A script in force."""

    script: Script = field(default_factory=Script)
    seed: int = 0
    """Used if the script has none."""
    rules: list[Counted] = field(init=False)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        seed = self.seed if self.script.seed is None else self.script.seed
        self.chance = random.Random(seed)  # noqa: S311  chance must be repeatable
        self.rules = [Counted(rule) for rule in self.script.rules]

    def choose(self, ask: Ask) -> Action:
        """Choose the action for a request that was read."""
        for each in self.rules:
            if each.does not in _BLIND and fits(each.rule.match, ask) and each.applies(self.chance):
                return each.rule.pick(self.chance)
        return PLAIN

    def closes_connection(self) -> bool:
        """Whether a new connection is closed without reading."""
        return any(
            each.applies(self.chance) for each in self.rules if each.does is Do.CLOSE_BEFORE_READING
        )

    def unreachable(self) -> Action | None:
        """The action that refuses all connections, if the script has one."""
        for each in self.rules:
            if each.does is Do.UNREACHABLE:
                return each.rule.actions()[0]
        return None
