"""Broker and database fail as servers do: they restart, are killed, freeze, block, step down."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from contracts.names import Queue
from tests.support.waiting import until
from tests.torture.network.case import Case
from worker.broker import topology
from worker.broker.connection import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.network.behind_proxies import Network
    from worker.lab.local.process import Child

FOR_S: Final = 3.0
_STEPPED_DOWN_S: Final = 2


async def broker_restarted(network: Network) -> None:
    """Stopped cleanly and started again."""
    await network.broker.restart()


async def broker_killed(network: Network) -> None:
    """Killed and started again."""
    await network.broker.kill()
    await network.broker.start()


async def broker_frozen(network: Network) -> None:
    """Not running for a while, with every connection open."""
    await frozen(network.broker.children[-1])


async def broker_blocked(network: Network) -> None:
    """In memory alarm: it reads nothing from those who publish."""
    await network.broker.memory_alarm(on=True)
    try:
        await asyncio.sleep(FOR_S)
    finally:
        await network.broker.memory_alarm(on=False)


async def queue_deleted(network: Network) -> None:
    """The bulk lane is deleted while its consumers have messages in hand, and declared again.

    What waits in a queue is lost by whoever deletes it: so nothing waits at that moment. It is
    declared again when the consumers know that it is gone: RabbitMQ 3.10 tells them nothing, and
    delivers nothing more, where a quorum queue of the same name is there again at once.
    """
    async with await connect(network.broker.urls["worker"]) as connection:
        channel = await connection.channel()
        await until(lambda: _nothing_waits(network))
        await channel.queue_delete(Queue.BULK)
        await until(lambda: _bulk_stands_still(network))
        await topology.apply(channel)


async def _nothing_waits(network: Network) -> bool:
    return await network.system.dead.ready(Queue.BULK) == 0


async def _bulk_stands_still(network: Network) -> bool:
    system = network.system
    said = [(await system.ready(name))[1] for name, _ in system.workers()]
    return not any(body["checks"]["bulk"]["ok"] for body in said)


async def mongod_killed(network: Network) -> None:
    """Killed and started again."""
    await network.database.kill()
    await network.database.start()


async def mongod_frozen(network: Network) -> None:
    """Not running for a while, with every connection open."""
    await frozen(network.database.children[0])


async def primary_steps_down(network: Network) -> None:
    """No primary for a while, in a set that has no other member."""
    client: AsyncMongoClient[dict[str, Any]]
    async with AsyncMongoClient(network.database.url) as client:
        with suppress(PyMongoError):  # it may close the connection that asked
            await client.admin.command("replSetStepDown", _STEPPED_DOWN_S, force=True)
        await until(lambda: _has_primary(client))


async def _has_primary(client: AsyncMongoClient[dict[str, Any]]) -> bool:
    with suppress(PyMongoError):
        return bool((await client.admin.command("hello"))["isWritablePrimary"])
    return False


async def frozen(process: Child) -> None:
    """Stop a process for a while."""
    process.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(FOR_S)
    finally:
        process.signal(signal.SIGCONT)


def cases() -> Iterator[Case]:
    """Everything that servers do."""
    faults = (
        broker_restarted, broker_killed, broker_frozen, broker_blocked, queue_deleted,
        mongod_killed, mongod_frozen, primary_steps_down,
    )  # fmt: skip
    for fault in faults:
        yield Case(fault.__name__.replace("_", " "), fault)
