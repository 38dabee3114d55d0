"""Connections to a provider that read heads tolerantly and are given up in time.

Rules:
- The head of an answer is held back until it is complete, mended by `http_head`, and handed to
  aiohttp; the body passes untouched, up to its end (`http_body`). Nothing is ever asked for again.
- One request, one answer: what follows the body belongs to no answer. It is dropped, and so is the
  connection, for the next request would take it for its own answer. The same goes for bytes, or the
  server's close, that come while no request is under way, up to the moment of the next request.
- Where the server says how long it keeps an idle connection (`Keep-Alive: timeout=5`), we stop
  using it `MARGIN_S` earlier: a request that meets the server's close is lost, and stays unknown.

aiohttp has no public place for either, so this derives from its two classes.
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
        """What came of the head that is awaited; None: none is."""
        self._body: http_body.Ending | None = None
        """Where the body that is awaited ends; None: none is."""
        self._use_until = math.inf

    def set_response_params(self, **params: Any) -> None:
        """A request begins on this connection: the next thing to come is a head."""
        self._head, self._body = http_head.Collector(), None
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Hold back what comes until the head is complete; pass on the body and nothing more."""
        if not data:  # aiohttp goes on with what it has already
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
        """Pass on what belongs to the answer; what follows it makes the connection unusable."""
        end = body.find(data)
        self._body = body if end is None else None
        if end is not None and end < len(data):
            self.force_close()
        super().data_received(head + data[:end])

    def _refuse(self) -> None:
        """Something came that no request of ours asked for."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def _until(self, head: http_head.Head) -> float:
        """When to stop using this connection, by what the server says; the loop's time."""
        kept_s = http_head.keep_alive_s(head.fields.get(b"keep-alive"))
        return math.inf if kept_s is None else self._loop.time() + kept_s - MARGIN_S

    def is_connected(self) -> bool:
        """Whether it can be used (again)."""
        in_time = self._loop.time() < self._use_until
        return super().is_connected() and in_time and not self._has_unread()

    def _has_unread(self) -> bool:
        """Whether bytes or the server's close have come that the loop has not seen yet."""
        sock = self.transport.get_extra_info("socket") if self.transport else None
        if sock is None:
            return False
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))


class Connector(aiohttp.TCPConnector):
    """Makes connections and keeps idle ones.

    Args:
        keep_alive_s: for how long, seconds; 0: none is kept.
        ssl: trust other than the system's, or True.
    """

    def __init__(self, *, keep_alive_s: float, ssl: ssl.SSLContext | bool) -> None:
        kept: dict[str, Any] = {"keepalive_timeout": keep_alive_s} if keep_alive_s else {}
        super().__init__(limit=0, ssl=ssl, force_close=not keep_alive_s, **kept)
        made = partial(_Connection, loop=self._loop)
        self._factory = made  # type: ignore[assignment] # partial does not vary with its result
