"""A broker that is restarted or killed; not the one that the other tests share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from contracts.names import Exchange, Queue, retry_key
from tests.integration.servers import running_broker
from tests.integration.test_publisher import event, taken
from tests.integration.test_topology import publish, take
from tests.support.waiting import until
from worker.broker.connection import BrokerConnection
from worker.broker.publisher import AmqpPublisher
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractConnection

    from worker.lab.local.broker import Broker

    Connect = Callable[[str], Awaitable[AbstractConnection]]


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.fixture(scope="module")
def amqp_url(broker: Broker) -> Callable[[str], str]:
    return lambda user: broker.urls[user]


@pytest.fixture
async def publisher(broker: Broker, opening: Any) -> AsyncIterator[AmqpPublisher]:
    link = BrokerConnection(
        broker.urls["worker"], "through a restart", Background(), opening=opening
    )
    await link.start()
    made = AmqpPublisher(link, Background())
    await made.start()
    yield made
    await made.stop()
    await link.stop()


async def test_a_restart_loses_no_event(
    broker: Broker, publisher: AmqpPublisher, connect: Connect
) -> None:
    channel = await (await connect("worker")).channel()
    queue = await channel.declare_queue(
        "sms.own.worker.lasting", durable=True, arguments={"x-queue-type": "quorum"}
    )
    await queue.bind(Exchange.EVENTS.value, "#")
    confirmed: list[str] = []

    async def steadily() -> None:
        for n in range(100):
            await publisher.event(event(f"e-{n}"))
            confirmed.append(f"e-{n}")

    steady = asyncio.create_task(steadily())
    await until(lambda: len(confirmed) >= 10)
    # Not SIGKILL: 3.10.8 does not recover quorum queues declared in the second before it.
    await broker.restart()
    async with asyncio.timeout(60):
        await steady
    kept = await (await (await connect("worker")).channel()).get_queue(queue.name, ensure=False)
    found: set[Any] = set()
    while len(found) < 100:
        found.update(message.message_id for message in await taken(kept))
    assert found == set(confirmed)


async def test_a_restart_keeps_messages(broker: Broker, connect: Connect) -> None:
    worker = await (await connect("worker")).channel(on_return_raises=True)
    lane = await publish(worker, Exchange.COMMANDS, "send.bulk")
    parked = await publish(worker, Exchange.RETRY, retry_key("5s", Queue.TRANSACTIONAL))
    before = dict(broker.urls)
    await broker.restart()
    assert broker.urls == before
    again = await (await connect("worker")).channel()
    assert (await take(again, Queue.BULK)).message_id == lane
    assert (await take(again, Queue.TRANSACTIONAL)).message_id == parked


async def test_a_sigkill_keeps_confirmed_messages(broker: Broker, connect: Connect) -> None:
    worker = await (await connect("worker")).channel(on_return_raises=True)
    message_id = await publish(worker, Exchange.COMMANDS, "send.bulk")
    await broker.kill()
    await broker.start()
    again = await (await connect("worker")).channel()
    assert (await take(again, Queue.BULK)).message_id == message_id
