"""A wire that loses what it is told to, with the words of `integration.broker_proxy`."""

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
        self._swallows = False
        self._reset = asyncio.Event()
        self._confirms_to_lose = 0
        self.lost = 0
        """Replies that were lost on purpose."""
        self.connections = 0
        """How often a client has connected."""
        self.has_kept_a_publish = False
        """Whether a publish was taken and not passed on."""

    def lose_confirms(self, count: int) -> None:
        """Let so many publishes reach the broker, but not their confirms."""
        self._confirms_to_lose = count

    def swallow(self) -> None:
        """Take what clients send and pass nothing on."""
        self._swallows = True

    def heal(self) -> None:
        """Pass everything on again; what was swallowed never comes."""
        self._swallows = False
        self.cut()

    def cut(self) -> None:
        """Close every connection."""
        self._reset.set()
        self._reset = asyncio.Event()
        for session in [each for each in self._server.sessions if each.origin is self]:
            session.end()
            client: Any = session.client
            asyncio.get_running_loop().call_soon(client.lose)

    reset = cut

    async def call(self, name: str, apply: Callable[[], T], *, within_s: float = 10.0) -> T:
        """See `Wire.call`."""
        self.connections += name == "broker.open"
        await asyncio.sleep(0)
        if self._swallows:
            self.has_kept_a_publish |= name.startswith("broker.publish")
            await self._until_reset(within_s)
            raise Lost
        reply = apply()
        await asyncio.sleep(0)
        if self._confirms_to_lose and name.startswith("broker.publish"):
            self._confirms_to_lose -= 1
            self.lost += 1
            self.cut()
            raise Lost
        return reply

    async def _until_reset(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._reset.wait()
        except TimeoutError:
            raise Lost from None

    def push(self, name: str, deliver: Callable[[], None], lost: Callable[[], None]) -> None:
        """See `Wire.push`."""
        del name, lost
        if not self._swallows:
            asyncio.get_running_loop().call_soon(deliver)
