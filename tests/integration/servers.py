"""Servers for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aio_pika

from worker.broker import topology
from worker.lab.local.broker import Broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def running_broker(directory: Path) -> AsyncIterator[Broker]:
    """A broker with users, permissions, policies and topology; stopped at the end."""
    node = Broker(directory)
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
