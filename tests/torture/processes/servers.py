"""One real broker and one real database, with room for many worlds that share nothing.

Rules: each world has its own virtual host, with the permissions and policies of
`deploy/rabbitmq/definitions.json`, and its own database. A worker of one world cannot see a message
or a record of another.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker.broker import topology
from worker.broker.connection import connect
from worker.lab.local.broker import DEFINITIONS, Broker
from worker.lab.local.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers."""

    broker: Broker
    database: Database

    def amqp(self, world: str, user: str) -> str:
        """Address of a world's virtual host for a user."""
        return self.broker.urls[user].removesuffix("%2F") + world


@asynccontextmanager
async def running(directory: Path, worlds: Iterable[str]) -> AsyncIterator[Servers]:
    """Start the servers, with a virtual host for each world; stop them at the end."""
    broker, database = Broker(directory / "broker"), Database(directory / "database")
    try:
        await asyncio.gather(broker.start(), database.start())
        servers = Servers(broker, database)
        named = list(worlds)
        definitions = directory / "hosts.json"
        definitions.write_text(_definitions(named), encoding="utf-8")
        await broker.rabbitmqctl("import_definitions", str(definitions))
        await asyncio.gather(*(_apply_topology(servers.amqp(world, "worker")) for world in named))
        yield servers
    finally:
        await asyncio.gather(broker.stop(), database.stop())


def _definitions(worlds: Iterable[str]) -> str:
    """The virtual hosts of these worlds, each with what the deployed one has."""
    given = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    made: dict[str, list[dict[str, Any]]] = {"vhosts": [{"name": world} for world in worlds]}
    for kind in ("permissions", "topic_permissions", "policies"):
        made[kind] = [{**each, "vhost": world} for world in worlds for each in given[kind]]
    return json.dumps(made)


async def _apply_topology(url: str) -> None:
    connection = await connect(url)
    async with connection, connection.channel() as channel:
        await topology.apply(channel)
