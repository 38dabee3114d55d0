"""Events nobody was bound to take: counted by the broker, watched by replicas, shown on demand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aio_pika
import pytest
from typer.testing import CliRunner

from contracts.names import Exchange
from worker.broker.unrouted import UnroutedWatch
from worker.cli import app
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractConnection
    from click.testing import Result

    from worker.broker.connection import BrokerConnection

    Connect = Callable[[str], Awaitable[AbstractConnection]]

pytestmark = pytest.mark.usefixtures("empty_queues")

WITHIN_S = 10.0


@pytest.fixture
async def tell(connect: Connect) -> Callable[..., Awaitable[None]]:
    """Publish events that nobody takes."""
    channel = await (await connect("worker")).channel(on_return_raises=True)
    exchange = await channel.get_exchange(Exchange.EVENTS, ensure=False)

    async def publish(*names: str) -> None:
        for name in names:
            await exchange.publish(aio_pika.Message(b"{}"), name, mandatory=False)

    return publish


async def shown(url: str, *arguments: str) -> Result:
    environment = {"AMQP_URL": url, "AMQP_URL_WORKER": url}
    run = CliRunner(env=environment).invoke
    return await asyncio.to_thread(run, app, ["unrouted", *arguments])


async def test_what_nobody_took_is_counted_by_name(
    amqp_url: Callable[[str], str], tell: Callable[..., Awaitable[None]]
) -> None:
    url = amqp_url("worker")
    await tell("sms.sent", "sms.sent", "sms.failed")
    for _ in range(2):  # looking takes nothing away
        told = await shown(url)
        assert told.exit_code == 0, told.output
        assert told.stdout.splitlines() == [
            "events of the last hour that nobody took: 3",
            "  sms.sent         2",
            "  sms.failed       1",
        ]


async def test_a_sample_says_that_it_is_one(
    amqp_url: Callable[[str], str], tell: Callable[..., Awaitable[None]]
) -> None:
    await tell(*["sms.sent"] * 3)
    lines = (await shown(amqp_url("worker"), "--sample", "2")).stdout.splitlines()
    assert lines[0].endswith(": 3")
    assert lines[1].split("  (")[1] == "of the oldest 2)"


async def test_where_every_event_is_taken_the_count_is_zero(amqp_url: Callable[[str], str]) -> None:
    told = await shown(amqp_url("worker"))
    assert told.stdout == "events of the last hour that nobody took: 0\n"


async def test_a_broker_that_is_away_is_said_in_one_line() -> None:
    told = await shown("amqp://worker:secret@127.0.0.1:1/")
    assert told.exit_code == 1
    assert len(told.stderr.splitlines()) == 1
    assert "secret" not in told.stderr


async def test_every_replica_counts_the_same_and_takes_nothing(
    new_link: Callable[[], BrokerConnection], tell: Callable[..., Awaitable[None]]
) -> None:
    await tell("sms.sent", "sms.unknown")
    link, background = new_link(), Background()
    counts: list[asyncio.Queue[int]] = [asyncio.Queue(), asyncio.Queue()]
    watches = [UnroutedWatch(link, background, q.put_nowait, every_s=0.05) for q in counts]
    await link.start()
    try:
        for watch in watches:
            await watch.start()
        async with asyncio.timeout(WITHIN_S):
            seen = [await q.get() for q in counts for _ in range(3)]
        assert seen == [2] * 6
    finally:
        for watch in watches:
            await watch.stop()
        await link.stop()


async def test_a_watch_that_was_never_started_stops(
    new_link: Callable[[], BrokerConnection],
) -> None:
    await UnroutedWatch(new_link(), Background(), print).stop()
