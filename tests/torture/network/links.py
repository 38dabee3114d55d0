"""Every fault of a network on every link of the workers.

Rules: each link has each fault, for `FOR_S`. What is random is seeded.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Final

from tests.support.proxy import CutAfter, Delay, Drop, Stall
from tests.torture.network.case import Case

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.support.proxy import Proxy
    from tests.torture.network.behind_proxies import Network

    LinkFault = Callable[[Proxy], Awaitable[None]]

FOR_S: Final = 1.5
DELAY_S: Final = 0.3
_AGAIN_S: Final = 0.2
_MOST_BYTES: Final = 5_000
QUICK: Final = frozenset(
    {("store", "stalled"), ("consume", "reset"), ("target", "replies dropped")}
)


@dataclass(frozen=True)
class Link:
    """A way of the workers to somebody else."""

    name: str
    to: str
    """Which proxy lies on it."""
    only: bytes = b""
    """How the clients name themselves that it belongs to; empty: all."""
    to_provider: bool = False


LINKS: Final = (
    Link("consume", "broker", b"sms-worker consume"),
    Link("publish", "broker", b"sms-worker publish"),
    Link("store", "store"),
    Link("target", "africastalking", to_provider=True),
    Link("legacy", "legacy", to_provider=True),
)


async def dropped(proxy: Proxy) -> None:
    """A black hole in both directions."""
    proxy.requests.put(Drop())
    proxy.replies.put(Drop())
    await asyncio.sleep(FOR_S)


async def replies_dropped(proxy: Proxy) -> None:
    """Everything arrives there, and no answer here."""
    proxy.replies.put(Drop())
    await asyncio.sleep(FOR_S)


async def stalled(proxy: Proxy) -> None:
    """Nothing passes, and later all of it does."""
    proxy.requests.put(Stall())
    proxy.replies.put(Stall())
    await asyncio.sleep(FOR_S)


async def delayed(proxy: Proxy) -> None:
    """Everything comes late."""
    proxy.requests.put(Delay(DELAY_S))
    proxy.replies.put(Delay(DELAY_S))
    await asyncio.sleep(FOR_S)


async def reset(proxy: Proxy) -> None:
    """Connections are reset, again and again."""
    for _ in _often():
        proxy.reset()
        await asyncio.sleep(_AGAIN_S)


async def cut(proxy: Proxy) -> None:
    """Connections end somewhere in the middle of what they carry."""
    chance = random.Random(proxy.port)
    for _ in _often():
        proxy.requests.put(CutAfter(chance.randrange(_MOST_BYTES)))
        proxy.replies.put(CutAfter(chance.randrange(_MOST_BYTES)))
        await asyncio.sleep(_AGAIN_S)


async def refused(proxy: Proxy) -> None:
    """Connections are reset, and so is every new one."""
    proxy.refuses = True
    proxy.reset()
    await asyncio.sleep(FOR_S)


def _often() -> Iterator[int]:
    return iter(range(int(FOR_S / _AGAIN_S)))


LINK_FAULTS: Final[tuple[LinkFault, ...]] = (
    dropped, replies_dropped, stalled, delayed, reset, cut, refused,
)  # fmt: skip


async def on_link(network: Network, link: Link, fault: LinkFault) -> None:
    """Have this fault on this link for a while."""
    proxy = network.proxies[link.to]
    proxy.only = link.only
    try:
        await fault(proxy)
    finally:
        proxy.heal()
        proxy.only = b""


def cases() -> Iterator[Case]:
    """Each link with each fault."""
    for link, fault in product(LINKS, LINK_FAULTS):
        name = fault.__name__.replace("_", " ")
        yield Case(
            f"{link.name} {name}",
            partial(on_link, link=link, fault=fault),
            blurs=link.to_provider and fault is not delayed,
            quick=(link.name, name) in QUICK,
        )
