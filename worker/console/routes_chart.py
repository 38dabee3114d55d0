"""The charts of another period than the page "Now" shows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.routing import Route

from contracts.answers import SeriesAnswer
from contracts.control import Series
from worker.console.answering import Answering
from worker.console.asking import answered
from worker.console.pages.trend import trend

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from worker.console.sessions import Session
    from worker.console.site import Site

PERIODS: Final = {"1": 1.0, "6": 6.0, "24": 24.0, "168": 168.0}
"""Hours, as an address names them."""


def chart_routes(site: Site) -> list[BaseRoute]:
    """The routes, under the path prefix of the site."""
    answering = Answering(site)
    show = answering.endpoint(partial(chart, answering))
    return [Route(f"{site.place.base}/chart", show, methods=["GET"])]


async def chart(answering: Answering, request: Request, session: Session) -> Response:
    """Both charts and their table over the period that the address names."""
    hours = PERIODS.get(request.query_params.get("hours", ""))
    if hours is None:
        raise HTTPException(404, f"There is no such period: {', '.join(PERIODS)} hours are known.")
    query = Series(command_id=str(uuid4()), hours=hours)
    found = await answered(partial(answering.site.ask, session), query, SeriesAnswer)
    drawn = None if isinstance(found, str) else trend(found[1], "other-")
    problem = found if isinstance(found, str) else ""
    return answering.answer(
        request, session, "chart.html", heading="Charts", trend=drawn, problem=problem
    )
