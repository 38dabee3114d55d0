"""A real broker and a real database for the session: started once, or taken from the environment.

`AMQP_URL` (and `AMQP_URL_<USER>`) or `MONGO_URL` in the environment are used instead of starting.
"""

from __future__ import annotations

import os
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest
from pymongo import AsyncMongoClient

from tests.integration.broker_proxy import BrokerProxy
from tests.integration.servers import GivenBroker, apply_topology, empty, running_broker
from worker.broker.connection import BrokerConnection
from worker.broker.connection import connect as open_connection
from worker.lab.local.addresses import given_broker
from worker.lab.local.database import Database
from worker.service import Background
from worker.store import indexes
from worker.store.client import Database as Opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractConnection

    from worker.lab.local.broker import Broker


@pytest.fixture(scope="session")
async def broker(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Broker | GivenBroker]:
    """The broker, with users, permissions, policies and topology."""
    if urls := given_broker(os.environ, print):
        await apply_topology(urls["worker"])
        yield GivenBroker(urls)
        return
    async with running_broker(tmp_path_factory.mktemp("broker")) as node:
        yield node


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
async def proxy(amqp_url: Callable[[str], str]) -> AsyncIterator[BrokerProxy]:
    """Between the connections under test and the broker."""
    async with BrokerProxy(amqp_url("worker")) as made:
        yield made


@pytest.fixture
def url(proxy: BrokerProxy, amqp_url: Callable[[str], str]) -> str:
    """The worker's address of the broker, through the proxy."""
    login = amqp_url("worker").rpartition("@")[0]
    return f"{login}@127.0.0.1:{proxy.port}/%2F"


@pytest.fixture
def opening() -> Callable[..., Awaitable[AbstractConnection]]:
    """What opens the connections under test."""
    return open_connection


@pytest.fixture
def new_link(
    url: str, opening: Callable[..., Awaitable[AbstractConnection]]
) -> Callable[[], BrokerConnection]:
    """Connections of the worker, through the proxy, not started."""
    return lambda: BrokerConnection(url, "test", Background(), opening=opening)


@pytest.fixture
async def empty_queues(amqp_url: Callable[[str], str]) -> None:
    """Every queue of the topology emptied before the test."""
    await empty(amqp_url("worker"))


@pytest.fixture(scope="session")
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database | None]:
    """The database; None when the environment gives one."""
    if os.environ.get("MONGO_URL"):
        yield None
        return
    server = Database(tmp_path_factory.mktemp("database"))
    try:
        await server.start()
        await _without_expiry(server.url)
        yield server
    finally:
        await server.stop()


async def _without_expiry(url: str) -> None:
    """Let nothing expire, because the days in tests are fixed and may be long past."""
    async with AsyncMongoClient(url) as client:
        await client.admin.command("setParameter", 1, ttlMonitorEnabled=False)


@pytest.fixture(scope="session")
def mongo_url(database: Database | None) -> str:
    """Address of the database server."""
    return os.environ["MONGO_URL"] if database is None else database.url


@pytest.fixture
def database_name() -> str:
    """Name of a database nobody else uses."""
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def mongod_empty(mongo_url: str, database_name: str) -> AsyncIterator[Opened]:
    """That database, open; dropped at the end of the test."""
    opened = Opened(mongo_url, database_name, timeout_s=5)
    yield opened
    await opened.db.client.drop_database(database_name)
    await opened.close()


@pytest.fixture
async def simulated_empty(
    simulated_database: Callable[..., Any], database_name: str
) -> AsyncIterator[Opened]:
    """The same, simulated."""
    opened = Opened("mongodb://simulated", database_name, timeout_s=5, client=simulated_database)
    yield opened
    await opened.close()


@pytest.fixture
async def mongod_here(mongod_empty: Opened) -> Opened:
    """That database with its indexes."""
    await indexes.create(mongod_empty)
    return mongod_empty


@pytest.fixture
async def simulated_here(simulated_empty: Opened) -> Opened:
    """The same, simulated."""
    await indexes.create(simulated_empty)
    return simulated_empty


@pytest.fixture(params=["mongod_empty", "simulated_empty"])
def database_empty(request: pytest.FixtureRequest) -> Opened:
    """A database without indexes, real and simulated."""
    opened: Opened = request.getfixturevalue(request.param)
    return opened


@pytest.fixture(params=["mongod_here", "simulated_here"])
def database_here(request: pytest.FixtureRequest) -> Opened:
    """A database with its indexes, real and simulated."""
    opened: Opened = request.getfixturevalue(request.param)
    return opened
