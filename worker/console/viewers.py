"""Who looks: a viewer for one page of a session, and one for all pages of its login.

Rules: pure but for the clock of the sessions. What all pages of a login share has no token and no
end of a session, so that it is rendered once. Shortly before a session ends its pages must say so:
then they share nothing any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from worker.console.pages.frame import NOTICE_S
from worker.console.viewer import Viewer

if TYPE_CHECKING:
    from worker.console.sessions import Session, Sessions

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_EARLIER_S: Final = 5.0


@dataclass(frozen=True)
class Viewers:
    """Makes viewers.

    Args:
        sessions: know when each ends.
        environment: which installation this is.
        base: path prefix of every address.
    """

    sessions: Sessions
    environment: str
    base: str

    def shared(self, session: Session) -> Viewer:
        """As whom all pages of the session's login look."""
        ends_soon = self.sessions.left_s(session) < NOTICE_S + _EARLIER_S
        return Viewer(
            user=session.you.user,
            role=session.you.role,
            commands=frozenset(session.you.commands),
            environment=self.environment,
            base=self.base,
            token="",
            ends_at=self.sessions.ends_at(session) if ends_soon else _NEVER,
        )

    def own(self, session: Session, token: str) -> Viewer:
        """As whom one page looks, with a token for its forms."""
        return replace(
            self.shared(session),
            token=token,
            ends_at=self.sessions.ends_at(session),
            session=session.name,
        )
