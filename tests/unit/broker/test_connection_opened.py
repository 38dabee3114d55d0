"""A connection that is lost as soon as it is open is not taken for one that is up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tests.support.virtual_time import run
from worker.broker.connection import BrokerConnection
from worker.service import Background


class Opened:
    """A connection as the library hands it over; `lost`: its peer was gone by then."""

    def __init__(self, *, lost: bool) -> None:
        inner = SimpleNamespace(is_closed=lost, ready=lambda: asyncio.sleep(0))
        self.transport = SimpleNamespace(connection=inner)
        self.close_callbacks: set[Any] = set()
        self.is_ended = False

    async def close(self) -> None:
        self.is_ended = True


async def opened(link: BrokerConnection) -> Any:
    """The connection that is used."""
    await link.start()
    used = link._connection
    assert link.is_up
    await link.stop()
    return used


def test_the_next_one_is_used_and_the_lost_one_closed() -> None:
    lost, alive = Opened(lost=True), Opened(lost=False)
    coming = [lost, alive]

    async def opening(*_: Any, **__: Any) -> Any:
        return coming.pop(0)

    link = BrokerConnection("amqp://broker/", "test", Background(), opening=cast("Any", opening))
    assert run(opened(link)) is alive
    assert lost.is_ended
