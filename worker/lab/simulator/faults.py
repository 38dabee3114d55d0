"""A fault script in force: which request gets which treatment, decided without any I/O.

Rules: rules are tried in order and the first that applies decides alone; no rule: a plain answer.
All chance comes from one seeded generator, and only a rule whose patterns fit draws from it, so
the same script over the same requests does the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from worker.lab.simulator.script import Action, Do, Match, Rule, Script

_BLIND: Final = frozenset({Do.CLOSE_BEFORE_READING, Do.UNREACHABLE})
"""Decided without a request."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One SMS as the rules see it."""

    to: str
    text: str
    kept_alive: bool = False


def fits(match: Match, ask: Ask) -> bool:
    """Whether a request looks like what a rule is for, counts and chance aside."""
    return (
        (match.to_regex is None or match.to_regex.search(ask.to) is not None)
        and (match.text_regex is None or match.text_regex.search(ask.text) is not None)
        and (match.kept_alive is None or match.kept_alive == ask.kept_alive)
    )


PLAIN: Final = Action()
"""What happens where no rule applies."""


@dataclass(slots=True)
class Counted:
    """A rule with its history."""

    rule: Rule
    seen: int = 0
    """Requests that fulfilled its patterns."""
    hits: int = 0
    """Requests it was applied to."""

    @property
    def does(self) -> Do:
        """What it does, or may do first of several."""
        return self.rule.actions()[0].do

    def applies(self, chance: random.Random) -> bool:
        """Whether the rule is for this request, one that its patterns fit; counts it."""
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
    """Used where the script brings none."""
    rules: list[Counted] = field(init=False)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        seed = self.seed if self.script.seed is None else self.script.seed
        self.chance = random.Random(seed)  # noqa: S311  repeatable chance is the point
        self.rules = [Counted(rule) for rule in self.script.rules]

    def choose(self, ask: Ask) -> Action:
        """What happens to a request that was read."""
        for each in self.rules:
            if each.does not in _BLIND and fits(each.rule.match, ask) and each.applies(self.chance):
                return each.rule.pick(self.chance)
        return PLAIN

    def closes_connection(self) -> bool:
        """Whether a connection that was just accepted is closed unread."""
        return any(
            each.applies(self.chance) for each in self.rules if each.does is Do.CLOSE_BEFORE_READING
        )

    def unreachable(self) -> Action | None:
        """The action that keeps everybody out, if the script has one."""
        for each in self.rules:
            if each.does is Do.UNREACHABLE:
                return each.rule.actions()[0]
        return None
