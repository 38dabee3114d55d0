"""The snapshot in force: flags and state, at one version.

Rules: a snapshot is immutable and complete. Replicas replace it as a whole and never edit it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from worker.domain.migration.phases import Phase, Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.domain.migration.flags import Flags

AUTOMATIC: Final = "(monitor)"
"""The name in the log for decisions of automation. No broker user can have it."""
_EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Lock:
    """Forbids upward moves. Only automatic rollbacks and step-backs set it."""

    until: datetime | None
    """The end of the lock; None: a person must lift it."""
    reason: str

    def holds(self, now: datetime) -> bool:
        """Whether the lock is still in force."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Proposal:
    """An upward move that waits for a second person."""

    number: int
    """The version at which it was made, and its name."""
    by: str
    phase: Phase
    percentage: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Flags and state at one version."""

    version: int
    """Rises with every change of state. Each intent stores it."""
    lineage: str
    """UUID of the control log's first entry. Versions of two lineages cannot be compared."""
    phase: Phase
    percentage: int
    flags: Flags
    legacy_retired: bool = False
    """Whether the fallback has ended. A rollback then needs legacy to be enabled again."""
    held: bool = False
    """Whether automation makes no upward moves until a person gives the command `resume`."""
    held_reason: str = ""
    """Who held automation, by which command, and why."""
    lock: Lock | None = None
    proposal: Proposal | None = None
    breaker_resets: Mapping[Role, int] = field(default_factory=lambda: _EMPTY)
    """Number of requested resets, by provider. A replica resets its breaker when it rises."""
    last_percentages: Mapping[Phase, int] = field(default_factory=lambda: _EMPTY)
    """The percentage at which each phase was last left."""
    backups: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    """Versions by backup name."""
    started_at: datetime | None = None
    """When the phase began."""
    since: datetime | None = None
    """When the present percentage began."""
    initiated_by: str = ""
    previous_phase: Phase | None = None
    notes: str = ""
    """The reason of the last change."""
    proven: tuple[int, ...] = ()
    """Shares whose gates passed in this migration, rising. A step back goes to one of them."""
    automatic_downs: tuple[datetime, ...] = ()
    """Times of recent automatic rollbacks. After each, the lock is longer."""
    anew: int = 0
    """How often the evidence of the target began anew (`direction.begins_anew`)."""

    @property
    def rollback_available(self) -> bool:
        """Whether there is a provider to roll back to."""
        back = self.flags.legacy_enabled and not self.legacy_retired
        return back and self.phase is not Phase.NOT_STARTED


def describe(state: Snapshot) -> str:
    """Phase and percentage, in words for people."""
    return f"{state.phase} at {state.percentage} %"
