"""The views that look something up: "Explain a number", "Suppressions", "More".

Rules: a number comes in the body of a request, never in its address, and is never logged. What the
worker says is shown as it is; where it says nothing, the page says why.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from starlette.routing import Route

from contracts.answers import ExplainAnswer, SuppressionsAnswer
from contracts.control import Explain, Suppressions
from worker.console.answering import Answering
from worker.console.asking import answered
from worker.console.packing import page
from worker.console.security import form_fields
from worker.console.steering.descriptions import Shape
from worker.console.steering.openings import names_in, state_in
from worker.console.steering.shapes import Wrong, read
from worker.console.views.explained import explained
from worker.console.views.more import Seen, more
from worker.console.views.suppressed import wishes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from worker.console.known import Known
    from worker.console.sessions import Session
    from worker.console.site import Site

_FIELDS: Final = {"to": Shape.NUMBER, "user_id": Shape.USER, "branch_id": Shape.BRANCH}
_WITHIN_S: Final = 3.0
_MOST: Final = 200


def looking_routes(site: Site) -> list[BaseRoute]:
    """The routes, under the path prefix of the site."""
    views, base = LookingViews(Answering(site)), site.place.base
    return [
        Route(f"{base}/explain", site.page(views.explain_form), methods=["GET"]),
        Route(f"{base}/explain", site.page(views.explain), methods=["POST"]),
        Route(f"{base}/suppressions", site.page(views.suppressions), methods=["GET"]),
        Route(f"{base}/suppressions", site.page(views.suppressions_of), methods=["POST"]),
        Route(f"{base}/more", site.page(views.more), methods=["GET"]),
    ]


class LookingViews:
    """The answers.

    Args:
        answering: makes pages.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def explain_form(self, request: Request, session: Session) -> Response:
        """Ask for a number."""
        return self._explained(request, session, {})

    async def explain(self, request: Request, session: Session) -> Response:
        """Say which way a message to a number would take."""
        form = form_fields(await request.body())
        values, problems = _read(form)
        if problems:
            return self._explained(request, session, form, problems=problems)
        query = Explain(command_id=str(uuid4()), **values)
        found = await answered(self._ask(session), query, ExplainAnswer, _WITHIN_S)
        if isinstance(found, str):
            return self._explained(request, session, form, trouble=found)
        names = names_in(self._answering.known(session))
        return self._explained(request, session, form, result=explained(found[1], names))

    async def suppressions(self, request: Request, session: Session) -> Response:
        """Who wants no messages, the newest first."""
        return await self._suppressed(request, session, None, {})

    async def suppressions_of(self, request: Request, session: Session) -> Response:
        """All that is recorded about one number."""
        form = form_fields(await request.body())
        number = read(Shape.NUMBER, form.get("number", "").strip())
        if isinstance(number, Wrong):
            return self._suppressions(request, session, form, problem=number.text)
        return await self._suppressed(request, session, number, form)

    async def more(self, request: Request, session: Session) -> Response:
        """Overrides, providers and backups."""
        seen = _seen(await self._answering.site.known(session))
        shown = more(seen, self._answering.site.viewers.shared(session))
        return self._page(request, session, "more.html", "more", page=shown)

    async def _suppressed(
        self, request: Request, session: Session, number: str | None, form: Mapping[str, str]
    ) -> Response:
        query = Suppressions(command_id=str(uuid4()), number=number, limit=_MOST)
        found = await answered(self._ask(session), query, SuppressionsAnswer, _WITHIN_S)
        if isinstance(found, str):
            return self._suppressions(request, session, form, trouble=found)
        return self._suppressions(request, session, form, wishes=wishes(found[1]))

    def _explained(
        self, request: Request, session: Session, form: Mapping[str, str], **found: Any
    ) -> Response:
        context = {"problems": {}, "trouble": "", "result": None, "form": form, **found}
        return self._page(request, session, "explain.html", "explain", **context)

    def _suppressions(
        self, request: Request, session: Session, form: Mapping[str, str], **found: Any
    ) -> Response:
        context = {"problem": "", "trouble": "", "wishes": None, "form": form, **found}
        return self._page(request, session, "suppressions.html", "more", most=_MOST, **context)

    def _page(
        self, request: Request, session: Session, template: str, here: str, **context: Any
    ) -> Response:
        return page(request, self._answering.view(request, session, template, here, **context))

    def _ask(self, session: Session) -> Any:
        return partial(self._answering.site.ask, session)


def _read(form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of `explain`, and the problems by field. Only the number must be given."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, shape in _FIELDS.items():
        text = form.get(name, "").strip()
        if not text and name != "to":
            continue
        value = read(shape, text)
        if isinstance(value, Wrong):
            problems[name] = value.text
        else:
            values[name] = value
    return values, problems


def _seen(known: Known) -> Seen:
    told = known.whole or known.status
    status = told.data if told else None
    ids = {"target": (status and status.target) or "", "legacy": (status and status.legacy) or ""}
    replicas = tuple((status.replicas if status else None) or ())
    return Seen(state_in(known), replicas, ids, names_in(known))
