"""Turns what is known into HTML: whole pages, and the sections that a stream replaces.

Rules: every text is escaped; an undefined name is an error. No inline style and no inline script,
because the Content-Security-Policy forbids both. A section's outer element has the section's id.
What changes each second alone stands in elements with `data-age`, whose words a stream sends with
each tick (`ages`) and a section leaves empty, so that a section is the same text as long as it
says the same. The sections are shared by all pages of a login, so they hold nothing of a session.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from worker.console import formats, wording
from worker.console.pages import frame as surroundings
from worker.console.pages import now as now_page
from worker.console.pages.drawn import Drawn
from worker.console.pages.facts import looked_ago_s
from worker.console.pages.parts import LOOKED, Age, When

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.console.known import Known
    from worker.console.viewer import Viewer

SURROUNDINGS: Final = ("live", "banner", "summary")
"""Ids of the sections that every page has."""
PARTS: Final = (
    "stand",
    "verdict",
    "next",
    "decide",
    "trend",
    "providers",
    "gates",
    "alerts",
    "evidence",
    "replicas",
    "history",
)
"""Ids of the sections of the page "Now", each with a template of its name."""
ASSETS: Final[Mapping[str, str]] = MappingProxyType(
    {name: f"static/{name}" for name in ("console.css", "console.js", "icon.svg")}
)
"""Path of each static file below the console's base."""


class Renderer:
    """Makes the HTML of the console.

    Args:
        assets: path of each static file below the console's base, by its name.
    """

    def __init__(self, assets: Mapping[str, str] = ASSETS) -> None:
        self._drawn = Drawn()
        self._templates = Environment(
            loader=PackageLoader("worker.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals["assets"] = assets
        self._templates.filters.update(
            utc=formats.utc,
            clock=formats.clock,
            measure=wording.measure,
            person=wording.person,
        )
        self._templates.tests.update(
            when=lambda piece: isinstance(piece, When),
            age=lambda piece: isinstance(piece, Age),
        )

    def login(
        self,
        *,
        environment: str,
        base: str,
        token: str,
        user: str = "",
        problem: str = "",
        back: str = "",
    ) -> str:
        """The log-in page.

        Args:
            environment: which installation this is.
            base: path prefix of every address.
            token: proves that the form was made here.
            user: the name that was typed before.
            problem: why the last try failed; empty: there was none.
            back: path to go to after the log-in, within the console.
        """
        context = {"environment": environment, "base": base, "token": token, "back": back}
        return self.fragment("login.html", **context, user=user, problem=problem)

    def now(self, known: Known, viewer: Viewer, at: datetime) -> str:
        """The whole page "Now"."""
        page = now_page.now(known, viewer, at, self._drawn)
        return self.view("now.html", known, viewer, at, here="now", page=page, parts=PARTS)

    def sections(self, known: Known, viewer: Viewer, at: datetime) -> Mapping[str, str]:
        """The sections that a stream replaces, by id.

        They are shared by all pages of a login: `viewer` has no token and names no session.
        """
        context = {
            "page": now_page.now(known, viewer, at, self._drawn),
            "frame": surroundings.frame(known, viewer, at),
            "viewer": viewer,
            "with_ages": False,
        }
        names = (*SURROUNDINGS, *PARTS)
        return {name: self.fragment(f"sections/{name}.html", **context) for name in names}

    def ages(self, known: Known) -> Mapping[str, str]:
        """How long ago something was, in words, by the key that `data-age` names."""
        looked_s = looked_ago_s(known)
        return {} if looked_s is None else {LOOKED: formats.age(looked_s)}

    def view(
        self, template: str, known: Known, viewer: Viewer, at: datetime, **context: Any
    ) -> str:
        """A whole page: a template that extends `base.html`.

        Args:
            template: name of the template.
            known: what the surroundings of every page show.
            viewer: who looks.
            at: the time of day.
            context: names of the template; `here` is the id of the view in the navigation.
        """
        frame = surroundings.frame(known, viewer, at)
        return self.fragment(template, frame=frame, viewer=viewer, with_ages=True, **context)

    def fragment(self, template: str, **context: Any) -> str:
        """A template with its names."""
        return self._templates.get_template(template).render(context)
