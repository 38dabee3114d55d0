"""A browser at a console that runs: logs in, watches the stream, does what forms do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

import httpx

from tests.support.console_fakes import log_in
from tests.support.event_stream import Events
from worker.app.console import build
from worker.settings.addresses import without_login
from worker.settings.console import ConsoleSettings
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def password(url: str) -> str:
    """The password in an address of the broker."""
    return unquote(urlsplit(url).password or "")


@asynccontextmanager
async def console(amqp_url: Callable[[str], str], **changes: object) -> AsyncIterator[str]:
    """A console process within this one; gives its address."""
    broker = without_login(amqp_url("observer"))
    cfg = ConsoleSettings(console_broker=broker, console_port=0, **changes)
    process, stop = build(cfg), asyncio.Event()
    running = asyncio.ensure_future(process.run(stop))
    (_, public) = [each for each in process.services if isinstance(each, WebServer)]
    try:
        while not public.port:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{public.port}"
    finally:
        stop.set()
        await running


@dataclass
class Visitor:
    """A browser.

    Attributes:
        events: of its stream, if it watches.
    """

    http: httpx.AsyncClient
    events: Events = field(default_factory=lambda: Events(compressed=True))

    @classmethod
    @asynccontextmanager
    async def at(cls, address: str) -> AsyncIterator[Self]:
        """A browser at the console with this address."""
        async with httpx.AsyncClient(base_url=address, timeout=20) as http:
            yield cls(http)

    async def enter(self, user: str, secret: str) -> httpx.Response:
        """Try a log-in."""
        return await log_in(self.http, user, secret)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Events]:
        """Watch the stream; it is read by a task until the end of the block."""
        self.events = Events(compressed=True)
        reading = asyncio.ensure_future(self._read())
        try:
            yield self.events
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        headers = {"Accept-Encoding": "gzip"}
        async with self.http.stream("GET", "/events", headers=headers) as answer:
            assert answer.status_code == 200
            async for chunk in answer.aiter_raw():
                self.events.feed(chunk)
