"""Rules of the client's side that the suites of the real broker do not reach."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest

from contracts.names import Exchange, Queue
from tests.support.waiting import until
from tests.torture.simulation.broker.opening import open_connection
from tests.torture.simulation.broker.refusals import NotSimulated
from tests.torture.simulation.broker_suites.slow_wire import inner, published, publishing

if TYPE_CHECKING:
    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.project import DirectClient
    from tests.torture.simulation.broker.server import Server
    from tests.torture.simulation.broker_suites.slow_wire import SlowWire

pytestmark = pytest.mark.asyncio(loop_scope="function")
PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="nobody")

# --- order -----------------------------------------------------------------------------------


async def test_a_request_brings_along_what_was_sent_before_it(
    server: Server, wire: SlowWire, connection: Connection
) -> None:
    channel = await inner(connection)
    wire.holds = True
    tasks = [publishing(channel, ident) for ident in ("first", "second")]
    await wire.sent(2)
    wire.calls[1][1]()
    assert published(server) == [b"first", b"second"]
    wire.calls[0][1]()
    await asyncio.gather(*tasks)
    assert published(server) == [b"first", b"second"]


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
    await wire.sent(1)
    wire.calls[0][1]()
    await cancelling
    await until(lambda: came == [b"late"])
    wire.pushes[0]()
    await asyncio.sleep(0.01)
    assert came == [b"late"]


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
    assert (done, published(server), len(unsettled)) == (set(), [], 1)
    server.alarm(on=False)
    await asyncio.gather(publish, ack)
    assert (published(server), len(unsettled)) == ([b"e-1"], 0)


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
    await wire.sent(1)
    with pytest.raises(NotSimulated, match="one message id"):
        await publishing(channel, "e-1")
    wire.calls[0][1]()
    await first
