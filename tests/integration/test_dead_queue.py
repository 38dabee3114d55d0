"""Reading `sms.dead` takes nothing away; a letter that is replayed goes back to its lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aio_pika
import pytest

from contracts.names import Exchange, Header, Queue
from tests.integration.test_publisher import from_queue
from tests.support.waiting import until_equal
from worker.broker.dead import DeadQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractChannel, AbstractConnection

    Connect = Callable[[str], Awaitable[AbstractConnection]]

pytestmark = pytest.mark.usefixtures("empty_queues")


@pytest.fixture
async def worker(connect: Connect) -> AbstractChannel:
    return await (await connect("worker")).channel(on_return_raises=True)


@pytest.fixture
async def letters(worker: AbstractChannel) -> list[str]:
    """Ids of three dead letters of the bulk lane."""
    exchange = await worker.get_exchange(Exchange.DEAD, ensure=False)
    idents = ["m-1", "m-2", "m-3"]
    for ident in idents:
        message = aio_pika.Message(
            b"{}", message_id=ident, delivery_mode=2, headers={"kept": 1, Header.REASON: "test"}
        )
        await exchange.publish(message, Queue.BULK)
    return idents


async def read(channel: AbstractChannel, most: int | None = None) -> list[str | None]:
    return [letter.incoming.message_id async for letter, _ in DeadQueue(channel).letters(most)]


async def test_letters_that_were_read_go_back_when_the_channel_closes(
    connect: Connect, worker: AbstractChannel, letters: list[str]
) -> None:
    connection = await connect("worker")
    for _ in range(2):
        channel = await connection.channel()
        await until_equal(DeadQueue(worker).count, 3)
        assert await read(channel) == letters
        assert await DeadQueue(worker).count() == 0  # nobody else sees them meanwhile
        await channel.close()
    await until_equal(DeadQueue(worker).count, 3)


async def test_no_more_are_read_than_asked_for(worker: AbstractChannel, letters: list[str]) -> None:
    assert await read(worker, 2) == letters[:2]


async def test_only_a_letter_that_is_acknowledged_is_gone(
    connect: Connect, worker: AbstractChannel, letters: list[str]
) -> None:
    async for letter, ack in DeadQueue(worker).letters():
        if letter.incoming.message_id == letters[1]:
            await ack()
    await worker.close()
    other = await (await connect("worker")).channel()
    await until_equal(DeadQueue(other).count, 2)
    assert await read(other) == [letters[0], letters[2]]


async def test_a_letter_that_is_replayed_comes_to_its_lane_without_its_death(
    worker: AbstractChannel, letters: list[str]
) -> None:
    reading = DeadQueue(worker)
    async for letter, ack in reading.letters(1):
        await reading.back(letter, Queue.BULK, {Header.REPLAY: "me"})
        await ack()
    got = await from_queue(worker, Queue.BULK)
    headers = {name: value for name, value in got.headers.items() if not name.startswith("x-")}
    assert (got.message_id, headers) == (letters[0], {"kept": 1, Header.REPLAY: "me"})
