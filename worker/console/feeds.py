"""The feeds of all logins, and their sections, rendered once for all who see the same.

Rules: a login has one feed. It lives while somebody watches it and `LINGER_S` longer, so that a
page and its stream, or a page that is loaded again, share what was asked.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from worker.console.feed import Feed
from worker.console.sessions import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from contracts.control_views import Asker
    from worker.console.known import Known
    from worker.console.sessions import Session, Sessions
    from worker.ports.clock import Clock
    from worker.service import Background

    Render = Callable[[Known, Asker], Mapping[str, str]]
    """Makes the sections for everybody who is known as this asker."""
    Ages = Callable[[Known], Mapping[str, str]]
    """Puts the ages of the answers into words."""

LINGER_S: Final = 15.0


class Sheet:
    """A feed with its sections.

    Args:
        feed: of one login.
        render: makes the sections.
        ages: puts the ages of the answers into words.
    """

    def __init__(self, feed: Feed, render: Render, ages: Ages) -> None:
        self.feed = feed
        self._render = render
        self._ages = ages
        self._moment = -1
        self._rendered: dict[tuple[str, tuple[str, ...]], Mapping[str, str]] = {}
        self.lingering: asyncio.TimerHandle | None = None

    def sections(self, you: Asker) -> Mapping[str, str]:
        """The sections of this moment, made once for each role."""
        if self._moment != self.feed.moment:
            self._moment = self.feed.moment
            self._rendered.clear()
        key = (you.role, you.commands)
        if key not in self._rendered:
            self._rendered[key] = self._render(self.feed.known, you)
        return self._rendered[key]

    def ages(self) -> dict[str, str]:
        """The ages of the answers now, in words."""
        return dict(self._ages(self.feed.known))


class Feeds:
    """All feeds. A service that starts nothing by itself.

    Args:
        clock: the time.
        background: runs the feeds.
        sessions: whose logins they use.
        render: makes sections.
        ages: puts the ages of the answers into words.
    """

    def __init__(
        self,
        clock: Clock,
        background: Background,
        sessions: Sessions,
        render: Render,
        ages: Ages,
    ) -> None:
        self._clock = clock
        self._background = background
        self._sessions = sessions
        self._render = render
        self._ages = ages
        self._sheets: dict[str, Sheet] = {}

    async def start(self) -> None:
        """Do nothing: a feed starts with its first watcher."""

    async def drain(self) -> None:
        """Do nothing: a feed ends with its last watcher."""

    async def stop(self) -> None:
        """End all feeds. Idempotent."""
        sheets, self._sheets = self._sheets, {}
        for sheet in sheets.values():
            await self._end(sheet)

    @contextmanager
    def watched(self, session: Session, poke: asyncio.Event) -> Iterator[Sheet]:
        """Watch the feed of a session's login; `poke` is set at each of its moments."""
        user = session.you.user
        sheet = self._sheets.get(user) or self._new(user)
        if sheet.lingering is not None:
            sheet.lingering.cancel()
            sheet.lingering = None
        sheet.feed.watch(poke, session)
        try:
            yield sheet
        finally:
            sheet.feed.leave(poke)
            if not sheet.feed.is_watched:
                loop = asyncio.get_running_loop()
                sheet.lingering = loop.call_later(LINGER_S, self._give_up, sheet)

    def _new(self, user: str) -> Sheet:
        feed = Feed(
            user,
            self._clock,
            self._background,
            lambda session: self._sessions.end(session, REFUSED),
        )
        self._sheets[user] = Sheet(feed, self._render, self._ages)
        return self._sheets[user]

    def _give_up(self, sheet: Sheet) -> None:
        if self._sheets.get(sheet.feed.user) is sheet:
            del self._sheets[sheet.feed.user]
        self._background.spawn(self._end(sheet), f"end of the feed of {sheet.feed.user}")

    async def _end(self, sheet: Sheet) -> None:
        if sheet.lingering is not None:
            sheet.lingering.cancel()
        await sheet.feed.stop()
