"""One AMQP connection that comes back by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aio_pika
import pytest

from tests.integration.proxy import Proxy
from tests.unit.fakes import quietly
from worker.broker.link import LOST, Link
from worker.broker.wakeups import Wakeups
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@pytest.fixture
async def proxy(amqp_url: Callable[[str], str]) -> AsyncIterator[Proxy]:
    async with Proxy(amqp_url("worker")) as made:
        yield made


@pytest.fixture
def url(proxy: Proxy, amqp_url: Callable[[str], str]) -> str:
    """The broker, through the proxy."""
    login = amqp_url("worker").rpartition("@")[0]
    return f"{login}@127.0.0.1:{proxy.port}/%2F"


@pytest.fixture
async def link(url: str) -> AsyncIterator[Link]:
    made = Link(url, "test", Background())
    await made.start()
    yield made
    await made.stop()


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fact():
            await asyncio.sleep(0.01)


async def test_a_started_link_is_up_and_a_stopped_one_is_not(url: str) -> None:
    link = Link(url, "test", Background())
    assert not link.is_up
    await link.start()
    assert link.is_up
    await link.drain()
    await link.stop()
    await link.stop()
    assert not link.is_up


async def test_a_link_that_never_started_stops(url: str) -> None:
    await Link(url, "test", Background()).stop()


async def test_a_first_connection_that_cannot_be_made_is_an_error() -> None:
    with pytest.raises(LOST):
        await Link("amqp://nobody@127.0.0.1:1/", "test", Background()).start()


async def test_a_lost_connection_comes_back(link: Link, proxy: Proxy) -> None:
    for _ in range(3):
        proxy.cut()
        await until(lambda: not link.is_up)
        await until(lambda: link.is_up)
        channel = await link.channel()
        await channel.declare_exchange("sms.events", passive=True)


async def test_who_waits_for_a_channel_gets_it_when_the_broker_is_back(
    link: Link, proxy: Proxy
) -> None:
    proxy.stalled = True
    proxy.cut()
    await until(lambda: not link.is_up)
    waits = [asyncio.create_task(link.channel()) for _ in range(5)]
    gone = asyncio.create_task(link.channel())
    await asyncio.sleep(0)
    gone.cancel()
    await quietly(gone)
    assert not any(task.done() for task in waits)
    proxy.stalled = False
    proxy.cut()
    async with asyncio.timeout(30):
        channels = await asyncio.gather(*waits)
    assert not any(channel.is_closed for channel in channels)


async def test_a_link_to_a_broker_that_says_nothing_can_be_stopped(
    link: Link, proxy: Proxy
) -> None:
    proxy.stalled = True
    async with asyncio.timeout(15):
        await link.stop()


# --- wake-ups --------------------------------------------------------------------------------


async def test_a_wake_up_is_heard_and_one_follows_each_connect(link: Link, proxy: Proxy) -> None:
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


async def _publish(link: Link) -> None:
    channel = await link.channel()
    exchange = await channel.get_exchange("sms.state", ensure=False)
    await exchange.publish(aio_pika.Message(b"{}"), "control.state")
    await channel.close()
