"""Who is given up where the broker closes the connection; publisher and turns are real.

Time is virtual: what sleeps here says at which moment something happens, and costs nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiormq.exceptions import ConnectionFrameError, ConnectionInternalError

from tests.support.virtual_time import run
from worker.broker.publisher import AmqpPublisher
from worker.broker.suspects import GIVEN_UP_AFTER, GIVEN_UP_S, Turns
from worker.ports.broker import Event, Unpublishable
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pamqp.commands import Basic


class BrokerConnection:
    """A connection that is up."""

    is_up, is_blocked = True, False

    async def unblocked(self) -> None:
        pass

    @asynccontextmanager
    async def patience(self, _seconds: float) -> AsyncIterator[None]:
        yield


class Broker(AmqpPublisher):
    """Closes the connection, and with it all that is under way, because of `guilty`."""

    def __init__(self, *guilty: str) -> None:
        super().__init__(BrokerConnection(), Background())
        self.guilty = set(guilty)
        self.well = True
        self.taken: dict[str, Any] = {}
        self.told: list[str] = []
        self.closings = 0
        self._closed = asyncio.Event()
        self.on_broken(self.told.append)

    async def _open(self) -> Any:
        return None

    async def _send(
        self, _channel: Any, _exchange: str, _key: str, _body: bytes, properties: Basic.Properties,
        *, mandatory: bool,
    ) -> None:  # fmt: skip
        del mandatory
        ident, closed = properties.message_id or "", self._closed
        if not self.well:
            raise ConnectionInternalError(541, "INTERNAL_ERROR")
        if ident in self.guilty:
            await asyncio.sleep(0.01)
            self.closings, self._closed = self.closings + 1, asyncio.Event()
            closed.set()
        try:
            async with asyncio.timeout(0.05):
                await closed.wait()
        except TimeoutError:
            self.taken[ident] = properties.headers
            return
        raise ConnectionFrameError(501, "FRAME_ERROR")


def event(ident: str) -> Event:
    return Event("sms.events", "sms.sent", b"{}", ident, "sms.sent", headers={"traceparent": "t"})


INNOCENT = [f"e-{number}" for number in range(20)]


def test_of_all_that_is_under_way_the_guilty_alone_is_given_up() -> None:
    async def scenario() -> Broker:
        broker = Broker("guilty")
        ended = await asyncio.gather(
            *(broker.event(event(ident)) for ident in ("guilty", *INNOCENT)), return_exceptions=True
        )
        assert isinstance(ended[0], Unpublishable)
        assert not any(ended[1:])
        return broker

    broker = run(scenario())
    assert broker.told == ["guilty"]
    assert broker.taken == {each: {"traceparent": "t"} for each in INNOCENT}
    assert broker.closings == 1 + GIVEN_UP_AFTER


def test_two_guilty_ones_are_found_beside_each_other() -> None:
    async def scenario() -> Broker:
        broker = Broker("one", "two")
        await asyncio.gather(
            *(broker.event(event(ident)) for ident in ("one", "two", *INNOCENT)),
            return_exceptions=True,
        )
        return broker

    broker = run(scenario())
    assert (sorted(broker.told), set(broker.taken)) == (["one", "two"], set(INNOCENT))


def test_a_broker_in_trouble_of_its_own_has_nothing_given_up() -> None:
    async def scenario() -> Broker:
        broker = Broker()
        broker.well = False
        publishing = asyncio.gather(*(broker.event(event(ident)) for ident in INNOCENT))
        await asyncio.sleep(300)
        broker.well = True
        await publishing
        return broker

    broker = run(scenario())
    assert (set(broker.taken), broker.told) == (set(INNOCENT), [])


def test_what_was_given_up_may_be_published_again_later() -> None:
    async def scenario() -> Broker:
        broker = Broker("guilty")
        for _ in range(2):
            with pytest.raises(Unpublishable):
                await broker.event(event("guilty"))
        assert broker.closings == 1 + GIVEN_UP_AFTER
        broker.guilty.clear()
        await asyncio.sleep(GIVEN_UP_S)
        await broker.event(event("guilty"))
        return broker

    assert "guilty" in run(scenario()).taken


def test_a_turn_alone_waits_for_the_others_and_they_for_it() -> None:
    async def scenario() -> list[str]:
        turns, seen = Turns(), list[str]()

        async def take(name: str, *, alone: bool) -> None:
            async with turns.alone() if alone else turns.shared():
                seen.append(f"{name} begins")
                await asyncio.sleep(1)
                seen.append(f"{name} ends")

        async with asyncio.TaskGroup() as group:
            for name, alone in (("a", False), ("b", True), ("c", False)):
                group.create_task(take(name, alone=alone))
                await asyncio.sleep(0.1)
        return seen

    assert run(scenario()) == [f"{n} {what}" for n in "abc" for what in ("begins", "ends")]


def test_a_turn_that_is_cancelled_keeps_nobody_waiting() -> None:
    async def scenario() -> bool:
        turns = Turns()
        async with turns.shared():
            waiting = asyncio.create_task(turns.alone().__aenter__())
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(1), turns.shared(), turns.shared():
            return True

    assert run(scenario())
