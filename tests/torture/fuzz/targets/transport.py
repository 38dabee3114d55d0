"""Answers of a provider as octets, over a real connection, through our own HTTP transport."""

from __future__ import annotations

import asyncio
import functools
import re
from typing import TYPE_CHECKING, Final

from tests.support import hostile
from tests.torture.fuzz import http_form, listening, looping
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import africastalking, answers
from tests.torture.fuzz.targets.refusals import quotes_nothing
from worker.domain.messages.outcome import Accepted, NotSent, Outcome, Refused, Unknown
from worker.domain.messages.sms import Sms
from worker.providers.africastalking import AfricasTalking
from worker.settings.providers import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d+)?[ \t]+(\d{3})", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"(?i)\ncontent-length: *(\d+)")
_NEVER_LEFT: Final = frozenset(
    {"connect_error", "connect_timeout", "pool_timeout", "unsupported_protocol", "closed",
     "local_protocol_error", "not_encodable"}
)  # fmt: skip
"""Codes that say that no byte of the request left."""
_SECRET: Final = "the-api-key"


class _Provider:
    """Takes each request on its own connection, answers with given octets and closes."""

    def __init__(self) -> None:
        self.answer = b""
        self.requests = 0
        self.port = 0

    async def start(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = _LENGTH.search(head)
        await reader.readexactly(int(size[1]) if size else 0)
        self.requests += 1
        writer.write(self.answer)
        writer.close()


@functools.cache
def _provider() -> _Provider:
    provider = _Provider()
    looping.awaited(provider.start())
    return provider


@functools.cache
def _adapter(port: int) -> AfricasTalking:
    return AfricasTalking(
        ProviderSettings.model_validate(
            {
                "id": "at", "kind": "africastalking", "base_url": f"http://127.0.0.1:{port}",
                "username": "user", "secret": _SECRET, "deadline_s": 5,
            }
        )
    )  # fmt: skip


def check(data: bytes) -> str:
    """Send a message, answer it with these octets, and judge the outcome."""
    provider = _provider()
    provider.answer, provider.requests = data, 0
    sms = Sms("m-1", 1, hostile.NUMBER, hostile.MARK, None, 60.0)
    with listening.heard() as lines:
        outcome = looping.awaited(_adapter(provider.port).send(sms))
    must(provider.requests == 1, "one call is one request", provider.requests)
    must(isinstance(outcome, Accepted | Refused | NotSent | Unknown), "there is an outcome")
    _is_proved(outcome, data)
    quotes_nothing("\n".join(lines))
    must(_SECRET not in "\n".join(lines), "a secret is never logged")
    kind = type(outcome).__name__
    return f"{'refused: ' if kind == 'Unknown' else ''}{kind} {outcome.code}"


def _is_proved(outcome: Outcome, data: bytes) -> None:
    statuses = {int(each) for each in _STATUS.findall(data)}
    if isinstance(outcome, NotSent):
        must(outcome.code not in _NEVER_LEFT, "a request that was taken has left", outcome)
        by_status = outcome.code.startswith("http_")
        known = not by_status or int(outcome.code[5:]) in statuses & answers.PROOFS
        must(known, "not sent needs a status that proves it", (outcome.code, statuses))
    if isinstance(outcome, Accepted):
        packed = re.search(rb"(?i)content-encoding|\x1f\x8b", data)
        must(packed or b"Recipients" in data, "accepted needs our recipient", data[:300])


def _response(status: int, body: bytes, *headers: bytes) -> bytes:
    head = (b"HTTP/1.1 %d OK" % status, b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join((*head, b"", body))


@functools.cache
def seeds() -> Sequence[bytes]:
    """Documented answers in all framings, and octets that no server would write."""
    taken = africastalking.BODIES[0]
    chunked = b"HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    plain = [
        _response(status, body) for status in (201, 400, 503) for body in africastalking.BODIES
    ]
    framed = [
        chunked % (len(taken), taken),
        b"HTTP/1.0 201 C\r\n\r\n" + taken,
        b"HTTP/1.1 100 Continue\r\n\r\n" + _response(201, taken),
        b"HTTP/1.1 201\nContent-Length: %d\n\n%b" % (len(taken), taken),
        _response(201, taken, b"Connection: close"),
        _response(201, africastalking.PACKED, b"Content-Encoding: gzip"),
        _response(201, africastalking.BOMB, b"Content-Encoding: gzip"),
        _response(429, b"", b"Retry-After: 5"),
        _response(201, taken)[:-40],
        _response(201, taken) + _response(400, b""),
    ]
    return [*plain, *framed, *hostile.raw_answers(60)]


_WORDS: Final = (
    b"HTTP/1.1 ", b"HTTP/1.0 201 C\r\n", b"HTTP/2 ", b"ICY 200 OK", b"\r\n\r\n", b"\n\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 302 F\r\nLocation: http://x/\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n",
    b"Content-Length: 0\r\n", b"Content-Length: 99999999999\r\n", b"Content-Encoding: gzip\r\n",
    b"Connection: close\r\n", b"Keep-Alive: timeout=0\r\n", b"Set-Cookie: a=b\r\n",
    b"Retry-After: 1\r\n", b" folded\r\n", *answers.WORDS,
)  # fmt: skip

TARGET: Final = Target(
    name="transport",
    takes="octets that a provider sends back on a connection that took a message",
    holds="one request, always an outcome, never sent or not sent without proof; nothing in a log",
    check=check,
    seeds=seeds,
    share=25,
    mutators=(http_form.in_form(africastalking.DOCUMENT, _WORDS, answers.WORDS),),
    words=_WORDS,
)
