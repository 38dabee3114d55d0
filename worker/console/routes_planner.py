"""The view "Planner": recommends a ladder for a volume, as `sms-worker plan` does.

Rules: planning takes a processor for some seconds, so it runs beside the other requests, one plan
at a time. It plans with the flags in force, or with the usual ones if they are not known.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.routing import Route

from contracts.control import Health
from contracts.health import HealthMetric
from worker.console.answering import Answering
from worker.console.asking import answered
from worker.console.packing import page
from worker.console.security import form_fields
from worker.console.steering.openings import state_in
from worker.console.views.planning import plan_view, read_form, usual
from worker.domain.detection.past import DAYS, past_of
from worker.domain.detection.phase_ladder import ladder_of
from worker.domain.detection.plan import plan_of, traffic_of
from worker.domain.migration.flags_document import FlagsError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from worker.console.asking import Ask
    from worker.console.sessions import Session
    from worker.console.site import Site
    from worker.console.views.planning import PlanView, Question
    from worker.domain.detection.past import Past
    from worker.domain.migration.flags import Flags

_BUSY = "Another plan is being made. Try again in a few seconds."
_WITHIN_S = 5.0


def planner_routes(site: Site) -> list[BaseRoute]:
    """The routes, under the path prefix of the site."""
    views, base = PlannerViews(Answering(site)), site.place.base
    return [
        Route(f"{base}/planner", site.page(views.form), methods=["GET"]),
        Route(f"{base}/planner", site.page(views.plan), methods=["POST"]),
    ]


class PlannerViews:
    """The answers.

    Args:
        answering: makes pages.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._planning = asyncio.Lock()

    async def form(self, request: Request, session: Session) -> Response:
        """Ask what to plan for."""
        return self._page(request, session, {})

    async def plan(self, request: Request, session: Session) -> Response:
        """Plan."""
        form = form_fields(await request.body())
        reading = read_form(form)
        if reading.question is None:
            return self._page(request, session, form, problems=reading.problems)
        if self._planning.locked():
            return self._page(request, session, form, trouble=_BUSY)
        async with self._planning:
            made = await self._made(session, reading.question)
        if isinstance(made, str):
            return self._page(request, session, form, trouble=made)
        return self._page(request, session, form, plan=made)

    async def _made(self, session: Session, question: Question) -> PlanView | str:
        state = state_in(await self._answering.site.known(session))
        flags = _flags(state.flags if state else {})
        if isinstance(flags, str):
            return flags
        past: Past | None = None
        if question.from_history:
            found = await self._past(session, flags)
            if isinstance(found, str):
                return found
            past = found
        per_day = question.per_day or (past.per_day if past else 0.0)
        traffic = traffic_of(per_day, question.rates, past, no_reports=question.no_reports)
        work = partial(
            plan_of, traffic, flags, ladder=question.ladder, days=question.days, past=past
        )
        return plan_view(await asyncio.to_thread(work))

    async def _past(self, session: Session, flags: Flags) -> Past | str:
        """Volume and rates of the last days, or why they are not known."""
        ask: Ask = partial(self._answering.site.ask, session)
        reports = {}
        # The longest period first: messages that come while we ask then only add to shorter ones.
        for day in range(min(DAYS, flags.migration.metrics_retention_days), 0, -1):
            query = Health(command_id=str(uuid4()), hours=24.0 * day)
            found = await answered(ask, query, HealthMetric, _WITHIN_S)
            if isinstance(found, str):
                return found
            reports[day] = found[1].providers.values()
        past = past_of(reports, flags.thresholds.max_response_ms)
        return past or "No message was accepted in the last days; give messages a day."

    def _page(
        self, request: Request, session: Session, form: Mapping[str, str], **found: Any
    ) -> Response:
        context = {"problems": {}, "trouble": "", "plan": None, "usual": usual(), **found}
        html = self._answering.view(request, session, "planner.html", "more", form=form, **context)
        return page(request, html)


def _flags(document: Mapping[str, Any]) -> Flags | str:
    """The flags to plan with, or why nobody can."""
    try:
        flags, _ = parse(document, "target", "legacy")
    except FlagsError as error:
        return f"The flags in force cannot be read: {error}"
    if not ladder_of(flags.phases):
        return "The flags in force have no phase that leads above 0 %."
    return flags
