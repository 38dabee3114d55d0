"""A browser that is logged in at a console whose workers are a `FakeClient`."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from contracts.control import COMMANDS
from contracts.control_views import Asker
from tests.support.fakes import HandClock
from worker.app.console import site_of
from worker.service import Background
from worker.settings.console import ConsoleSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.asks_fake import FakeClient
    from worker.console.site import Site

ADDRESS: Final = "http://127.0.0.1:8090"
EVERY: Final = tuple(str(each.model_fields["name"].default) for each in COMMANDS)
OPERATORS: Final = ("hold", "rollback", "emergency-rollback", "set-percentage", "step", "ack")
ROLES: Final = {"administrator": EVERY, "operator": OPERATORS, "observer": ()}
"""Commands by role."""
SAME_ORIGIN: Final = {"Sec-Fetch-Site": "same-origin"}
FRAGMENT: Final = {"X-Fragment": "1"}


@dataclass
class Browser:
    """A browser with a session.

    Attributes:
        token: proves that a form came from our page.
        role: of the person.
    """

    http: httpx.AsyncClient
    site: Site
    clock: HandClock
    token: str

    async def get(self, path: str, *, fragment: bool = True) -> httpx.Response:
        """Ask as the script of a page does, or as a browser without it."""
        return await self.http.get(path, headers=FRAGMENT if fragment else {})

    async def post(
        self, path: str, form: dict[str, str] | None = None, *, fragment: bool = True, **more: str
    ) -> httpx.Response:
        """Send a form of our page."""
        headers = SAME_ORIGIN | (FRAGMENT if fragment else {})
        data = {"token": self.token, **(form or {}), **more}
        return await self.http.post(path, data=data, headers=headers)


@asynccontextmanager
async def steered(
    client: FakeClient, role: str = "administrator", user: str = "amina", **settings: Any
) -> AsyncIterator[Browser]:
    """Log a person in, without a broker."""
    cfg = ConsoleSettings(
        console_broker="amqp://127.0.0.1:1/", console_title="production", **settings
    )
    background, clock = Background(), HandClock()
    site = site_of(cfg, background, lambda *_: client, clock)  # type: ignore[return-value]
    you = Asker(user=user, role=role, commands=ROLES[role])  # type: ignore[arg-type]
    ident, _ = site.sessions.open(you, client)  # type: ignore[arg-type]
    cookies = {site.place.cookie("sms", 8090): ident}
    transport = httpx.ASGITransport(site.app(), client=("192.0.2.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, cookies=cookies) as http:
        try:
            yield Browser(http, site, clock, site.cookies.tokens.of(ident))
        finally:
            await site.streams.stop()
            await site.feeds.stop()
            await site.sessions.stop()
            await background.stop()


def hidden(html: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'type="hidden" name="{name}" value="([^"]*)"', html)
    assert found is not None, f"no hidden field {name}"
    return found[1]


def text_of(html: str) -> str:
    """What a person reads, in one line."""
    bare = re.sub(r"<[^>]+>", " ", html)
    for code, char in (
        ("&#39;", "'"),
        ("&#34;", '"'),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ):
        bare = bare.replace(code, char)
    return " ".join(bare.split())
