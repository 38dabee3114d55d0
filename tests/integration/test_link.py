"""One AMQP connection that comes back by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest
from aiormq.exceptions import ProbableAuthenticationError
from pamqp import decode

from tests.support.fakes import quietly
from tests.support.proxy import Drop, Proxy
from tests.support.waiting import until
from worker.broker.connection import HEARTBEAT_S, BrokerConnection, connect
from worker.broker.wakeups import Wakeups
from worker.lab.local.port import Port
from worker.service import Background, ServerAwayError, StartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.integration.broker_proxy import BrokerProxy

    NewLink = Callable[[], BrokerConnection]


@pytest.fixture
async def link(new_link: NewLink) -> AsyncIterator[BrokerConnection]:
    made = new_link()
    await made.start()
    yield made
    await made.stop()


async def test_a_started_link_is_up_and_a_stopped_one_is_not(new_link: NewLink) -> None:
    link = new_link()
    assert not link.is_up
    await link.start()
    assert link.is_up
    await link.drain()
    await link.stop()
    await link.stop()
    assert not link.is_up


async def test_a_link_that_never_started_stops(new_link: NewLink) -> None:
    await new_link().stop()


async def test_a_login_that_is_refused_at_the_start_is_an_error(url: str) -> None:
    refused = url.replace("worker:", "worker:x")
    with pytest.raises(
        StartError, match=r"AMQP_URL: broker at [\d.:]+: it refuses the login"
    ) as end:
        await BrokerConnection(refused, "test", Background()).start()
    assert not isinstance(end.value, ServerAwayError)


async def test_a_broker_that_is_away_at_the_start_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, amqp_url: Callable[[str], str]
) -> None:
    monkeypatch.setattr("worker.service.RETRY_S", 0.01)
    port = Port()
    login = amqp_url("worker").rpartition("@")[0]
    link = BrokerConnection(f"{login}@127.0.0.1:{port}/%2F", "test", Background())
    assert link.problem == "not connected yet"
    starting = asyncio.create_task(link.start())
    await until(lambda: link.problem == "not connected: nothing listens there")
    assert not link.is_up
    async with Proxy(amqp_url("worker"), port.number):
        await starting
        assert (link.is_up, link.problem) == (True, "")
        await link.stop()


async def test_a_lost_host_is_replaced_by_another_one(
    proxy: Proxy, url: str, amqp_url: Callable[[str], str]
) -> None:
    async with Proxy(amqp_url("worker")) as other:
        two = url.replace(f":{proxy.port}", f":{proxy.port},127.0.0.1:{other.port}")
        link = BrokerConnection(two, "test", Background())
        await link.start()
        first, second = (proxy, other) if proxy.connections else (other, proxy)
        assert (first.connections, second.connections) == (1, 0)
        await first.end()
        await until(lambda: second.connections == 1 and link.is_up)
        channel = await link.channel()
        await channel.declare_exchange("sms.events", passive=True)
        await link.stop()


async def test_a_host_that_hangs_leaves_time_for_another_one(
    proxy: Proxy, url: str, amqp_url: Callable[[str], str]
) -> None:
    proxy.requests.put(Drop())
    async with Proxy(amqp_url("worker")) as other:
        two = url.replace(f":{proxy.port}", f":{proxy.port},127.0.0.1:{other.port}")
        for _ in range(2):  # whichever goes first
            await (await connect(two)).close()
        assert other.connections == 2


async def test_of_several_hosts_the_gravest_reason_counts(url: str) -> None:
    two = url.replace("worker:", "worker:x").replace("@", "@127.0.0.1:1,")
    for _ in range(4):
        with pytest.raises(ProbableAuthenticationError):
            await connect(two)


async def test_a_start_that_waits_for_the_broker_can_be_given_up() -> None:
    link = BrokerConnection("amqp://nobody@127.0.0.1:1/", "test", Background())
    starting = asyncio.create_task(link.start())
    await until(lambda: link.problem == "not connected: nothing listens there")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await link.stop()


async def test_a_lost_connection_comes_back(link: BrokerConnection, proxy: Proxy) -> None:
    for _ in range(3):
        proxy.cut()
        await until(lambda: not link.is_up)
        await until(lambda: link.is_up)
        channel = await link.channel()
        await channel.declare_exchange("sms.events", passive=True)


async def test_who_waits_for_a_channel_gets_it_when_the_broker_is_back(
    link: BrokerConnection, proxy: BrokerProxy
) -> None:
    proxy.swallow()
    proxy.cut()
    await until(lambda: not link.is_up)
    waits = [asyncio.create_task(link.channel()) for _ in range(5)]
    gone = asyncio.create_task(link.channel())
    await asyncio.sleep(0)
    gone.cancel()
    await quietly(gone)
    assert not any(task.done() for task in waits)
    proxy.heal()
    async with asyncio.timeout(30):
        channels = await asyncio.gather(*waits)
    assert not any(channel.is_closed for channel in channels)


async def test_a_link_to_a_broker_that_says_nothing_can_be_stopped(
    link: BrokerConnection, proxy: BrokerProxy
) -> None:
    proxy.swallow()
    async with asyncio.timeout(15):
        await link.stop()


async def test_options_in_an_address_change_nothing(amqp_url: Callable[[str], str]) -> None:
    async with await connect(f"{amqp_url('worker')}?heartbeat=0&timeout=1&name=x") as found:
        assert found.transport is not None
        inner: Any = found.transport.connection
        assert inner.url.query == {"heartbeat": str(HEARTBEAT_S)}
        assert inner.heartbeat_timeout == HEARTBEAT_S


@pytest.mark.usefixtures("empty_queues")
async def test_a_connection_without_a_link_reads_what_nobody_can_decode(
    amqp_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(decode.METHODS, "table", decode.field_table)
    deep: Any = None
    for _ in range(340):
        deep = [deep]
    async with await aio_pika.connect(amqp_url("worker")) as publishing:
        channel = await publishing.channel()
        exchange = await channel.get_exchange("sms.dead", ensure=False)
        await exchange.publish(aio_pika.Message(b"x", headers={"deep": deep}), "test")
    async with await connect(amqp_url("worker")) as reading:
        queue = await (await reading.channel()).get_queue("sms.dead", ensure=False)
        message = await queue.get(no_ack=True)
    assert message is not None
    assert (message.body, message.headers) == (b"x", {})


# --- wake-ups --------------------------------------------------------------------------------


async def test_a_wake_up_is_heard_and_one_follows_each_connect(
    link: BrokerConnection, proxy: Proxy
) -> None:
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    wakeups = Wakeups(link, Background(), "sms.state", "control.state", wake)
    await wakeups.start()
    assert woken == 1
    await _publish(link)
    await until(lambda: woken == 2)
    proxy.cut()
    await until(lambda: woken == 3)
    await _publish(link)
    await until(lambda: woken == 4)
    await wakeups.drain()
    await wakeups.stop()
    await wakeups.stop()


async def _publish(link: BrokerConnection) -> None:
    channel = await link.channel()
    exchange = await channel.get_exchange("sms.state", ensure=False)
    await exchange.publish(aio_pika.Message(b"{}"), "control.state")
    await channel.close()
