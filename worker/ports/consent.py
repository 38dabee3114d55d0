"""Ports for suppressions: recipients who want no messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from worker.domain.messages.consent import Listed, Wish
    from worker.domain.messages.message import (
        Recipient,
    )


class Suppressions(Protocol):
    """The recipients who opted out, and of which senders. The local copy follows every second."""

    def stops(self, recipient_hash: str, senders: frozenset[str]) -> bool:
        """Whether messages to this recipient under these senders are suppressed."""
        ...

    async def record(self, recipient: Recipient, wish: Wish) -> None:
        """Store a wish; known here on return, and on other replicas within a second."""
        ...


class SuppressionBook(Protocol):
    """The suppressions, as people read and change them. Methods raise `StoreUnavailable`."""

    async def read(self, recipient_hash: str) -> tuple[Wish, ...]:
        """The stored wishes of a recipient."""
        ...

    async def recent(self, limit: int) -> list[Listed]:
        """Recipients who opted out, the newest change first."""
        ...

    async def put(self, recipient: Recipient, wish: Wish) -> None:
        """Store a wish; every replica knows it within a second."""
        ...
