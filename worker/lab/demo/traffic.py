"""Publishes steady traffic."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.lab.demo.client import Upstream
    from worker.lab.demo.messages import Planned


_BEHIND_S: Final = 2.0


class Traffic:
    """Publishes at a steady rate until stopped, and less while the system is two seconds behind.

    So a slow machine gets less traffic, and the waiting that is measured is not that of a queue
    which only grows.
    """

    def __init__(self, upstream: Upstream, planned: Iterator[Planned], rate_per_s: float) -> None:
        self.upstream = upstream
        self._every_s = 1 / rate_per_s
        self._most_unsettled = rate_per_s * _BEHIND_S
        self.planned = planned
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="traffic")

    def check(self) -> None:
        """Raise the error that ended the traffic, if there is one."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop. All published messages are confirmed then. Idempotent."""
        self._ended.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            if len(self.upstream.unsettled) < self._most_unsettled:
                await self.upstream.publish(next(self.planned))
            due = max(due + self._every_s, time.monotonic() - 1.0)  # no burst after a stall
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await self._ended.wait()
