"""The retry tiers a delivery passes through, and which one is next.

Rules: the tiers and their delays are those of the broker's queues (`contracts.names`).
"""

from __future__ import annotations

from typing import Final

from contracts.names import RETRY_TIERS

TIERS: Final = tuple(RETRY_TIERS)
"""The shortest delay first."""
SOON: Final = TIERS[0]
"""For what is only busy: nothing failed."""


def tier_after(failures: int) -> str:
    """The tier after so many failures; the last one for any further failure."""
    return TIERS[min(max(failures, 1), len(TIERS)) - 1]
