"""The view "Suppressions": who wants no messages.

Rules: pure. Recipients are masked, as the worker gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.answers import SuppressionsAnswer


@dataclass(frozen=True, slots=True)
class Wish:
    """What one recipient wants."""

    recipient: str
    sender: str
    wants: str
    is_stopped: bool
    at: datetime
    source: str


def wishes(answer: SuppressionsAnswer) -> tuple[Wish, ...]:
    """The wishes, the newest first."""
    return tuple(
        Wish(
            recipient=each.recipient,
            sender=each.sender or "every sender",
            wants="stopped" if each.stopped else "wanted again",
            is_stopped=each.stopped,
            at=each.at,
            source=each.source,
        )
        for each in answer.suppressions
    )
