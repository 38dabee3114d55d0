"""Publishing: confirmed, repeated until confirmed, recognisable by id; on the real broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from contracts.names import Exchange, Header, Queue
from tests.integration.servers import GivenBroker
from tests.support.fakes import quietly
from tests.support.waiting import until
from worker.broker import tolerant_decoding
from worker.broker.publisher import AmqpPublisher
from worker.ports.broker import Event, Incoming, Unpublishable
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import aio_pika
    from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

    from tests.integration.broker_proxy import BrokerProxy
    from worker.broker.connection import BrokerConnection

pytestmark = pytest.mark.usefixtures("empty_queues")
BULK = Queue.BULK.value


@pytest.fixture
async def link(new_link: Callable[[], BrokerConnection]) -> AsyncIterator[BrokerConnection]:
    made = new_link()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def publisher(link: BrokerConnection) -> AsyncIterator[AmqpPublisher]:
    made = AmqpPublisher(link, Background())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def direct(
    connect: Callable[[str], Awaitable[aio_pika.abc.AbstractConnection]],
) -> aio_pika.abc.AbstractChannel:
    """A channel past the proxy."""
    return await (await connect("worker")).channel()


@pytest.fixture
async def events(direct: aio_pika.abc.AbstractChannel) -> AsyncIterator[AbstractQueue]:
    """What a consumer of events gets."""
    queue = await direct.declare_queue("sms.own.worker.test", auto_delete=False)
    await queue.bind(Exchange.EVENTS.value, "#")
    yield queue
    await queue.delete(if_unused=False, if_empty=False)


async def taken(queue: AbstractQueue, count: int = 1) -> list[AbstractIncomingMessage]:
    """The next messages of a queue."""
    async with asyncio.timeout(20):
        return [await until(lambda: queue.get(no_ack=True, fail=False)) for _ in range(count)]


async def from_queue(channel: Any, name: str) -> AbstractIncomingMessage:
    return (await taken(await channel.get_queue(name, ensure=False)))[0]


def event(ident: str = "e-1", **changes: Any) -> Event:
    return Event(Exchange.EVENTS, "sms.sent", b'{"a":1}', ident, "sms.sent", **changes)


def incoming(**changes: Any) -> Incoming:
    fields: dict[str, Any] = {
        "queue": BULK,
        "body": b"body",
        "redelivered": False,
        "headers": {},
        "message_id": "m-1",
    }
    return Incoming(**(fields | changes))


# --- what is published -----------------------------------------------------------------------


async def test_an_event_bears_id_type_and_trace(
    publisher: AmqpPublisher, events: AbstractQueue
) -> None:
    await publisher.event(event(correlation_id="c-1", headers={"traceparent": "00-aa"}))
    (got,) = await taken(events)
    assert (got.body, got.message_id, got.type) == (b'{"a":1}', "e-1", "sms.sent")
    assert (got.correlation_id, got.content_type) == ("c-1", "application/json")
    assert (got.headers, got.delivery_mode) == ({"traceparent": "00-aa"}, 2)
    assert got.routing_key == "sms.sent"


async def test_an_event_nobody_takes_is_confirmed_and_kept_to_be_counted(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel
) -> None:
    await publisher.event(event())
    got = await from_queue(direct, Queue.UNROUTED_EVENTS.value)
    assert got.message_id == "e-1"


async def test_a_parked_copy_comes_back_to_its_queue(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    headers = {"kept": "yes", "x-death": [], "CC": ["a"], "BCC": ["b"], Header.ROUND: 1}
    original = incoming(
        headers=headers, type="SendSms.v1", correlation_id="c-1", user_id="upstream", timestamp=at
    )
    await publisher.park(original, "5s", {Header.ROUND: 2})
    got = await from_queue(direct, BULK)
    assert 4.5 < loop.time() - began < 15
    assert (got.body, got.message_id, got.type) == (b"body", "m-1", "SendSms.v1")
    assert (got.correlation_id, got.user_id, got.timestamp) == ("c-1", None, at)
    ours = {name: value for name, value in got.headers.items() if not name.startswith("x-")}
    assert ours == {"kept": "yes", Header.ROUND: 2}


async def test_a_dead_letter_says_why_and_from_where(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel
) -> None:
    await publisher.dead(incoming(body=b"\xff\x00"), "not JSON", {Header.ATTEMPTS: 3})
    got = await from_queue(direct, Queue.DEAD.value)
    assert (got.body, got.routing_key) == (b"\xff\x00", BULK)
    ours = {name: value for name, value in got.headers.items() if not name.startswith("x-")}
    assert ours == {Header.REASON: "not JSON", Header.SOURCE: BULK, Header.ATTEMPTS: 3}


@pytest.mark.parametrize(
    "value", [1, -(2**63), 1.5, 1e300, "text", b"\xff", True, None, Decimal("1.50"), {"a": [1]},
              bytearray(b"\xff"), datetime(2026, 1, 1, tzinfo=UTC), tolerant_decoding.NO_TIME]
)  # fmt: skip
async def test_whatever_a_header_holds_its_copy_can_be_published(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel, value: object
) -> None:
    async with asyncio.timeout(10):
        await publisher.dead(incoming(headers={"odd": value}), "test", {})
    assert "odd" in (await from_queue(direct, Queue.DEAD.value)).headers


# --- repeated until confirmed ------------------------------------------------------------------


async def test_a_publish_whose_confirm_is_lost_is_repeated_with_the_same_id(
    publisher: AmqpPublisher, events: AbstractQueue, proxy: BrokerProxy
) -> None:
    proxy.lose_confirms(2)
    await publisher.event(event())
    assert proxy.lost == 2
    got = await taken(events, 3)
    assert {message.message_id for message in got} == {"e-1"}


async def test_what_is_published_while_the_connection_is_cut_all_arrives(
    publisher: AmqpPublisher, events: AbstractQueue, proxy: BrokerProxy
) -> None:
    async def cutting() -> None:
        while True:
            await asyncio.sleep(0.1)  # the fault comes by the clock, wherever the work is
            proxy.cut()

    cutter = asyncio.create_task(cutting())
    wanted = {f"e-{n}" for n in range(200)}
    try:
        async with asyncio.timeout(60):
            for n in range(0, 200, 20):
                await asyncio.gather(*(publisher.event(event(f"e-{n + m}")) for m in range(20)))
                await asyncio.sleep(0.03)  # the load: spread over several cuts
    finally:
        cutter.cancel()
        await quietly(cutter)
    found: set[str | None] = set()
    while not wanted <= found:
        found |= {message.message_id for message in await taken(events)}


async def test_a_copy_that_finds_no_queue_is_repeated_until_there_is_one(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel
) -> None:
    with capture_logs() as lines:
        parking = asyncio.create_task(publisher.park(incoming(), "9h", {}))
        await until(lambda: [each["event"] for each in lines].count("publish refused") >= 3)
    assert not parking.done()
    queue = await direct.declare_queue("sms.own.worker.tier")
    await queue.bind(Exchange.RETRY.value, "9h.#")
    async with asyncio.timeout(10):
        await parking
    (got,) = await taken(queue)
    await queue.delete(if_unused=False, if_empty=False)
    assert got.message_id == "m-1"


async def test_two_publishes_of_one_id_are_never_under_way_together(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, under_way, most = AmqpPublisher._try, 0, 0

    async def counted(self: AmqpPublisher, *args: Any, **kwargs: Any) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await real(self, *args, **kwargs)
        finally:
            under_way -= 1

    monkeypatch.setattr(AmqpPublisher, "_try", counted)
    await asyncio.gather(*(publisher.dead(incoming(), "test", {}) for _ in range(20)))
    assert most == 1
    queue = await direct.get_queue(Queue.DEAD.value, ensure=False)
    assert len(await taken(queue, 20)) == 20
    await asyncio.gather(*(publisher.event(event(f"e-{n}")) for n in range(20)))
    assert most > 1


async def test_a_publisher_that_is_cancelled_frees_its_id(
    publisher: AmqpPublisher, proxy: BrokerProxy
) -> None:
    proxy.swallow()
    stuck = asyncio.create_task(publisher.event(event()))
    await until(lambda: proxy.has_kept_a_publish)
    stuck.cancel()
    await quietly(stuck)
    assert stuck.cancelled()
    proxy.heal()
    async with asyncio.timeout(20):
        await publisher.event(event())


# --- metrics: best effort ------------------------------------------------------------------------


async def test_a_metric_goes_out(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel
) -> None:
    queue = await direct.declare_queue("sms.own.worker.metrics")
    await queue.bind(Exchange.METRICS.value, "metric.#")
    publisher.metric("metric.health", b"{}")
    await publisher.drain()
    (got,) = await taken(queue)
    await queue.delete(if_unused=False, if_empty=False)
    assert (got.body, got.type) == (b"{}", "metric.health")


async def test_a_metric_while_the_broker_is_away_is_dropped_and_counted(
    publisher: AmqpPublisher, link: BrokerConnection, proxy: BrokerProxy
) -> None:
    proxy.swallow()
    proxy.cut()
    await until(lambda: not link.is_up)
    publisher.metric("metric.health", b"{}")
    assert publisher.dropped_metrics == 1
    await publisher.drain()


async def test_a_drain_does_not_wait_for_a_broker_that_is_away(
    publisher: AmqpPublisher, proxy: BrokerProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.broker.publisher.CONFIRM_TIMEOUT_S", 0.3)
    proxy.swallow()
    publisher.metric("metric.health", b"{}")
    proxy.cut()
    async with asyncio.timeout(5):
        await publisher.drain()
    assert publisher.dropped_metrics == 1


async def test_a_publish_without_a_confirm_is_noted_at_the_end(
    link: BrokerConnection, proxy: BrokerProxy
) -> None:
    background = Background()
    made = AmqpPublisher(link, background)
    await made.start()
    proxy.swallow()
    publishing = asyncio.create_task(made.event(event("held")))
    await until(lambda: made._in_flight)
    proxy.cut()
    await made.stop()
    assert background.left() == ["1 publishes without a confirm"]
    publishing.cancel()
    await quietly(publishing)


async def test_a_stop_does_not_wait_for_a_broker_that_hangs(
    link: BrokerConnection, proxy: BrokerProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.broker.connection.CLOSE_TIMEOUT_S", 0.3)
    made = AmqpPublisher(link, Background())
    await made.start()
    proxy.swallow()
    async with asyncio.timeout(5):
        await made.stop()


async def test_a_stopped_publisher_may_be_stopped_again(link: BrokerConnection) -> None:
    made = AmqpPublisher(link, Background())
    await made.stop()
    await made.start()
    await made.stop()
    await made.stop()


# --- what the broker does not take -----------------------------------------------------------


async def test_a_copy_that_closes_the_connection_goes_out_without_the_headers_of_others(
    publisher: AmqpPublisher,
    direct: aio_pika.abc.AbstractChannel,
    events: AbstractQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tolerant_decoding, "MAX_COPIED_BYTES", 1_000_000)
    bomb = incoming(headers={"theirs": "x" * 140_000})
    async with asyncio.timeout(20):
        await asyncio.gather(
            publisher.dead(bomb, "test", {}), *(publisher.event(event(f"e-{n}")) for n in range(20))
        )
    got = await from_queue(direct, Queue.DEAD.value)
    assert (got.body, got.headers[Header.REASON]) == (b"body", "test")
    assert "theirs" not in got.headers
    found: set[str | None] = set()
    while len(found) < 20:
        found |= {each.message_id for each in await taken(events)}


async def test_what_the_broker_never_takes_is_given_up_and_told_and_the_rest_goes_on(
    publisher: AmqpPublisher, events: AbstractQueue
) -> None:
    told: list[str] = []
    publisher.on_broken(told.append)
    async with asyncio.timeout(60):
        with pytest.raises(Unpublishable):
            await publisher.park(incoming(), "5s", {"ours": "x" * 140_000})
    with pytest.raises(Unpublishable):  # at once: not another connection is lost for it
        await publisher.park(incoming(), "5s", {})
    assert told == ["m-1"]
    await publisher.event(event())
    assert (await taken(events))[0].message_id == "e-1"


async def test_the_reason_of_a_dead_letter_is_bounded(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel
) -> None:
    async with asyncio.timeout(10):
        await publisher.dead(incoming(), "r" * 140_000, {})
    got = await from_queue(direct, Queue.DEAD.value)
    assert got.headers[Header.REASON] == "r" * 2000


@pytest.fixture
async def alarm(
    broker: Any, link: BrokerConnection
) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Sets and clears the broker's memory alarm, and waits until we are blocked by it."""
    if isinstance(broker, GivenBroker):
        pytest.skip("a broker of somebody else is not put in alarm")

    async def change(*, on: bool) -> None:
        await broker.memory_alarm(on=on)
        await until(lambda: link.is_blocked is on)

    yield change
    await broker.memory_alarm(on=False)


async def test_what_is_published_during_a_memory_alarm_waits_and_arrives_once(
    publisher: AmqpPublisher,
    link: BrokerConnection,
    events: AbstractQueue,
    alarm: Callable[..., Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.broker.publisher.CONFIRM_TIMEOUT_S", 0.5)
    told: list[bool] = []
    link.on_blocked(told.append)
    publishing: list[asyncio.Task[None]] = []

    async def publish_on() -> None:  # the broker blocks a connection when it publishes
        while not link.is_blocked:
            publishing.append(asyncio.create_task(publisher.event(event(f"e-{len(publishing)}"))))
            await asyncio.sleep(0.05)  # the load: until the broker blocks it

    publisher_task = asyncio.create_task(publish_on())
    await alarm(on=True)
    await publisher_task
    publishing += [asyncio.create_task(publisher.event(event(f"late-{n}"))) for n in range(5)]
    publisher.metric("metric.health", b"{}")
    assert publisher.dropped_metrics == 1
    # Longer than any publish may take unblocked: that nothing ends, the time alone can prove.
    ended, _ = await asyncio.wait(publishing[-5:], timeout=2, return_when=asyncio.FIRST_COMPLETED)
    assert not ended
    await alarm(on=False)
    async with asyncio.timeout(10):
        await asyncio.gather(*publishing)
    assert told == [True, False]
    got = Counter(each.message_id for each in await taken(events, len(publishing)))
    assert await events.get(no_ack=True, fail=False) is None
    assert set(got.values()) == {1}
