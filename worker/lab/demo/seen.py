"""The facts of the demo, by message."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from worker.lab.demo.facts import SENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.lab.demo.facts import Facts, Told


class Seen:
    """The facts, by message."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.published = {each.id: each for each in facts.published}
        self.taken: dict[str, list[str]] = defaultdict(list)
        for entry in sorted(facts.taken, key=lambda entry: entry.at):
            self.taken[entry.id].append(entry.provider)
        self.told: dict[str, list[Told]] = defaultdict(list)
        for event in facts.told:
            self.told[event.id].append(event)

    def events(self, message_id: str) -> set[str]:
        """Names of the events of a message."""
        return {each.event for each in self.told.get(message_id, ())}

    def sent_ids(self, message_id: str) -> set[str]:
        """Ids of its `sms.sent` events, without repeats."""
        return {each.event_id for each in self.told.get(message_id, ()) if each.event == SENT}

    def ids(self, holds: Callable[[str], bool]) -> tuple[str, ...]:
        """Published messages for which a condition holds, in the order of publishing."""
        return tuple(each for each in self.published if holds(each))

    def lane(self, lane: str) -> Callable[[str], bool]:
        """Whether a message went through this lane."""
        return lambda message_id: self.published[message_id].lane == lane

    def marked(self, message_id: str) -> bool:
        """Whether an event said that the message may have arrived twice."""
        return any(each.possible_duplicate for each in self.told.get(message_id, ()))
