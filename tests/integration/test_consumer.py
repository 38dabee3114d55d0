"""Consuming one queue, on the real broker."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import pika
import pytest

from contracts.names import Queue
from tests.support.waiting import until, until_equal
from worker.broker.consumer import Consumer
from worker.ports.broker import Incoming, Settlement
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractConnection

    from tests.integration.broker_proxy import BrokerProxy
    from worker.broker.connection import BrokerConnection

    Connect = Callable[[str], Awaitable[AbstractConnection]]
    NewLink = Callable[[], BrokerConnection]

pytestmark = pytest.mark.usefixtures("empty_queues")
QUEUE = Queue.BULK.value
ACK, REQUEUE = Settlement.ACK, Settlement.REQUEUE


class Handler:
    """Takes deliveries, answers as told, and says what became of each."""

    def __init__(self) -> None:
        self.seen: list[Incoming] = []
        self.finished: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers: list[Settlement | Exception] = []
        self.together = self.most = 0

    async def __call__(self, incoming: Incoming) -> Settlement:
        self.seen.append(incoming)
        self.together += 1
        self.most = max(self.most, self.together)
        try:
            await self.gate.wait()
        finally:
            self.together -= 1
        self.finished.append(incoming.body.decode())
        answer = self.answers.pop(0) if self.answers else ACK
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def bodies(self) -> list[str]:
        return [incoming.body.decode() for incoming in self.seen]


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
async def make(
    new_link: NewLink, handler: Handler
) -> AsyncIterator[Callable[..., Awaitable[Consumer]]]:
    link, made = new_link(), []
    await link.start()

    async def consumer(prefetch: int = 20, grace_s: float = 5.0, *, held: bool = False) -> Consumer:
        one = Consumer(
            link, Background(), QUEUE, prefetch=prefetch, handler=handler, grace_s=grace_s
        )
        made.append(one)
        if held:
            one.hold("test")
        await one.start()
        return one

    yield consumer
    handler.gate.set()
    for one in made:
        await one.stop()
    await link.stop()


@pytest.fixture
async def publish(connect: Connect) -> Callable[..., Awaitable[None]]:
    channel = await (await connect("upstream")).channel()
    exchange = await channel.get_exchange("sms.commands", ensure=False)

    async def command(*bodies: str, **properties: Any) -> None:
        for body in bodies:
            message = aio_pika.Message(body.encode(), delivery_mode=2, **properties)
            await exchange.publish(message, "send.bulk")

    return command


@pytest.fixture
async def left(connect: Connect) -> Callable[[], Awaitable[int]]:
    """How many messages the broker has ready."""
    channel = await (await connect("worker")).channel()

    async def count() -> int:
        queue = await channel.declare_queue(QUEUE, passive=True)
        return int(queue.declaration_result.message_count or 0)

    return count


@pytest.fixture
async def unconsumed(connect: Connect) -> Callable[..., Awaitable[None]]:
    """Wait until nobody consumes the queue, and so many messages are ready in it."""
    channel = await (await connect("worker")).channel()

    async def told() -> tuple[int | None, int | None]:
        found = (await channel.declare_queue(QUEUE, passive=True)).declaration_result
        return found.consumer_count, found.message_count

    async def settled(ready: int = 0) -> None:
        await until_equal(told, (0, ready), 10)

    return settled


async def test_what_is_handled_is_acknowledged(
    make: Any, publish: Any, left: Any, handler: Handler
) -> None:
    consumer = await make()
    assert consumer.consuming
    await publish("a", "b", "c")
    await until(lambda: handler.finished == ["a", "b", "c"])
    await until(lambda: consumer.in_hand == 0)
    await consumer.stop()
    assert await left() == 0


async def test_a_delivery_says_all_that_its_message_said(
    make: Any, publish: Any, handler: Handler
) -> None:
    await make()
    await publish("{}", message_id="m-1", type="SendSms.v1", correlation_id="c-1", headers={"a": 1})
    await until(lambda: handler.finished != [])
    (seen,) = handler.seen
    assert (seen.queue, seen.body, seen.redelivered) == (QUEUE, b"{}", False)
    assert (seen.message_id, seen.type, seen.correlation_id) == ("m-1", "SendSms.v1", "c-1")
    assert (seen.headers["a"], seen.routing_key, seen.user_id) == (1, "send.bulk", None)


async def test_what_is_handed_back_comes_again(make: Any, publish: Any, handler: Handler) -> None:
    handler.answers = [REQUEUE]
    await make()
    await publish("a")
    await until(lambda: handler.finished == ["a", "a"])
    assert [seen.redelivered for seen in handler.seen] == [False, True]


async def test_an_exception_nobody_caught_hands_back(
    make: Any, publish: Any, handler: Handler
) -> None:
    handler.answers = [KeyError("a bug")]
    await make()
    await publish("a", "b")
    await until(lambda: sorted(handler.finished) == ["a", "a", "b"])


async def test_at_most_prefetch_are_in_hand(make: Any, publish: Any, handler: Handler) -> None:
    handler.gate.clear()
    consumer = await make(prefetch=3)
    await publish(*map(str, range(10)))
    await until(lambda: len(handler.seen) == 3)
    assert consumer.in_hand == 3
    handler.gate.set()
    await until(lambda: len(handler.finished) == 10)
    assert handler.most == 3


# --- held ------------------------------------------------------------------------------------


async def test_held_from_the_start_nothing_is_taken_until_freed(
    make: Any, publish: Any, left: Any, handler: Handler
) -> None:
    consumer = await make(held=True)
    await publish("a")
    assert await left() == 1
    assert (consumer.consuming, consumer.held_by) == (False, {"test"})
    consumer.free("test")
    await until(lambda: handler.finished == ["a"])


async def test_while_anybody_holds_it_nothing_new_is_taken(
    make: Any, publish: Any, left: Any, handler: Handler
) -> None:
    handler.gate.clear()
    consumer = await make()
    await publish("in hand")
    await until(lambda: len(handler.seen) == 1)
    for who in ("store", "breakers", "store"):
        consumer.hold(who)
    await until(lambda: not consumer.consuming)  # the broker has confirmed it
    await publish("later")
    consumer.free("store")
    consumer.free("nobody")
    handler.gate.set()
    await until(lambda: handler.finished == ["in hand"])  # what is in hand goes on
    assert await left() == 1
    consumer.free("breakers")
    await until(lambda: handler.finished == ["in hand", "later"])


async def test_a_pause_ends_by_itself_and_a_second_one_starts_it_anew(
    make: Any, publish: Any, handler: Handler
) -> None:
    consumer = await make()
    loop = asyncio.get_running_loop()
    consumer.pause("breakers", 0.6)
    await until(lambda: not consumer.consuming)
    began = loop.time()
    consumer.pause("breakers", 1.2)
    await publish("a")
    await until(lambda: handler.finished == ["a"])
    assert loop.time() - began >= 1.1


async def test_holding_and_freeing_in_a_row_ends_consuming_once(
    make: Any, publish: Any, handler: Handler
) -> None:
    consumer = await make()
    for _ in range(30):
        consumer.hold("store")
        await asyncio.sleep(0)
        consumer.free("store")
        await asyncio.sleep(0.001)  # no fact: any state in between may be met
    await publish(*map(str, range(5)))
    await until(lambda: len(handler.finished) == 5)
    assert len(handler.seen) == 5


# --- a channel that dies -------------------------------------------------------------------------


async def test_a_lost_channel_cancels_no_handler_and_delivers_again(
    make: Any, publish: Any, handler: Handler, proxy: BrokerProxy
) -> None:
    handler.gate.clear()
    await make()
    await publish("a")
    await until(lambda: len(handler.seen) == 1)
    proxy.cut()
    await until(lambda: len(handler.seen) == 2)  # on the next channel, the first still at work
    assert handler.seen[1].redelivered
    handler.gate.set()
    await until(lambda: handler.finished == ["a", "a"])


async def test_an_acknowledgement_that_is_lost_is_repaired_by_the_redelivery(
    make: Any, publish: Any, left: Any, handler: Handler, proxy: BrokerProxy
) -> None:
    handler.gate.clear()
    consumer = await make()
    await publish("a")
    await until(lambda: len(handler.seen) == 1)
    proxy.cut()
    handler.gate.set()
    await until(lambda: handler.finished == ["a", "a"])
    await until(lambda: consumer.in_hand == 0)
    await consumer.stop()
    assert await left() == 0


async def test_acknowledgements_that_a_lost_connection_never_takes_are_not_waited_for(
    make: Any, publish: Any, left: Any, handler: Handler, proxy: BrokerProxy
) -> None:
    consumer = await make(prefetch=64)
    for wave in range(3):  # how far each acknowledgement has come is up to chance
        handler.gate.clear()
        await publish(*(f"{wave}-{n}" for n in range(64)))
        await until(lambda: handler.together == 64)
        proxy.reset()
        handler.gate.set()
        await until(lambda: not consumer.consuming)
        await until(lambda: consumer.consuming)
        await until(lambda: consumer.in_hand == 0)
    await consumer.stop()
    assert await left() == 0


async def test_consuming_goes_on_through_many_losses(
    make: Any, publish: Any, left: Any, handler: Handler, proxy: BrokerProxy
) -> None:
    consumer = await make()
    for n in range(5):
        await publish(str(n))
        proxy.cut()
        await until(lambda n=n: str(n) in handler.finished)
    await until(lambda: consumer.consuming)
    await publish("the end")  # behind whatever comes again
    await until(lambda: "the end" in handler.finished and consumer.in_hand == 0)
    await consumer.stop()
    assert await left() == 0


async def test_held_while_the_connection_is_lost_it_stays_held(
    make: Any, publish: Any, unconsumed: Any, handler: Handler, proxy: BrokerProxy
) -> None:
    consumer = await make()
    consumer.hold("store")
    await until(lambda: not consumer.consuming)
    before = proxy.connections
    proxy.cut()
    await until(lambda: proxy.connections > before)  # it is back, and could consume
    await publish("a")
    await unconsumed(ready=1)
    assert handler.seen == []
    consumer.free("store")
    await until(lambda: handler.finished == ["a"])


async def test_a_consumer_that_cannot_be_confirmed_is_not_left_behind(
    *,
    make: Any,
    publish: Any,
    unconsumed: Any,
    handler: Handler,
    proxy: BrokerProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A `basic.cancel` nobody answers: the channel goes, and with it what it would still take."""
    monkeypatch.setattr("worker.broker.consumer.OPERATION_TIMEOUT_S", 0.3)
    consumer = await make()
    proxy.swallow()
    consumer.hold("store")
    await until(lambda: not consumer.consuming)  # what it asked the broker for is given up
    proxy.heal()
    await publish("a")
    await unconsumed(ready=1)
    assert handler.seen == []
    consumer.free("store")
    await until(lambda: handler.finished == ["a"])
    assert handler.most == 1


# --- drain -----------------------------------------------------------------------------------


async def test_a_drain_finishes_what_is_in_hand_and_takes_nothing_new(
    make: Any, publish: Any, left: Any, handler: Handler
) -> None:
    handler.gate.clear()
    consumer = await make()
    await publish("in hand")
    await until(lambda: len(handler.seen) == 1)
    draining = asyncio.create_task(consumer.drain())
    await until(lambda: not consumer.consuming)  # the broker has confirmed it
    await publish("later")
    assert not draining.done()
    handler.gate.set()
    await draining
    assert handler.finished == ["in hand"]
    await consumer.stop()
    assert await left() == 1


async def test_a_drain_hands_back_what_was_not_begun(
    make: Any, publish: Any, left: Any, handler: Handler
) -> None:
    handler.gate.clear()
    handler.answers = [REQUEUE] * 3  # as the handlers answer while the process drains
    consumer = await make()
    await publish("a", "b", "c")
    await until(lambda: len(handler.seen) == 3)
    draining = asyncio.create_task(consumer.drain())
    await until(lambda: not consumer.consuming)
    handler.gate.set()
    await draining
    await until_equal(left, 3, 10)


async def test_a_drain_waits_for_its_grace_once_and_notes_what_it_leaves(
    make: Any, publish: Any, handler: Handler
) -> None:
    handler.gate.clear()
    consumer = await make(grace_s=0.3)
    await publish("stuck")
    await until(lambda: len(handler.seen) == 1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await consumer.drain()
    assert 0.3 <= loop.time() - began < 3
    began = loop.time()
    await consumer.drain()
    await consumer.stop()
    assert loop.time() - began < 0.2
    assert consumer.in_hand == 1  # not cancelled
    assert consumer._background.left() == [f"1 deliveries of {QUEUE}"]


async def test_a_consumer_that_never_started_stops(new_link: NewLink, handler: Handler) -> None:
    consumer = Consumer(new_link(), Background(), QUEUE, prefetch=1, handler=handler, grace_s=1)
    await consumer.stop()
    await consumer.stop()


async def test_a_drain_while_the_broker_is_away_ends(
    make: Any, handler: Handler, proxy: BrokerProxy
) -> None:
    consumer = await make()
    proxy.swallow()
    proxy.cut()
    await until(lambda: not consumer.consuming)
    async with asyncio.timeout(5):
        await consumer.drain()
    assert handler.seen == []


# --- what a publisher can do to us ---------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        {"timestamp": 0},
        {"timestamp": 1_700_000_000_000},
        {"timestamp": 1_700_000_000_000_000_000},
        {"timestamp": 2**63 + 1},
        {"message_id": b"m-\xe9"},
        {"correlation_id": b"\xff" * 255, "type": b"\xff", "content_type": b"\xff"},
        {"headers": {"what": b"\xff", "price": Decimal("1.5"), "none": None}},
    ],
    ids=repr,
)
async def test_odd_properties_do_not_stop_the_lane(
    make: Any, amqp_url: Callable[[str], str], handler: Handler, odd: dict[str, Any]
) -> None:
    await make()
    await asyncio.to_thread(_publish_with_pika, amqp_url("upstream"), odd)
    await until(lambda: set(handler.finished) == {"odd", "plain"})
    assert [seen.redelivered for seen in handler.seen] == [False, False]


def _publish_with_pika(address: str, odd: dict[str, Any]) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(address))
    channel = connection.channel()
    properties = pika.BasicProperties(delivery_mode=2, **odd)
    channel.basic_publish("sms.commands", "send.bulk", b"odd", properties)
    channel.basic_publish("sms.commands", "send.bulk", b"plain")
    connection.close()


async def test_a_consumer_that_the_broker_cancels_consumes_anew(
    new_link: NewLink, handler: Handler
) -> None:
    """A queue that is deleted, or whose leader moves, cancels its consumers."""
    link = new_link()
    await link.start()
    name = f"sms.test.{uuid4()}"
    channel = await link.channel()
    await channel.declare_queue(name)
    consumer = Consumer(link, Background(), name, prefetch=5, handler=handler, grace_s=1)
    await consumer.start()
    try:
        await channel.queue_delete(name)
        await until(lambda: not consumer.consuming)
        await (await link.channel()).declare_queue(name)
        await until(lambda: consumer.consuming)
    finally:
        await (await link.channel()).queue_delete(name)
        await consumer.stop()
        await link.stop()
