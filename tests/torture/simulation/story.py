"""Tells a history as a person can read it: what befell whom, and what became of each message.

Rules: it is told from what the servers have, not from what a worker says. A line is written when
something has changed: a record, a queue that a message lies in, a provider's journal, an event, the
control log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.torture.simulation import collected
from tests.torture.simulation.clocks import BEGAN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.torture.simulation.world import World


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened."""

    at: float
    """Seconds from the beginning."""
    who: str
    what: str
    about: str | None = None
    """The message that it is about; None: all of them."""

    def __str__(self) -> str:
        """In one line."""
        return f"{self.at:9.3f}  {self.who:<14} {self.what}"


class Story:
    """A `Teller` that keeps lines."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._known: dict[tuple[str, str], str] = {}
        self._counts = {"calls": 0, "events": 0, "entries": 0}

    def befell(self, world: World, what: str) -> None:
        """See `Teller.befell`."""
        self.lines.append(Line(_at(world), "FAULT", what))

    def did(self, world: World, who: str, name: str) -> None:
        """See `Teller.did`."""
        for about, what in self._changes(world):
            self.lines.append(Line(_at(world), who, f"{what}   [{name}]", about))

    def about(self, messages: Collection[str]) -> Iterator[str]:
        """The lines that concern these messages, or everybody."""
        for line in self.lines:
            if line.about is None or line.about in messages:
                yield str(line)

    def _changes(self, world: World) -> Iterator[tuple[str | None, str]]:
        for document in collected.documents(world, "messages"):
            yield from self._changed("record", document["_id"], _of_record(document))
        for queue, ids in collected.queued(world).items():
            for ident in dict.fromkeys(ids):
                yield from self._changed(f"in {queue}", ident, f"in {queue}")
        calls = [call for account in world.accounts.values() for call in account.journal]
        for call in self._new("calls", sorted(calls, key=lambda call: call.at)):
            verb = "takes" if call.taken else "does not take"
            yield call.message_id, f"{call.provider} {verb} {call.message_id}"
        for event in self._new("events", world.outside.events):
            yield event.message_id, f"event {event.name} of {event.message_id}"
        entries = list(collected.documents(world, "control_log"))
        for entry in self._new("entries", entries):
            after = f"{entry['after']['phase']} {entry['after']['percentage']} %"
            yield (
                None,
                f"{entry['command']['name']} by {entry['user']}: {entry['verdict']}, {after}",
            )

    def _changed(self, kind: str, ident: str, what: str) -> Iterator[tuple[str, str]]:
        if self._known.get((kind, ident)) != what:
            self._known[kind, ident] = what
            yield ident, f"{ident}: {what}"

    def _new(self, kind: str, things: list[Any]) -> list[Any]:
        count, self._counts[kind] = self._counts[kind], len(things)
        return things[count:]


def _at(world: World) -> float:
    return world.clock.seconds() - BEGAN.timestamp()


def _of_record(document: dict[str, Any]) -> str:
    attempts = ", ".join(f"{n} {_of_attempt(each)}" for n, each in document["attempts"].items())
    told = f", {len(document['unconfirmed'])} events to confirm" if document["unconfirmed"] else ""
    return f"record {document['state']}, round {document['round']}, attempts [{attempts}]{told}"


def _of_attempt(attempt: dict[str, Any]) -> str:
    delivery = attempt.get("delivery", {}).get("state", "")
    return f"{attempt['provider']} {attempt.get('result', 'under way')} {delivery}".rstrip()
