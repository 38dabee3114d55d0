"""What an asker does on the broker: ask, take replies, hear announcements."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from aio_pika.exceptions import PublishError

from contracts.control import Rollback, Status
from contracts.names import Exchange, Queue
from tests.integration.test_publisher import from_queue
from tests.support.waiting import until
from worker.broker.control_link import ANNOUNCEMENTS, ControlLink
from worker.broker.publisher import AmqpPublisher
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    from worker.broker.connection import BrokerConnection

    Connect = Callable[[str], Awaitable[AbstractConnection]]

pytestmark = pytest.mark.usefixtures("empty_queues")
USER = "administrator"
WITHIN_S = 5.0
ROLLBACK = Rollback(command_id="c-1", issued_at=datetime(2026, 3, 1, tzinfo=UTC), reason="test")


class Asker:
    """A link and what came to it."""

    def __init__(self, connection: AbstractConnection, ident: str) -> None:
        self.link = ControlLink(connection, USER, ident)
        self.replies: list[bytes] = []
        self.heard: list[str] = []

    async def receive(self, message: AbstractIncomingMessage) -> None:
        self.replies.append(message.body)


@pytest.fixture
async def asker(connect: Connect) -> Asker:
    made = Asker(await connect(USER), "asker-1")
    await made.link._take_replies(made.receive)
    return made


@pytest.fixture
async def worker(connect: Connect) -> AbstractChannel:
    return await (await connect("worker")).channel()


@pytest.fixture
async def publisher(new_link: Callable[[], BrokerConnection]) -> AsyncIterator[AmqpPublisher]:
    link = new_link()
    await link.start()
    made = AmqpPublisher(link, Background())
    await made.start()
    yield made
    await made.stop()
    await link.stop()


async def test_a_command_comes_with_the_name_of_its_login(
    asker: Asker, worker: AbstractChannel
) -> None:
    await asker.link.publish(ROLLBACK, WITHIN_S)
    got = await from_queue(worker, Queue.CONTROL_COMMAND)
    assert (got.message_id, got.user_id, got.correlation_id) == ("c-1", USER, "asker-1")
    assert (got.routing_key, got.expiration) == ("control.command.rollback", None)


async def test_a_query_expires_when_nobody_waits_for_its_answer(
    asker: Asker, worker: AbstractChannel
) -> None:
    await asker.link.publish(Status(command_id="q-1"), WITHIN_S)
    got = await from_queue(worker, Queue.CONTROL_QUERY)
    assert (got.routing_key, got.expiration) == ("control.query.status", WITHIN_S)


async def test_a_command_that_no_queue_takes_is_an_error_and_harms_no_other(
    asker: Asker, worker: AbstractChannel
) -> None:
    queue = await worker.get_queue(Queue.CONTROL_COMMAND, ensure=False)
    await queue.unbind(Exchange.CONTROL, "control.command.*")
    try:
        with pytest.raises(PublishError):
            await asker.link.publish(ROLLBACK, WITHIN_S)
    finally:
        await queue.bind(Exchange.CONTROL, "control.command.*")
    await asker.link.publish(Status(command_id="q-1"), WITHIN_S)
    assert asker.link.is_open


async def test_a_reply_comes_to_who_asked_and_to_nobody_else(
    asker: Asker, connect: Connect, publisher: AmqpPublisher
) -> None:
    other = Asker(await connect(USER), "asker-2")
    await other.link._take_replies(other.receive)
    await publisher.reply(USER, "asker-1", b"mine")
    await publisher.reply(USER, "asker-2", b"theirs")
    await until(lambda: (asker.replies, other.replies) == ([b"mine"], [b"theirs"]))


async def test_announcements_are_heard_while_somebody_listens(
    asker: Asker, publisher: AmqpPublisher
) -> None:
    await asker.link.listen(asker.heard.append)
    await publisher.announce_state(b"{}")
    await until(lambda: asker.heard == [ANNOUNCEMENTS[0][1]])
    await asker.link.listen(None)
    await publisher.announce_state(b"{}")  # confirmed: whoever hears it has it
    await publisher.reply(USER, "asker-1", b"later")
    await until(lambda: asker.replies == [b"later"])
    assert len(asker.heard) == 1


async def test_a_link_whose_connection_is_closed_is_not_open(asker: Asker) -> None:
    assert asker.link.is_open
    await asker.link.close()
    assert not asker.link.is_open
