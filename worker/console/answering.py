"""Answers with a fragment for the script of a page, or with a whole page for a browser without it.

Rules: both are made from the same template. The script asks with `X-Fragment`. Without a session a
fragment is a 401, and a page leads to the log-in. What is known is used as it is: an answer never
waits for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.console.packing import page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from worker.console.known import Known
    from worker.console.sessions import Session
    from worker.console.site import Site

    Answer = Callable[[Request, Session], Awaitable[Response]]
    Endpoint = Callable[[Request], Awaitable[Response]]

HEADER: Final = "X-Fragment"
_AGAIN_S: Final = 1
"""After so long a page without script asks again what became of a command."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Makes fragments and pages.

    Args:
        site: the parts of the console.
    """

    site: Site

    def endpoint(self, answer: Answer) -> Endpoint:
        """An endpoint that needs a session and counts as something that the person did."""
        as_page, as_fragment = self.site.page(answer), self.site.acting(answer)

        async def either(request: Request) -> Response:
            return await (as_fragment if is_fragment(request) else as_page)(request)

        return either

    def known(self, session: Session) -> Known:
        """What is known now, without any wait."""
        with self.site.feeds.watched(session, asyncio.Event()) as watched:
            return watched.feed.known

    def answer(
        self,
        request: Request,
        session: Session,
        template: str,
        *,
        heading: str,
        status: int = 200,
        here: str = "now",
        again: str = "",
        **context: Any,
    ) -> Response:
        """The answer.

        Args:
            request: what asked.
            session: of whom.
            template: the fragment.
            heading: of the whole page.
            status: of the answer.
            here: view that the whole page belongs to.
            again: path that tells more in a moment, below the base; empty: nothing does.
            context: names of the fragment.
        """
        viewer = self.site.viewer(request, session)
        if is_fragment(request):
            fragment = self.site.renderer.fragment(template, viewer=viewer, **context)
            return page(request, fragment, status)
        context |= {"inner": template, "page_heading": heading}
        html = self.view(request, session, "fragment_page.html", here, **context)
        answer = page(request, html, status)
        if again:
            answer.headers["Refresh"] = f"{_AGAIN_S}; url={viewer.base}{again}"
        return answer

    def view(
        self, request: Request, session: Session, template: str, here: str, **context: Any
    ) -> str:
        """A whole page of the view `here`."""
        known, at = self.known(session), self.site.clock.now()
        viewer = self.site.viewer(request, session)
        return self.site.renderer.view(template, known, viewer, at, here=here, **context)


def is_fragment(request: Request) -> bool:
    """Whether the script of a page asks."""
    return request.headers.get(HEADER) == "1"
