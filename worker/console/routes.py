"""The addresses of the console: log-in, log-out, the page "Now" and its stream.

Rules: no GET changes anything. What a request must prove is checked before it comes here
(`security.py`). A page without a session leads to the log-in and back; anything else gets a 401.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from worker.console.login import LetIn
from worker.console.packing import page
from worker.console.routes_chart import chart_routes
from worker.console.routes_flags import flags_routes
from worker.console.routes_history import history_routes
from worker.console.routes_looking import looking_routes
from worker.console.routes_planner import planner_routes
from worker.console.routes_steering import steering_routes
from worker.console.security import form_fields
from worker.console.sessions import LOGGED_OUT, OVER

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from worker.console.login import TurnedAway
    from worker.console.sessions import Session
    from worker.console.site import Site

_BACK: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")
"""A path within this origin: what browsers read as another host is not."""


def routes(site: Site) -> list[BaseRoute]:
    """The routes, under the path prefix of the site."""
    pages = Pages(site)
    base = site.place.base
    found: list[BaseRoute] = [
        Route(f"{base}/login", pages.login_form, methods=["GET"]),
        Route(f"{base}/login", pages.log_in, methods=["POST"]),
        Route(f"{base}/logout", pages.log_out, methods=["POST"]),
        Route(f"{base}/logout-everywhere", site.acting(pages.log_out_everywhere), methods=["POST"]),
        Route(f"{base}/", site.page(pages.now), methods=["GET"]),
        Route(f"{base}/events", site.watching(pages.events), methods=["GET"]),
        Route(f"{base}/session", site.watching(pages.lasting), methods=["GET"]),
        Route(f"{base}/static/{{name}}", site.static.serve, methods=["GET"]),
        *steering_routes(site),
        *history_routes(site),
        *chart_routes(site),
        *flags_routes(site),
        *looking_routes(site),
        *planner_routes(site),
    ]
    if base:
        found.append(Route(base, site.page(pages.now), methods=["GET"]))
    return found


class Pages:
    """The answers.

    Args:
        site: the parts of the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def login_form(self, request: Request) -> Response:
        """Show the log-in; lead on who is logged in already."""
        back = self._back(request.query_params.get("back", ""))
        if self._site.session(request) is not None:
            return RedirectResponse(back, 303)
        return self._form(request, back=back)

    async def log_in(self, request: Request) -> Response:
        """Try a log-in."""
        fields = form_fields(await request.body())
        name, back = fields.get("user", ""), self._back(fields.get("back", ""))
        source = request.client.host if request.client else ""
        result = await self._site.doorkeeper.let_in(name, fields.get("password", ""), source)
        if not isinstance(result, LetIn):
            return self._form(request, back=back, name=name, away=result)
        if (before := self._site.session(request)) is not None:
            self._site.sessions.end(before, "You logged in again.")
        answer = RedirectResponse(back, 303)
        self._site.cookies.give(request, answer, result.ident)
        return answer

    async def log_out(self, request: Request) -> Response:
        """End this session; where it is over already, that is what was wanted."""
        if (session := self._site.session(request)) is not None:
            self._site.sessions.end(session, LOGGED_OUT)
        return self._logged_out(request)

    async def log_out_everywhere(self, request: Request, session: Session) -> Response:
        """End all sessions of this login."""
        self._site.sessions.end_all_of(session.you.user, LOGGED_OUT)
        return self._logged_out(request)

    async def now(self, request: Request, session: Session) -> Response:
        """The page "Now", complete."""
        viewer = self._site.viewer(request, session)
        known = await self._site.known(session)
        return page(request, self._site.renderer.now(known, viewer, self._site.clock.now()))

    async def events(self, request: Request, session: Session) -> Response:
        """The stream of a page."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return self._site.streams.answer(request, session)

    async def lasting(self, _request: Request, _session: Session) -> Response:
        """Say that the session lasts; without one the answer is 401."""
        return Response(status_code=204)

    def _form(
        self, request: Request, *, back: str, name: str = "", away: TurnedAway | None = None
    ) -> Response:
        token, cookie = self._site.cookies.before(request)
        lapsed = OVER if self._site.cookies.session(request) else ""
        html = self._site.renderer.login(
            environment=self._site.viewers.environment,
            base=self._site.place.base,
            token=token,
            user=name,
            problem=away.text if away else lapsed,
            back=back,
        )
        answer = page(request, html, away.status if away else 200)
        if away is not None and away.retry_after_s is not None:
            answer.headers["Retry-After"] = str(away.retry_after_s)
        if lapsed:
            self._site.cookies.take(request, answer)
        self._site.cookies.give_before(request, answer, cookie)
        return answer

    def _logged_out(self, request: Request) -> Response:
        answer = RedirectResponse(f"{self._site.place.base}/login", 303)
        self._site.cookies.take(request, answer)
        answer.headers["Clear-Site-Data"] = '"cache"'
        return answer

    def _back(self, path: str) -> str:
        base = self._site.place.base
        ours = _BACK.fullmatch(path) and path.startswith(f"{base}/")
        return path if ours else f"{base}/"
