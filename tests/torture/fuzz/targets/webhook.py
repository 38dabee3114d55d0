"""Whole HTTP requests to the webhook, as octets, through the server's own protocol in memory.

Only the socket is missing: `tests/integration/test_webhook_broker.py` has one.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from uvicorn.server import ServerState

from contracts.codec import encode
from contracts.names import MAX_BODY_BYTES
from contracts.reports import decode_report
from tests.support import hostile
from tests.torture.fuzz import http_form, listening, looping
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import callbacks
from tests.torture.fuzz.targets.refusals import quotes_nothing
from worker.service import Background
from worker.telemetry.callbacks import CallbackMetrics
from worker.web.reports import KINDS, Webhook
from worker.web.server import WebServer, _Discreet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from contracts.reports import RawReport

TOKEN: Final = "a-long-secret-token"
STATUSES: Final = frozenset({100, 200, 400, 404, 405, 408, 413, 415, 429, 503})
"""What the webhook and the server before it answer; 100 comes before the answer."""
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LONGEST_ANSWER: Final = 1_000


class _Clock:
    def now(self) -> datetime:
        return callbacks.NOW

    def monotonic(self) -> float:
        return 0.0


class _Outlet:
    """The broker, which confirms everything."""

    def __init__(self) -> None:
        self.taken: list[RawReport] = []

    async def report(self, report: RawReport, traceparent: str | None = None) -> None:
        del traceparent
        self.taken.append(report)


class _Transport(asyncio.Transport):
    """A connection in memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 80)})
        self.sent = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing more comes."""

    def resume_reading(self) -> None:
        """Nothing more comes."""


def check(data: bytes) -> str:
    """Send it on a connection of its own, and judge answers, reports and log."""
    with listening.heard() as lines:
        sent, taken = looping.awaited(_served(data))
    statuses = [int(each) for each in _STATUS.findall(sent)]
    must(set(statuses) <= STATUSES, "a request gets one of the documented answers", statuses)
    must(len(sent) <= _LONGEST_ANSWER * max(1, len(statuses)), "an answer is short", len(sent))
    said = sent.decode("latin-1") + "\n".join(lines)
    quotes_nothing(said)
    must(TOKEN not in said, "a token is never logged or answered", said[:500])
    _are_promised(data, statuses, taken)
    why = re.sub(r"[0-9]+", "", sent.decode("latin-1").rpartition("\r\n\r\n")[2])
    return f"{'read' if taken else 'refused'}: {statuses[:3]} {why[:60]}"


def _are_promised(data: bytes, statuses: Sequence[int], taken: Sequence[RawReport]) -> None:
    """Nothing is published without a token and a promise, and only what the worker can read."""
    known = TOKEN.encode() in unquote_to_bytes(data)
    must(known or not taken, "nobody publishes without a token")
    must(200 in statuses or not taken, "what is published is promised", statuses)
    for report in taken:
        written = encode(report)
        must(len(written) <= MAX_BODY_BYTES, "the worker reads a report of this length")
        must(decode_report(written) == report, "what is published reads the same", written[:300])


async def _served(data: bytes) -> tuple[bytes, list[RawReport]]:
    """What is sent back, and what is published."""
    outlet, transport, state = _Outlet(), _Transport(), ServerState()
    webhook = Webhook(outlet, {"target": [TOKEN], "legacy": ["old"]}, _Clock(), metrics=_metrics())
    server = WebServer(webhook.app(), Background())
    protocol = _Discreet(server._config, state, {})
    protocol.connection_made(transport)
    if data:  # no event loop hands over nothing
        protocol.data_received(data)
    await looping.settled(state.tasks)
    protocol.connection_lost(None)  # whatever waits for more of the request learns that none comes
    must(await looping.settled(state.tasks), "a request ends when its connection does")
    return bytes(transport.sent), outlet.taken


@functools.cache
def _metrics() -> CallbackMetrics:
    return CallbackMetrics({"target": (), "legacy": ()}, KINDS)


# --- seeds and mutation ------------------------------------------------------------------------


def request(
    body: bytes, media_type: str = callbacks.FORM, *, path: str = "reports", query: bytes = b"",
    headers: bytes = b"", method: bytes = b"POST",
) -> bytes:  # fmt: skip
    """A request with the right length."""
    target = f"/{path}/target/{TOKEN}".encode() + (b"?" + query if query else b"")
    kind = media_type.encode("latin-1", "replace")
    length = b"Content-Length: %d" % len(body)
    head = (b"%b %b HTTP/1.1" % (method, target), b"Host: x", b"Content-Type: " + kind, length)
    return b"\r\n".join((*head, headers) if headers else head) + b"\r\n\r\n" + body


@functools.cache
def seeds() -> Sequence[bytes]:
    """Requests of gateways, and hostile ones."""
    plain = [request(body, kind) for kind, body in callbacks.BODIES]
    coded = [
        request(gzip.compress(body, mtime=0), headers=b"Content-Encoding: gzip")
        for body in (b"id=1&status=D", b"id=" + b"x" * 300_000)
    ]
    bare = [request(b"", query=b"id=m-1&epoch=2&type=1", method=method)
            for method in (b"GET", b"HEAD", b"PUT")]  # fmt: skip
    chunked = request(b"", headers=b"Transfer-Encoding: chunked").replace(
        b"Content-Length: 0", b"X: 1"
    )
    made = [
        request(each.body, each.content_type, path=each.kind, query=each.path[1:].encode())
        for each in hostile.callbacks(60)
    ]
    return [*plain, *coded, *bare, chunked + b"6\r\nid=1&s\r\n0\r\n\r\n", *made]


_HEAD: Final = (
    b"\r\n", b"\r\nContent-Encoding: gzip", b"\r\nContent-Encoding: br", b"\r\n folded",
    b"\r\nExpect: 100-continue", b"\r\nTransfer-Encoding: chunked", b"\r\nContent-Length: 5",
    b"\r\nX-Forwarded-For: 192.0.2.9, [::1]:80", b"\r\nConnection: close", b"\r\nUpgrade: h2c",
    b"\r\ntraceparent: 00-0-0-0", b"HTTP/1.0", b"HTTP/9.9", b"HEAD ", b"GET ", b"OPTIONS * ",
    b"//", b"/..", b"http://x/", b"/live", b"/reports/", b"/optout/", b"/optin/", b"/legacy/old",
    TOKEN.encode(), b"?id=1&status=D", b"\r\nX: " + b"y" * 40_000,
)  # fmt: skip
"""What means something in the head of a request."""

TARGET: Final = Target(
    name="webhook",
    takes="octets of one HTTP connection to the webhook",
    holds="documented answers only, never 500; published only with a token and a promise, and only "
    "what the worker can read; no token, number or text in a log or answer",
    check=check,
    seeds=seeds,
    share=60,
    mutators=(http_form.in_form(callbacks.DOCUMENT, _HEAD, callbacks.WORDS),),
    words=(*_HEAD, *callbacks.WORDS),
    longest=140_000,
)
