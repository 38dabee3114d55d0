"""What is written of a message when an attempt or its life ends."""

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
    """An attempt that came to an end, as it is written."""

    outcome: Outcome
    duration_ms: float
    cost: Money | None = None
    """From the reply, else from the tariff file."""


@dataclass(frozen=True, slots=True)
class TerminalWrite:
    """A terminal record to insert where there is none: refused or expired before any intent."""

    message_id: str
    state: State
    events: tuple[StoredEvent, ...]
    message: Message | None = None
    """None where the command could not be understood."""
