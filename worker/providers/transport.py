"""HTTP to a provider: httpx as the client, aiohttp on the wire, errors that are proofs.

Rules:
- An invalid request is found before anything is sent: by `check_request` when the settings are
  read, or else in the call, which then sends nothing.
- The errors in `NOT_SENT` mean that no byte of the request left. Every other `httpx.TransportError`
  means that it may have left. Only these errors and cancellation are raised.
- One call is one request. aiohttp by itself repeats GET, PUT and DELETE when a kept-alive
  connection turns out dead; `_once` turns such an error into ours before aiohttp can react to it.
- No redirects, cookies or proxies from the environment. A body above `MAX_BODY`, as sent or
  unpacked, is an error, not a truncated answer.
- Heads are read tolerantly (`connection`); of an answer's fields only those in `http_head.KEPT`
  are passed on.
- An idle connection is used again for at most `keep_alive_s`, or less if the server says so. A
  request on a connection that the server has just closed is lost and never repeated.
- There are two bounds: `connect_timeout_s` until there is a connection (name, TCP and TLS), then
  `deadline_s` until the last byte is read. httpx's own timeouts are per operation and not used.
- The caller bounds concurrency (`limiter`), so the pool has no limit and no call waits in it.

Why not httpx's own pool: it costs 5-10 ms of CPU a request at 64-128 in flight, this 0.6.
Why not httpx-aiohttp: it reports "took the request and closed" as a connect timeout.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from typing import TYPE_CHECKING, Final

import aiohttp
import httpx
from yarl import URL

from worker.providers.connection import Connector
from worker.providers.unpack import TooLongError, unpack

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

MAX_BODY: Final = 64 * 1024
"""Largest answer that is read, bytes."""

NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
"""The errors that prove that no byte of the request left."""

_ADDED_BY_AIOHTTP: Final = ("User-Agent", "Content-Type", "Accept", "Accept-Encoding")
_NOT_PASSED_ON: Final = frozenset({b"content-encoding", b"transfer-encoding"})
_NOT_IN_A_HEADER: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Client middleware: connect, send, read the head, and translate errors where they happen.

    It runs inside aiohttp's repeat loop, which only reacts to its own error classes. Errors before
    a connection are handled first, because they are also `ClientError`s and `OSError`s.
    """
    try:
        return await handler(request)
    except (aiohttp.InvalidURL, UnicodeError) as error:  # the host's name, before it is looked up
        raise httpx.UnsupportedProtocol("not a usable address") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(f"no connection: {type(error).__name__}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise _after_connect(error) from error


def _after_connect(error: Exception) -> httpx.TransportError:
    """The httpx error for an error after the connection was made: the request may have left."""
    name = type(error).__name__
    match error:
        case TimeoutError():
            return httpx.ReadTimeout("no complete answer in time")
        case aiohttp.ClientConnectionResetError():
            return httpx.WriteError(f"connection lost: {name}")
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError(f"answer not understood: {name}")
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError(f"closed without an answer: {name}")
        case _:
            return httpx.ReadError(f"connection lost: {name}")


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Transport of one provider account; connections are kept alive and closed by `aclose`.

    Args:
        connect_timeout_s: longest time to get a connection, seconds.
        deadline_s: longest time from there to the last byte of the answer, seconds.
        keep_alive_s: longest time that a connection may be idle and still be used, seconds.
        ssl_context: replaces the system's certificates.
    """

    def __init__(
        self,
        *,
        connect_timeout_s: float,
        deadline_s: float,
        keep_alive_s: float = 4.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=connect_timeout_s + deadline_s,
            connect=connect_timeout_s,
            ceil_threshold=math.inf,
        )
        self._keep_alive_s = keep_alive_s
        self._ssl = ssl_context if ssl_context is not None else True
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _open(self) -> aiohttp.ClientSession:
        """The session. It is made at the first call, because it needs the running loop."""
        if self._closed:
            raise httpx.ConnectError("no connection: closed by us")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=Connector(keep_alive_s=self._keep_alive_s, ssl=self._ssl),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_ADDED_BY_AIOHTTP,
                middlewares=(_once,),
            )
        return self._session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request once and read its whole answer."""
        session = self._open()
        address, headers = _address(request), _headers(request)
        try:
            async with session.request(
                request.method,
                address,
                data=await request.aread() or None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                body = await _read(response)
        except httpx.TransportError:
            raise
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise httpx.UnsupportedProtocol("not a usable address") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _after_connect(error) from error
        kept = [h for h in response.raw_headers if h[0].lower() not in _NOT_PASSED_ON]
        return httpx.Response(response.status, headers=kept, content=body)

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            # In aiohttp the transports of a closed session end in the next turns of the loop.
            await asyncio.sleep(0)


def _address(request: httpx.Request) -> URL:
    try:
        return URL(str(request.url), encoded=True)
    except ValueError as error:
        raise httpx.UnsupportedProtocol("not a usable address") from error


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    """The header fields of the request. They are checked before anything is sent."""
    raw = request.headers.raw
    if _NOT_IN_A_HEADER.search(b"".join([value for _, value in raw])):
        raise httpx.LocalProtocolError("a header cannot carry its value")
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in raw]


def check_request(method: str, url: str, headers: Mapping[str, str] | None = None) -> None:
    """Build a request as for a call, but send nothing.

    Raises:
        ValueError: the libraries refuse the request; the error shows nothing of it.
    """
    try:
        request = httpx.Request(method, url, headers=headers)
        address, _ = _address(request), _headers(request)
    except (httpx.InvalidURL, httpx.TransportError, ValueError) as error:
        raise ValueError("expected an address and headers that HTTP can carry") from error
    if address.scheme not in {"http", "https"} or not address.raw_host:
        raise ValueError("expected an address with http:// or https:// and a host")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole body, unpacked."""
    chunks = bytearray()
    while chunk := await response.content.readany():
        chunks += chunk
        if len(chunks) > MAX_BODY:
            response.close()
            raise httpx.RemoteProtocolError(f"answer longer than {MAX_BODY} bytes")
    try:
        return unpack(bytes(chunks), response.headers.get("Content-Encoding", ""), MAX_BODY)
    except TooLongError as error:
        raise httpx.RemoteProtocolError(f"answer longer than {MAX_BODY} bytes") from error


class Client(httpx.AsyncClient):
    """httpx's client, with a faster `send`."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._wire = transport
        super().__init__(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # the transport bounds the time of the whole call
            headers={"Accept-Encoding": "identity", "User-Agent": "sms-migration-worker"},
        )

    async def once(self, request: httpx.Request) -> httpx.Response:
        """Send a request directly, because auth, redirects and cookies are off.

        It saves a tenth of the cost of a call, and stores no cookie that would link calls.
        """
        return await self._wire.handle_async_request(request)


def http_client(transport: httpx.AsyncBaseTransport) -> Client:
    """Build the client of adapters: nothing from the environment, no redirects.

    httpx's own log line for each request is off. It shows the whole address, which may have a
    gateway's password and the text.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return Client(transport)
