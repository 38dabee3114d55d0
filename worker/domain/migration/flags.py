"""The flags that administrators set, apart from phase and percentage.

Rules: values are immutable. `flags_document` reads them from a document and writes them.
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
    """Bounds for the automatic rollback, in per cent and milliseconds."""

    max_error_rate: float = 5.0
    min_success_rate: float = 90.0
    max_response_ms: float = 5_000.0
    window_min: float = 5.0
    """For the policy `threshold` only: the window of the rates, in minutes."""
    minimum_sample: int = 100
    """For the policy `threshold` only: the least outcomes within the window for a decision."""


class RollbackPolicy(StrEnum):
    """The rule by which the monitor rolls back. Set by administrators."""

    EVIDENCE = "evidence"
    """Detectors with a bounded rate of false alarms (`domain.detection.evidence`)."""
    THRESHOLD = "threshold"
    """Rates within a window, compared with `Thresholds` as in the replaced system."""


@dataclass(frozen=True, slots=True)
class WorseByAtMost:
    """How much worse than legacy the target may be for an advance, in percentage points."""

    failed: float = 2.0
    """Failed calls. The message goes to the other provider, so a failure costs only time."""
    slow: float = 2.0
    undelivered: float = 1.0
    """Undelivered messages. They are lost."""


@dataclass(frozen=True, slots=True)
class MigrationSettings:
    """Settings for automatic advances."""

    auto_advance: bool = False
    health_interval_min: float = 5.0
    minimum_phase_min: float = 30.0
    soak_min: float = 60.0
    """Minimum time at a share of 90 % or more, where legacy is too small for a comparison."""
    minimum_sample: int = 100
    """The least outcomes for a rate of the phase requirements."""
    worse_by_at_most: WorseByAtMost = field(default_factory=WorseByAtMost)
    require_approval: bool = True
    four_eyes: bool = False
    """Whether manual upward moves need a second person too."""
    notify: tuple[str, ...] = ()
    """Recipients of alert notices (`domain.alerts.contacts`)."""
    metrics_retention_days: int = 30
    validation: ValidationTraffic = field(default_factory=ValidationTraffic)


@dataclass(frozen=True, slots=True)
class Flags:
    """All flags, apart from phase and percentage."""

    target_enabled: bool = True
    legacy_enabled: bool = True
    automatic_rollback: bool = True
    rollback_policy: RollbackPolicy = RollbackPolicy.EVIDENCE
    rollback_grace_s: float = 0.0
    """How long an open breaker of the target causes a hold instead of a rollback. The provider may
    only restart, and meanwhile all messages go to legacy."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    user_overrides: Mapping[str, Role] = field(default_factory=lambda: _EMPTY)
    branch_overrides: Mapping[int, Role] = field(default_factory=lambda: _EMPTY)
    migration: MigrationSettings = field(default_factory=MigrationSettings)
    phases: Mapping[Phase, Rules] = field(default_factory=lambda: DEFAULT_RULES)

    def enabled(self, role: Role) -> bool:
        """Whether the provider in this role may be chosen at all."""
        return self.target_enabled if role is Role.TARGET else self.legacy_enabled
