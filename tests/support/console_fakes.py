"""A console without a broker: tables of answers and passwords stand for workers and broker."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from contracts.control import ControlCommand, ControlReply
from contracts.control_views import Asker, StateView
from tests.support.fakes import HandClock
from worker.app.console import site_of
from worker.broker.control_client import BrokerAway, LoginRefused, NoAnswer, NotAllowed
from worker.service import Background
from worker.settings.console import ConsoleSettings
from worker.web.server import WebServer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from contracts.control import ControlQuery
    from worker.console.site import Site

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
OURS: Final = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a request from our own page."""
PASSWORD: Final = "hush-hush"
COMMANDS: Final = ("emergency-rollback", "hold")
ASKERS: Final = {
    "observer": Asker(user="observer", role="observer", commands=()),
    "administrator": Asker(user="administrator", role="administrator", commands=COMMANDS),
}


def state(version: int = 7, percentage: int = 25) -> StateView:
    """What is in force."""
    return StateView(
        version=version,
        phase="GradualMigration",
        percentage=percentage,
        is_rollback_available=True,
        flags={},
    )


@dataclass
class Workers:
    """What the broker and the workers say; the test changes it.

    Attributes:
        passwords: by broker user.
        away: the broker cannot be reached.
        silent: no worker answers.
        store_away: the store is.
        data: of the answer to each query.
        asked: the name of each query, and the user who asked.
        told: the commands that came.
        announced: whom an announcement reaches, by client.
        clients: all clients that were made.
    """

    passwords: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(("observer", "administrator", "upstream"), PASSWORD)
    )
    away: bool = False
    silent: bool = False
    store_away: bool = False
    state: StateView = field(default_factory=state)
    data: dict[str, Any] = field(
        default_factory=lambda: {
            "status": {"alerts": [], "replicas": []},
            "alerts": {"alerts": []},
            "history": {"entries": []},
        }
    )
    asked: list[tuple[str, str]] = field(default_factory=list)
    told: list[ControlCommand] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    waits: asyncio.Event | None = None
    """Where set, an answer comes when this is."""

    def connect(self, name: str, password: str) -> Client:
        """The client of a login."""
        client = Client(self, name, password)
        self.clients.append(client)
        return client

    def announce(self, key: str) -> None:
        """Publish an announcement."""
        for client in self.clients:
            if client.heard is not None:
                client.heard(key)

    def answer(self, user: str, asked: ControlCommand | ControlQuery) -> ControlReply:
        """The reply to a command or query."""
        data = self.data.get(asked.name)
        if self.store_away:
            data = {"alerts": ["store unavailable"]} if asked.name == "status" else None
        return ControlReply(
            command_id=asked.command_id,
            name=asked.name,
            verdict="accepted",
            code="ok",
            text="as asked",
            state=self.state,
            data=data,
            you=ASKERS.get(user),
            at=NOW,
        )


class Client:
    """Stands for a `ControlClient`."""

    def __init__(self, workers: Workers, user: str, password: str) -> None:
        self.user = user
        self.closed = False
        self.is_connected = False
        self.renewed = 0
        self.heard: Callable[[str], None] | None = None
        self._workers = workers
        self._password = password

    async def ask(self, asked: ControlCommand | ControlQuery, within_s: float) -> ControlReply:
        self._log_in()
        if self._workers.waits is not None:
            await self._workers.waits.wait()
        if isinstance(asked, ControlCommand):
            self._workers.told.append(asked)
        else:
            self._workers.asked.append((asked.name, self.user))
        if self.user == "upstream":
            raise NotAllowed("access refused")
        if self._workers.silent:
            raise NoAnswer(f"no answer within {within_s:g} s")
        return self._workers.answer(self.user, asked)

    def hear(self, call: Callable[[str], None] | None) -> None:
        self.heard = call

    async def renew(self, within_s: float) -> None:
        assert within_s > 0
        self._log_in()
        self.renewed += 1

    async def rest(self) -> None:
        self.is_connected = False

    async def close(self) -> None:
        self.closed = True
        self.is_connected = False

    def _log_in(self) -> None:
        if self.closed:
            raise LoginRefused("closed")
        if self._workers.away:
            raise BrokerAway("nothing listens there")
        if self._workers.passwords.get(self.user) != self._password:
            raise LoginRefused(f"the broker refuses user {self.user}")
        self.is_connected = True


@dataclass
class Desk:
    """A console, its time, and what it is told.

    Attributes:
        browser: a browser without a session.
    """

    site: Site
    clock: HandClock
    workers: Workers
    background: Background
    browser: httpx.AsyncClient

    def another(self, **changes: Any) -> httpx.AsyncClient:
        """Another browser."""
        return browser(self.site, **changes)


def settings(**changes: Any) -> ConsoleSettings:
    """Settings of a console on this machine."""
    return ConsoleSettings(console_broker="amqp://127.0.0.1:1/", **changes)


def browser(
    site: Site, address: str = "http://127.0.0.1:8090", **changes: Any
) -> httpx.AsyncClient:
    """A browser that does not follow redirects."""
    transport = httpx.ASGITransport(site.app(), client=("192.0.2.1", 4711))
    return httpx.AsyncClient(transport=transport, base_url=address, **changes)


@asynccontextmanager
async def desk(cfg: ConsoleSettings | None = None, **fields: Any) -> AsyncIterator[Desk]:
    """A console whose services run; ended at the end."""
    background, clock, workers = Background(), HandClock(), Workers(**fields)
    site = site_of(cfg or settings(), background, workers.connect, clock)
    async with browser(site) as client:
        try:
            yield Desk(site, clock, workers, background, client)
        finally:
            await site.streams.stop()
            await site.feeds.stop()
            await site.sessions.stop()
            await background.stop()


@asynccontextmanager
async def served(site: Site, background: Background) -> AsyncIterator[str]:
    """The console over real HTTP; gives its address."""
    server = WebServer(site.app(), background)
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await site.streams.drain()
        await server.stop()


def token_of(page: str) -> str:
    """The token in the form of a page."""
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def log_in(
    client: httpx.AsyncClient,
    user: str = "administrator",
    password: str = PASSWORD,
    headers: dict[str, str] | None = None,
    **fields: str,
) -> httpx.Response:
    """Log in as a browser does."""
    form = token_of((await client.get("/login")).text)
    data = {"token": form, "user": user, "password": password, **fields}
    return await client.post("/login", data=data, headers=headers or OURS)


async def page_token(client: httpx.AsyncClient) -> str:
    """The token of the page "Now"."""
    return token_of((await client.get("/")).text)
