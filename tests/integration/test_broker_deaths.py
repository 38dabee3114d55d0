"""What the broker itself writes about the messages it takes out of queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aio_pika
import pytest

from contracts.names import Exchange, Queue, retry_key, retry_queue
from tests.integration.test_publisher import taken
from worker.broker.consumer import to_incoming
from worker.handlers.dead_letters import dead_letter
from worker.handlers.deaths import Death, newest_death
from worker.handlers.decode import LANE_OF_QUEUE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

pytestmark = pytest.mark.usefixtures("empty_queues")
LANE = Queue.TRANSACTIONAL.value


@pytest.fixture
async def channel(connect: Callable[[str], Awaitable[AbstractConnection]]) -> AbstractChannel:
    return await (await connect("worker")).channel()


async def publish(channel: AbstractChannel, exchange: str, key: str, **properties: Any) -> None:
    message = aio_pika.Message(b"{}", message_id="m-1", **properties)
    await (await channel.get_exchange(exchange, ensure=False)).publish(message, key)


async def held(channel: AbstractChannel, queue: str) -> AbstractIncomingMessage:
    """The next message of a queue, not acknowledged."""
    found = await channel.get_queue(queue, ensure=False)
    while True:
        message = await found.get(no_ack=False, fail=False)
        if message is not None:
            return message


async def after_a_retry(channel: AbstractChannel, queue: str = LANE) -> AbstractIncomingMessage:
    """A copy that comes back from a tier, at once instead of after its time."""
    await publish(channel, Exchange.RETRY, retry_key("5s", queue), expiration=0.001)
    return await held(channel, queue)


async def lost(channel: AbstractChannel) -> AbstractIncomingMessage:
    return (await taken(await channel.get_queue(Queue.LOST.value, ensure=False)))[0]


async def test_the_newest_death_of_a_retried_copy_is_in_its_lane(channel: AbstractChannel) -> None:
    await (await after_a_retry(channel)).reject(requeue=False)
    headers: Any = (await lost(channel)).headers
    assert headers["x-first-death-queue"] == retry_queue("5s")  # says nothing of the lane
    assert [each["queue"] for each in headers["x-death"]] == [LANE, retry_queue("5s")]
    assert newest_death(headers, LANE_OF_QUEUE) == Death(LANE, "rejected")


async def test_a_copy_that_meets_the_delivery_limit_is_read_as_such(
    channel: AbstractChannel,
) -> None:
    arguments: Any = {"x-queue-type": "quorum", "x-dead-letter-exchange": Exchange.LOST.value}
    like_a_lane = await channel.declare_queue(
        "sms.own.worker.lane", durable=True, arguments={**arguments, "x-delivery-limit": 1}
    )
    await like_a_lane.bind(Exchange.REQUEUE.value, retry_key("*", like_a_lane.name))
    await (await after_a_retry(channel, like_a_lane.name)).reject(requeue=True)
    await (await held(channel, like_a_lane.name)).reject(requeue=True)
    headers = (await lost(channel)).headers
    await like_a_lane.delete(if_unused=False, if_empty=False)
    assert newest_death(headers, {like_a_lane.name}) == Death(like_a_lane.name, "delivery_limit")


async def test_what_died_by_its_own_expiration_is_read_as_expired(channel: AbstractChannel) -> None:
    await publish(channel, Exchange.COMMANDS, "send.bulk", expiration=0.001)
    headers = (await lost(channel)).headers
    assert newest_death(headers, LANE_OF_QUEUE) == Death(Queue.BULK, "expired")


async def test_what_a_publisher_wrote_into_the_history_counts_for_less_than_the_broker(
    channel: AbstractChannel,
) -> None:
    forged: Any = [{"queue": Queue.BULK.value, "reason": "expired", "count": 1}]
    headers: Any = {"x-death": forged, "x-last-death-queue": Queue.BULK.value}
    await publish(channel, Exchange.COMMANDS, "send.transactional", headers=headers)
    await (await held(channel, LANE)).reject(requeue=False)
    found = newest_death((await lost(channel)).headers, LANE_OF_QUEUE)
    assert found == Death(LANE, "rejected")


async def test_a_letter_the_broker_gave_up_has_the_lane_it_came_through(
    channel: AbstractChannel,
) -> None:
    await (await after_a_retry(channel)).reject(requeue=False)
    await (await held(channel, Queue.LOST)).reject(requeue=False)
    (letter,) = await taken(await channel.get_queue(Queue.DEAD.value, ensure=False))
    assert dead_letter(to_incoming(letter, Queue.DEAD)).source == LANE
