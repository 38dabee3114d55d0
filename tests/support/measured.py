"""An attempt as the book counts it, for tests that care about a few of its fields."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from worker.domain.figures.tally import Measured

if TYPE_CHECKING:
    from worker.domain.messages.outcome import Outcome


def measured(outcome: Outcome, **changes: Any) -> Measured:
    """An eligible attempt of 120 ms at the target."""
    usual = Measured(
        provider="target",
        outcome=outcome,
        duration_ms=120.0,
        lane="bulk",  # as stored
        message_type="Standard",
        branch_id=None,
        segments=1,
        cost=None,
        eligible=True,
        recipient_hash="a",
        fallback=False,
    )
    return replace(usual, **changes)
