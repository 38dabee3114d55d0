"""The topology and the policies on a real broker. What each user may do: `test_rights`."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import pytest
from aio_pika import DeliveryMode, Message

from contracts.names import RETRYABLE, Exchange, Queue, retry_key
from tests.support.waiting import until
from worker.broker import topology

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    Connect = Callable[[str], Awaitable[AbstractConnection]]

pytestmark = pytest.mark.usefixtures("empty_queues")

WITHIN_S = 10.0


async def publish(
    channel: AbstractChannel, exchange: str, key: str, *, expires_s: float | None = None
) -> str:
    """Publish a mandatory, confirmed message; returns its id."""
    message_id = uuid.uuid4().hex
    message = Message(
        b"{}",
        message_id=message_id,
        delivery_mode=DeliveryMode.PERSISTENT,
        expiration=expires_s,
    )
    where = await channel.get_exchange(exchange, ensure=False) if exchange else None
    await (where or channel.default_exchange).publish(message, routing_key=key, timeout=WITHIN_S)
    return message_id


async def take(channel: AbstractChannel, queue: str) -> AbstractIncomingMessage:
    """The next message of `queue`, taken off it."""
    source = await channel.get_queue(queue, ensure=False)
    # One at a time: a consumer would hand the next ones back, and not always in order.
    message: AbstractIncomingMessage = await until(
        lambda: source.get(no_ack=True, fail=False), WITHIN_S
    )
    return message


async def waiting(channel: AbstractChannel, queue: str) -> int:
    """Messages ready in `queue`."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count


@pytest.fixture
async def worker(connect: Connect) -> AbstractChannel:
    """A channel of the worker's user."""
    return await (await connect("worker")).channel(on_return_raises=True)


async def test_applying_twice_changes_nothing(worker: AbstractChannel) -> None:
    await topology.apply(worker)
    await topology.apply(worker)
    for spec in topology.TOPOLOGY.queues:
        assert await waiting(worker, spec.name) == 0


@pytest.mark.parametrize(
    ("key", "lane"),
    [
        ("send", Queue.TRANSACTIONAL),
        ("send.transactional", Queue.TRANSACTIONAL),
        ("send.bulk", Queue.BULK),
    ],
)
async def test_a_command_reaches_its_lane(
    worker: AbstractChannel, connect: Connect, key: str, lane: str
) -> None:
    upstream = await (await connect("upstream")).channel(on_return_raises=True)
    message_id = await publish(upstream, Exchange.COMMANDS, key)
    assert (await take(worker, lane)).message_id == message_id


async def test_a_command_with_an_unknown_key_reaches_the_unrouted_queue(
    worker: AbstractChannel, connect: Connect
) -> None:
    upstream = await (await connect("upstream")).channel(on_return_raises=True)
    message_id = await publish(upstream, Exchange.COMMANDS, "send.otp")
    message = await take(worker, Queue.UNROUTED_COMMANDS)
    assert (message.message_id, message.routing_key) == (message_id, "send.otp")


async def test_an_event_nobody_takes_is_counted(worker: AbstractChannel) -> None:
    await publish(worker, Exchange.EVENTS, "sms.sent")
    assert (await take(worker, Queue.UNROUTED_EVENTS)).routing_key == "sms.sent"


async def test_an_event_somebody_takes_is_not_counted(
    worker: AbstractChannel, connect: Connect
) -> None:
    upstream = await (await connect("upstream")).channel()
    own = await upstream.declare_queue("sms.own.upstream.events", exclusive=True)
    await own.bind(Exchange.EVENTS, "sms.sent")
    taken = await publish(worker, Exchange.EVENTS, "sms.sent")
    await publish(worker, Exchange.EVENTS, "sms.failed")
    assert (await take(upstream, own.name)).message_id == taken
    assert (await take(worker, Queue.UNROUTED_EVENTS)).routing_key == "sms.failed"
    assert await waiting(worker, Queue.UNROUTED_EVENTS) == 0


@pytest.mark.parametrize("queue", RETRYABLE)
async def test_a_parked_copy_comes_back_to_the_queue_its_key_names(
    worker: AbstractChannel, queue: str
) -> None:
    """A copy's own expiration shortens the tier, so that the test need not wait for it."""
    key = retry_key("10m", queue)
    sent = [await publish(worker, Exchange.RETRY, key, expires_s=0.05) for _ in range(3)]
    back = [await take(worker, queue) for _ in sent]
    assert [message.message_id for message in back] == sent
    assert {message.routing_key for message in back} == {key}


async def test_the_5s_tier_holds_a_copy_for_5_seconds(worker: AbstractChannel) -> None:
    clock = asyncio.get_running_loop()
    parked_at = clock.time()
    await publish(worker, Exchange.RETRY, retry_key("5s", Queue.BULK))
    await take(worker, Queue.BULK)
    assert 4.9 < clock.time() - parked_at < 8


@pytest.mark.parametrize("key", ["send.transactional", "send.bulk"])
async def test_a_command_the_broker_expires_in_a_lane_is_lost_to_us_not_to_the_world(
    worker: AbstractChannel, key: str
) -> None:
    message_id = await publish(worker, Exchange.COMMANDS, key, expires_s=0.05)
    message = await take(worker, Queue.LOST)
    assert (message.message_id, message.routing_key) == (message_id, key)


async def test_a_command_rejected_a_thousand_times_is_handed_to_the_lost_queue(
    worker: AbstractChannel,
) -> None:
    message_id = await publish(worker, Exchange.COMMANDS, "send.bulk")
    lane = await worker.get_queue(Queue.BULK, ensure=False)
    deliveries = 0

    async def reject(message: AbstractIncomingMessage) -> None:
        nonlocal deliveries
        deliveries += 1
        await message.reject(requeue=True)

    tag = await lane.consume(reject)
    message = await take(worker, Queue.LOST)
    await lane.cancel(tag)
    assert (message.message_id, deliveries) == (message_id, 1001)
