"""What a lost connection does to everything that waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError

from contracts.names import Exchange, Queue
from tests.support.waiting import until
from tests.torture.simulation.broker_suites.slow_wire import inner, published, publishing

if TYPE_CHECKING:
    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.project import DirectClient
    from tests.torture.simulation.broker.server import Server
    from tests.torture.simulation.broker_suites.slow_wire import SlowWire

pytestmark = pytest.mark.asyncio(loop_scope="function")


async def test_who_waits_for_a_reply_gets_the_error_when_the_connection_is_lost(
    wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    task = publishing(channel, "e-1")
    await wire.sent(1)
    connection.lose()
    with pytest.raises(AMQPConnectionError):
        await task
    assert (task.cancelled(), channel.is_closed) == (False, True)


async def test_what_was_sent_on_a_lost_connection_and_not_read_is_not_read_later(
    server: Server, wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    task = publishing(channel, "e-1")
    await wire.sent(1)
    connection.lose()
    await asyncio.gather(task, return_exceptions=True)
    wire.calls[0][1]()
    assert published(server) == []


async def test_a_task_that_is_cancelled_by_somebody_else_stays_cancelled(
    wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    task = publishing(channel, "e-1")
    await wire.sent(1)
    task.cancel()
    connection.lose()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_publish_that_is_given_up_may_still_arrive(
    server: Server, wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    task = publishing(channel, "e-1")
    await wire.sent(1)
    task.cancel()
    await asyncio.wait([task])
    wire.calls[0][1]()
    assert (published(server), channel.is_closed) == ([b"e-1"], False)


async def test_another_call_that_is_given_up_closes_its_channel(
    server: Server, wire: SlowWire, connection: Connection
) -> None:
    channel = await connection.channel()
    wire.holds = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await channel.set_qos(1)
    assert channel.is_closed
    await wire.sent(2)
    assert wire.calls[1][0] == "broker.close_channel"
    wire.calls[1][1]()
    assert server.sessions[0].channels == {}


async def test_a_client_that_is_not_told_of_a_loss_learns_of_it_with_its_next_request(
    server: Server, wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    server.lose_connections(wire, told=False)
    assert not channel.is_closed
    with pytest.raises(AMQPConnectionError):
        await publishing(channel, "e-1")
    assert channel.is_closed


async def test_the_consumers_of_a_lost_channel_are_cancelled(
    connection: Connection, upstream: DirectClient
) -> None:
    ends: list[type[BaseException]] = []

    async def receive(message: Any) -> None:
        try:
            await asyncio.sleep(1000)
        except BaseException as error:
            ends.append(type(error))
            raise
        await message.ack()

    queue = await (await connection.channel()).get_queue(Queue.BULK, ensure=False)
    await queue.consume(receive)
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}")
    await asyncio.sleep(0.01)
    connection.lose()
    await until(lambda: ends == [asyncio.CancelledError])


async def test_a_message_of_a_lost_channel_cannot_be_settled(
    server: Server, connection: Connection, upstream: DirectClient
) -> None:
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}")
    queue = await (await connection.channel()).get_queue(Queue.BULK, ensure=False)
    message = await queue.get()
    connection.lose()
    with pytest.raises(ChannelInvalidStateError):
        await message.ack()
    await until(lambda: server.queues[Queue.BULK].count == 1)


async def test_an_acknowledgement_on_a_lost_connection_waits_until_it_is_given_up(
    wire: SlowWire, connection: Connection, upstream: DirectClient
) -> None:
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}")
    queue = await (await connection.channel()).get_queue(Queue.BULK, ensure=False)
    message = await queue.get()
    wire.holds = True
    ack = asyncio.create_task(message.ack())
    await wire.sent(1)
    connection.lose()
    done, _ = await asyncio.wait({ack}, timeout=1000)
    assert done == set()
    ack.cancel()
    await asyncio.wait({ack})
    assert ack.cancelled()
