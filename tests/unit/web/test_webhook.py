"""The webhook over real HTTP: what is answered, and what it promises."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from contracts.codec import encode
from contracts.reports import RawReport, decode_report
from tests.support.waiting import until_equal
from worker.service import Background
from worker.telemetry.callbacks import NO_PROVIDER, CallbackMetrics
from worker.telemetry.tracing import Tracing, serialise
from worker.web.bodies import MAX_BODY_BYTES
from worker.web.fields import MAX_REPORT_BYTES
from worker.web.reports import KINDS, MAX_QUERY_BYTES, Webhook
from worker.web.request_line import plain
from worker.web.server import MAX_HEADER_BYTES, WebServer
from worker.web.sources import Sources

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
        self.traceparent: str | None = None
        self.error: Exception | None = None
        self.refused: str | None = None
        self._changed = asyncio.Condition()
        self.confirming = asyncio.Event()
        self.confirming.set()

    async def report(self, report: RawReport, traceparent: str | None = None) -> None:
        self.traceparent = traceparent
        await self.confirming.wait()
        if self.error:
            raise self.error
        if self.refused is not None and report.fields["id"] == self.refused:
            raise ConnectionError("gone")
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
    tokens = {"target": [TOKEN], "legacy": ["another"]}
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


@pytest.mark.parametrize("kind", ["optout", "optin"])
async def test_callbacks_about_consent_are_of_their_own_kind(
    client: httpx.AsyncClient, broker: Broker, kind: str
) -> None:
    response = await client.post(f"/{kind}/target/{TOKEN}", data=FORM)
    assert (response.status_code, broker.taken[0].kind) == (200, kind)


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


def batch(size: int) -> bytes:
    """Two reports in exactly so many bytes, with the blanks of a generous writer."""
    two = b'[{"id":"1"},{"id":"2"}'
    return two + b" " * (size - len(two) - 1) + b"]"


async def test_largest_body_is_taken(client: httpx.AsyncClient, broker: Broker) -> None:
    assert (await client.post(PATH, content=batch(MAX_BODY_BYTES))).status_code == 200
    assert {report.fields["id"] for report in broker.taken} == {"1", "2"}


async def test_larger_body_is_refused(client: httpx.AsyncClient, broker: Broker) -> None:
    assert (await client.post(PATH, content=batch(MAX_BODY_BYTES + 1))).status_code == 413
    assert broker.taken == []


async def test_largest_report_can_be_read_by_the_worker(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    wordy = '"' * ((MAX_REPORT_BYTES - 10) // 2)  # each becomes two bytes of JSON
    assert (await client.post(PATH, data={"a": wordy})).status_code == 200
    assert decode_report(encode(broker.taken[0])).fields == {"a": wordy}


async def test_larger_query_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{PATH}?a={'x' * MAX_QUERY_BYTES}")).status_code == 413


@pytest.mark.parametrize("path", [f"{PATH}/", f"/{PATH}", f"//reports//target///{TOKEN}//"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_slashes_too_many_are_no_other_address(
    client: httpx.AsyncClient, broker: Broker, method: str, path: str
) -> None:
    address = f"{str(client.base_url).rstrip('/')}{path}?id=1"
    assert (await client.request(method, address)).status_code == 200
    assert broker.taken[0].fields == {"id": "1"}


async def test_every_report_of_a_callback_is_taken(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    results = [{"messageId": f"ib-{n}", "status": {"name": "DELIVERED"}} for n in range(100)]
    assert (await client.post(PATH, json={"results": results})).status_code == 200
    ids = {report.fields["results.0.messageId"] for report in broker.taken}
    assert ids == {f"ib-{n}" for n in range(100)}


async def test_a_callback_is_answered_ok_only_when_every_report_is_confirmed(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    broker.refused = "2"
    two = [{"id": "1"}, {"id": "2"}]
    assert (await client.post(PATH, json=two)).status_code == 503
    assert [report.fields["id"] for report in broker.taken] == ["1"]
    broker.refused = None
    assert (await client.post(PATH, json=two)).status_code == 200


async def test_a_provider_gets_the_answer_it_insists_on(broker: Broker) -> None:
    tokens = {"target": [TOKEN], "legacy": ["another"]}
    webhook = Webhook(broker, tokens, Noon(), answers={"legacy": "ACK/Jasmin"})
    transport = httpx.ASGITransport(webhook.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        insists = await client.post("/reports/legacy/another", data=FORM)
        other = await client.post(PATH, data=FORM)
        broker.error = ConnectionError("gone")
        unconfirmed = await client.post("/reports/legacy/another", data=FORM)
    assert [insists.text, other.text] == ["ACK/Jasmin", "ok"]
    assert (unconfirmed.status_code, "ACK" in unconfirmed.text) == (503, False)


RAW = zlib.compressobj(wbits=-15)
COMPRESSED = {
    "gzip": gzip.compress(b"id=1"),
    "X-GZIP": gzip.compress(b"id=1"),
    "deflate": zlib.compress(b"id=1"),
    "identity, deflate": RAW.compress(b"id=1") + RAW.flush(),
    "identity": b"id=1",
}


@pytest.mark.parametrize("coding", COMPRESSED)
async def test_a_compressed_body_is_read(
    client: httpx.AsyncClient, broker: Broker, coding: str
) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "text/plain"}
    answer = await client.post(PATH, content=COMPRESSED[coding], headers=headers)
    assert (answer.status_code, broker.taken[0].fields) == (200, {"id": "1"})


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", gzip.compress(b"id=" + b"x" * 50_000_000), 413),
        ("gzip", gzip.compress(b"id=1")[:-9], 400),
        ("gzip", gzip.compress(b"id=1") + b"more", 400),
        ("gzip", b"id=1", 400),
        ("br", b"id=1", 415),
        ("gzip, gzip", gzip.compress(gzip.compress(b"id=1")), 415),
    ],
    ids=["bomb", "cut", "longer", "plain", "unknown", "twice"],
)
async def test_a_compressed_body_that_cannot_be_read_is_refused_with_a_reason(
    client: httpx.AsyncClient, broker: Broker, coding: str, body: bytes, status: int
) -> None:
    answer = await client.post(PATH, content=body, headers={"Content-Encoding": coding})
    assert (answer.status_code, answer.text.startswith("expected ")) == (status, True)
    assert broker.taken == []


async def test_headers_beyond_reason_are_answered(broker: Broker) -> None:
    webhook = Webhook(broker, {"target": [TOKEN]}, Noon())
    odd = {
        "Content-Length": "9" * 5_000,
        "Content-Type": "multipart/form-data; boundary="
        + "x" * 60_000
        + "; charset="
        + "y" * 60_000,
    }
    transport = httpx.ASGITransport(webhook.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.post(PATH, content=b"id=1", headers=odd)).status_code == 413
        del odd["Content-Length"]
        assert (await client.post(PATH, content=b"id=1", headers=odd)).status_code == 200


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


QUERY = f"{PATH}?id=1&type=2&answer=".encode()


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (b"NACK/\xe9", "NACK/\ufffd"),
        ("NACK/é".encode(), "NACK/é"),
        (b"NACK/ a  b", "NACK/ a  b"),
        (b"a\tb", "a\tb"),
        (b"a\x01\x00b", "a\ufffd\ufffdb"),
        (b"HTTP/1.1 x", "HTTP/1.1 x"),
        (b'"<>{}|\\^`', '"<>{}|\\^`'),
    ],
)
async def test_an_odd_octet_in_the_query_spoils_its_field_alone(
    server: WebServer, broker: Broker, answer: bytes, read: str
) -> None:
    request = b"GET " + QUERY + answer + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b" 200 " in await exchange(server, request)
    assert broker.taken[0].fields == {"id": "1", "type": "2", "answer": read}


async def test_odd_octets_are_taken_in_pieces_and_on_a_connection_kept_alive(
    server: WebServer, broker: Broker
) -> None:
    body = b"id=2&text=GET /\xff HTTP/1.1\r\n\r\n\xff"
    post = head(f"Content-Length: {len(body)}") + body
    get = b"GET " + QUERY + b"\xe9 \xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in (*(get[n : n + 20] for n in range(0, len(get), 20)), post + get):
        writer.write(piece)
        await asyncio.sleep(0)
    await broker.holds(3)
    writer.close()
    odd = {"id": "1", "type": "2", "answer": "\ufffd é"}
    text = {"id": "2", "text": "GET /\ufffd HTTP/1.1\r\n\r\n\ufffd"}
    assert [report.fields for report in broker.taken] == [odd, text, odd]


@pytest.mark.parametrize("base", ["http://x", "HTTPS://user@[::1]:8080", "http://", "http://x/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_target_in_absolute_form_is_its_path(
    server: WebServer, broker: Broker, method: str, base: str
) -> None:
    request = f"{method} {base}{PATH}/?id=http://y/ HTTP/1.1\r\nHost: other\r\n\r\n"
    assert b" 200 " in await exchange(server, request.encode())
    assert broker.taken[0].fields == {"id": "http://y/"}


@pytest.mark.parametrize(
    "line",
    [b"", b"GET", b"GET /", b"GET / HTTP/1", b"GET  HTTP/1.1", b"X: a HTTP/1.1", b"\xff" * 9],
)
async def test_what_is_no_request_line_stays_as_it_is(line: bytes) -> None:
    assert plain(line) == line


async def test_a_head_without_end_is_refused_once_it_is_too_long(server: WebServer) -> None:
    request = b"GET " + QUERY + b"\xe9" * MAX_HEADER_BYTES
    assert b" 400 " in await exchange(server, request)


async def test_stream_without_end_is_refused_once_it_is_too_long(server: WebServer) -> None:
    chunk = b"3000\r\n" + b"x" * 0x3000 + b"\r\n"
    request = head("Transfer-Encoding: chunked", "Content-Type: text/plain") + 11 * chunk
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


@pytest.mark.parametrize(
    ("bounds", "callback", "taken"),
    [
        ({"max_waiting": 9}, [{"id": n} for n in range(4)], 8),
        ({"max_waiting_chars": 900}, [{"id": 1, "text": "x" * 400}], 2),
        ({"max_waiting_chars": 900}, {"text": "x" * 200, "to": [{"n": 1}, {"n": 2}]}, 4),
        ({"max_waiting": 1, "max_waiting_chars": 1}, [{"id": 1}, {"id": 2}], 2),
    ],
    ids=["reports", "length", "shared length", "the first always"],
)
async def test_what_waits_is_bounded_by_reports_and_their_length(
    broker: Broker, bounds: dict[str, int], callback: object, taken: int
) -> None:
    broker.confirming.clear()
    webhook = Webhook(broker, {"target": [TOKEN]}, Noon(), confirm_within_s=0.05, **bounds)
    transport = httpx.ASGITransport(webhook.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        posts = [client.post(PATH, json=callback) for _ in range(5)]
        answers = await asyncio.gather(*posts)
        broker.confirming.set()
        await broker.holds(taken)
        assert [answer.status_code for answer in answers] == [503] * 5
        assert len(broker.taken) == taken

        async def answered() -> int:
            return (await client.post(PATH, json=callback)).status_code

        await until_equal(answered, 200, 5)


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


# --- what is seen of it ------------------------------------------------------------------------


async def test_callbacks_are_counted_and_traced_without_what_a_stranger_sends(
    broker: Broker,
) -> None:
    spans, metrics = InMemorySpanExporter(), CallbackMetrics(["target"], KINDS)
    tracing = Tracing(spans, ratio=1.0, replica="r")
    site = Webhook(broker, {"target": [TOKEN]}, Noon(), metrics=metrics, tracing=tracing)
    stranger = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    transport = httpx.ASGITransport(site.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://webhook") as client:
        taken = await client.post(PATH, data=FORM, headers=stranger)
        denied = await client.post("/reports/+260977123456/guess", data=FORM)
        unread = await client.post(PATH, content=b"{", headers={"Content-Type": "application/json"})
    await tracing.drain()
    await tracing.stop()

    assert [taken.status_code, denied.status_code, unread.status_code] == [200, 404, 400]
    answers = {(d.labels["sms.provider"], d.labels["http.response.status_code"])
               for d in metrics.served()}  # fmt: skip
    assert answers == {("target", "200"), ("target", "400"), (NO_PROVIDER, "404")}
    assert [value for value, labels in metrics.reports() if value] == [1]
    first, second = spans.get_finished_spans()
    assert {first.name, second.name} == {"POST /reports/{provider}/{token}"}
    assert first.parent is None
    assert first.context is not None
    assert broker.traceparent == serialise(first.context)
    assert "4bf92f3577b34da6a3ce929d0e0e4736" not in str(broker.traceparent)
    assert first.attributes is not None
    assert first.attributes["http.response.status_code"] == 200
    assert not any(
        TOKEN in span.to_json() or "260977" in span.to_json() for span in (first, second)
    )


# --- who may call, and how often ---------------------------------------------------------------


async def called(webhook: Webhook, path: str = PATH, **headers: str) -> int:
    """The answer to a callback from 127.0.0.1, over real HTTP."""
    background = Background()
    server = WebServer(webhook.app(), background, grace_s=1)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        answer = await client.post(path, data=FORM, headers=headers)
    await server.stop()
    await background.stop()
    return answer.status_code


def guarded(broker: Broker, **rules: Any) -> Webhook:
    return Webhook(broker, {"target": [TOKEN]}, Noon(), sources=Sources(Noon(), **rules))


@pytest.mark.parametrize(("network", "status"), [("127.0.0.0/8", 200), ("192.0.2.0/24", 404)])
async def test_a_provider_calls_from_its_networks_alone(
    broker: Broker, network: str, status: int
) -> None:
    webhook = guarded(broker, allowed={"target": [ip_network(network)]})
    with capture_logs() as lines:
        assert [await called(webhook) for _ in range(2)] == [status] * 2
    told = [(line["event"], line["source"]) for line in lines]
    assert told == ([("webhook.foreign", "127.0.0.1")] if status == 404 else [])


async def test_what_a_caller_says_of_its_address_counts_only_through_a_trusted_proxy(
    broker: Broker,
) -> None:
    listed = {"target": [ip_network("192.0.2.0/24")]}
    forwarded = {"X-Forwarded-For": "192.0.2.1"}
    assert await called(guarded(broker, allowed=listed), **forwarded) == 404
    trusting = guarded(broker, allowed=listed, trusted=[ip_network("127.0.0.1")])
    assert await called(trusting, **forwarded) == 200
    assert await called(trusting, **{"X-Forwarded-For": "192.0.2.1, 6.6.6.6"}) == 404


async def test_a_source_that_sends_too_much_is_told_to_repeat_later(broker: Broker) -> None:
    webhook = guarded(broker, rate_per_s=1, trusted=[ip_network("127.0.0.1")])
    wrong = PATH.replace(TOKEN, "wrong")
    assert [await called(webhook, wrong) for _ in range(4)] == [404, 404, 404, 429]
    assert await called(webhook) == 429
    assert await called(webhook, **{"X-Forwarded-For": "192.0.2.1"}) == 200


async def test_two_tokens_are_valid_while_one_is_changed(broker: Broker) -> None:
    webhook = Webhook(broker, {"target": ["new-one", TOKEN]}, Noon())
    paths = (PATH, PATH.replace(TOKEN, "new-one"), PATH.replace(TOKEN, "older"))
    assert [await called(webhook, path) for path in paths] == [200, 200, 404]


@pytest.mark.parametrize("begun", [b"", b"POST", b"GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET /li"])
async def test_a_connection_that_does_not_say_what_it_wants_is_closed(
    monkeypatch: pytest.MonkeyPatch, server: WebServer, begun: bytes
) -> None:
    monkeypatch.setattr("worker.web.server.HEAD_WITHIN_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(begun)
    async with asyncio.timeout(20):
        answered = await reader.read()
    assert answered.count(b"HTTP/1.1 200") == begun.count(b"HTTP/1.1")
    writer.close()


async def test_a_request_may_take_longer_than_its_head(
    monkeypatch: pytest.MonkeyPatch, broker: Broker
) -> None:
    monkeypatch.setattr("worker.web.server.HEAD_WITHIN_S", 0.05)
    broker.confirming.clear()
    webhook = Webhook(broker, {"target": [TOKEN]}, Noon(), confirm_within_s=0.5)
    assert await called(webhook) == 503
