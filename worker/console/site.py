"""The parts of the console, and what every route needs of them: session, viewer, what is known.

Rules: a route says with one word what it needs: `page` leads to the log-in, `acting` and `watching`
answer 401 without a session. All but `watching` count as something that the person did.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from contracts.control import ControlCommand
from worker.broker.control_client import LoginRefused
from worker.console.routes import routes
from worker.console.security import Security
from worker.console.sessions import OVER, REFUSED
from worker.console.stream import COMPLETE_WITHIN_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from contracts.control import ControlQuery, ControlReply
    from worker.console.cookies import Cookies
    from worker.console.feeds import Feeds
    from worker.console.known import Known
    from worker.console.login import Doorkeeper
    from worker.console.place import Place
    from worker.console.render import Renderer
    from worker.console.sessions import Session, Sessions
    from worker.console.static_files import StaticFiles
    from worker.console.stream import Streams
    from worker.console.viewer import Viewer
    from worker.console.viewers import Viewers
    from worker.ports.clock import Clock

    Answer = Callable[[Request, Session], Awaitable[Response]]
    """A route that needs a session."""
    Endpoint = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Site:
    """The parts of the console."""

    place: Place
    clock: Clock
    cookies: Cookies
    sessions: Sessions
    viewers: Viewers
    doorkeeper: Doorkeeper
    feeds: Feeds
    streams: Streams
    renderer: Renderer
    static: StaticFiles

    def app(self) -> ASGIApp:
        """The ASGI application."""
        pages = Starlette(routes=routes(self))
        pages.router.redirect_slashes = False  # it would lead to the address before the proxy
        return Security(pages, self.place, self.cookies.proves)

    def session(self, request: Request) -> Session | None:
        """The session of a request; None: there is none."""
        ident = self.cookies.session(request)
        return self.sessions.find(ident) if ident else None

    def viewer(self, request: Request, session: Session) -> Viewer:
        """Who looks, with a token for the forms of a page."""
        return self.viewers.own(session, self.cookies.token(request))

    async def known(self, session: Session) -> Known:
        """What is known, after a short wait if nothing is known yet."""
        with self.feeds.watched(session, asyncio.Event()) as watched:
            await watched.feed.complete(COMPLETE_WITHIN_S)
            return watched.feed.known

    async def ask(
        self, session: Session, asked: ControlCommand | ControlQuery, within_s: float
    ) -> ControlReply:
        """Ask the workers in the name of a person. A command is logged by name and id alone.

        Raises:
            NoAnswer: no reply came within `within_s` seconds.
            NotAllowed: the broker refuses the message; if it refuses the login, the session ends.
        """
        if isinstance(asked, ControlCommand):
            _log.info("command", user=session.you.user, name=asked.name, id=asked.command_id)
        try:
            return await session.client.ask(asked, within_s)
        except LoginRefused:
            self.sessions.end(session, REFUSED)
            raise

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


def _over(_: Request) -> Response:
    return PlainTextResponse(OVER, 401)
