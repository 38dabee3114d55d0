"""One task a message id in this process.

Rules: a second delivery of an id waits for the first instead of racing it; nothing here outlives
the task that holds it.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Running:
    """Message ids that a task of this process holds."""

    def __init__(self) -> None:
        self._held: dict[str, asyncio.Event] = {}

    def __contains__(self, message_id: str) -> bool:
        """Whether somebody here holds it."""
        return message_id in self._held

    @contextmanager
    def hold(self, message_id: str) -> Iterator[None]:
        """Hold an id; must be free."""
        self._held[message_id] = done = asyncio.Event()
        try:
            yield
        finally:
            del self._held[message_id]
            done.set()

    async def ended(self, message_id: str) -> None:
        """Wait until nobody holds it."""
        while (held := self._held.get(message_id)) is not None:
            await held.wait()
