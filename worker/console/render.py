"""Makes the HTML of the console from templates.

Rules: no I/O but reading templates at the start. Every value is escaped; an unknown name in a
template is an error. What changes every second is not in the HTML of a section: a section is sent
again whenever its HTML differs, so ages are written by the browser, from the ages that the server
sends each second (`stream.py`). The sections of one login are shared by all its pages, so they hold
nothing that belongs to one session: no token, no end of the session.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.console.known import Known
    from worker.console.viewer import Viewer

TEMPLATES: Final = Path(__file__).with_name("templates")


class Renderer:
    """Renders pages and their sections.

    Args:
        static: address of each static file, by its name.
        title: which installation this is.
        base: path prefix of every address, without a slash at its end.
    """

    def __init__(self, static: Mapping[str, str], title: str, base: str) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals.update(static=static, environment=title, base=base)

    def login(self, token: str, problem: str = "", name: str = "", back: str = "") -> str:
        """The log-in page.

        Args:
            token: proves that the form was made by this console for this browser.
            problem: why the last try failed, or why the session ended; empty: neither.
            name: what was typed as the name.
            back: path to go to after the log-in, within the console.
        """
        return self._page("login.html", token=token, problem=problem, name=name, back=back)

    def now(self, known: Known, viewer: Viewer, at: datetime) -> str:
        """The page "Now", complete."""
        return self._page("now.html", sections=self.sections(known, viewer, at), viewer=viewer)

    def sections(self, known: Known, viewer: Viewer, at: datetime) -> Mapping[str, str]:
        """The HTML of each section of the page "Now", by the id of its element.

        Args:
            known: the newest answers.
            viewer: who looks; its token is empty, and its end is of no session.
            at: the present time, UTC.
        """
        section = self._page("section_state.html", known=known, viewer=viewer, at=at)
        return {"state": section}

    def _page(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)
