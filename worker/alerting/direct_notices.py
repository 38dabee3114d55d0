"""Remembers the alerts that this replica sent to people while the store was unavailable.

Rules: an id is noted before the notice is sent, because the alert may be recorded meanwhile. If
the notice reaches nobody, the id is taken back. The recorder marks these alerts as sent in the book
of alerts, then forgets the ids.
"""

from __future__ import annotations


class DirectNotices:
    """Ids of alerts that were sent to people without the book."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def __contains__(self, ident: object) -> bool:
        return ident in self._ids

    def note(self, ident: str) -> None:
        """Note that a notice is about to be sent."""
        self._ids.add(ident)

    def take_back(self, ident: str) -> None:
        """Remove an id, because the notice reached nobody."""
        self._ids.discard(ident)

    def forget(self) -> None:
        """Forget all ids, because the book has them now."""
        self._ids.clear()
