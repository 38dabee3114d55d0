"""Values that are written when an attempt or a message ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.domain.messages.message import (
        Message,
        State,
        StoredEvent,
    )
    from worker.domain.messages.outcome import Money, Outcome


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an attempt."""

    outcome: Outcome
    duration_ms: float
    cost: Money | None = None
    """The cost from the reply, else from the tariff file."""


@dataclass(frozen=True, slots=True)
class TerminalWrite:
    """A new record in a final state: the message was refused or expired before any intent."""

    message_id: str
    state: State
    events: tuple[StoredEvent, ...]
    message: Message | None = None
    """None: the command could not be decoded."""
