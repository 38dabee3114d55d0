"""The simulated broker in place of the real one, for the suites of the real one.

Rules: the tests are those of `tests/integration`; only their fixtures differ. Time is virtual, so
that a retry tier of five seconds costs nothing. Each test has a loop and a broker of its own.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from tests.support.virtual_time import LoopClock, VirtualLoop
from tests.torture.simulation.broker import project
from tests.torture.simulation.broker.driver import Driver
from tests.torture.simulation.broker.opening import open_connection
from tests.torture.simulation.broker_suites.faulty_wire import FaultyWire
from tests.torture.simulation.broker_suites.slow_wire import SlowWire
from tests.torture.simulation.wire import Direct
from worker.broker.connection import BrokerConnection
from worker.lab.local.broker import USERS
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.server import Server


def pytest_asyncio_loop_factories() -> dict[str, type[asyncio.AbstractEventLoop]]:
    """The loop of each test."""
    return {"virtual": VirtualLoop}


URLS: Final = {user: f"amqp://{user}@broker/" for user in USERS}


class SimulatedNode:
    """The simulated broker with the verbs of `worker.lab.local.broker.Broker`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.urls = URLS

    async def restart(self) -> None:
        await self.kill()
        await asyncio.sleep(5)
        await self.start()

    async def kill(self) -> None:
        self._server.stop()

    async def start(self) -> None:
        self._server.start()

    async def memory_alarm(self, *, on: bool) -> None:
        self._server.alarm(on=on)


@pytest.fixture
def server() -> Iterator[Server]:
    made = project.server(lambda: LoopClock().now().timestamp())
    driver = Driver(made)
    yield made
    driver.stop()


@pytest.fixture
def broker(server: Server) -> SimulatedNode:
    return SimulatedNode(server)


@pytest.fixture
def amqp_url() -> Callable[[str], str]:
    return lambda user: URLS[user]


@pytest_asyncio.fixture(loop_scope="function")
async def connect(server: Server) -> AsyncIterator[Callable[[str], Awaitable[Connection]]]:
    """Connections by user name, past the faults."""
    opened: list[Connection] = []

    async def connect_as(user: str) -> Connection:
        opened.append(await open_connection(server, Direct(), URLS[user]))
        return opened[-1]

    yield connect_as
    for connection in reversed(opened):
        await connection.close()


@pytest.fixture
def proxy(server: Server) -> FaultyWire:
    return FaultyWire(server)


@pytest.fixture
def url() -> str:
    return URLS["worker"]


@pytest.fixture
def opening(server: Server, proxy: FaultyWire) -> Callable[..., Awaitable[Connection]]:
    return partial(open_connection, server, proxy)


@pytest.fixture
def new_link(url: str, opening: Any) -> Callable[[], BrokerConnection]:
    return lambda: BrokerConnection(url, "test", Background(), opening=opening)


@pytest.fixture
def wire() -> SlowWire:
    return SlowWire()


@pytest_asyncio.fixture(loop_scope="function")
async def connection(server: Server, wire: SlowWire) -> AsyncIterator[Connection]:
    made = await open_connection(server, wire, URLS["worker"])
    yield made
    wire.holds = False
    await made.close()


@pytest.fixture
def upstream(server: Server) -> project.DirectClient:
    return project.DirectClient(server, "upstream")


@pytest.fixture
def empty_queues() -> None:
    """Each broker is new."""
