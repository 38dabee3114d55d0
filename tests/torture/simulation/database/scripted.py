"""A wire that loses what a test says, and clients with other options than the worker's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.torture.simulation.database.client import Client
from tests.torture.simulation.wire import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.database.server import Server
    from tests.torture.simulation.wire import Wire

OPTIONS = {
    "w": "majority",
    "journal": True,
    "readConcernLevel": "majority",
    "readPreference": "primary",
    "retryWrites": True,
    "retryReads": True,
    "timeoutMS": 200,
    "tz_aware": True,
}


def things_with(server: Server, wire: Wire, **options: Any) -> Any:
    return Client(server, wire, "mongodb://simulated", **OPTIONS | options)["sms"]["things"]


@dataclass
class Script:
    """A wire that loses as many requests or replies of a name as is said."""

    lose_reply: dict[str, int] = field(default_factory=dict)
    lose_request: dict[str, int] = field(default_factory=dict)
    before: Callable[[], Any] = lambda: None
    """Called before each call is applied."""
    names: list[str] = field(default_factory=list)
    waits: bool = False
    """Whether a loss is noticed only when the time is over."""

    async def call(self, name: str, apply: Callable[[], Any], *, within_s: float = 10.0) -> Any:
        self.names.append(name)
        self.before()
        if self._takes(self.lose_request, name):
            await self._lose(within_s)
        done = apply()
        if self._takes(self.lose_reply, name):
            await self._lose(within_s)
        return done

    def push(self, deliver: Callable[[], None]) -> None:
        raise NotImplementedError(deliver)

    async def _lose(self, within_s: float) -> None:
        if self.waits:
            await asyncio.sleep(within_s)
        raise Lost

    def _takes(self, losses: dict[str, int], name: str) -> bool:
        left = losses.get(name, 0)
        losses[name] = left - 1
        return left > 0
