"""Reads the flags document (`deploy/flags.json`) into `Flags`, and writes it.

Rules: reading lists all problems at once, and any problem refuses the whole document. Providers are
named in any case and spelling ("AfricasTalking", "africas-talking", "target"). Every document is
either read or refused, whatever it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from worker.domain.alerts import contacts
from worker.domain.migration import phase_settings, units
from worker.domain.migration.flags import (
    Flags,
    MigrationSettings,
    RollbackPolicy,
    Thresholds,
    WorseByAtMost,
)
from worker.domain.migration.flags_reader import FlagsReader
from worker.domain.migration.overrides import branch_key, user_key
from worker.domain.migration.phases import PERCENTAGES, phase_holding
from worker.domain.probes import settings as probe_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PROBLEMS: Final = 100
"""The most problems that are listed for one document."""
_FULL: Final = 100.0
_LONGEST_PROBLEM: Final = 600
_LONGEST_GRACE_S: Final = 3_600.0
_POINTS: Final = (0.1, 20.0)
"""Bounds of a margin. A smaller one needs too long for a proof, a larger one shows nothing."""
_SAMPLES: Final = range(1, 1_000_001)


class FlagsError(ValueError):
    """The flags cannot be used. `problems` lists all reasons, each with its field."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        shown = tuple(_printable(problem) for problem in problems[:MAX_PROBLEMS])
        more = len(problems) - len(shown)
        self.problems = (*shown, f"and {more} more problems") if more else shown
        super().__init__("; ".join(self.problems))


def parse(document: Mapping[str, Any], target_id: str, legacy_id: str) -> tuple[Flags, int]:
    """Read a flags document.

    Returns:
        The flags, and the initial percentage (used on the first start only).

    Raises:
        FlagsError: lists all problems.
    """
    reader = FlagsReader(target_id, legacy_id)
    rest = dict(document)
    features = reader.section(rest, "SmsFeatureFlags")
    migration = reader.section(rest, "MigrationSettings")
    phases = reader.section(rest, "Phases")
    reader.problems.extend(f"{name}: unknown section" for name in rest)
    flags = _flags(reader, features, migration, phases)
    percentage = reader.integer(features, "AfricasTalkingTrafficPercentage", 0, PERCENTAGES)
    if phase_holding(flags.phases, percentage) is None:
        reader.problems.append(
            "AfricasTalkingTrafficPercentage: expected within the range of a phase (Phases), "
            f"got {percentage}"
        )
    reader.nothing_left()
    if not flags.target_enabled and not flags.legacy_enabled:
        reader.problems.append("EnableAfricasTalking, EnableLegacy: at least one must be true")
    if reader.problems:
        raise FlagsError(tuple(reader.problems))
    return flags, percentage


def _flags(
    reader: FlagsReader,
    features: dict[str, Any],
    migration: dict[str, Any],
    phases: dict[str, Any],
) -> Flags:
    return Flags(
        target_enabled=reader.boolean(features, "EnableAfricasTalking", default=True),
        legacy_enabled=reader.boolean(features, "EnableLegacy", default=True),
        automatic_rollback=reader.boolean(features, "EnableAutomaticRollback", default=True),
        rollback_policy=RollbackPolicy(
            reader.choice(features, "RollbackPolicy", RollbackPolicy.EVIDENCE, RollbackPolicy)
        ),
        rollback_grace_s=reader.number(
            features, "RollbackGraceSeconds", 0.0, 0.0, _LONGEST_GRACE_S
        ),
        thresholds=_thresholds(reader, features),
        user_overrides=reader.overrides(features, "UserOverrides", user_key),
        branch_overrides=reader.overrides(features, "BranchOverrides", branch_key),
        migration=_migration(reader, migration),
        phases=phase_settings.read(reader, phases),
    )


def document(flags: Flags, percentage: int) -> dict[str, Any]:
    """Write flags in the form that `parse` reads."""
    bounds, migration = flags.thresholds, flags.migration
    return {
        "SmsFeatureFlags": {
            "EnableAfricasTalking": flags.target_enabled,
            "EnableLegacy": flags.legacy_enabled,
            "AfricasTalkingTrafficPercentage": percentage,
            "EnableAutomaticRollback": flags.automatic_rollback,
            "RollbackPolicy": str(flags.rollback_policy),
            "RollbackGraceSeconds": flags.rollback_grace_s,
            "RollbackThresholds": {
                "MaxErrorRate": bounds.max_error_rate,
                "MinSuccessRate": bounds.min_success_rate,
                "MaxResponseTimeMs": bounds.max_response_ms,
                "WindowMinutes": bounds.window_min,
                "MinimumSample": bounds.minimum_sample,
            },
            "UserOverrides": {user: str(role) for user, role in flags.user_overrides.items()},
            "BranchOverrides": {str(b): str(role) for b, role in flags.branch_overrides.items()},
        },
        "MigrationSettings": {
            "AutoAdvanceEnabled": migration.auto_advance,
            "HealthCheckIntervalMinutes": migration.health_interval_min,
            "MinimumPhaseTimeMinutes": migration.minimum_phase_min,
            "SoakTimeMinutes": migration.soak_min,
            "MinimumSample": migration.minimum_sample,
            "WorseByAtMost": {
                "Failed": migration.worse_by_at_most.failed,
                "Slow": migration.worse_by_at_most.slow,
                "Undelivered": migration.worse_by_at_most.undelivered,
            },
            "RequireApprovalForAdvance": migration.require_approval,
            "FourEyes": migration.four_eyes,
            "NotificationRecipients": list(migration.notify),
            "MetricsRetentionDays": migration.metrics_retention_days,
            "ValidationTraffic": probe_settings.document(migration.validation),
        },
        "Phases": phase_settings.document(flags.phases),
    }


def _thresholds(reader: FlagsReader, features: dict[str, Any]) -> Thresholds:
    section = reader.section(features, "RollbackThresholds")
    bounds = Thresholds(
        max_error_rate=reader.number(section, "MaxErrorRate", 5.0, 0.0, _FULL),
        min_success_rate=reader.number(section, "MinSuccessRate", 90.0, 0.0, _FULL),
        max_response_ms=reader.number(section, "MaxResponseTimeMs", 5_000.0, 1.0, 600_000.0),
        window_min=reader.number(section, "WindowMinutes", 5.0, 0.5, 1_440.0),
        minimum_sample=reader.integer(section, "MinimumSample", 100, _SAMPLES),
    )
    if bounds.max_error_rate > _FULL - bounds.min_success_rate:
        reader.problems.append(
            f"RollbackThresholds: contradictory: MaxErrorRate {bounds.max_error_rate} tolerates "
            f"what MinSuccessRate {bounds.min_success_rate} does not"
        )
    least = {"MinSuccessRate": bounds.min_success_rate}
    reader.problems.extend(units.fractions(bounds.max_error_rate, least))
    reader.problems.extend(units.seconds("MaxResponseTimeMs", bounds.max_response_ms))
    return bounds


def _migration(reader: FlagsReader, section: dict[str, Any]) -> MigrationSettings:
    year_min, year_days = 525_600.0, 3_650
    return MigrationSettings(
        auto_advance=reader.boolean(section, "AutoAdvanceEnabled", default=False),
        health_interval_min=reader.number(section, "HealthCheckIntervalMinutes", 5.0, 0.1, 1_440.0),
        minimum_phase_min=reader.number(section, "MinimumPhaseTimeMinutes", 30.0, 0.0, year_min),
        soak_min=reader.number(section, "SoakTimeMinutes", 60.0, 0.0, year_min),
        minimum_sample=reader.integer(section, "MinimumSample", 100, _SAMPLES),
        worse_by_at_most=_worse_by_at_most(reader, section),
        require_approval=reader.boolean(section, "RequireApprovalForAdvance", default=True),
        four_eyes=reader.boolean(section, "FourEyes", default=False),
        notify=contacts.read(reader, section, "NotificationRecipients"),
        metrics_retention_days=reader.integer(
            section, "MetricsRetentionDays", 30, range(1, year_days)
        ),
        validation=probe_settings.read(reader, section),
    )


def _worse_by_at_most(reader: FlagsReader, section: dict[str, Any]) -> WorseByAtMost:
    given, usual = reader.section(section, "WorseByAtMost"), WorseByAtMost()
    return WorseByAtMost(
        failed=reader.number(given, "Failed", usual.failed, *_POINTS),
        slow=reader.number(given, "Slow", usual.slow, *_POINTS),
        undelivered=reader.number(given, "Undelivered", usual.undelivered, *_POINTS),
    )


def _printable(problem: str) -> str:
    """Escape a key for a problem text, because keys may hold anything."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in problem[:_LONGEST_PROBLEM])
