"""Sends callbacks to the customer: delivery reports and opt-outs.

Rules: the callbacks of one SMS are sent one after the other, in the given order. Any 2xx ends one.
After any other answer it is tried again after each of the pauses, and then given up. Callbacks that
still wait when the simulator stops are dropped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from worker.service import cancel_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.lab.simulator.wire import Callback

RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses between tries."""
_TIMEOUT_S: Final = 10.0
_CONNECTIONS: Final = 32


class Reporter:
    """Sends callbacks.

    `counts` has the numbers of callbacks `scheduled`, `delivered`, `retried` and `given_up`.
    """

    def __init__(self, retry_s: Sequence[float] = RETRY_S) -> None:
        self.counts: Counter[str] = Counter()
        self._retry_s = tuple(retry_s)
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Become ready to send."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """Drop waiting callbacks. Idempotent."""
        await cancel_all(self._tasks)
        if self._http is not None:
            await self._http.close()
            self._http = None

    def schedule(self, callbacks: Sequence[Callback], delay_s: float) -> None:
        """Send callbacks in order, each after its wait."""
        if not callbacks:
            return
        self._spawn(callbacks, delay_s)

    async def now(self, callback: Callback) -> None:
        """Send one callback; returns when it is delivered or given up.

        A caller that is cancelled, because its client went away, does not cancel the callback.
        """
        await asyncio.shield(self._spawn([callback], 0.0))

    def _spawn(self, callbacks: Sequence[Callback], delay_s: float) -> asyncio.Task[None]:
        self.counts["scheduled"] += len(callbacks)
        task = asyncio.get_running_loop().create_task(self._later(callbacks, delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settled(self, within_s: float = 10.0) -> None:
        """Wait until no callback is waiting.

        Raises:
            TimeoutError: a callback is still waiting.
        """
        async with asyncio.timeout(within_s):
            while self._tasks:
                await asyncio.wait(self._tasks)

    def summary(self) -> dict[str, int]:
        """The counts, with the number `pending`, as the control endpoint returns them."""
        names = ("scheduled", "delivered", "retried", "given_up")
        counts = {name: self.counts[name] for name in names}
        return {**counts, "pending": self.counts["scheduled"] - self._ended()}

    def _ended(self) -> int:
        return self.counts["delivered"] + self.counts["given_up"]

    async def _later(self, callbacks: Sequence[Callback], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        for callback in callbacks:
            await self._deliver(callback)

    async def _deliver(self, callback: Callback) -> None:
        for pause in self._retry_s:
            if await self._try(callback):
                self.counts["delivered"] += 1
                return
            self.counts["retried"] += 1
            await asyncio.sleep(pause)
        self.counts["delivered" if await self._try(callback) else "given_up"] += 1

    async def _try(self, callback: Callback) -> bool:
        if self._http is None:
            return False
        headers = {"Content-Type": callback.content_type} if callback.content_type else {}
        try:
            async with self._http.request(
                callback.method,
                URL(callback.url, encoded=True),
                data=callback.body or None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                await response.read()
                return response.ok and response.status < 300  # noqa: PLR2004  2xx
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return (
                False  # an unreachable, broken or missing address is tried again like a bad answer
            )
