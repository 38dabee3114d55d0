"""Chooses the next retry tier of a delivery.

Rules: `contracts.names` defines the tiers and their delays, as the broker's queues have them.
"""

from __future__ import annotations

from typing import Final

from contracts.names import RETRY_TIERS

TIERS: Final = tuple(RETRY_TIERS)
"""All tiers, the shortest delay first."""
SOON: Final = TIERS[0]
"""The tier while a provider is only busy and nothing failed."""


def tier_after(failures: int) -> str:
    """The tier after this number of failures. Further failures get the last tier."""
    return TIERS[min(max(failures, 1), len(TIERS)) - 1]
