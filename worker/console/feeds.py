"""The feeds of all logins, and their sections, rendered once for all who see the same.

Rules: a login has one feed. It lives while somebody watches it and `LINGER_S` longer, so that a
page and its stream, or a page that is loaded again, share what was asked.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from worker.console.events import Sheet, changes
from worker.console.feed import Feed
from worker.console.sessions import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker.console.known import Known
    from worker.console.sessions import Session, Sessions
    from worker.console.viewer import Viewer
    from worker.ports.clock import Clock
    from worker.service import Background

    Render = Callable[[Known, Viewer], Sheet]
    """Makes what pages show, for all who look like this viewer."""

LINGER_S: Final = 15.0


class Watched:
    """A feed, and what pages show of it.

    Args:
        feed: of one login.
        render: makes the sheets.
    """

    def __init__(self, feed: Feed, render: Render) -> None:
        self.feed = feed
        self.lingering: asyncio.TimerHandle | None = None
        self._render = render
        self._moment = -1
        self._sheets: dict[Viewer, Sheet] = {}
        self._changes: dict[tuple[Sheet | None, Sheet], bytes] = {}

    def sheet(self, viewer: Viewer) -> Sheet:
        """The sheet of this moment, made once for all who look like this viewer."""
        if self._moment != self.feed.moment:
            self._moment = self.feed.moment
            self._sheets.clear()
            self._changes.clear()
        if viewer not in self._sheets:
            self._sheets[viewer] = self._render(self.feed.known, viewer)
        return self._sheets[viewer]

    def changes(self, sent: Sheet | None, sheet: Sheet) -> bytes:
        """The events that turn one sheet into that of this moment, made once for all pages."""
        if (sent, sheet) not in self._changes:
            self._changes[sent, sheet] = changes(sent, sheet)
        return self._changes[sent, sheet]


class Feeds:
    """All feeds. A service that starts nothing by itself.

    Args:
        clock: the time.
        background: runs the feeds.
        sessions: whose logins they use.
        render: makes sheets.
    """

    def __init__(
        self, clock: Clock, background: Background, sessions: Sessions, render: Render
    ) -> None:
        self._clock = clock
        self._background = background
        self._sessions = sessions
        self._render = render
        self._feeds: dict[str, Watched] = {}

    async def start(self) -> None:
        """Do nothing: a feed starts with its first watcher."""

    async def drain(self) -> None:
        """Do nothing: a feed ends with its last watcher."""

    async def stop(self) -> None:
        """End all feeds. Idempotent."""
        feeds, self._feeds = self._feeds, {}
        for watched in feeds.values():
            await self._end(watched)

    @contextmanager
    def watched(self, session: Session, poke: asyncio.Event) -> Iterator[Watched]:
        """Watch the feed of a session's login; `poke` is set at each of its moments."""
        user = session.you.user
        watched = self._feeds.get(user) or self._new(user)
        if watched.lingering is not None:
            watched.lingering.cancel()
            watched.lingering = None
        watched.feed.watch(poke, session)
        try:
            yield watched
        finally:
            watched.feed.leave(poke)
            if not watched.feed.is_watched:
                loop = asyncio.get_running_loop()
                watched.lingering = loop.call_later(LINGER_S, self._give_up, watched)

    def _new(self, user: str) -> Watched:
        feed = Feed(
            user,
            self._clock,
            self._background,
            lambda session: self._sessions.end(session, REFUSED),
        )
        self._feeds[user] = Watched(feed, self._render)
        return self._feeds[user]

    def _give_up(self, watched: Watched) -> None:
        if self._feeds.get(watched.feed.user) is watched:
            del self._feeds[watched.feed.user]
        self._background.spawn(self._end(watched), f"end of the feed of {watched.feed.user}")

    async def _end(self, watched: Watched) -> None:
        if watched.lingering is not None:
            watched.lingering.cancel()
        await watched.feed.stop()
