"""Drives the time of a simulated broker by the running loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.torture.simulation.broker.server import Server


class Driver:
    """Calls `Server.tick` whenever something is due.

    Args:
        server: the broker; its clock must run as fast as the loop's.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._handle: asyncio.TimerHandle | None = None
        server.on_due = self._set
        self._set()

    def stop(self) -> None:
        """Let no more time pass."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self) -> None:
        self.stop()
        due_ms = self._server.due_ms
        if due_ms is not None:
            wait_s = max(due_ms - self._server.now_ms(), 0) / 1000
            self._handle = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._server.tick()
        self._set()
