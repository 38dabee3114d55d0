"""Answers as odd servers write them: what was accepted must be read as accepted."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.integration.raw_server import (
    IMPATIENT,
    SUCCESS,
    Peer,
    http,
    send,
    serving,
    settings,
    sms,
)
from worker.domain.messages.outcome import Accepted, NotSent, Unknown
from worker.providers.africastalking import AfricasTalking
from worker.providers.http_gateway import HttpGateway
from worker.providers.transport import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LENGTH = b"Content-Length: %d" % len(SUCCESS)


def answering(data: bytes, *, close: bool = False) -> Callable[[Peer], Awaitable[None]]:
    async def behaviour(peer: Peer) -> None:
        while True:
            await peer.take()
            await peer.say(data)
            if close:
                return

    return behaviour


async def outcome_of(data: bytes, *, close: bool = False, **account: float) -> object:
    async with serving(answering(data, close=close)) as server:
        outcome = await send(AfricasTalking(settings(server.port, **account)))
    assert len(server.journal) == 1
    return outcome


def head(*lines: bytes, end: bytes = b"\r\n") -> bytes:
    return end.join([*lines, b"", b""])


CREATED = b"HTTP/1.1 201 Created"
ODD_HEADS = {
    "two spaces in the status line": head(b"HTTP/1.1  201  Created", LENGTH),
    "a tab in the status line": head(b"HTTP/1.1\t201\tCreated", LENGTH),
    "no reason": head(b"HTTP/1.1 201", LENGTH),
    "a small http": head(b"http/1.1 201 Created", LENGTH),
    "another version": head(b"HTTP/1.2 201 Created", LENGTH),
    "HTTP/2 in text": head(b"HTTP/2 201 Created", LENGTH),
    "a control character in the reason": head(b"HTTP/1.1 201 Cre\x00ated", LENGTH),
    "empty lines before it": b"\r\n\r\n" + head(CREATED, LENGTH),
    "a blank before the colon": head(CREATED, b"Server : x", b"Content-Length : %d" % len(SUCCESS)),
    "a blank before the name": head(CREATED, b" Content-Length: %d" % len(SUCCESS)),
    "no colon": head(CREATED, b"what is this", LENGTH),
    "no name": head(CREATED, b": x", LENGTH),
    "an odd name": head(CREATED, b"X(Y)\xe9 Z: x", LENGTH),
    "control characters in a value": head(CREATED, b"Server: a\x00\x01\x7fb\rc", LENGTH),
    "octets above 127": head(CREATED, b"Server: \xff\xe9", LENGTH),
    "a folded value": head(CREATED, b"Server: a", b"  b", LENGTH),
    "line feeds alone": head(CREATED, LENGTH, end=b"\n"),
    "line ends of both kinds": CREATED + b"\n" + LENGTH + b"\r\n\n",
    "the length twice": head(CREATED, LENGTH, LENGTH),
    "the length twice in a line": head(CREATED, LENGTH + b", %d" % len(SUCCESS)),
    "the length with a zero": head(CREATED, b"Content-Length: 0%d" % len(SUCCESS)),
    "a very long field": head(CREATED, b"Set-Cookie: " + b"x" * 20_000, LENGTH),
    "very many fields": head(CREATED, *[b"X-%d: 1" % n for n in range(500)], LENGTH),
    "an upgrade is offered": head(CREATED, b"Upgrade: h2c", b"Connection: Upgrade", LENGTH),
    "identity": head(CREATED, b"Transfer-Encoding: identity", LENGTH),
    "interim answers before it": head(b"HTTP/1.1 100 Continue") * 2 + head(CREATED, LENGTH),
}


@pytest.mark.parametrize("odd", ODD_HEADS)
async def test_an_accepted_sms_stays_accepted_whatever_the_head_looks_like(odd: str) -> None:
    outcome = await outcome_of(ODD_HEADS[odd] + SUCCESS)
    assert isinstance(outcome, Accepted), outcome


CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SUCCESS), SUCCESS)


@pytest.mark.parametrize(
    "lines",
    [
        [b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: Chunked", b"transfer-encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"transfer-encoding : chunked"],
    ],
)
async def test_a_chunked_answer_is_read_whatever_stands_beside(lines: list[bytes]) -> None:
    assert isinstance(await outcome_of(head(CREATED, *lines) + CHUNKED), Accepted)


async def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    assert isinstance(await outcome_of(head(CREATED) + SUCCESS, close=True), Accepted)


async def test_a_head_may_come_octet_by_octet() -> None:
    async def drip(peer: Peer) -> None:
        await peer.take()
        for octet in head(CREATED, LENGTH):
            await peer.say(bytes([octet]))
            await asyncio.sleep(0)
        await peer.say(SUCCESS)

    async with serving(drip) as server:
        outcome = await send(AfricasTalking(settings(server.port)))
    assert isinstance(outcome, Accepted)


@pytest.mark.parametrize(
    "lines",
    [
        [LENGTH, b"Content-Length: 5"],
        [b"Content-Length: %d, 5" % len(SUCCESS)],
        [b"Content-Length: -5"],
        [b"Content-Length: many"],
        [b"Content-Length:"],
        [b"Transfer-Encoding: gzip"],
    ],
)
async def test_an_answer_whose_end_is_not_clear_is_unknown(lines: list[bytes]) -> None:
    assert isinstance(await outcome_of(head(CREATED, *lines) + SUCCESS, **IMPATIENT), Unknown)


async def test_a_head_without_end_is_unknown_before_the_deadline() -> None:
    outcome = await outcome_of(CREATED + b"\r\nX: " + b"x" * 40_000)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "remote_protocol_error"


# --- what follows an answer ------------------------------------------------------------------


@pytest.mark.parametrize("behind", [b"\0", b"junk", b"<!-- hosting -->", b"\r\n", b"{}" * 5000])
@pytest.mark.parametrize("more", [[], [b"Connection: close"]])
@pytest.mark.parametrize(
    ("lines", "body"), [([LENGTH], SUCCESS), ([b"Transfer-Encoding: chunked"], CHUNKED)]
)
async def test_what_stands_behind_the_body_does_no_harm(
    lines: list[bytes], body: bytes, more: list[bytes], behind: bytes
) -> None:
    outcome = await outcome_of(head(CREATED, *lines, *more) + body + behind)
    assert isinstance(outcome, Accepted), outcome


NUMBERED = {
    "africastalking": lambda n: http(SUCCESS.replace(b"ATXid_1", b"ATXid_%d" % n)),
    "http": lambda n: http(b'{"status":"accepted","id":"ATXid_%d"}' % n, "202 Accepted"),
}
STRAY = {
    "an answer": NUMBERED["africastalking"](99),
    "an answer of the other kind": NUMBERED["http"](99),
    "a timeout": http(b"", "408 Request Timeout"),
    "half an answer": b"HTTP/1.1 202 Acc",
    "an empty line": b"\r\n",
    "the end": b"",
}


class Straying:
    """A server that numbers its answers and says more than it was asked on its first connection."""

    def __init__(self, kind: str, stray: bytes, *, at_once: bool) -> None:
        self.connections = 0
        self.answers = 0
        self.was_closed = asyncio.Event()
        self.first: Peer | None = None
        self._kind, self._stray, self._at_once = kind, stray, at_once

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        first = self.first = self.first or peer
        while True:
            await peer.take()
            self.answers += 1
            at_once = self._stray if peer is first and self._at_once else b""
            await peer.say(NUMBERED[self._kind](self.answers) + at_once)
            if peer is first:
                await peer.reader.read()
                self.was_closed.set()

    async def stray(self) -> None:
        """Say it now, on the connection that is idle."""
        assert self.first is not None
        if self._stray:
            await self.first.say(self._stray)
        else:
            self.first.writer.write_eof()


def adapter(kind: str, port: int) -> AfricasTalking | HttpGateway:
    if kind == "http":
        return HttpGateway(settings(port, kind="http", preset="json-basic", keep_alive_s=60))
    return AfricasTalking(settings(port, keep_alive_s=60))


async def own_ids(provider: AfricasTalking | HttpGateway, numbers: list[int]) -> None:
    for number in numbers:
        outcome = await provider.send(sms())
        assert isinstance(outcome, Accepted), outcome
        assert outcome.provider_message_id == f"ATXid_{number}"


@pytest.mark.parametrize("kind", NUMBERED)
@pytest.mark.parametrize("stray", [name for name in STRAY if STRAY[name]])
async def test_what_comes_together_with_an_answer_answers_no_other_request(
    kind: str, stray: str
) -> None:
    straying = Straying(kind, STRAY[stray], at_once=True)
    async with serving(straying) as server:
        provider = adapter(kind, server.port)
        await own_ids(provider, [1, 2, 3])
        await provider.close()
    assert straying.connections == 2


@pytest.mark.parametrize("kind", NUMBERED)
@pytest.mark.parametrize("stray", STRAY)
async def test_what_comes_on_an_idle_connection_closes_it(kind: str, stray: str) -> None:
    straying = Straying(kind, STRAY[stray], at_once=False)
    async with serving(straying) as server:
        provider = adapter(kind, server.port)
        await own_ids(provider, [1])
        await straying.stray()
        await asyncio.wait_for(straying.was_closed.wait(), 5)
        await own_ids(provider, [2, 3])
        await provider.close()
    assert straying.connections == 2


@pytest.mark.parametrize("kind", NUMBERED)
@pytest.mark.parametrize("stray", STRAY)
async def test_what_came_just_before_the_next_request_does_not_answer_it(
    kind: str, stray: str
) -> None:
    straying = Straying(kind, STRAY[stray], at_once=False)
    async with serving(straying) as server:
        provider = adapter(kind, server.port)
        await own_ids(provider, [1])
        await straying.stray()  # our loop has not seen it yet when the next request begins
        await own_ids(provider, [2, 3])
        await provider.close()
    assert straying.connections == 2


# --- compression -----------------------------------------------------------------------------


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": (b"gzip", gzip.compress(SUCCESS)),
    "x-gzip": (b"X-GZip", gzip.compress(SUCCESS)),
    "deflate": (b"deflate", zlib.compress(SUCCESS)),
    "deflate without its head": (b"deflate", bare(SUCCESS)),
    "gzip without a word": (b"", gzip.compress(SUCCESS)),
    "zlib without a word": (b"", zlib.compress(SUCCESS)),
    "zlib for gzip": (b"gzip", zlib.compress(SUCCESS)),
    "gzip and nothing packed": (b"gzip", SUCCESS),
    "one in the other": (b"deflate, gzip", gzip.compress(zlib.compress(SUCCESS))),
    "a charset for a coding": (b"utf-8", SUCCESS),
}


def packed(coding: bytes, body: bytes) -> bytes:
    return head(CREATED, b"Content-Encoding: " + coding, b"Content-Length: %d" % len(body)) + body


@pytest.mark.parametrize("kind", PACKED)
async def test_a_packed_answer_is_read(kind: str) -> None:
    assert isinstance(await outcome_of(packed(*PACKED[kind])), Accepted)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bare])
async def test_what_would_fill_the_memory_is_not_unpacked(pack: Callable[[bytes], bytes]) -> None:
    coding = b"gzip" if pack is gzip.compress else b"deflate"
    outcome = await outcome_of(packed(coding, pack(b" " * (MAX_BODY * 100))))
    assert isinstance(outcome, Unknown)
    assert outcome.code == "remote_protocol_error"


# --- connections that are kept -----------------------------------------------------------------


class Counting:
    """A server that answers well and counts its connections."""

    def __init__(self, said: bytes = b"X-Nothing: 1") -> None:
        self.connections = 0
        self._answer = head(CREATED, LENGTH, said) + SUCCESS

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        await answering(self._answer)(peer)


async def connections(said: bytes, wait_s: float = 0.0, **account: float) -> int:
    """How many two calls take, with a wait between them."""
    counting = Counting(said)
    async with serving(counting) as server:
        provider = AfricasTalking(settings(server.port, **account))
        assert isinstance(await provider.send(sms()), Accepted)
        await asyncio.sleep(wait_s)  # the client's time for an idle connection is a real one
        assert isinstance(await provider.send(sms()), Accepted)
        await provider.close()
    assert len(server.journal) == 2
    return counting.connections


@pytest.mark.parametrize(
    "said",
    [
        b"Keep-Alive: timeout=0",
        b"Keep-Alive: timeout=1",
        b"keep-alive : Timeout = 1 , max=100",
        b"Keep-Alive: timeout=-1",
        b"Keep-Alive: timeout=60, max=0",
        b"Connection: close",
        b"Connection: Close, TE",
    ],
)
async def test_a_connection_about_to_be_closed_is_not_used_again(said: bytes) -> None:
    assert await connections(said) == 2


@pytest.mark.parametrize(
    "said",
    [
        b"X-Nothing: 1",
        b"Keep-Alive: timeout=60",
        b"Keep-Alive: timeout=99999999999999999999",
        b"Keep-Alive: timeout=soon",
        b"Keep-Alive: \xff",
        b"Keep-Alive: max=100",
    ],
)
async def test_a_connection_that_is_kept_is_used_again(said: bytes) -> None:
    assert await connections(said) == 1


async def test_a_connection_is_idle_no_longer_than_the_setting_allows() -> None:
    assert await connections(b"Keep-Alive: timeout=60", 0.15, keep_alive_s=0.1) == 2


async def test_no_connection_is_kept_where_the_setting_says_so() -> None:
    assert await connections(b"Keep-Alive: timeout=60", keep_alive_s=0) == 2


# --- what never leaves ---------------------------------------------------------------------------


async def test_a_header_that_cannot_be_sent_is_proof() -> None:
    async with serving(answering(http(SUCCESS))) as server:
        provider = AfricasTalking(settings(server.port))
        outcome = await provider.send(sms(traceparent="00-1\r\nX-Evil: 1"))
        await provider.close()
    assert isinstance(outcome, NotSent)
    assert outcome.code == "local_protocol_error"
    assert server.journal == []
