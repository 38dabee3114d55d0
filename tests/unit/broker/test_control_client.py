"""The client of the control topic, without a broker: what a caller is told while it asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from contracts.control import Hold
from tests.support.steering import command
from worker.broker.control_client import BrokerAway, ControlClient, LoginRefused, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def client(publishes: Callable[..., Awaitable[NoAnswer | None]]) -> ControlClient:
    """A client whose messages go nowhere."""
    made = ControlClient("amqp://amina@127.0.0.1:1/")
    made._publish = publishes  # type: ignore[method-assign,assignment]
    return made


async def test_each_try_to_publish_is_told_with_what_hindered_it() -> None:
    results = [BrokerAway("nothing listens there"), None]
    tries: list[NoAnswer | None] = []
    twice = asyncio.Event()

    async def publish(*_: object) -> NoAnswer | None:
        return results[len(tries)]

    def on_try(hindrance: NoAnswer | None) -> None:
        tries.append(hindrance)
        if len(tries) == len(results):
            twice.set()

    asking = asyncio.ensure_future(client(publish).ask(command(Hold), 20, on_try))
    await asyncio.wait_for(twice.wait(), 20)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert tries == results


async def test_who_waits_is_refused_when_the_client_is_closed() -> None:
    published = asyncio.Event()

    async def publish(*_: object) -> None:
        published.set()

    made = client(publish)
    asking = asyncio.ensure_future(made.ask(command(Hold), 20))
    await published.wait()
    await made.close()
    with pytest.raises(LoginRefused, match="the client of user amina is closed"):
        await asyncio.wait_for(asking, 1)
