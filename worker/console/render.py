"""Renders the HTML of the console: whole pages, the sections that a stream replaces, fragments.

Rules: every text is escaped; an undefined name is an error. No inline style and no inline script,
because the Content-Security-Policy forbids both. A section's outer element has the section's id.
A section is sent again when its HTML differs, so what changes with time alone (how long ago) is
written by the browser from `data-since` and the time that comes with each tick. The sections of one
login are shared by all its pages, so they hold nothing that belongs to one session.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from worker.console import formats
from worker.console.pages import frame as surroundings
from worker.console.pages import now as now_page
from worker.console.pages.parts import Since, Strong, When

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
_DIGITS: Final = 12


class Renderer:
    """Renders pages, their sections and fragments.

    Args:
        static: address of each static file, by its name.
        title: which installation this is.
        base: path prefix of every address, without a slash at its end.
    """

    def __init__(self, static: Mapping[str, str], title: str, base: str) -> None:
        self._templates = Environment(
            loader=PackageLoader("worker.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals.update(static=static, environment=title, base=base)
        self._templates.filters.update(utc=formats.utc, clock=formats.clock)
        self._templates.tests.update(
            when=lambda piece: isinstance(piece, When),
            since=lambda piece: isinstance(piece, Since),
            strong=lambda piece: isinstance(piece, Strong),
        )

    def login(self, token: str, problem: str = "", name: str = "", back: str = "") -> str:
        """The log-in page.

        Args:
            token: proves that the form was made by this console for this browser.
            problem: why the last try failed, or why the session ended; empty: neither.
            name: what was typed as the name.
            back: path to go to after the log-in, within the console.
        """
        return self.fragment("login.html", token=token, problem=problem, name=name, back=back)

    def now(self, known: Known, viewer: Viewer, at: datetime) -> str:
        """The page "Now", complete."""
        page = now_page.now(known, viewer, at)
        return self.view("now.html", known, viewer, at, here="now", page=page, parts=PARTS)

    def sections(self, known: Known, viewer: Viewer, at: datetime) -> Mapping[str, str]:
        """The HTML of each section of the page "Now", by the id of its outer element.

        Args:
            known: the newest answers.
            viewer: who looks; its token and its end are not used, for they are of one session.
            at: the present time, UTC.
        """
        context = {
            "page": now_page.now(known, viewer, at),
            "frame": surroundings.frame(known, viewer, at),
            "viewer": viewer,
        }
        names = (*SURROUNDINGS, *PARTS)
        return {name: self.fragment(f"sections/{name}.html", **context) for name in names}

    def view(
        self, template: str, known: Known, viewer: Viewer, at: datetime, **context: Any
    ) -> str:
        """A whole page: a template that extends `base.html`.

        Args:
            template: name of the template.
            known: what the surroundings of every page show.
            viewer: who looks.
            at: the present time, UTC.
            context: names of the template; `here` is the id of the view in the navigation.
        """
        frame = surroundings.frame(known, viewer, at)
        session = hashlib.sha256(viewer.token.encode()).hexdigest()[:_DIGITS]
        return self.fragment(template, frame=frame, viewer=viewer, session=session, **context)

    def fragment(self, template: str, **context: Any) -> str:
        """A template with its names."""
        return self._templates.get_template(template).render(context)
