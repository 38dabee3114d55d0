"""Exchanges and their bindings.

Rules: where a key leads is looked up once and then remembered, until a binding of the exchange
changes. A copy of an exchange shares what it remembers with the original until then. Bindings keep
the order in which they were made.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tests.torture.simulation.broker.refusals import NotSimulated

TOPIC: Final = "topic"


class Exchange:
    """An exchange; one that is not of type topic routes nothing here.

    Args:
        name: its name.
        kind: its type.
        alternate: name of the exchange that gets what no binding matches.
    """

    __slots__ = ("alternate", "bindings", "kind", "name", "routes")

    def __init__(self, name: str, kind: str, alternate: str | None) -> None:
        self.name = name
        self.kind = kind
        self.alternate = alternate
        self.bindings: tuple[tuple[str, str], ...] = ()
        """Pattern and queue."""
        self.routes: dict[str, tuple[str, ...]] = {}

    def copy(self) -> Exchange:
        """Return an exchange with the same bindings."""
        made = Exchange(self.name, self.kind, self.alternate)
        made.bindings = self.bindings
        made.routes = self.routes
        return made

    def route(self, key: str) -> tuple[str, ...]:
        """Return the names of the queues that a key leads to, each once."""
        found = self.routes.get(key)
        if found is None:
            self._must_be_simulated()
            queues = [queue for pattern, queue in self.bindings if matches(pattern, key)]
            found = self.routes[key] = tuple(dict.fromkeys(queues))
        return found

    def bind(self, queue: str, pattern: str) -> None:
        """Let messages with a matching key go to `queue`. Idempotent."""
        self._must_be_simulated()
        if (pattern, queue) not in self.bindings:
            self._change((*self.bindings, (pattern, queue)))

    def unbind(self, queue: str, pattern: str | None = None) -> None:
        """Undo `bind`; without a pattern every binding of that queue."""
        kept = tuple(
            (each, name)
            for each, name in self.bindings
            if name != queue or pattern not in {None, each}
        )
        if kept != self.bindings:
            self._change(kept)

    def _must_be_simulated(self) -> None:
        if self.kind != TOPIC:
            raise NotSimulated(f"exchange type {self.kind}")

    def _change(self, bindings: tuple[tuple[str, str], ...]) -> None:
        self.bindings = bindings
        self.routes = {}


@lru_cache(maxsize=4096)
def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern matches a key: `*` is one word, `#` any number of them."""
    return _match(_words(pattern), _words(key))


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    if not words or pattern[0] not in {"*", words[0]}:
        return False
    return _match(pattern[1:], words[1:])
