"""The webhook over real HTTP: what is answered, and what it promises."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from structlog.testing import capture_logs

from contracts.reports import RawReport
from worker.service import Background
from worker.web.reports import MAX_BODY_BYTES, Webhook
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TOKEN = "a-long-secret-token"
PATH = f"/reports/target/{TOKEN}"
FORM = {"id": "ATXid_1", "status": "Success", "phoneNumber": "+260977123456"}


class Noon:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


class Broker:
    """Confirms, refuses or is silent."""

    def __init__(self) -> None:
        self.taken: list[RawReport] = []
        self.error: Exception | None = None
        self._changed = asyncio.Condition()
        self.confirming = asyncio.Event()
        self.confirming.set()

    async def report(self, report: RawReport) -> None:
        await self.confirming.wait()
        if self.error:
            raise self.error
        async with self._changed:
            self.taken.append(report)
            self._changed.notify_all()

    async def holds(self, count: int) -> None:
        """Wait until so many reports were taken."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self.taken) >= count)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def server(broker: Broker) -> AsyncIterator[WebServer]:
    tokens = {"target": TOKEN, "legacy": "another"}
    webhook = Webhook(
        broker, tokens, Noon(), confirm_within_s=0.2, read_within_s=0.2, max_waiting=2
    )
    background = Background()
    server = WebServer(webhook.app(), background, grace_s=1)
    await server.start()
    yield server
    await server.stop()
    await background.stop()


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client


async def test_confirmed_report_is_answered_ok(client: httpx.AsyncClient, broker: Broker) -> None:
    response = await client.post(PATH, data=FORM)
    assert response.status_code == 200
    assert broker.taken == [
        RawReport(provider="target", kind="delivery", received_at=NOW, fields=FORM)
    ]


async def test_get_with_a_query_is_a_report(client: httpx.AsyncClient, broker: Broker) -> None:
    response = await client.get("/reports/legacy/another?id=m-1&type=1")
    assert response.status_code == 200
    assert (broker.taken[0].provider, broker.taken[0].fields) == (
        "legacy",
        {"id": "m-1", "type": "1"},
    )


async def test_json_with_a_query_is_merged(client: httpx.AsyncClient, broker: Broker) -> None:
    await client.post(f"{PATH}?id=m-1", json={"data": {"status": "ok"}})
    assert broker.taken[0].fields == {"id": "m-1", "data.status": "ok"}


async def test_optout_is_of_its_own_kind(client: httpx.AsyncClient, broker: Broker) -> None:
    response = await client.post(f"/optout/target/{TOKEN}", data=FORM)
    assert (response.status_code, broker.taken[0].kind) == (200, "optout")


@pytest.mark.parametrize(
    "path",
    [
        "/reports/target/wrong",
        "/reports/target/another",
        f"/reports/nobody/{TOKEN}",
        f"/reports/Target/{TOKEN}",
        "/optout/target/wrong",
        f"/reports/target/{TOKEN}/more",
        "/reports/target/%ED%A0%80",
        "/reports/target/",
    ],
)
async def test_wrong_token_and_unknown_provider_are_not_found(
    client: httpx.AsyncClient, broker: Broker, path: str
) -> None:
    assert (await client.post(path, data=FORM)).status_code == 404
    assert broker.taken == []


async def test_unknown_provider_answers_like_a_wrong_token(client: httpx.AsyncClient) -> None:
    wrong = await client.post("/reports/target/wrong", data=FORM)
    unknown = await client.post("/reports/nobody/wrong", data=FORM)
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert {*wrong.headers} == {*unknown.headers}


async def test_webhook_without_tokens_takes_nothing(broker: Broker) -> None:
    app = httpx.ASGITransport(Webhook(broker, {}, Noon()).app())
    async with httpx.AsyncClient(transport=app, base_url="http://x") as client:
        assert (await client.post("/reports/target/", data=FORM)).status_code == 404


async def test_head_does_not_publish(client: httpx.AsyncClient, broker: Broker) -> None:
    assert (await client.head(f"{PATH}?a=1")).status_code == 405
    assert broker.taken == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(client: httpx.AsyncClient, method: str) -> None:
    assert (await client.request(method, PATH)).status_code == 405


async def test_malformed_is_refused(client: httpx.AsyncClient, broker: Broker) -> None:
    response = await client.post(PATH, content=b"{", headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert broker.taken == []


async def test_largest_body_is_taken(client: httpx.AsyncClient, broker: Broker) -> None:
    assert (await client.post(PATH, data={"a": "x" * (MAX_BODY_BYTES - 2)})).status_code == 200
    assert len(broker.taken[0].fields["a"]) == MAX_BODY_BYTES - 2


async def test_larger_body_is_refused(client: httpx.AsyncClient, broker: Broker) -> None:
    assert (await client.post(PATH, data={"a": "x" * (MAX_BODY_BYTES - 1)})).status_code == 413
    assert broker.taken == []


async def test_larger_query_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{PATH}?a={'x' * MAX_BODY_BYTES}")).status_code == 413


async def exchange(server: WebServer, request: bytes) -> bytes:
    """Send bytes, keep the connection open, return what comes first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(5):
            return await reader.readline()
    finally:
        writer.close()


def head(*lines: str) -> bytes:
    return "\r\n".join((f"POST {PATH} HTTP/1.1", "Host: x", *lines, "", "")).encode()


async def test_stream_without_end_is_refused_once_it_is_too_long(server: WebServer) -> None:
    chunk = b"3000\r\n" + b"x" * 0x3000 + b"\r\n"
    request = head("Transfer-Encoding: chunked", "Content-Type: text/plain") + 2 * chunk
    assert b" 413 " in await exchange(server, request)


async def test_announced_length_is_refused_before_the_body_came(server: WebServer) -> None:
    assert b" 413 " in await exchange(server, head(f"Content-Length: {MAX_BODY_BYTES + 1}"))


async def test_body_that_does_not_arrive_is_given_up(server: WebServer) -> None:
    assert b" 408 " in await exchange(server, head("Content-Length: 10"))


async def test_wrong_token_is_answered_without_the_body(server: WebServer) -> None:
    request = head("Content-Length: 10").replace(TOKEN.encode(), b"wrong")
    assert b" 404 " in await exchange(server, request)


async def test_silent_broker_makes_the_provider_repeat(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    broker.confirming.clear()
    response = await client.post(PATH, data=FORM)
    assert (response.status_code, "retry-after" in response.headers) == (503, True)


async def test_broker_that_refuses_makes_the_provider_repeat(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    broker.error = ConnectionError("gone")
    assert (await client.post(PATH, data=FORM)).status_code == 503


async def test_publish_is_not_cancelled_by_the_answer(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    broker.confirming.clear()
    await client.post(PATH, data=FORM)
    broker.confirming.set()
    await broker.holds(1)


async def test_waiting_reports_are_bounded(client: httpx.AsyncClient, broker: Broker) -> None:
    broker.confirming.clear()
    await asyncio.gather(*(client.post(PATH, data=FORM) for _ in range(5)))
    broker.confirming.set()
    await broker.holds(2)
    assert (await client.post(PATH, data=FORM)).status_code == 200
    assert len(broker.taken) == 3


async def test_next_report_is_taken_once_the_broker_is_back(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    broker.error = ConnectionError("gone")
    await client.post(PATH, data=FORM)
    broker.error = None
    assert (await client.post(PATH, data=FORM)).status_code == 200


async def test_neither_token_nor_number_is_logged(
    client: httpx.AsyncClient, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    broker.error = ConnectionError("gone")
    with capture_logs() as lines:
        await client.post(PATH, data=FORM)
        await client.post(PATH, content=b"{", headers={"Content-Type": "application/json"})
        await client.post(f"/reports/target/{TOKEN}x", data=FORM)
    ours = str([r.getMessage() for r in caplog.records if not r.name.startswith("http")])
    assert [line["event"] for line in lines] == ["webhook.unconfirmed", "webhook.malformed"]
    assert TOKEN not in str(lines) + ours
    assert "260977123456" not in str(lines) + ours


async def test_live_answers_while_the_broker_is_silent(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    broker.confirming.clear()
    assert (await client.get("/live")).status_code == 200
