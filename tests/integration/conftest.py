"""A real broker and a real database for the session: started once, or taken from the environment.

`AMQP_URL` (and `AMQP_URL_<USER>`) or `MONGO_URL` in the environment are used instead of starting.
"""

from __future__ import annotations

import os
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aio_pika
import pytest

from contracts.names import RETRY_TIERS, Queue, retry_queue
from worker.broker import topology
from worker.local.addresses import given_broker
from worker.local.broker import Broker
from worker.local.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractConnection


@dataclass(frozen=True)
class GivenBroker:
    """A broker that somebody else runs."""

    urls: dict[str, str]


@pytest.fixture(scope="session")
async def broker(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Broker | GivenBroker]:
    """The broker, with users, permissions, policies and topology."""
    if urls := given_broker(os.environ, print):
        await _apply_topology(urls["worker"])
        yield GivenBroker(urls)
        return
    node = Broker(tmp_path_factory.mktemp("broker"))
    try:
        await node.start()
        await _apply_topology(node.urls["worker"])
        yield node
    finally:
        await node.stop()


async def _apply_topology(url: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        await topology.apply(channel)


@pytest.fixture(scope="session")
def amqp_url(broker: Broker | GivenBroker) -> Callable[[str], str]:
    """AMQP address by user name."""
    return lambda user: broker.urls[user]


@pytest.fixture
async def connect(
    amqp_url: Callable[[str], str],
) -> AsyncIterator[Callable[[str], Awaitable[AbstractConnection]]]:
    """Connections by user name, closed at the end of the test."""
    async with AsyncExitStack() as opened:

        async def connect_as(user: str) -> AbstractConnection:
            return await opened.enter_async_context(await aio_pika.connect(amqp_url(user)))

        yield connect_as


@pytest.fixture
async def empty_queues(amqp_url: Callable[[str], str]) -> None:
    """Every queue of the topology emptied before the test."""
    connection = await aio_pika.connect(amqp_url("worker"))
    async with connection, connection.channel() as channel:
        for name in (*(queue.value for queue in Queue), *map(retry_queue, RETRY_TIERS)):
            await (await channel.get_queue(name, ensure=False)).purge()


@pytest.fixture(scope="session")
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database | None]:
    """The database; None when the environment gives one."""
    if os.environ.get("MONGO_URL"):
        yield None
        return
    server = Database(tmp_path_factory.mktemp("database"))
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def mongo_url(database: Database | None) -> str:
    """Address of the database server."""
    return os.environ["MONGO_URL"] if database is None else database.url


@pytest.fixture
def database_name() -> str:
    """Name of a database nobody else uses."""
    return f"test_{uuid.uuid4().hex[:12]}"
