"""Servers for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aio_pika

from contracts.names import RETRY_TIERS, Queue, retry_queue
from worker.broker import topology
from worker.lab.local.broker import Broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class GivenBroker:
    """A broker that somebody else runs."""

    urls: dict[str, str]


@asynccontextmanager
async def running_broker(directory: Path) -> AsyncIterator[Broker]:
    """A broker with users, permissions, policies and topology; stopped at the end."""
    node = Broker(directory, metrics=True)
    try:
        await node.start()
        await apply_topology(node.urls["worker"])
        yield node
    finally:
        await node.stop()


async def apply_topology(url: str) -> None:
    """Declare what the worker declares."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        await topology.apply(channel)


async def empty(url: str) -> None:
    """Remove every message from the queues of the topology."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        for name in (*(queue.value for queue in Queue), *map(retry_queue, RETRY_TIERS)):
            await (await channel.get_queue(name, ensure=False)).purge()
