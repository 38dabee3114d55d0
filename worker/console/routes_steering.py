"""The dialogs of the commands: opened, sent, followed until every replica goes by it.

Rules: a GET changes nothing. A command is sent in the name of the person, at the moment of sending.
An observer opens no dialog and sends nothing. No field that may hold a number or a user is read
from an address.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Route

from worker.console.answering import Answering, is_fragment
from worker.console.asking import following
from worker.console.dialogs import Dialogs
from worker.console.sending import OtherContent, Sending, TooMany, newest
from worker.console.steering.descriptions import Shape
from worker.console.steering.form import Problem, command, must_type, own_fields
from worker.console.steering.openings import filled_in
from worker.console.steering.outcomes import Outcome, Stage, followed, outcome, recorded, unknown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from contracts.control import ControlCommand
    from worker.console.sessions import Session
    from worker.console.site import Site

ANSWER_WITHIN_S: Final = 0.6
"""How long a form waits for the reply, so that a quick one is shown at once."""
_LOOKED_BACK: Final = 200
_PUBLIC: Final = frozenset({Shape.PERCENTAGE, Shape.VERSION, Shape.PROVIDER, Shape.LINE})
"""Fields that may stand in an address."""
_VERSION: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_USED: Final = Problem("commandId", "This dialog gave another command. Send it again.")
_MANY: Final = Problem("commandId", "Too many commands wait for an answer. Try again later.")


def steering_routes(site: Site) -> list[BaseRoute]:
    """The routes, under the path prefix of the site."""
    answering = Answering(site)
    steering, base = Steering(answering), site.place.base
    return [
        Route(f"{base}/dialog/{{command}}", answering.endpoint(steering.open), methods=["GET"]),
        Route(f"{base}/dialog/{{command}}", answering.endpoint(steering.look), methods=["POST"]),
        Route(f"{base}/command/{{command}}", answering.endpoint(steering.send), methods=["POST"]),
        Route(f"{base}/done/{{ident}}", site.watching(steering.done), methods=["GET"]),
        Route(f"{base}/followed/{{version}}", site.watching(steering.followed), methods=["GET"]),
    ]


class Steering:
    """The answers.

    Args:
        answering: makes fragments and pages.
    """

    def __init__(self, answering: Answering) -> None:
        self._site = answering.site
        self._answering = answering
        self._dialogs = Dialogs(answering)
        self._sending: WeakKeyDictionary[Session, Sending] = WeakKeyDictionary()

    async def open(self, request: Request, session: Session) -> Response:
        """Open a dialog. Only harmless fields are read from the address."""
        visit = self._dialogs.visit(request, session)
        public = {each.name for each in visit.description.fields if each.shape in _PUBLIC}
        given = {k: v for k, v in request.query_params.items() if k in public}
        usual = filled_in(visit.description, self._answering.known(session))
        return await self._dialogs.look(visit, {**usual, **given})

    async def look(self, request: Request, session: Session) -> Response:
        """Open a dialog with what is filled in, or show the effect of something else."""
        visit = self._dialogs.visit(request, session)
        form = await visit.form()
        opens = "commandId" not in form
        usual = filled_in(visit.description, self._answering.known(session)) if opens else {}
        return await self._dialogs.look(visit, {**usual, **form})

    async def send(self, request: Request, session: Session) -> Response:
        """Give a command, or say what is wrong with the form."""
        visit = self._dialogs.visit(request, session)
        form = await visit.form()
        if form.get("look"):
            return await self._dialogs.look(visit, form)
        typed = must_type(visit.description, own_fields(visit.description, form).fields)
        environment = self._site.viewers.environment if typed else None
        made = command(visit.description, form, self._site.clock.now(), environment)
        if isinstance(made, tuple):
            return await self._dialogs.show(visit, form, made)
        if (problem := self._sent(session, made)) is not None:
            again = {**form, "commandId": ""} if problem is _USED else form
            return await self._dialogs.show(visit, again, (problem,))
        await self._sending_of(session).settle(made.command_id, ANSWER_WITHIN_S)
        if not is_fragment(request):
            return RedirectResponse(f"{self._site.place.base}/done/{made.command_id}", 303)
        return self._became(request, session, made.command_id)

    async def done(self, request: Request, session: Session) -> Response:
        """Say what became of a command. What this session did not send is looked up."""
        ident = request.path_params["ident"]
        if self._sending_of(session).progress(ident) is not None:
            return self._became(request, session, ident)
        entries = await newest(session.client, _LOOKED_BACK)
        mine = (each for each in entries if each.user == session.you.user)
        found = next((each for each in mine if each.command.get("commandId") == ident), None)
        made = recorded(found) if found else unknown(looked=bool(entries))
        return self._outcome(request, session, made)

    async def followed(self, request: Request, session: Session) -> Response:
        """Say how many replicas follow a version."""
        version, ident = request.path_params["version"], request.query_params.get("id", "")
        if not _VERSION.fullmatch(version):
            raise HTTPException(404, "There is no such version.")
        sending = self._sending_of(session)
        progress, since_s = sending.progress(ident), sending.since_reply(ident)
        path = f"/followed/{version}"
        plain = Outcome(Stage.ACCEPTED, f"Accepted: version {version}", poll=path)
        ask = partial(self._site.ask, session)
        seen = await following(ask, int(version), since_s or 0.0)
        accepted = outcome(progress) if progress is not None else plain
        return self._outcome(request, session, followed(accepted, seen))

    def _sent(self, session: Session, made: ControlCommand) -> Problem | None:
        """Send a command; return why it cannot be sent."""
        try:
            self._sending_of(session).send(made)
        except OtherContent:
            return _USED
        except TooMany:
            return _MANY
        return None

    def _became(self, request: Request, session: Session, ident: str) -> Response:
        progress = self._sending_of(session).progress(ident)
        return self._outcome(request, session, outcome(progress) if progress else unknown())

    def _outcome(self, request: Request, session: Session, made: Outcome) -> Response:
        return self._answering.answer(
            request, session, "outcome.html", heading=made.title, again=made.poll, outcome=made
        )

    def _sending_of(self, session: Session) -> Sending:
        if session not in self._sending:
            monotonic = self._site.clock.monotonic
            self._sending[session] = Sending(session.client, session.you.user, monotonic)
        return self._sending[session]
