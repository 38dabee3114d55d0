"""How far a command is that was sent: what is known about it at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.answers import LogEntryView
    from contracts.control import ControlCommand, ControlReply


@dataclass(frozen=True, slots=True)
class Progress:
    """A command that was sent, and what came of it so far."""

    command: ControlCommand
    user: str
    elapsed_s: float
    """Since it was sent first."""
    sent: int = 0
    """How often the broker took it."""
    hindrance: str = ""
    """Why the broker does not take it; empty: it does."""
    reply: ControlReply | None = None
    failure: str = ""
    """Why nobody tries any more; empty: it is answered, or still tried."""
    refused_by_broker: bool = False
    """Whether the broker refused it, so that it was certainly not done."""
    moved_by: LogEntryView | None = None
    """The entry that put another version in force, where that is why it was refused."""


@dataclass(frozen=True, slots=True)
class Following:
    """How far the replicas are with a version."""

    version: int
    elapsed_s: float
    """Since the version is in force."""
    live: int = 0
    """Replicas that live; 0: not known."""
    behind: tuple[str, ...] = ()
    """Names of those that have not followed."""
    silence: str = ""
    """Why the replicas are not known; empty: they are."""
