"""The stream of a page: server-sent events with what changed.

Rules:
- It opens with all sections, and then sends those whose HTML differs from what was sent: a page
  that comes back needs no replay, and a slow one gets the newest state, never an older one.
- `tick` follows at each moment with the ages of what is shown, in words and by the server's clock,
  because the browser's may be wrong, and says when the session is about to end.
- `over` is the last event of a session. When the console stops, streams end without it, and pages
  come back.
- Each frame is compressed and flushed at once where the browser takes gzip: what is repeated from
  frame to frame costs almost nothing.
"""

from __future__ import annotations

import asyncio
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

from worker.console.events import event, tick
from worker.console.packing import takes_gzip
from worker.service import cancel_all

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from worker.console.events import Sheet
    from worker.console.feeds import Feeds
    from worker.console.sessions import Session
    from worker.console.viewers import Viewers

RETRY_MS: Final = 1000
"""After which a browser comes back."""
COMPLETE_WITHIN_S: Final = 1.5
"""Longest wait for the first answers, before a page shows what is known."""
TAKEN_WITHIN_S: Final = 30.0
"""A browser that takes nothing for this time is gone."""
ENDED_WITHIN_S: Final = 3.0
"""Longest wait in a drain for streams to end."""
OF_ONE_SESSION: Final = 32
_GZIP: Final = 16 + 13
"""A window of 8 KiB: enough for some frames, and a twentieth of the usual memory."""
_MEMORY: Final = 6


class Streams:
    """All streams that are open. A service that ends them before the server waits for them.

    Args:
        feeds: where the sections come from.
        viewers: as whom the pages look.
    """

    def __init__(self, feeds: Feeds, viewers: Viewers) -> None:
        self._feeds = feeds
        self._viewers = viewers
        self._open: set[asyncio.Event] = set()
        self._none_open = asyncio.Event()
        self._closing = False

    def __len__(self) -> int:
        return len(self._open)

    async def start(self) -> None:
        """Do nothing: a stream starts with its request."""

    async def drain(self) -> None:
        """End all streams, and take no new ones."""
        self._closing = True
        for poke in self._open:
            poke.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDED_WITHIN_S if self._open else 0):
                await self._none_open.wait()

    async def stop(self) -> None:
        """End all streams. Idempotent."""
        await self.drain()

    def answer(self, request: Request, session: Session) -> Response:
        """The answer to a request for the stream."""
        if self._closing:
            return PlainTextResponse("The console stops.", 503, headers={"Retry-After": "1"})
        if len(session.pokes) >= OF_ONE_SESSION:
            return PlainTextResponse("This session has too many pages open.", 429)
        return _EventStream(
            lambda poke: self._frames(session, poke), compressed=takes_gzip(request)
        )

    async def _frames(self, session: Session, poke: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """The frames of one stream, until its session or the console ends."""
        with self._opened(session, poke), self._feeds.watched(session, poke) as watched:
            yield f"retry: {RETRY_MS}\n\n".encode()
            await watched.feed.complete(COMPLETE_WITHIN_S)
            sent: Sheet | None = None
            while not (session.ended.is_set() or self._closing):
                poke.clear()
                sheet = watched.sheet(self._viewers.shared(session))
                left_s = self._viewers.sessions.left_s(session)
                yield watched.changes(sent, sheet) + tick(sheet, left_s)
                sent = sheet
                await poke.wait()
            if session.ended.is_set():
                yield event("over", {"text": session.why_ended})

    @contextmanager
    def _opened(self, session: Session, poke: asyncio.Event) -> Iterator[None]:
        self._open.add(poke)
        session.pokes.add(poke)
        self._none_open.clear()
        try:
            yield
        finally:
            session.pokes.discard(poke)
            self._open.discard(poke)
            if not self._open:
                self._none_open.set()


class _EventStream(Response):
    """Sends frames until they end or the browser is gone.

    Args:
        frames: makes the frames; they are looked for again whenever the event is set.
        compressed: whether the browser takes gzip.
    """

    def __init__(
        self, frames: Callable[[asyncio.Event], AsyncGenerator[bytes, None]], *, compressed: bool
    ) -> None:
        self._frames = frames
        self._packed = _packer() if compressed else None
        headers = {"X-Accel-Buffering": "no", "Vary": "Accept-Encoding"}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        self.background = None
        self.body = b""
        self.status_code = 200
        self.media_type = "text/event-stream"
        self.init_headers(headers)
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        poke = asyncio.Event()
        watching = asyncio.ensure_future(_gone(receive))
        watching.add_done_callback(lambda _: poke.set())
        frames = self._frames(poke)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for frame in frames:
                if watching.done():
                    return
                await self._send(send, frame)
            await self._send(send, b"", more=False)
        except (TimeoutError, OSError):
            return  # it takes nothing more
        finally:
            await frames.aclose()
            await cancel_all([watching])

    async def _send(self, send: Send, frame: bytes, *, more: bool = True) -> None:
        body = self._packed(frame) if self._packed is not None and frame else frame
        async with asyncio.timeout(TAKEN_WITHIN_S):
            await send({"type": "http.response.body", "body": body, "more_body": more})


def _packer() -> Callable[[bytes], bytes]:
    compressor = zlib.compressobj(wbits=_GZIP, memLevel=_MEMORY)

    def packed(frame: bytes) -> bytes:
        return compressor.compress(frame) + compressor.flush(zlib.Z_SYNC_FLUSH)

    return packed


async def _gone(receive: Receive) -> None:
    """Return when the browser is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
