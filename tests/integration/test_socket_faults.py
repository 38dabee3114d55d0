"""Every way a socket can fail, against what the server really took.

The servers are raw sockets, so that nothing between them and the client mends anything. Each keeps
a journal of the requests whose bytes it read; the outcome must not claim more than it proves.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from tests.integration.raw_server import (
    IMPATIENT,
    SUCCESS,
    Peer,
    http,
    kannel,
    send,
    serving,
    settings,
    sms,
)
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Unknown
from worker.providers.africastalking import AfricasTalking
from worker.providers.answer import Answer, ask
from worker.providers.http_gateway import HttpGateway
from worker.providers.registry import build
from worker.providers.transport import MAX_BODY, AiohttpTransport, http_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def close_before_reading(_peer: Peer) -> None:
    pass


async def reset_before_reading(peer: Peer) -> None:
    peer.reset()


async def close_after_reading(peer: Peer) -> None:
    await peer.take()


async def reset_after_reading(peer: Peer) -> None:
    await peer.take()
    peer.reset()


async def hang_after_reading(peer: Peer) -> None:
    await peer.take()
    await peer.reader.read()


async def half_a_head(peer: Peer) -> None:
    await peer.take()
    await peer.say(b"HTTP/1.1 201 Cre")


async def half_a_body(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(SUCCESS[:40], announced=len(SUCCESS)))


async def hang_in_the_body(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(SUCCESS[:40], announced=len(SUCCESS)))
    await peer.reader.read()


async def drip_for_ever(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(b"", announced=1000))
    while True:
        await peer.say(b" ")
        await asyncio.sleep(0.02)  # the pace of the drip, well within the deadline


async def garbage_for_http(peer: Peer) -> None:
    await peer.take()
    await peer.say(b"\x00\xff\xfe this is no protocol\r\n\r\n")


async def garbage_for_json(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(b"<html>welcome</html>"))


async def too_much(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(b" " * (MAX_BODY + 1) + SUCCESS))


async def error_500(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(b"oops", "500 Internal Server Error"))


async def error_502(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(b"<html>bad gateway</html>", "502 Bad Gateway"))


async def error_503(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(b"", "503 Service Unavailable"))


AFTER_THE_CONNECTION = [
    (close_before_reading, 0, "remote_protocol_error"),
    (reset_before_reading, 0, None),
    (close_after_reading, 1, "remote_protocol_error"),
    (reset_after_reading, 1, "read_error"),
    (hang_after_reading, 1, "read_timeout"),
    (half_a_head, 1, "remote_protocol_error"),
    (half_a_body, 1, "remote_protocol_error"),
    (hang_in_the_body, 1, "read_timeout"),
    (drip_for_ever, 1, "read_timeout"),
    (garbage_for_http, 1, "remote_protocol_error"),
    (garbage_for_json, 1, "http_201"),
    (too_much, 1, "remote_protocol_error"),
    (error_500, 1, "http_500"),
    (error_502, 1, "http_502"),
    (error_503, 1, "http_503"),
]


@pytest.mark.parametrize(("behaviour", "taken", "code"), AFTER_THE_CONNECTION)
async def test_whatever_fails_after_the_connection_is_unknown_and_asked_once(
    behaviour: Callable[[Peer], Awaitable[None]], taken: int, code: str | None
) -> None:
    async with serving(behaviour) as server:
        outcome = await send(AfricasTalking(settings(server.port, **IMPATIENT)))
    assert isinstance(outcome, Unknown)
    assert code is None or outcome.code == code
    assert len(server.journal) == taken


@pytest.mark.parametrize(("behaviour", "taken", "_code"), AFTER_THE_CONNECTION)
async def test_a_gateway_asked_by_get_is_asked_once_too(
    behaviour: Callable[[Peer], Awaitable[None]], taken: int, _code: str | None
) -> None:
    async with serving(behaviour) as server:
        outcome = await send(HttpGateway(kannel(server.port, **IMPATIENT)))
    assert isinstance(outcome, Unknown)
    assert len(server.journal) == taken


async def answer_well(peer: Peer) -> None:
    while True:
        await peer.take()
        await peer.say(http(SUCCESS))


async def test_a_complete_success_is_accepted() -> None:
    async with serving(answer_well) as server:
        outcome = await send(AfricasTalking(settings(server.port)))
    assert isinstance(outcome, Accepted)
    assert len(server.journal) == 1


async def redirect(peer: Peer) -> None:
    while True:
        await peer.take()
        await peer.say(b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("kind", ["africastalking", "http"])
async def test_a_redirect_is_proof_and_not_followed(kind: str) -> None:
    async with serving(redirect) as server:
        account = settings(server.port, kind=kind, preset="json-basic")
        outcome = await send(build(account))
    assert isinstance(outcome, NotSent)
    assert (outcome.blame, outcome.code) == (Blame.ACCOUNT, "http_307")
    assert len(server.journal) == 1


def not_sent(outcome: object, code: str) -> None:
    assert isinstance(outcome, NotSent), outcome
    assert (outcome.blame, outcome.code) == (Blame.PROVIDER, code)


async def test_a_refused_connection_is_proof() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    not_sent(await send(AfricasTalking(settings(port))), "connect_error")


async def test_a_name_that_does_not_resolve_is_proof() -> None:
    account = settings(1, base_url="http://provider.invalid", connect_timeout_s=20)
    not_sent(await send(AfricasTalking(account)), "connect_error")


async def test_a_connect_that_hangs_is_proof() -> None:
    """A listener with a full backlog answers no SYN."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            filler.connect_ex(listener.getsockname())
        outcome = await send(AfricasTalking(settings(listener.getsockname()[1], **IMPATIENT)))
    not_sent(outcome, "connect_timeout")


async def test_an_address_without_a_host_is_proof() -> None:
    client = http_client(AiohttpTransport(connect_timeout_s=10, deadline_s=10))
    not_sent(await ask(client, httpx.Request("POST", "http://")), "unsupported_protocol")
    await client.aclose()


async def test_a_client_that_was_closed_sends_nothing() -> None:
    async with serving(answer_well) as server:
        provider = AfricasTalking(settings(server.port))
        await provider.close()
        not_sent(await provider.send(sms()), "closed")
    assert server.journal == []


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_certificate_nobody_vouches_for_is_proof(server_side: ssl.SSLContext) -> None:
    async with serving(answer_well, server_side) as server:
        outcome = await send(AfricasTalking(settings(server.port, "https")))
    not_sent(outcome, "connect_error")
    assert server.journal == []


async def test_a_server_that_speaks_no_tls_is_proof() -> None:
    async with serving(garbage_at_once) as server:
        outcome = await send(AfricasTalking(settings(server.port, "https")))
    not_sent(outcome, "connect_error")


async def garbage_at_once(peer: Peer) -> None:
    await peer.say(b"SSH-2.0-OpenSSH_9.2\r\n")
    await peer.reader.read()


async def silent(peer: Peer) -> None:
    await peer.reader.read()
    await asyncio.Event().wait()


async def test_a_handshake_that_hangs_is_proof() -> None:
    async with serving(silent) as server:
        outcome = await send(AfricasTalking(settings(server.port, "https", **IMPATIENT)))
    not_sent(outcome, "connect_timeout")


async def test_a_trusted_certificate_is_accepted(
    authority: trustme.CA, server_side: ssl.SSLContext
) -> None:
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with serving(answer_well, server_side) as server:
        outcome = await send(AfricasTalking(settings(server.port, "https"), trusted))
    assert isinstance(outcome, Accepted)


async def test_a_kept_tls_connection_is_used_again_but_not_with_something_unread(
    authority: trustme.CA, server_side: ssl.SSLContext
) -> None:
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    peers: list[Peer] = []

    async def count(peer: Peer) -> None:
        peers.append(peer)
        while True:
            await peer.take()
            await peer.say(http(SUCCESS))

    async with serving(count, server_side) as server:
        provider = AfricasTalking(settings(server.port, "https"), trusted)
        for _ in range(3):
            assert isinstance(await provider.send(sms()), Accepted)
        assert len(peers) == 1
        await peers[0].say(http(b"", "408 Request Timeout"))
        assert isinstance(await provider.send(sms()), Accepted)
        await provider.close()
    assert len(peers) == 2


async def test_tls_lost_after_the_request_is_unknown(
    authority: trustme.CA, server_side: ssl.SSLContext
) -> None:
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with serving(reset_after_reading, server_side) as server:
        outcome = await send(AfricasTalking(settings(server.port, "https"), trusted))
    assert isinstance(outcome, Unknown)
    assert len(server.journal) == 1


async def answer_once_then(peer: Peer, end: Callable[[Peer], None]) -> None:
    await peer.take()
    await peer.say(http(b"{}", "200 OK"))
    await peer.take()
    end(peer)


async def close_the_second(peer: Peer) -> None:
    await answer_once_then(peer, lambda _peer: None)


async def reset_the_second(peer: Peer) -> None:
    await answer_once_then(peer, Peer.reset)


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
@pytest.mark.parametrize("behaviour", [close_the_second, reset_the_second])
async def test_a_request_lost_on_a_kept_alive_connection_is_never_repeated(
    method: str, behaviour: Callable[[Peer], Awaitable[None]]
) -> None:
    """The library below repeats GET, PUT and DELETE here by itself."""
    async with serving(behaviour) as server:
        client = http_client(AiohttpTransport(connect_timeout_s=10, deadline_s=10))
        url = f"http://127.0.0.1:{server.port}/"
        first = await ask(client, client.build_request(method, url, content=b"1"))
        second = await ask(client, client.build_request(method, url, content=b"2"))
        await client.aclose()
    assert isinstance(first, Answer)
    assert isinstance(second, Unknown)
    assert [request[-1:] for request in server.journal] == [b"1", b"2"]


async def close_when_idle(peer: Peer) -> None:
    await peer.take()
    await peer.say(http(b"{}", "200 OK"))


async def test_a_connection_closed_while_idle_is_replaced_not_repeated() -> None:
    async with serving(close_when_idle) as server:
        client = http_client(AiohttpTransport(connect_timeout_s=10, deadline_s=10))
        url = f"http://127.0.0.1:{server.port}/"
        for number in (b"1", b"2", b"3"):
            await ask(client, client.build_request("GET", url, content=number))
        await client.aclose()
    taken = [request[-1:] for request in server.journal]
    assert sorted(set(taken)) == sorted(taken)


async def test_the_deadline_starts_when_the_connection_stands() -> None:
    async def slow(peer: Peer) -> None:
        await peer.take()
        await asyncio.sleep(1.5)  # longer than the time to connect, within the deadline
        await peer.say(http(SUCCESS))

    async with serving(slow) as server:
        outcome = await send(
            AfricasTalking(settings(server.port, connect_timeout_s=1, deadline_s=30))
        )
    assert isinstance(outcome, Accepted)


async def test_a_cancelled_call_is_cancelled_and_leaves_nothing_behind() -> None:
    async with serving(hang_after_reading) as server:
        provider = AfricasTalking(settings(server.port, deadline_s=30))
        call = asyncio.create_task(provider.send(sms()))
        async with asyncio.timeout(5):
            await server.took_one.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await provider.close()
    assert len(server.journal) == 1


async def test_what_the_official_sdk_sends_is_what_we_send() -> None:
    async with serving(answer_well) as server:
        await send(AfricasTalking(settings(server.port, sender_id="LENDER")))
    head, _, body = server.journal[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /version1/messaging http/1.1"
    assert b"apikey: atsk_do_not_show" in lines
    assert b"accept: application/json" in lines
    assert b"content-type: application/x-www-form-urlencoded" in lines
    assert body == (b"username=sandbox&to=%2B260977123456&message=Hello&bulkSMSMode=1&from=LENDER")


@pytest.mark.parametrize("error", [httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError])
def test_errors_that_may_have_left_are_no_proof(error: type[Exception]) -> None:
    from worker.providers.transport import NOT_SENT  # noqa: PLC0415 - only this test needs it

    assert not issubclass(error, NOT_SENT)
