"""The facts of one history, grouped by message."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.torture.judge.facts import (
        Call,
        Command,
        DeadLetter,
        Event,
        Facts,
        LastRecord,
        Report,
    )

T = TypeVar("T", bound=Any)
UNSENT: Final = frozenset({"sms.failed", "sms.expired", "sms.rejected"})
"""Events that promise that no provider took the message."""
DELIVERY: Final = frozenset({"sms.delivered", "sms.undelivered"})
EVENT_OF: Final = {
    "accepted": "sms.sent",
    "failed": "sms.failed",
    "rejected": "sms.rejected",
    "expired": "sms.expired",
    "unknown": "sms.unknown",
}
"""The event of each state in which a record may stay."""


class Seen:
    """Facts by message id.

    Attributes:
        facts: all of them.
        taken: the calls by which a provider took it, in order.
        calls: all calls.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.commands: Mapping[str, Command] = {each.id: each for each in facts.commands}
        self.records: Mapping[str, LastRecord] = {each.message_id: each for each in facts.records}
        self.calls: Mapping[str, list[Call]] = _by_message(facts.calls)
        self.taken: Mapping[str, list[Call]] = _by_message(c for c in facts.calls if c.taken)
        self.events: Mapping[str, list[Event]] = _by_message(facts.events)
        self.dead: Mapping[str, list[DeadLetter]] = _by_message(
            letter for letter in facts.dead if letter.message_id is not None
        )
        self.reports: Mapping[str, list[Report]] = _by_message(facts.reports)

    def names(self, message_id: str) -> set[str]:
        """Names of the events that came for a message."""
        return {event.name for event in self.events.get(message_id, ())}


def _by_message(facts: Iterable[T]) -> dict[str, list[T]]:
    grouped: defaultdict[str, list[T]] = defaultdict(list)
    for fact in facts:
        grouped[fact.message_id].append(fact)
    return dict(grouped)
