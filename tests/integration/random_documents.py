"""Random documents of the shapes that the stores use. They depend on the seed alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from bson import Decimal128, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Document = dict[str, Any]

_EPOCH: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_KINDS: Final[dict[str, Callable[[Random], Any]]] = {
    "word": lambda r: r.choice(["waiting", "unknown", "accepted", "", "z"]),
    "number": lambda r: r.choice([-7, 0, 1, 2, 3, 2**31, 2**40, 0.5, 2.0]),
    "date": lambda r: _EPOCH + timedelta(milliseconds=r.choice([0, 1, 999, 86_400_000])),
    "timestamp": lambda r: Timestamp(1_772_000_000 + r.randrange(3), r.randrange(1, 3)),
    "flag": lambda r: r.choice([True, False]),
    "sum": lambda r: r.choice([1, 5, Decimal128("0.10"), Decimal128("2.4000")]),
    "null": lambda _: None,
    "object": lambda r: r.choice([{}, {"deep": 1}, {"deep": {"er": "x"}}, {"a": 1, "b": 2}]),
}
FIELDS: Final = {
    "state": "word",
    "token": "word",
    "epoch": "number",
    "round": "number",
    "leaseMs": "number",
    "at": "date",
    "expireAt": "date",
    "claimedAt": "timestamp",
    "open": "flag",
    "to.hash": "word",
    "seen.a": "date",
    "seen.b": "date",
    "attempts.1.ended": "word",
    "attempts.1.delivery.rank": "number",
    "attempts.2.ended": "word",
    "attempts.10.ended": "word",
    "counts.accepted": "sum",
    "counts.cost": "sum",
    "told": "object",
    "mixed": "null",
}
"""Paths and what they usually hold. Documents have most of them, in an order of their own."""
LISTS: Final = ("refs", "unconfirmed")
NUMBERS: Final = ("epoch", "round", "leaseMs", "attempts.1.delivery.rank")
DATES: Final = ("at", "expireAt", "seen.a")
_COMPUTED: Final = (*NUMBERS, *DATES, "claimedAt", "counts.cost")
"""Paths that expressions compute with. Nothing else stands there, so that none is refused: in what
order a server evaluates, and so whether it meets what it refuses, is its own affair."""


class Documents:
    """Draws documents and values."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def document(self, ident: str) -> Document:
        """A document that may lack some fields."""
        document: Document = {"_id": ident}
        for path in self.random.sample(list(FIELDS), 15):
            _put(document, path, self.value(path))
        for name in LISTS:
            if self.one_in(1.3):
                document[name] = self.words()
        if self.one_in(2):
            senders = self.words()
            document["wishes"] = [{"sender": s, "stopped": self.one_in(2)} for s in senders]
        return document

    def value(self, path: str) -> Any:
        """A value as usual at a path, or any other."""
        kind = FIELDS.get(path, "word")
        if path in _COMPUTED:
            kind = self.random.choice([kind, kind, kind, "null"])
        elif self.one_in(5) or path == "mixed":
            kind = self.random.choice(list(_KINDS))
        return _KINDS[kind](self.random)

    def words(self) -> list[str]:
        """Some words, some of them twice."""
        return [self.random.choice(["a", "b", "c"]) for _ in range(self.random.randrange(4))]

    def one_in(self, count: float) -> bool:
        """Whether the one case in so many is drawn."""
        return self.random.random() < 1 / count


def _put(document: Document, path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for name in parents:
        document = document.setdefault(name, {})
    document[leaf] = value
