"""The view "History", and its export.

Rules: filters are applied here, because the worker has none: it is asked for page after page until
enough entries fit, with a bound on how often. An export goes out as it is read, one at a time for a
session, and never has more than `MOST_EXPORTED` entries; if it ends early, its last line says so.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4
from weakref import WeakSet

from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.routing import Route

from contracts.answers import HistoryAnswer
from contracts.control import History
from worker.console.answering import Answering
from worker.console.asking import answered
from worker.console.packing import page
from worker.console.views.export import csv_head, csv_line, json_line
from worker.console.views.history import (
    PAGE,
    Filter,
    HistoryPage,
    Show,
    before_of,
    filter_of,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from contracts.answers import LogEntryView
    from worker.console.asking import Ask
    from worker.console.sessions import Session
    from worker.console.site import Site

MOST_EXPORTED: Final = 100_000
_AT_ONCE: Final = 200
"""Entries of one query; the contract allows no more."""
_MOST_QUERIES: Final = 20
"""For one page: so 4,000 entries are looked through, then the page says where it stopped."""
_WITHIN_S: Final = 5.0


def history_routes(site: Site) -> list[BaseRoute]:
    """The routes, under the path prefix of the site."""
    views, base = HistoryViews(Answering(site)), site.place.base
    return [
        Route(f"{base}/history", site.page(views.show), methods=["GET"]),
        Route(f"{base}/history.{{kind}}", site.page(views.export), methods=["GET"]),
    ]


class HistoryViews:
    """The answers.

    Args:
        answering: makes pages.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._exporting: WeakSet[Session] = WeakSet()

    async def show(self, request: Request, session: Session) -> Response:
        """One page of entries."""
        wanted, before = filter_of(request.query_params), before_of(request.query_params)
        found = await entries(partial(self._answering.site.ask, session), wanted, before)
        html = self._answering.view(
            request, session, "history.html", "history", page=found, shows=tuple(Show)
        )
        return page(request, html)

    async def export(self, request: Request, session: Session) -> Response:
        """All entries, as a file."""
        kind = request.path_params["kind"]
        if kind not in _KINDS:
            raise HTTPException(404, "There is no such export.")
        if session in self._exporting:
            raise HTTPException(429, "You export the history already. Wait until that is done.")
        media_type, head, line = _KINDS[kind]
        lines = self._lines(session, head, line)
        headers = {"Content-Disposition": f'attachment; filename="history.{kind}"'}
        return StreamingResponse(lines, media_type=media_type, headers=headers)

    async def _lines(
        self, session: Session, head: str, line: Callable[[LogEntryView], str]
    ) -> AsyncIterator[str]:
        self._exporting.add(session)
        try:
            async for each in exported(partial(self._answering.site.ask, session), head, line):
                yield each
        finally:
            self._exporting.discard(session)


async def entries(ask: Ask, wanted: Filter, before: int | None) -> HistoryPage:
    """One page of the entries that a filter takes."""
    taken: list[LogEntryView] = []
    for _ in range(_MOST_QUERIES):
        found = await _older(ask, before)
        if isinstance(found, str):
            return HistoryPage(rows(taken), wanted, before, found)
        for each in found:
            if wanted.takes(each):
                taken.append(each)
            before = each.number
            if len(taken) == PAGE:
                return HistoryPage(rows(taken), wanted, before if before > 1 else None)
        if len(found) < _AT_ONCE:
            return HistoryPage(rows(taken), wanted, None)
    return HistoryPage(rows(taken), wanted, before)


async def _older(ask: Ask, before: int | None) -> list[LogEntryView] | str:
    query = History(command_id=str(uuid4()), limit=_AT_ONCE, before=before)
    found = await answered(ask, query, HistoryAnswer, _WITHIN_S)
    return found if isinstance(found, str) else found[1].entries


async def exported(ask: Ask, head: str, line: Callable[[LogEntryView], str]) -> AsyncIterator[str]:
    """All entries, line by line, after the first line."""
    yield head
    before, count = None, 0
    while count < MOST_EXPORTED:
        found = await _older(ask, before)
        if isinstance(found, str):
            yield f"ended early before entry {before}: {found}\n"
            return
        for each in found:
            yield line(each)
        count += len(found)
        if len(found) < _AT_ONCE:
            return
        before = found[-1].number
    yield f"ended early before entry {before}: {MOST_EXPORTED} entries\n"


_KINDS: Final = {
    "csv": ("text/csv; charset=utf-8", csv_head(), csv_line),
    "jsonl": ("application/jsonl; charset=utf-8", "", json_line),
}
"""Media type, first line, and what makes a line, by the end of the address."""
