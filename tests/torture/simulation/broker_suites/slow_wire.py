"""A wire that carries what it is told to carry, when it is told, and what its tests share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pamqp.commands import Basic

from contracts.names import Exchange, Queue
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.connection import Connection
    from tests.torture.simulation.broker.server import Server


class SlowWire:
    """See the module; until `holds` is set it carries everything at once."""

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

    async def sent(self, count: int) -> None:
        """Wait until so many calls are on their way."""
        await until(lambda: len(self.calls) == count)


async def inner(connection: Connection) -> Any:
    """Return the inner channel of a new channel."""
    return await (await connection.channel(on_return_raises=True)).get_underlay_channel()


def publishing(channel: Any, ident: str) -> asyncio.Task[Any]:
    """Publish an event that nobody takes."""
    publish = channel.basic_publish(
        ident.encode(),
        exchange=Exchange.EVENTS,
        routing_key="sms.sent",
        properties=Basic.Properties(message_id=ident),
    )
    return asyncio.get_running_loop().create_task(publish)


def published(server: Server) -> list[bytes]:
    """Return the bodies of these events, as they are at the broker."""
    return [entry.message.body for entry in server.queues[Queue.UNROUTED_EVENTS].ready]
