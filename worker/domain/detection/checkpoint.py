"""The last tick of the monitor and the evidence after it, as all replicas share them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.domain.detection.automatic_rollback import HoldReason
    from worker.domain.detection.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The evidence as the last tick left it. Shared by all monitors."""

    tick: int
    """Number of the tick: whoever writes the next one wins it."""
    at: datetime
    evidence: Evidence
    counted: Mapping[str, Mapping[str, int]]
    """What of recent slots was counted, by provider and slot: late writes count once, and do."""
    holding: str | None = None
    """Why automation holds, as of that tick."""
    hold_reason: HoldReason | None = None
    """What that is about."""
    holds: Mapping[HoldReason, datetime] = field(default_factory=dict)
    """Holds that stand in the control log, and when each was seen last."""
    age_s: float = 0.0
    """As read: since it was written, by the store's clock."""
    since: datetime | None = None
    """Slots that began before are in `counted` no more, and are not counted any more."""
    older_method: int | None = None
    """As read: the method of the evidence that was stored, where it is another. That evidence is
    not read: it begins anew."""
    read_at: datetime | None = field(default=None, compare=False)
    """When it was read, by the store's clock."""
