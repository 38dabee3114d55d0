"""Who looks at the console, and what this person may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with a session."""

    user: str
    role: str
    """`observer`, `operator` or `administrator`, as the workers say."""
    commands: frozenset[str]
    """Names of the commands this person may give."""
    environment: str
    """Which installation this is, such as `production`."""
    base: str
    """Path prefix of every address, without a slash at its end; empty: none."""
    token: str
    """Proves that a form was made by this console for this session."""
    ends_at: datetime
    """When the session ends if nothing is done."""
    session: str = ""
    """Names the session among those of one browser; it proves nothing, and stays the same."""

    def may(self, command: str) -> bool:
        """Whether this person may give the command."""
        return command in self.commands
