"""Allows one task for each message id in this process.

Rules: a second delivery of an id waits until the first is done. An id is free again when its task
ends.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Running:
    """The message ids that tasks of this process work on."""

    def __init__(self) -> None:
        self._held: dict[str, asyncio.Event] = {}

    def __contains__(self, message_id: str) -> bool:
        """Whether a task of this process works on it."""
        return message_id in self._held

    @contextmanager
    def hold(self, message_id: str) -> Iterator[None]:
        """Reserve an id, which must be free, for the duration of the block."""
        self._held[message_id] = done = asyncio.Event()
        try:
            yield
        finally:
            del self._held[message_id]
            done.set()

    async def ended(self, message_id: str) -> None:
        """Wait until the id is free."""
        while (held := self._held.get(message_id)) is not None:
            await held.wait()
