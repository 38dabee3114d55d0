"""A wire that loses what it is told to, with the words of `tests.support.proxy.BrokerProxy`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from tests.torture.simulation.wire import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.server import Server

T = TypeVar("T")


class FaultyWire:
    """A wire to a broker."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cuts = asyncio.Event()
        self.stalled = False
        """Pass nothing on."""
        self.lost = 0
        """Replies that were lost on purpose."""
        self.connections = 0
        """How often a client has connected."""
        self.has_kept_a_publish = False
        """Whether a publish was taken and not passed on."""
        self._confirms_to_lose = 0

    def lose_confirms(self, count: int) -> None:
        """Let so many publishes reach the broker, but not their confirms."""
        self._confirms_to_lose = count

    def cut(self) -> None:
        """End every connection."""
        self._cuts.set()
        self._cuts = asyncio.Event()
        for session in [each for each in self._server.sessions if each.origin is self]:
            session.end()
            client: Any = session.client
            asyncio.get_running_loop().call_soon(client.lose)

    async def call(self, name: str, apply: Callable[[], T], *, within_s: float = 10.0) -> T:
        """See `Wire.call`."""
        self.connections += name == "broker.open"
        await asyncio.sleep(0)
        if self.stalled:
            self.has_kept_a_publish |= name.startswith("broker.publish")
            await self._cut(within_s)
        reply = apply()
        await asyncio.sleep(0)
        if self._confirms_to_lose and name.startswith("broker.publish"):
            self._confirms_to_lose -= 1
            self.lost += 1
            self.cut()
            raise Lost
        return reply

    async def _cut(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._cuts.wait()
        except TimeoutError:
            raise Lost from None
        raise Lost

    def push(self, name: str, deliver: Callable[[], None], lost: Callable[[], None]) -> None:
        """See `Wire.push`."""
        del name, lost
        if not self.stalled:
            asyncio.get_running_loop().call_soon(deliver)
