"""The real consumer and publisher on the simulated broker."""

from __future__ import annotations

import time
from functools import partial

from contracts.names import Exchange, Queue
from tests.support.waiting import until
from tests.torture.simulation.broker import project
from tests.torture.simulation.broker.connection import open_connection
from tests.torture.simulation.wire import Direct
from worker.broker.connection import BrokerConnection
from worker.broker.consumer import Consumer
from worker.broker.publisher import AmqpPublisher
from worker.ports.broker import Event, Incoming, Settlement
from worker.service import Background


async def test_a_lost_command_comes_again_and_its_event_goes_out() -> None:
    server = project.server(time.time)
    opening = partial(open_connection, server, Direct())
    consuming = BrokerConnection("amqp://worker@broker/", "c", Background(), opening=opening)
    publishing = BrokerConnection("amqp://worker@broker/", "p", Background(), opening=opening)
    await consuming.start()
    await publishing.start()
    publisher = AmqpPublisher(publishing)
    await publisher.start()
    seen: list[Incoming] = []

    async def handle(incoming: Incoming) -> Settlement:
        seen.append(incoming)
        if len(seen) == 1:
            server.lose_connections()
            await until(lambda: len(seen) == 2)
        await publisher.event(Event(Exchange.EVENTS, "sms.sent", b"{}", "e-1", "sms.sent"))
        return Settlement.ACK

    consumer = Consumer(consuming, Background(), Queue.BULK, prefetch=3, handler=handle, grace_s=1)
    await consumer.start()
    upstream = project.DirectClient(server, "upstream")
    events = []
    upstream.subscribe(Exchange.EVENTS, "#", events.append)
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}")
    await until(lambda: len(seen) == 2 and len(events) == 2)
    assert [each.redelivered for each in seen] == [False, True]
    await until(lambda: not consumer.in_hand)
    await consumer.stop()
    await publisher.stop()
    await consuming.stop()
    await publishing.stop()
    assert server.queues[Queue.BULK].count == 0
