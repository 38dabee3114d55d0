"""The faults of a network, each on each link of a worker: one table.

Rules: a fault comes and goes within the block of its context manager. Only a fault between worker
and provider can leave a message `unknown`, because only there a call may be under way whose answer
is lost; on every other link the worker has to find out.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.support.proxy import Stall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from tests.support.proxy import Proxy
    from tests.torture.network.behind_proxies import Network

FOR_S: Final = 2.0


@dataclass(frozen=True)
class Link:
    """A way of the workers to somebody else."""

    to: str
    """Which proxy lies on it."""
    only: bytes = b""
    """What the connections concerned begin with; empty: all."""


LINKS: Final[Mapping[str, Link]] = {"store": Link("store")}


@asynccontextmanager
async def stalled(proxy: Proxy) -> AsyncIterator[None]:
    """Nothing passes, and later all of it."""
    proxy.requests.put(Stall())
    proxy.replies.put(Stall())
    yield


FAULTS: Final[Mapping[str, Callable[[Proxy], AbstractAsyncContextManager[None]]]] = {
    "stalled": stalled
}


@asynccontextmanager
async def inflicted(network: Network, link: str, fault: str) -> AsyncIterator[None]:
    """Have this fault on this link within the block."""
    proxy = network.proxies[LINKS[link].to]
    proxy.only = LINKS[link].only
    try:
        async with FAULTS[fault](proxy):
            yield
    finally:
        proxy.heal()
        proxy.only = b""
