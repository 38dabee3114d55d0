"""Connections to a provider that read heads tolerantly and are closed in time.

Rules:
- The head of an answer is held back until it is complete, corrected by `http_head`, and passed to
  aiohttp. The body passes unchanged up to its end (`http_body`). No request is ever repeated.
- Each request has one answer. Bytes after the body belong to no answer. They are dropped together
  with the connection, because the next request would take them for its own answer. The same holds
  for bytes, or a close by the server, before the next request.
- If the server says how long it keeps an idle connection (`Keep-Alive: timeout=5`), we stop using
  it `MARGIN_S` earlier. A request that meets the server's close is lost, with an unknown outcome.

aiohttp has no public way for this, so the module derives from two of its classes.
"""

from __future__ import annotations

import math
import select
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from worker.providers import http_body, http_head

if TYPE_CHECKING:
    import asyncio
    import ssl

MARGIN_S: Final = 1.0


class _Connection(ResponseHandler):
    """aiohttp's side of one connection: reads heads tolerantly, and knows when it is too old.

    aiohttp asks `is_connected` before it uses an idle connection again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._head: http_head.Collector | None = None
        """The received part of the awaited head; None: no head is awaited."""
        self._body: http_body.Ending | None = None
        """Finds the end of the awaited body; None: no body is awaited."""
        self._use_until = math.inf

    def set_response_params(self, **params: Any) -> None:
        """Note that a request begins on this connection, so a head is awaited next."""
        self._head, self._body = http_head.Collector(), None
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Hold back bytes until the head is complete; then pass on the body and nothing more."""
        if not data:  # aiohttp goes on with the bytes it has already
            super().data_received(data)
        elif self._head is not None:
            self._read_head(self._head, data)
        elif self._body is not None:
            self._read_body(self._body, b"", data)
        else:
            self._refuse()

    def _read_head(self, collector: http_head.Collector, data: bytes) -> None:
        if parts := collector.add(data):
            self._head, head = None, http_head.mended(parts[0])
            self._use_until = self._until(head)
            self._read_body(http_body.ending(head), head.raw, parts[1])
        elif (all_of_it := collector.hopeless()) is not None:
            self._head, self._body = None, http_body.Open()
            super().data_received(all_of_it)

    def _read_body(self, body: http_body.Ending, head: bytes, data: bytes) -> None:
        """Pass on the bytes of the answer. Bytes after it make the connection unusable."""
        end = body.find(data)
        self._body = body if end is None else None
        if end is not None and end < len(data):
            self.force_close()
        super().data_received(head + data[:end])

    def _refuse(self) -> None:
        """Handle bytes that belong to no request of ours."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def _until(self, head: http_head.Head) -> float:
        """When to stop using this connection by the server's timeout, in the loop's time."""
        kept_s = http_head.keep_alive_s(head.fields.get(b"keep-alive"))
        return math.inf if kept_s is None else self._loop.time() + kept_s - MARGIN_S

    def is_connected(self) -> bool:
        """Whether it can be used (again)."""
        in_time = self._loop.time() < self._use_until
        return super().is_connected() and in_time and not self._has_unread()

    def _has_unread(self) -> bool:
        """Whether bytes or a close of the server have come that the loop has not seen yet."""
        sock = self.transport.get_extra_info("socket") if self.transport else None
        if sock is None:
            return False
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))


class Connector(aiohttp.TCPConnector):
    """Makes connections and keeps idle ones.

    Args:
        keep_alive_s: how long idle ones are kept, seconds; 0: none is kept.
        ssl: replaces the system's certificates; True: it does not.
    """

    def __init__(self, *, keep_alive_s: float, ssl: ssl.SSLContext | bool) -> None:
        kept: dict[str, Any] = {"keepalive_timeout": keep_alive_s} if keep_alive_s else {}
        super().__init__(limit=0, ssl=ssl, force_close=not keep_alive_s, **kept)
        made = partial(_Connection, loop=self._loop)
        self._factory = made  # type: ignore[assignment] # partial does not vary with its result
