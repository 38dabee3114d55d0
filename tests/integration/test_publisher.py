"""Publishing: confirmed, repeated until confirmed, recognisable by id; on the real broker."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest
from pamqp import decode

from contracts.names import Exchange, Header, Queue
from tests.integration.test_link import proxy, until, url
from tests.unit.fakes import quietly
from worker.broker import leniency
from worker.broker.link import Link
from worker.broker.publisher import AmqpPublisher
from worker.ports import Event, Incoming
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

    from tests.integration.proxy import Proxy

__all__ = ["proxy", "url"]  # fixtures
pytestmark = pytest.mark.usefixtures("empty_queues")
PUBLISH = b"\x00\x3c\x00\x28"
"""Class and method of `basic.publish` (AMQP 0-9-1)."""
BULK = Queue.BULK.value


@pytest.fixture
async def link(url: str) -> AsyncIterator[Link]:
    made = Link(url, "test publisher", Background())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def publisher(link: Link) -> AsyncIterator[AmqpPublisher]:
    made = AmqpPublisher(link)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def direct(amqp_url: Callable[[str], str]) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel past the proxy."""
    async with await aio_pika.connect(amqp_url("worker")) as connection:
        yield await connection.channel()


@pytest.fixture
async def events(direct: aio_pika.abc.AbstractChannel) -> AsyncIterator[AbstractQueue]:
    """What a consumer of events gets."""
    queue = await direct.declare_queue("sms.own.worker.test", auto_delete=False)
    await queue.bind(Exchange.EVENTS.value, "#")
    yield queue
    await queue.delete(if_unused=False, if_empty=False)


async def taken(queue: AbstractQueue, count: int = 1) -> list[AbstractIncomingMessage]:
    """The next messages of a queue."""
    found: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            message = await queue.get(no_ack=True, fail=False)
            if message is None:
                await asyncio.sleep(0.02)
            else:
                found.append(message)
    return found


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
              bytearray(b"\xff"), datetime(2026, 1, 1, tzinfo=UTC), leniency.NO_TIME]
)  # fmt: skip
async def test_whatever_a_header_holds_its_copy_can_be_published(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel, value: object
) -> None:
    async with asyncio.timeout(10):
        await publisher.dead(incoming(headers={"odd": value}), "test", {})
    assert "odd" in (await from_queue(direct, Queue.DEAD.value)).headers


# --- repeated until confirmed ------------------------------------------------------------------


async def test_a_publish_whose_confirm_is_lost_is_repeated_with_the_same_id(
    publisher: AmqpPublisher, events: AbstractQueue, proxy: Proxy
) -> None:
    proxy.lose_replies_to, proxy.losses_left = PUBLISH, 2
    await publisher.event(event())
    assert proxy.lost == 2
    got = await taken(events, 3)
    assert {message.message_id for message in got} == {"e-1"}


async def test_what_is_published_while_the_connection_is_cut_all_arrives(
    publisher: AmqpPublisher, events: AbstractQueue, proxy: Proxy
) -> None:
    async def cutting() -> None:
        while True:
            await asyncio.sleep(0.1)
            proxy.cut()

    cutter = asyncio.create_task(cutting())
    wanted = {f"e-{n}" for n in range(200)}
    try:
        async with asyncio.timeout(60):
            for n in range(0, 200, 20):
                await asyncio.gather(*(publisher.event(event(f"e-{n + m}")) for m in range(20)))
                await asyncio.sleep(0.03)
    finally:
        cutter.cancel()
        await quietly(cutter)
    found: set[str | None] = set()
    while not wanted <= found:
        found |= {message.message_id for message in await taken(events)}


async def test_a_copy_that_finds_no_queue_is_repeated_until_there_is_one(
    publisher: AmqpPublisher, direct: aio_pika.abc.AbstractChannel
) -> None:
    parking = asyncio.create_task(publisher.park(incoming(), "9h", {}))
    await asyncio.sleep(0.5)  # several tries
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
    publisher: AmqpPublisher, proxy: Proxy
) -> None:
    proxy.stalled = True
    stuck = asyncio.create_task(publisher.event(event()))
    await asyncio.sleep(0.05)
    stuck.cancel()
    await quietly(stuck)
    assert stuck.cancelled()
    proxy.stalled = False
    proxy.cut()
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
    publisher: AmqpPublisher, link: Link, proxy: Proxy
) -> None:
    proxy.stalled = True
    proxy.cut()
    await until(lambda: not link.is_up)
    publisher.metric("metric.health", b"{}")
    assert publisher.dropped_metrics == 1
    await publisher.drain()


async def test_a_drain_does_not_wait_for_a_broker_that_is_away(
    publisher: AmqpPublisher, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.broker.publisher.CONFIRM_TIMEOUT_S", 0.3)
    proxy.stalled = True
    publisher.metric("metric.health", b"{}")
    proxy.cut()
    async with asyncio.timeout(5):
        await publisher.drain()
    assert publisher.dropped_metrics == 1


async def test_a_stopped_publisher_may_be_stopped_again(link: Link) -> None:
    made = AmqpPublisher(link)
    await made.stop()
    await made.start()
    await made.stop()
    await made.stop()


# --- what no publisher can do to us --------------------------------------------------------------


def table(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def test_a_table_that_is_no_table_counts_as_empty() -> None:
    leniency.install()
    broken = table(b"\x02\xff\xfeI\x00\x00\x00\x01")
    assert decode.by_type(broken + b"rest", "table") == (len(broken), {})
    inner = table(b"\x01aF" + broken + b"\x01bI\x00\x00\x00\x07")
    assert decode.by_type(inner, "table") == (len(inner), {"a": {}, "b": 7})


def test_a_time_in_a_table_may_be_any_number() -> None:
    leniency.install()
    odd = table(b"\x01aT" + struct.pack(">Q", 2**64 - 1))
    assert decode.by_type(odd, "table") == (len(odd), {"a": leniency.NO_TIME})


def test_what_is_right_is_decoded_as_ever() -> None:
    leniency.install()
    leniency.install()
    assert decode.by_type(b"\x03\xc3\xa9a", "shortstr") == (4, "éa")
    assert decode.by_type(struct.pack(">Q", 0), "timestamp") == (
        8,
        datetime(1970, 1, 1, tzinfo=UTC),
    )


def test_an_id_that_is_no_text_is_none_that_is_valid() -> None:
    leniency.install()
    consumed, text = decode.by_type(b"\x04m-\xff1rest", "shortstr")
    assert (consumed, text) == (5, "m-\x1a1")
