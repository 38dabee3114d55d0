"""From a provider's callback to `sms.reports`, on a real broker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from aio_pika import DeliveryMode
from aio_pika.exceptions import PublishError

from contracts.names import Queue
from contracts.reports import RawReport, decode_report
from worker.broker.connection import BrokerConnection
from worker.service import Background
from worker.web.outlet import ReportOutlet
from worker.web.reports import Webhook
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

FORM = {"id": "ATXid_1", "status": "Success", "phoneNumber": "+260977123456"}

pytestmark = pytest.mark.usefixtures("empty_queues")


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@pytest.fixture
async def link(amqp_url: Callable[[str], str]) -> AsyncIterator[BrokerConnection]:
    link = BrokerConnection(amqp_url("webhook"), "webhook test", Background())
    await link.start()
    yield link
    await link.stop()


@pytest.fixture
async def client(link: BrokerConnection) -> AsyncIterator[httpx.AsyncClient]:
    background = Background()
    webhook = Webhook(ReportOutlet(link), {"target": ["token"]}, WallClock(), confirm_within_s=5)
    server = WebServer(webhook.app(), background, grace_s=1)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client
    await server.stop()
    await background.stop()


@pytest.fixture
async def take(
    connect: Callable[[str], Awaitable[AbstractConnection]],
) -> Callable[[], Awaitable[AbstractIncomingMessage]]:
    channel = await (await connect("worker")).channel()
    queue = await channel.get_queue(Queue.REPORTS, ensure=False)

    async def one() -> AbstractIncomingMessage:
        message = await queue.get(timeout=5)
        await message.ack()
        return message

    return one


async def test_report_is_in_the_queue_when_it_is_answered_ok(
    client: httpx.AsyncClient, take: Callable[[], Awaitable[AbstractIncomingMessage]]
) -> None:
    response = await client.post("/reports/target/token", data=FORM)
    message = await take()
    report = decode_report(message.body)
    assert response.status_code == 200
    assert (report.provider, report.kind, report.fields) == ("target", "delivery", FORM)
    assert (message.routing_key, message.delivery_mode) == (
        "report.target",
        DeliveryMode.PERSISTENT,
    )


async def test_concurrent_reports_are_all_taken(
    client: httpx.AsyncClient, take: Callable[[], Awaitable[AbstractIncomingMessage]]
) -> None:
    ids = {f"id-{n}" for n in range(50)}
    answers = await asyncio.gather(
        *(client.post("/reports/target/token", data={"id": each}) for each in ids)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert {decode_report((await take()).body).fields["id"] for _ in ids} == ids


async def test_report_after_a_lost_connection_is_taken(
    link: BrokerConnection,
    client: httpx.AsyncClient,
    take: Callable[[], Awaitable[AbstractIncomingMessage]],
) -> None:
    await client.post("/reports/target/token", data={"id": "1"})
    assert link._connection is not None
    await link._connection.close()
    response = await client.post("/reports/target/token", data={"id": "2"})
    assert response.status_code == 200
    assert [decode_report((await take()).body).fields["id"] for _ in "12"] == ["1", "2"]


async def test_unroutable_report_raises(
    link: BrokerConnection, connect: Callable[[str], Awaitable[AbstractConnection]]
) -> None:
    channel = await (await connect("worker")).channel()
    queue = await channel.get_queue(Queue.REPORTS, ensure=False)
    report = RawReport(
        provider="target", kind="delivery", received_at=datetime.now(UTC), fields=FORM
    )
    await queue.unbind("sms.reports", "report.#")
    try:
        with pytest.raises(PublishError):
            await ReportOutlet(link).report(report)
    finally:
        await queue.bind("sms.reports", "report.#")


async def test_broker_that_is_away_makes_the_provider_repeat(
    amqp_url: Callable[[str], str],
) -> None:
    link = BrokerConnection(
        amqp_url("webhook"), "webhook away", Background()
    )  # never started: no connection
    webhook = Webhook(ReportOutlet(link), {"target": ["token"]}, WallClock(), confirm_within_s=0.2)
    transport = httpx.ASGITransport(webhook.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://webhook") as client:
        response = await client.post("/reports/target/token", data=FORM)
    assert response.status_code == 503
    for task in list(webhook._publishing):
        task.cancel()


async def test_while_the_broker_is_blocked_a_report_is_not_written_but_to_be_repeated(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BrokerConnection, "is_blocked", property(lambda _: True))
    async with asyncio.timeout(3):
        answer = await client.post("/reports/target/token", data=FORM)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
