"""The servers of the tests are ones the worker relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.broker import server as broker
from worker.store.client import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractConnection


async def test_a_real_mongod_passes_the_check(mongo_url: str, database_name: str) -> None:
    database = Database(mongo_url, database_name, timeout_s=5)
    await database.check()
    await database.close()


async def test_a_real_broker_passes_the_check(
    connect: Callable[[str], Awaitable[AbstractConnection]],
) -> None:
    channel = await (await connect("worker")).channel()
    broker.check((await channel.get_underlay_channel()).connection.server_properties)
