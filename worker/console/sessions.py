"""Who is logged in: sessions in memory, each with its person's own connection to the broker.

Rules:
- A session is found by 256 random bits, of which only a hash is kept. A restart ends all sessions.
- It ends at log-out, when its person does nothing for the idle time, 8 hours after the log-in, or
  when the broker refuses its login. What the stream of a page does is not what a person does. The
  idle time of observers is longer, and so may be their whole session: their page hangs on a wall.
- The password is in the session's client alone, and is gone with the session.
- The client logs in again every hour, because an open connection outlives a change of the password.
  Where no page is open, the connection is closed; the next question opens another.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from worker.broker.control_client import BrokerAway, LoginRefused
from worker.console.tokens import new_id
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from contracts.control_views import Asker
    from worker.broker.control_client import ControlClient
    from worker.ports.clock import Clock
    from worker.service import Background

LONGEST_S: Final = 8 * 3600.0
RENEW_AFTER_S: Final = 3600.0
REST_AFTER_S: Final = 30.0
"""After which a connection that no page uses is closed."""
_TRY_AGAIN_S: Final = 60.0
"""Between two tries to log in again while the broker is away."""
RENEW_WITHIN_S: Final = 10.0
LOOK_EVERY_S: Final = 1.0
MOST: Final = 500
OF_ONE_USER: Final = 20
"""Sessions of one login; a further one ends the oldest."""
OBSERVER: Final = "observer"
LOGGED_OUT: Final = "You logged out."
OVER: Final = "Your session is over. Log in again."
REFUSED: Final = "Your broker login no longer works."
_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Session:
    """A person who is logged in."""

    key: bytes
    """Hash of the id."""
    you: Asker
    """User, role and commands, as the workers say."""
    client: ControlClient
    began: float
    """Seconds of the monotonic clock, like `acted`, `used` and `renew_at`."""
    idle_s: float
    longest_s: float
    acted: float
    used: float
    """When a page was open last."""
    renew_at: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    why_ended: str = ""
    pokes: set[asyncio.Event] = field(default_factory=set)
    """One for each open stream; set when there is a reason to look."""

    @property
    def name(self) -> str:
        """Names it among those of one browser; it proves nothing."""
        return self.key.hex()[:12]

    @property
    def ends(self) -> float:
        """When it ends if nothing is done, seconds of the monotonic clock."""
        return min(self.acted + self.idle_s, self.began + self.longest_s)


class Sessions(Loop):
    """All sessions.

    Args:
        clock: the time.
        background: runs the watch over them.
        idle_s: seconds without an act after which a session ends.
        observer_idle_s: the same for observers.
    """

    def __init__(
        self, clock: Clock, background: Background, *, idle_s: float, observer_idle_s: float
    ) -> None:
        super().__init__(background, "sessions")
        self._clock = clock
        self._idle_s = idle_s
        self._observer_idle_s = observer_idle_s
        self._open: dict[bytes, Session] = {}
        self._doing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, you: Asker, client: ControlClient) -> tuple[str, Session]:
        """Begin a session; return the id that its browser gets."""
        ident, now = new_id(), self._clock.monotonic()
        watches = you.role == OBSERVER
        idle_s = self._observer_idle_s if watches else self._idle_s
        session = Session(
            key=_hash(ident),
            you=you,
            client=client,
            began=now,
            idle_s=idle_s,
            longest_s=max(idle_s, LONGEST_S) if watches else LONGEST_S,
            acted=now,
            used=now,
            renew_at=now + RENEW_AFTER_S,
        )
        self._make_room(you.user)
        self._open[session.key] = session
        return ident, session

    def find(self, ident: str) -> Session | None:
        """The session with this id; None: there is none, or it is over."""
        session = self._open.get(_hash(ident))
        if session is None or self._is_over(session):
            return None
        return session

    def act(self, session: Session) -> None:
        """Its person did something."""
        session.acted = session.used = self._clock.monotonic()

    def ends_at(self, session: Session) -> datetime:
        """When it ends if nothing is done."""
        return self._clock.now() + timedelta(seconds=session.ends - self._clock.monotonic())

    def left_s(self, session: Session) -> float:
        """Seconds until it ends if nothing is done."""
        return max(session.ends - self._clock.monotonic(), 0.0)

    def end(self, session: Session, why: str) -> None:
        """End it: its streams are told why, its login is forgotten, its connection closed."""
        if self._open.pop(session.key, None) is None:
            return
        _log.info("session over", user=session.you.user, why=why)
        session.why_ended = why
        session.ended.set()
        for poke in session.pokes:
            poke.set()
        self._do(session.client.close())

    def end_all_of(self, user: str, why: str) -> None:
        """End every session of a login."""
        for session in self._of(user):
            self.end(session, why)

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """End what is over, log in again where an hour has passed, close what is not used."""
        now = self._clock.monotonic()
        for session in list(self._open.values()):
            if session.pokes:
                session.used = now
            if self._is_over(session):
                self.end(session, f"You were logged out at {datetime.now(UTC):%H:%M} UTC.")
            elif session.renew_at <= now:
                session.renew_at = now + _TRY_AGAIN_S
                self._do(self._renew(session))
            elif session.used + REST_AFTER_S <= now and session.client.is_connected:
                self._do(session.client.rest())

    async def stop(self) -> None:
        """End all sessions. Idempotent."""
        await super().stop()
        for session in list(self._open.values()):
            self.end(session, "The console was stopped.")
        await asyncio.gather(*self._doing)

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = self._background.spawn(work, "log-ins and log-outs at the broker")
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def _is_over(self, session: Session) -> bool:
        return session.ends <= self._clock.monotonic()

    async def _renew(self, session: Session) -> None:
        try:
            await session.client.renew(RENEW_WITHIN_S)
            session.renew_at = self._clock.monotonic() + RENEW_AFTER_S
        except LoginRefused:
            self.end(session, REFUSED)
        except BrokerAway as away:
            _log.warning("not logged in again", user=session.you.user, why=str(away))

    def _of(self, user: str) -> list[Session]:
        return [session for session in self._open.values() if session.you.user == user]

    def _make_room(self, user: str) -> None:
        own = self._of(user)
        if len(own) >= OF_ONE_USER:
            self.end(own[0], "You logged in in too many places.")
        elif len(self._open) >= MOST:
            self.end(next(iter(self._open.values())), "Too many people are logged in.")


def _hash(ident: str) -> bytes:
    return hashlib.sha256(ident.encode(errors="surrogatepass")).digest()
