"""The parts of the console, and what every route needs of them: session, viewer, what is known.

Rules: a route says with one word what it needs: `page` leads to the log-in, `acting` and `watching`
answer 401 without a session. All but `watching` count as something that the person did.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from worker.console.routes import routes
from worker.console.security import Security
from worker.console.stream import COMPLETE_WITHIN_S
from worker.console.viewer import Viewer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from contracts.control_views import Asker
    from worker.console.cookies import Cookies
    from worker.console.feeds import Feeds
    from worker.console.known import Known
    from worker.console.login import Doorkeeper
    from worker.console.place import Place
    from worker.console.render import Renderer
    from worker.console.sessions import Session, Sessions
    from worker.console.static_files import StaticFiles
    from worker.console.stream import Streams
    from worker.ports.clock import Clock

    Answer = Callable[[Request, Session], Awaitable[Response]]
    """A route that needs a session."""
    Endpoint = Callable[[Request], Awaitable[Response]]

OVER: Final = "Your session is over. Log in again."


@dataclass(frozen=True)
class Site:
    """The parts of the console."""

    place: Place
    title: str
    clock: Clock
    cookies: Cookies
    sessions: Sessions
    doorkeeper: Doorkeeper
    feeds: Feeds
    streams: Streams
    renderer: Renderer
    static: StaticFiles

    def app(self) -> ASGIApp:
        """The ASGI application."""
        return Security(Starlette(routes=routes(self)), self.place, self.cookies.proves)

    def session(self, request: Request) -> Session | None:
        """The session of a request; None: there is none."""
        ident = self.cookies.session(request)
        return self.sessions.find(ident) if ident else None

    def viewer(self, request: Request, session: Session) -> Viewer:
        """Who looks, with a token for the forms of a page."""
        shared = shared_viewer(session.you, self.title, self.place.base)
        return replace(
            shared, token=self.cookies.token(request), ends_at=self.sessions.ends_at(session)
        )

    async def known(self, session: Session) -> Known:
        """What is known, after a short wait if nothing is known yet."""
        with self.feeds.watched(session, asyncio.Event()) as sheet:
            await sheet.feed.complete(COMPLETE_WITHIN_S)
            return sheet.feed.known

    def page(self, answer: Answer) -> Endpoint:
        """A page: without a session it leads to the log-in and back."""

        def without(request: Request) -> Response:
            back = quote(request.url.path, safe="/")
            return RedirectResponse(f"{self.place.base}/login?back={back}", 303)

        return self._with_session(answer, without, acts=True)

    def acting(self, answer: Answer) -> Endpoint:
        """Something that a person does on a page."""
        return self._with_session(answer, _over, acts=True)

    def watching(self, answer: Answer) -> Endpoint:
        """Something that a page does by itself."""
        return self._with_session(answer, _over, acts=False)

    def _with_session(
        self, answer: Answer, without: Callable[[Request], Response], *, acts: bool
    ) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            session = self.session(request)
            if session is None:
                return without(request)
            if acts:
                self.sessions.act(session)
            return await answer(request, session)

        return endpoint


def shared_viewer(you: Asker, title: str, base: str) -> Viewer:
    """A viewer as all sessions of a login share it: without a token, and of no end."""
    return Viewer(
        user=you.user,
        role=you.role,
        commands=frozenset(you.commands),
        environment=title,
        base=base,
        token="",
        ends_at=datetime.max.replace(tzinfo=UTC),
    )


def _over(_: Request) -> Response:
    return PlainTextResponse(OVER, 401)
