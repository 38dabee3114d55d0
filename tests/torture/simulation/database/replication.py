"""The log of writes, and how far each part of a replica set has it.

    primary      has every write at once; compare-and-sets and unique keys see it
    a majority   has the writes up to `commit`; reads of concern `majority` see it
    a secondary  has the writes up to `catch_up`, which are a part of those of a majority

Rules:
- Unless `holds_commits` is set, a majority has each write at once.
- `fail_over` removes the writes that no majority has, except for as many of the oldest as the new
  primary had. The term rises, so that a write of an earlier term is never acknowledged.
- The order of documents after a rollback is not that of before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.torture.simulation.database.errors import NotPrimary
from tests.torture.simulation.database.indexes import Indexes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.torture.simulation.database.values import Document


class Collection:
    """The documents of one collection, by id."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.indexes = Indexes(namespace)
        self.newest: dict[Any, Document] = {}
        self.committed: dict[Any, Document] = {}
        self.of_secondary: dict[Any, Document] = {}


class _Entry(NamedTuple):
    collection: Collection
    ident: Any
    after: Document | None


class Replication:
    """A primary and its secondaries."""

    def __init__(self) -> None:
        self.holds_commits = False
        """Whether writes wait until `commit` or `acknowledge`, so that a failover can undo them."""
        self.term = 1
        self._log: list[_Entry] = []
        self._committed = 0
        self._dropped = 0
        """Entries that everyone has, and that are no longer in the log."""

    @property
    def position(self) -> int:
        """The number of writes so far."""
        return self._dropped + len(self._log)

    def write(self, collection: Collection, ident: Any, after: Document | None) -> None:
        """Apply a write on the primary; None removes the document."""
        before = collection.newest.get(ident)
        collection.indexes.change(before, after)
        _apply(collection.newest, ident, after)
        self._log.append(_Entry(collection, ident, after))
        if not self.holds_commits:
            self.commit()

    def is_committed(self, position: int) -> bool:
        """Whether a majority has all writes up to a position."""
        return position <= self._committed

    def commit(self, upto: int | None = None) -> None:
        """A majority gets all writes, or those up to a position."""
        end = self.position if upto is None else min(upto, self.position)
        for entry in self._log[self._committed - self._dropped : end - self._dropped]:
            _apply(entry.collection.committed, entry.ident, entry.after)
        self._committed = max(self._committed, end)

    def acknowledge(self, term: int, position: int) -> None:
        """A majority gets the writes up to a position, unless the primary has changed since.

        Raises:
            NotPrimary: it has; whether the writes stayed is not known.
        """
        if term != self.term:
            raise NotPrimary
        self.commit(position)

    def catch_up(self) -> None:
        """The secondaries get all that a majority has."""
        count = self._committed - self._dropped
        for entry in self._log[:count]:
            _apply(entry.collection.of_secondary, entry.ident, entry.after)
        del self._log[:count]
        self._dropped = self._committed

    def fail_over(self, keeping: int = 0) -> int:
        """Another member becomes primary, with this many of the writes that no majority has.

        Returns:
            The position after the last write that stayed.
        """
        self.term += 1
        self.commit(self._committed + keeping)
        undone = self._log[self._committed - self._dropped :]
        del self._log[self._committed - self._dropped :]
        for entry in reversed(undone):
            collection, ident = entry.collection, entry.ident
            stays = collection.committed.get(ident)
            collection.indexes.change(collection.newest.get(ident), stays)
            _apply(collection.newest, ident, stays)
        return self._committed


def _apply(documents: dict[Any, Document], ident: Any, after: Document | None) -> None:
    if after is None:
        documents.pop(ident, None)
    else:
        documents[ident] = after


def view(collection: Collection, *, concern: str, secondary: bool) -> Mapping[Any, Document]:
    """The documents that a read sees."""
    if secondary:
        return collection.of_secondary
    return collection.committed if concern == "majority" else collection.newest
