"""The view "Flags": the document as a form and as JSON, checked as it is typed, and saved.

Rules: a check asks the worker with `preview`, so that it is the same as that of `set-flags`. Saving
leads to the dialog of that command, with the document in the form and the version that was opened.
Who may not set flags sees the document only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.routing import Route

from worker.console.answering import Answering, is_fragment
from worker.console.asking import previewed
from worker.console.packing import page
from worker.console.security import form_fields
from worker.console.steering.descriptions import Shape
from worker.console.steering.openings import names_in, state_in
from worker.console.steering.shapes import Wrong, read
from worker.console.views.flag_changes import (
    Edit,
    FlagChanges,
    changes,
    flags_page,
    not_checked,
    wrong,
)
from worker.console.views.flags import edited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from worker.console.sessions import Session
    from worker.console.site import Site

_SET_FLAGS = "set-flags"


def flags_routes(site: Site) -> list[BaseRoute]:
    """The routes, under the path prefix of the site."""
    answering = Answering(site)
    views, base = FlagsViews(answering), site.place.base
    return [
        Route(f"{base}/flags", site.page(views.show), methods=["GET"]),
        Route(f"{base}/flags/check", answering.endpoint(views.check), methods=["POST"]),
    ]


class FlagsViews:
    """The answers.

    Args:
        answering: makes fragments and pages.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def show(self, request: Request, session: Session) -> Response:
        """The document in force."""
        state = state_in(await self._answering.site.known(session))
        if state is None:
            unknown = Edit({}, None, {})
            return self._page(request, session, unknown, not_checked("The flags are not known."))
        edit = Edit(state.flags, state.version, state.flags)
        return self._page(request, session, edit, FlagChanges())

    async def check(self, request: Request, session: Session) -> Response:
        """Say what is wrong with an edit, and what it changes."""
        if not self._answering.site.viewers.shared(session).may(_SET_FLAGS):
            raise HTTPException(403, f"{session.you.user} may not set flags.")
        form = form_fields(await request.body())
        opened = read(Shape.DOCUMENT, form.get("opened", ""))
        if isinstance(opened, Wrong):
            raise HTTPException(400, "This page is too old. Load it again.")
        version = read(Shape.VERSION, form.get("expectedVersion", ""))
        seen = version if isinstance(version, int) else None
        document = self._document(form, opened)
        if isinstance(document, Wrong):
            edit, found = Edit(opened, seen, opened), wrong(document.text)
        else:
            edit = Edit(opened, seen, document)
            found = await self._checked(session, edit)
        return self._page(request, session, edit, found, typed=form.get("json", ""))

    def _document(self, form: Mapping[str, str], opened: dict[str, Any]) -> dict[str, Any] | Wrong:
        if form.get("how") != "json":
            return edited(opened, form)
        found: dict[str, Any] | Wrong = read(Shape.DOCUMENT, form.get("json", ""))
        return found

    async def _checked(self, session: Session, edit: Edit) -> FlagChanges:
        ask = partial(self._answering.site.ask, session)
        found = await previewed(ask, _SET_FLAGS, {"flags": edit.document})
        if isinstance(found, str):
            return not_checked(found)
        return changes(edit, found, names_in(self._answering.known(session)))

    def _page(
        self,
        request: Request,
        session: Session,
        edit: Edit,
        checked: FlagChanges,
        *,
        typed: str = "",
    ) -> Response:
        """The view; `typed` is the JSON as it was typed, which may be none."""
        shown = flags_page(edit, checked, typed)
        if is_fragment(request):
            return self._answering.answer(
                request, session, "flags_article.html", heading="Flags", page=shown
            )
        return page(
            request, self._answering.view(request, session, "flags.html", "flags", page=shown)
        )
