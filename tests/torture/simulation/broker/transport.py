"""The part of a connection that says whether the broker reads from it."""

from __future__ import annotations

import asyncio


class Transport:
    """What `BrokerConnection` asks whether the broker blocks the connection."""

    def __init__(self) -> None:
        self.connection = self
        self.is_closed = False
        """Whether the connection is closed or lost."""
        self._unblocked = asyncio.Event()
        self._unblocked.set()

    def block(self, *, on: bool) -> None:
        """Know whether the broker reads."""
        if on:
            self._unblocked.clear()
        else:
            self._unblocked.set()

    async def ready(self) -> None:
        """Wait until the broker reads."""
        await self._unblocked.wait()
