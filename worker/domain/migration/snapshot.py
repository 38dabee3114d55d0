"""The snapshot in force: flags and state, at one version.

Rules: a snapshot is immutable and whole; replicas swap it, never edit it.
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
"""Who decided, in the log, where nobody did. No broker user can be called that."""
_EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Lock:
    """Set by automatic rollbacks and step-backs only; forbids upward moves."""

    until: datetime | None
    """None: until a person lifts it."""
    reason: str

    def holds(self, now: datetime) -> bool:
        """Whether it still forbids."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Proposal:
    """An upward move that waits for a second person."""

    number: int
    """Version it was made at: names it."""
    by: str
    phase: Phase
    percentage: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything routing reads, at one version."""

    version: int
    """Rises with every change of state; intents carry it."""
    lineage: str
    """UUID of the control log's first entry: versions of different lineages do not compare."""
    phase: Phase
    percentage: int
    flags: Flags
    legacy_retired: bool = False
    """The fallback has ended; rollback is unavailable until legacy is enabled again."""
    held: bool = False
    """Automation does not move up, until a person says `resume`."""
    held_reason: str = ""
    """Who held it, by which command, and why."""
    lock: Lock | None = None
    proposal: Proposal | None = None
    breaker_resets: Mapping[Role, int] = field(default_factory=lambda: _EMPTY)
    """Counts resets asked for; a replica that sees one more resets its breaker."""
    last_percentages: Mapping[Phase, int] = field(default_factory=lambda: _EMPTY)
    """Percentage at which each phase was left last."""
    backups: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    """Version by name."""
    started_at: datetime | None = None
    """When the phase began."""
    since: datetime | None = None
    """When the present percentage began."""
    initiated_by: str = ""
    previous_phase: Phase | None = None
    notes: str = ""
    """Reason of the last change."""
    proven: tuple[int, ...] = ()
    """Shares whose gates passed in this migration, rising: where a step back may go."""
    automatic_downs: tuple[datetime, ...] = ()
    """When automation went down of late: each lock is longer than the one before."""
    anew: int = 0
    """How often the evidence of the target began anew (`direction.begins_anew`)."""

    @property
    def rollback_available(self) -> bool:
        """Whether there is anything to go back to."""
        back = self.flags.legacy_enabled and not self.legacy_retired
        return back and self.phase is not Phase.NOT_STARTED


def describe(state: Snapshot) -> str:
    """Phase and percentage, for people."""
    return f"{state.phase} at {state.percentage} %"
