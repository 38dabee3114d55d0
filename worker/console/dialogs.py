"""Shows the dialog of a command before it is given: with its effect, and with what is wrong.

Rules: an emergency asks nobody. Whatever else is not known, the dialog opens and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from starlette.exceptions import HTTPException

from worker.console.asking import WHILE_SILENT_S, WITHIN_S, previewed
from worker.console.security import form_fields
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.descriptions import Kind
from worker.console.steering.dialog import Opening, Previewed, dialog
from worker.console.steering.form import own_fields
from worker.console.steering.openings import about, names_in, state_in
from worker.console.steering.reasons import reasons_of
from worker.console.steering.rights import may_try

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from worker.console.answering import Answering
    from worker.console.sessions import Session
    from worker.console.steering.descriptions import Description
    from worker.console.steering.form import Problem, Reading

_UNASKED: Final = frozenset({Kind.EMERGENCY, Kind.BESIDE})


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a person about one command."""

    request: Request
    session: Session
    description: Description

    async def form(self) -> dict[str, str]:
        """What the browser sent."""
        return form_fields(await self.request.body())


@dataclass(frozen=True, slots=True)
class Dialogs:
    """Makes dialogs.

    Args:
        answering: makes fragments and pages.
    """

    answering: Answering

    def visit(self, request: Request, session: Session) -> Visit:
        """The command that is meant.

        Raises:
            HTTPException: there is none, or this person may not give it.
        """
        description = CATALOGUE.get(request.path_params["command"])
        if description is None:
            raise HTTPException(404, "There is no such command.")
        if not may_try(self.answering.site.viewers.shared(session), description):
            you = session.you
            raise HTTPException(403, f"{you.user} is {you.role} and may not give this command.")
        return Visit(request, session, description)

    async def show(
        self, visit: Visit, form: Mapping[str, str], problems: tuple[Problem, ...] = ()
    ) -> Response:
        """Show the dialog, with what is filled in."""
        shown = dialog(await self._opening(visit, form, problems))
        return self.answering.answer(
            visit.request,
            visit.session,
            "dialog.html",
            heading=shown.title,
            status=422 if problems else 200,
            dialog=shown,
        )

    async def look(self, visit: Visit, form: Mapping[str, str]) -> Response:
        """Show the effect of what is filled in; what is not filled in yet is no problem."""
        reading = own_fields(visit.description, form)
        typed = [each for each in reading.problems if form.get(each.field, "").strip()]
        shown = dialog(await self._opening(visit, form, tuple(typed)))
        return self.answering.answer(
            visit.request, visit.session, "dialog.html", heading=shown.title, dialog=shown
        )

    async def _opening(
        self, visit: Visit, form: Mapping[str, str], problems: tuple[Problem, ...]
    ) -> Opening:
        session, description = visit.session, visit.description
        known = self.answering.known(session)
        history = known.history.data.entries if known.history else ()
        reading = own_fields(description, form)
        within_s = WITHIN_S if known.silence is None else WHILE_SILENT_S
        effect = await self._effect(visit, reading, within_s)
        return Opening(
            description=description,
            viewer=self.answering.site.viewer(visit.request, session),
            names=names_in(known),
            ident=form.get("commandId") or str(uuid4()),
            form=form,
            fields=reading.fields,
            problems=problems,
            state=state_in(known),
            preview=effect if isinstance(effect, Previewed) else None,
            silence=effect if isinstance(effect, str) else "",
            about=about(description, form, known),
            reasons=reasons_of(session.you.user, history),
        )

    async def _effect(self, visit: Visit, reading: Reading, within_s: float) -> Previewed | str:
        """What it would lead to; empty: nobody needs to know, or something is not filled in."""
        if reading.problems or visit.description.kind in _UNASKED:
            return ""
        ask = partial(self.answering.site.ask, visit.session)
        return await previewed(ask, visit.description.name, reading.fields, within_s)
