"""Three RabbitMQ nodes and three MongoDB members on this machine, which stand in for a data centre.

Rules: all are real and are killed for real. A quorum of two goes on without the third.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pymongo import AsyncMongoClient

from tests.support.given_servers import given_servers
from tests.support.whole_system import System
from worker.broker import topology
from worker.broker.connection import connect
from worker.lab.local.broker import Broker
from worker.lab.local.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LEAST_KIB: Final = 3 * 1024 * 1024
"""Free memory that three nodes of each, and two workers, need."""
_NODE: Final = (
    "cluster_partition_handling = pause_minority",
    "vm_memory_high_watermark.absolute = 2GB",
)


@dataclass(frozen=True)
class Brokers:
    """A cluster of RabbitMQ."""

    nodes: tuple[Broker, Broker, Broker]

    @classmethod
    def at(cls, directory: Path) -> Self:
        """Three nodes, not yet started."""
        first = Broker(directory, _NODE)  # whose folder holds those of the others
        others = (Broker(directory / name, _NODE, joins=first) for name in ("2", "3"))
        return cls((first, *others))

    async def start(self) -> None:
        """Start the first; then the others, which join it."""
        await self.nodes[0].start()
        await asyncio.gather(*(node.start() for node in self.nodes[1:]))

    async def stop(self) -> None:
        """End all at once: nobody needs their data. The first one's port mapper goes last."""
        await asyncio.gather(*(node.kill() for node in self.nodes))
        for node in reversed(self.nodes):
            await node.stop()

    @property
    def urls(self) -> dict[str, str]:
        """Address with all hosts, by user name."""
        first, *others = self.nodes
        return first.urls_with(*others)

    async def leader_of(self, queue: str) -> Broker | None:
        """The node on which a quorum queue's leader is; None: there is none at the moment."""
        told = await self.nodes[1].rabbitmqctl("list_queues", "name", "leader", "--formatter=json")
        (name,) = (each["leader"] for each in json.loads(told) if each["name"] == queue)
        return next((node for node in self.nodes if node.name == name), None)


@dataclass(frozen=True)
class Databases:
    """A replica set of MongoDB."""

    members: tuple[Database, Database, Database]

    @classmethod
    def at(cls, directory: Path) -> Self:
        """Three members, not yet started."""
        first = Database(directory / "1")
        others = (Database(directory / name, joins=first) for name in ("2", "3"))
        return cls((first, *others))

    async def start(self) -> None:
        """Start one after the other: a set takes one new member at a time."""
        for member in self.members:
            await member.start()

    async def stop(self) -> None:
        """End all at once: nobody needs their data."""
        await asyncio.gather(*(member.kill() for member in self.members))

    @property
    def url(self) -> str:
        """Address with all hosts."""
        first, *others = self.members
        return first.url_with(*others)

    async def primary(self) -> Database:
        """The member that takes writes."""
        client: AsyncMongoClient[dict[str, Any]]
        async with AsyncMongoClient(self.url) as client:
            host = (await client.admin.command("hello"))["primary"]
        return next(member for member in self.members if member.host == host)


@dataclass(frozen=True)
class Clustered:
    """A system on clusters; its workers know every host."""

    system: System
    brokers: Brokers
    databases: Databases

    @property
    def logins(self) -> dict[str, str]:
        """How the test reaches the broker: not by the node whose loss it is about."""
        return self.brokers.nodes[1].urls


@asynccontextmanager
async def clustered(directory: Path) -> AsyncIterator[Clustered]:
    """Start the clusters and a system on them; the leaders are on the first nodes."""
    brokers, databases = Brokers.at(directory / "brokers"), Databases.at(directory / "databases")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(brokers.stop)
        stack.push_async_callback(databases.stop)
        await brokers.start()
        await databases.start()
        async with await connect(brokers.nodes[0].urls["worker"]) as connection:
            await topology.apply(await connection.channel())
        stack.enter_context(given_servers(brokers.urls, databases.url))
        running = System.running(directory / "stack", {}, logins=brokers.nodes[1].urls)
        yield Clustered(await stack.enter_async_context(running), brokers, databases)


def available_kib() -> int:
    """Memory that nobody uses."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
