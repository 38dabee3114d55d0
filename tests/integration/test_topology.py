"""The topology, the permissions and the policies on a real broker."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import pytest
from aio_pika import DeliveryMode, Message
from aiormq.exceptions import ChannelAccessRefused

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
    ("user", "exchange", "key"),
    [
        ("upstream", Exchange.COMMANDS, "send"),
        ("upstream", Exchange.COMMANDS, "send.transactional"),
        ("upstream", Exchange.COMMANDS, "send.bulk"),
        ("webhook", Exchange.REPORTS, "report.africastalking"),
        ("observer", Exchange.CONTROL, "control.query.status"),
        ("administrator", Exchange.CONTROL, "control.query.status"),
        ("administrator", Exchange.CONTROL, "control.command.rollback"),
        ("worker", Exchange.DEAD, "sms.send.bulk"),
    ],
)
async def test_a_user_may_publish_what_is_his(
    connect: Connect, user: str, exchange: str, key: str
) -> None:
    channel = await (await connect(user)).channel(on_return_raises=True)
    await publish(channel, exchange, key)


@pytest.mark.parametrize(
    ("user", "exchange", "key"),
    [
        ("upstream", Exchange.STATE, "control.state"),
        ("upstream", Exchange.EVENTS, "sms.sent"),
        ("upstream", Exchange.CONTROL, "control.command.rollback"),
        ("upstream", Exchange.REPORTS, "report.africastalking"),
        ("upstream", Exchange.RETRY, "5s.sms.send.bulk"),
        ("webhook", Exchange.COMMANDS, "send"),
        ("webhook", Exchange.REQUEUE, "5s.sms.send.bulk"),
        ("dashboard", Exchange.CONTROL, "control.query.status"),
        ("dashboard", Exchange.METRICS, "metric.health"),
        ("observer", Exchange.CONTROL, "control.command.rollback"),
        ("observer", Exchange.REPLIES, "reply.observer.1"),
        ("administrator", Exchange.CONTROL, "control.state"),
        ("administrator", Exchange.STATE, "control.state"),
        ("administrator", Exchange.COMMANDS, "send"),
        *((user, "", Queue.BULK) for user in ("upstream", "webhook", "dashboard")),
        *((user, "", Queue.BULK) for user in ("observer", "administrator", "worker")),
    ],
)
async def test_a_user_may_not_publish_what_is_not_his(
    connect: Connect, user: str, exchange: str, key: str
) -> None:
    channel = await (await connect(user)).channel(on_return_raises=True)
    with pytest.raises(ChannelAccessRefused):
        await publish(channel, exchange, key)


@pytest.mark.parametrize("user", ["upstream", "webhook", "dashboard", "observer", "administrator"])
@pytest.mark.parametrize("queue", list(Queue))
async def test_nobody_but_the_worker_reads_the_workers_queues(
    connect: Connect, user: str, queue: str
) -> None:
    channel = await (await connect(user)).channel()
    source = await channel.get_queue(queue, ensure=False)
    with pytest.raises(ChannelAccessRefused):
        await source.get(fail=False)


@pytest.mark.parametrize(
    ("user", "queue", "exchange", "key"),
    [
        ("upstream", "sms.own.upstream.events", Exchange.EVENTS, "#"),
        ("dashboard", "sms.own.dashboard.metrics", Exchange.METRICS, "#"),
        ("dashboard", "sms.own.dashboard.state", Exchange.STATE, "#"),
        ("observer", "sms.own.observer.metrics", Exchange.METRICS, "#"),
        ("observer", "sms.reply.observer.1", Exchange.REPLIES, "reply.observer.1"),
        ("administrator", "sms.reply.administrator.1", Exchange.REPLIES, "reply.administrator.1"),
        ("worker", "sms.state.1", Exchange.STATE, "control.state"),
    ],
)
async def test_a_user_may_bind_a_queue_of_his_own(
    connect: Connect, user: str, queue: str, exchange: str, key: str
) -> None:
    channel = await (await connect(user)).channel()
    own = await channel.declare_queue(queue, exclusive=True)
    await own.bind(exchange, key)


@pytest.mark.parametrize(
    ("user", "queue", "exchange", "key"),
    [
        ("upstream", "sms.own.upstream.x", Exchange.STATE, "#"),
        ("upstream", "sms.own.upstream.x", Exchange.COMMANDS, "#"),
        ("upstream", "sms.own.upstream.x", Exchange.REPLIES, "reply.upstream.1"),
        ("dashboard", "sms.own.dashboard.x", Exchange.EVENTS, "#"),
        ("observer", "sms.reply.observer.x", Exchange.REPLIES, "reply.administrator.1"),
        ("observer", "sms.reply.observer.x", Exchange.REPLIES, "#"),
        ("observer", "sms.reply.observer.x", Exchange.REPLIES, "reply.observer.*"),
        ("administrator", "sms.reply.administrator.x", Exchange.CONTROL, "control.command.*"),
    ],
)
async def test_a_user_may_not_bind_what_is_not_his(
    connect: Connect, user: str, queue: str, exchange: str, key: str
) -> None:
    channel = await (await connect(user)).channel()
    own = await channel.declare_queue(queue, exclusive=True)
    with pytest.raises(ChannelAccessRefused):
        await own.bind(exchange, key)


@pytest.mark.parametrize(
    ("user", "queue"),
    [
        ("upstream", "sms.own.dashboard.x"),
        ("upstream", "sms.own.upstream2.x"),
        ("upstream", "sms.state.x"),
        ("webhook", "sms.own.webhook.x"),
        ("dashboard", "sms.reply.dashboard.x"),
        ("observer", "sms.reply.administrator.x"),
    ],
)
async def test_a_user_may_not_declare_another_users_queue(
    connect: Connect, user: str, queue: str
) -> None:
    channel = await (await connect(user)).channel()
    with pytest.raises(ChannelAccessRefused):
        await channel.declare_queue(queue, exclusive=True)


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
