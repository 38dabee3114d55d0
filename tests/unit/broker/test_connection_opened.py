"""What was true of a lost connection is not taken for true of the one after it."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from tests.support.virtual_time import run
from tests.support.waiting import until_equal
from worker.broker.connection import BrokerConnection
from worker.service import Background


class Opened:
    """A connection as the library hands it over.

    Args:
        lost: whether its peer was gone by then.
        blocked: whether the broker reads nothing from it.
    """

    def __init__(self, *, lost: bool = False, blocked: bool = False) -> None:
        ready = asyncio.Event().wait if blocked else partial(asyncio.sleep, 0)
        inner = SimpleNamespace(is_closed=lost, ready=ready)
        self.transport = SimpleNamespace(connection=inner)
        self.close_callbacks: set[Any] = set()
        self.is_ended = False

    async def close(self) -> None:
        self.is_ended = True


def link_to(*coming: Opened) -> BrokerConnection:
    """A link that opens these connections one after the other."""
    left = list(coming)

    async def opening(*_: Any, **__: Any) -> Any:
        return left.pop(0)

    return BrokerConnection("amqp://broker/", "test", Background(), opening=cast("Any", opening))


def test_one_that_is_lost_as_soon_as_it_is_open_is_closed_and_the_next_one_used() -> None:
    async def used() -> Any:
        link = link_to(lost, alive)
        await link.start()
        assert link.is_up
        await link.stop()
        return link

    lost, alive = Opened(lost=True), Opened()
    run(used())
    assert (lost.is_ended, alive.is_ended) == (True, True)


def test_a_block_ends_with_its_connection() -> None:
    async def told() -> list[bool]:
        heard: list[bool] = []
        blocked, alive = Opened(blocked=True), Opened()
        link = link_to(blocked, alive)
        link.on_blocked(heard.append)
        await link.start()
        await until_equal(lambda: heard, [True])
        link._lost(cast("Any", blocked))
        await until_equal(lambda: heard, [True, False])
        assert (link.is_up, link.is_blocked) == (True, False)
        await link.stop()
        return heard

    assert run(told()) == [True, False]
