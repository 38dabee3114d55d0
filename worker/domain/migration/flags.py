"""What administrators set: the flags in force, apart from phase and percentage.

Rules: values are immutable. How they are read from a document and written to one is
`flags_document`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role, Rules
from worker.domain.probes.settings import ValidationTraffic

if TYPE_CHECKING:
    from collections.abc import Mapping

_EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bounds of the automatic rollback, in per cent and milliseconds."""

    max_error_rate: float = 5.0
    min_success_rate: float = 90.0
    max_response_ms: float = 5_000.0
    window_min: float = 5.0
    """Of the policy `threshold` alone: minutes the rates are taken over."""
    minimum_sample: int = 100
    """Of the policy `threshold` alone: outcomes within the window before it judges."""


class RollbackPolicy(StrEnum):
    """What makes the monitor go down. Set by administrators."""

    EVIDENCE = "evidence"
    """Detectors with a bounded rate of false alarms (`domain.detection.evidence`)."""
    THRESHOLD = "threshold"
    """Rates within a window against `Thresholds`, as the replaced system had it."""


@dataclass(frozen=True, slots=True)
class WorseByAtMost:
    """By how much the target may do worse than legacy before an advance, percentage points."""

    failed: float = 2.0
    """What fails goes to the other provider: it costs time."""
    slow: float = 2.0
    undelivered: float = 1.0
    """What is not delivered is lost."""


@dataclass(frozen=True, slots=True)
class MigrationSettings:
    """How the migration advances by itself."""

    auto_advance: bool = False
    health_interval_min: float = 5.0
    minimum_phase_min: float = 30.0
    soak_min: float = 60.0
    """Minimum time from a share of 90 % on, where legacy is too small to compare with."""
    minimum_sample: int = 100
    """Outcomes before a rate of the phase requirements means anything."""
    worse_by_at_most: WorseByAtMost = field(default_factory=WorseByAtMost)
    require_approval: bool = True
    four_eyes: bool = False
    """Manual upward moves want a second person too."""
    notify: tuple[str, ...] = ()
    """Who is told of alerts (`domain.alerts.contacts`)."""
    metrics_retention_days: int = 30
    validation: ValidationTraffic = field(default_factory=ValidationTraffic)


@dataclass(frozen=True, slots=True)
class Flags:
    """What administrators set, apart from phase and percentage."""

    target_enabled: bool = True
    legacy_enabled: bool = True
    automatic_rollback: bool = True
    rollback_policy: RollbackPolicy = RollbackPolicy.EVIDENCE
    rollback_grace_s: float = 0.0
    """So long an open breaker of the target holds instead of rolling back: a restart of the
    provider, whose messages all go to legacy meanwhile."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    user_overrides: Mapping[str, Role] = field(default_factory=lambda: _EMPTY)
    branch_overrides: Mapping[int, Role] = field(default_factory=lambda: _EMPTY)
    migration: MigrationSettings = field(default_factory=MigrationSettings)
    phases: Mapping[Phase, Rules] = field(default_factory=lambda: DEFAULT_RULES)

    def enabled(self, role: Role) -> bool:
        """Whether the provider in that role may be chosen at all."""
        return self.target_enabled if role is Role.TARGET else self.legacy_enabled
