"""Rules of the client's side that the suites of the real broker do not reach."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError
from pamqp.commands import Basic

from contracts.names import Exchange, Queue
from tests.support.waiting import until
from tests.torture.simulation.broker.opening import open_connection
from tests.torture.simulation.broker.project import DirectClient
from tests.torture.simulation.broker.refusals import NotSimulated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="function")
PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="nobody")


class SlowWire:
    """Carries what it is told to carry, when it is told."""

    def __init__(self) -> None:
        self.holds = False
        self.calls: list[tuple[str, Callable[[], None]]] = []
        self.pushes: list[Callable[[], None]] = []

    async def call(self, name: str, apply: Callable[[], Any], *, within_s: float = 10.0) -> Any:
        del within_s
        if not self.holds:
            return apply()
        reply = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            answer = apply()
            if not reply.done():
                reply.set_result(answer)

        self.calls.append((name, arrive))
        return await reply

    def push(self, name: str, deliver: Callable[[], None], lost: Callable[[], None]) -> None:
        del name, lost
        if self.holds:
            self.pushes.append(deliver)
        else:
            asyncio.get_running_loop().call_soon(deliver)


@pytest.fixture
def wire() -> SlowWire:
    return SlowWire()


@pytest_asyncio.fixture(loop_scope="function")
async def connection(server: Server, wire: SlowWire) -> AsyncIterator[Connection]:
    made = await open_connection(server, wire, "amqp://worker@broker/")
    yield made
    wire.holds = False
    await made.close()


@pytest.fixture
def upstream(server: Server) -> DirectClient:
    return DirectClient(server, "upstream")


async def inner(connection: Connection) -> Any:
    return await (await connection.channel(on_return_raises=True)).get_underlay_channel()


def publishing(channel: Any, ident: str) -> asyncio.Task[Any]:
    publish = channel.basic_publish(
        ident.encode(),
        exchange=Exchange.EVENTS,
        routing_key="sms.sent",
        properties=Basic.Properties(message_id=ident),
    )
    return asyncio.get_running_loop().create_task(publish)


def bodies(server: Server) -> list[bytes]:
    return [entry.message.body for entry in server.queues[Queue.UNROUTED_EVENTS].ready]


async def sent(wire: SlowWire, count: int) -> None:
    await until(lambda: len(wire.calls) == count)


# --- order -----------------------------------------------------------------------------------


async def test_a_request_brings_along_what_was_sent_before_it(
    server: Server, wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    tasks = [publishing(channel, ident) for ident in ("first", "second")]
    await sent(wire, 2)
    wire.calls[1][1]()
    assert bodies(server) == [b"first", b"second"]
    wire.calls[0][1]()
    await asyncio.gather(*tasks)
    assert bodies(server) == [b"first", b"second"]


async def test_a_reply_brings_along_what_the_broker_said_before_it(
    wire: SlowWire, connection: Connection, upstream: DirectClient
) -> None:
    channel = await connection.channel()
    queue = await channel.get_queue(Queue.BULK, ensure=False)
    came: list[bytes] = []

    async def receive(message: Any) -> None:
        came.append(message.body)

    tag = await queue.consume(receive)
    wire.holds = True
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"late")
    assert len(wire.pushes) == 1  # on its way
    cancelling = asyncio.create_task(queue.cancel(tag))
    await sent(wire, 1)
    wire.calls[0][1]()
    await cancelling
    await until(lambda: came == [b"late"])
    wire.pushes[0]()
    await asyncio.sleep(0.01)
    assert came == [b"late"]


# --- losses ----------------------------------------------------------------------------------


async def test_who_waits_for_a_reply_gets_the_error_when_the_connection_is_lost(
    wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    task = publishing(channel, "e-1")
    await sent(wire, 1)
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
    await sent(wire, 1)
    connection.lose()
    await asyncio.gather(task, return_exceptions=True)
    wire.calls[0][1]()
    assert bodies(server) == []


async def test_a_task_that_is_cancelled_by_somebody_else_stays_cancelled(
    wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    task = publishing(channel, "e-1")
    await sent(wire, 1)
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
    await sent(wire, 1)
    task.cancel()
    await asyncio.wait([task])
    wire.calls[0][1]()
    assert (bodies(server), channel.is_closed) == ([b"e-1"], False)


async def test_another_call_that_is_given_up_closes_its_channel(
    server: Server, wire: SlowWire, connection: Connection
) -> None:
    channel = await connection.channel()
    wire.holds = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await channel.set_qos(1)
    assert channel.is_closed
    await sent(wire, 2)
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
    await sent(wire, 1)
    connection.lose()
    done, _ = await asyncio.wait({ack}, timeout=1000)
    assert done == set()
    ack.cancel()
    await asyncio.wait({ack})
    assert ack.cancelled()


# --- alarms and others -----------------------------------------------------------------------


async def test_while_a_publish_is_not_read_no_acknowledgement_is_read_either(
    server: Server, connection: Connection, upstream: DirectClient
) -> None:
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}")
    queue = await (await connection.channel()).get_queue(Queue.BULK, ensure=False)
    message = await queue.get()
    server.alarm(on=True)
    publish = publishing(await inner(connection), "e-1")
    ack = asyncio.create_task(message.ack())
    done, _ = await asyncio.wait({publish, ack}, timeout=100)
    unsettled = server.sessions[0].channels[1].unsettled
    assert (done, bodies(server), len(unsettled)) == (set(), [], 1)
    server.alarm(on=False)
    await asyncio.gather(publish, ack)
    assert (bodies(server), len(unsettled)) == ([b"e-1"], 0)


async def test_consumers_run_in_the_context_of_who_opened_the_connection(
    server: Server, wire: SlowWire, upstream: DirectClient
) -> None:
    PROCESS.set("consuming")
    connection = await open_connection(server, wire, "amqp://worker@broker/")
    seen: list[str] = []

    async def receive(_: Any) -> None:
        seen.append(PROCESS.get())

    queue = await (await connection.channel()).get_queue(Queue.BULK, ensure=False)
    await queue.consume(receive, no_ack=True)
    PROCESS.set("publishing")
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}")
    await until(lambda: seen == ["consuming"])
    await connection.close()


async def test_two_publishes_with_one_id_in_flight_are_not_simulated(
    wire: SlowWire, connection: Connection
) -> None:
    """The client library would mix up their returns, so our publisher must never do it."""
    channel = await inner(connection)
    wire.holds = True
    first = publishing(channel, "e-1")
    await sent(wire, 1)
    with pytest.raises(NotSimulated, match="one message id"):
        await publishing(channel, "e-1")
    wire.calls[0][1]()
    await first
