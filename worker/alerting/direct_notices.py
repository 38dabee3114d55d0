"""What this replica told people of by itself, because the store was away.

Rules: it is noted before it is sent, for it may be recorded while it is being sent; what reached
nobody is taken back. The recorder says so in the book of alerts, and then forgets it.
"""

from __future__ import annotations


class DirectNotices:
    """Ids of alerts that people were told of without the book."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def __contains__(self, ident: object) -> bool:
        return ident in self._ids

    def note(self, ident: str) -> None:
        """People are being told."""
        self._ids.add(ident)

    def take_back(self, ident: str) -> None:
        """Nobody could be reached."""
        self._ids.discard(ident)

    def forget(self) -> None:
        """The book has all of them."""
        self._ids.clear()
