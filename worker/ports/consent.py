"""Who wants no messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from worker.domain.messages.consent import Listed, Wish
    from worker.domain.messages.message import (
        Recipient,
    )


class Suppressions(Protocol):
    """Recipients who opted out, and of what; known locally, followed every second."""

    def stops(self, recipient_hash: str, senders: frozenset[str]) -> bool:
        """Whether no provider may be asked to send to this recipient under these senders."""
        ...

    async def record(self, recipient: Recipient, wish: Wish) -> None:
        """Record a wish durably; known here when it returns, elsewhere within a second."""
        ...


class SuppressionBook(Protocol):
    """The same list for people. Methods raise `StoreUnavailable`."""

    async def read(self, recipient_hash: str) -> tuple[Wish, ...]:
        """What a recipient wants, as on record."""
        ...

    async def recent(self, limit: int) -> list[Listed]:
        """Who wants no messages, the newest change first."""
        ...

    async def put(self, recipient: Recipient, wish: Wish) -> None:
        """Record a wish; every replica knows it within a second."""
        ...
